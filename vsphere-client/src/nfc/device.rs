//! The devices of a lease, and the URLs from which their contents are transferred.

use std::fmt;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use url::Url;
use vim25::types::HttpNfcLeaseDeviceUrl;

use crate::tls::Thumbprint;

/// A device of the machine under a lease: a disk, or another file such as NVRAM.
#[derive(Clone)]
pub struct LeaseDevice {
    pub(super) key: String,
    pub(super) import_key: String,
    pub(super) target: Option<String>,
    pub(super) disk: bool,
    pub(super) size: Option<u64>,
    /// The URL. It contains a token that grants access to anybody who knows it, so it is never
    /// shown.
    pub(super) url: Url,
    /// The thumbprint of the host's certificate, if the host is not the client's server.
    pub(super) pin: Option<Thumbprint>,
    /// Whether the URL is on the client's server.
    pub(super) at_server: bool,
}

impl LeaseDevice {
    /// Returns the key of the device, which is unique within the lease and is also used in
    /// manifests.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the key that identifies the device in the import specification, such as
    /// `/machine-name/VirtualLsiLogicController0:0`. Empty for an export.
    #[must_use]
    pub fn import_key(&self) -> &str {
        &self.import_key
    }

    /// Returns the name of the file that an export should be written to, such as `disk-0.vmdk`.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// Returns whether the device is a disk, which is transferred as a streamOptimized VMDK.
    #[must_use]
    pub const fn is_disk(&self) -> bool {
        self.disk
    }

    /// Returns the size in bytes of a file that is not a disk, if the server reported it.
    #[must_use]
    pub const fn size(&self) -> Option<u64> {
        self.size
    }

    /// Returns the name for errors and logs.
    pub(super) fn name(&self) -> &str {
        [self.target.as_deref(), Some(&*self.key)]
            .into_iter()
            .flatten()
            .find(|name| !name.is_empty())
            .unwrap_or("device")
    }

    /// Converts the server's description of a device. `server` is the address of the server.
    pub(super) fn read(device: HttpNfcLeaseDeviceUrl, server: &Url) -> Result<Self, String> {
        let name = device.target_id.clone().unwrap_or_default();
        let wrong = |why: String| format!("the address of device {name:?} {why}");
        let mut url = Url::parse(&device.url).map_err(|error| wrong(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong(format!("has the scheme {:?}", url.scheme())));
        }
        if url.scheme() != server.scheme() && server.scheme() == "https" {
            return Err(wrong("is not encrypted although the server's is".into()));
        }
        if url.host_str() == Some("*") {
            // `*` stands for the host and port that the client connected to.
            let there = server.host_str().unwrap_or_default();
            let replaced = url.set_host(Some(there)).is_ok() && url.set_port(server.port()).is_ok();
            if !replaced {
                return Err(wrong("has no host".into()));
            }
        }
        let at_server = url.host_str() == server.host_str()
            && url.port_or_known_default() == server.port_or_known_default();
        let pin = if at_server || url.scheme() == "http" {
            None
        } else {
            pin(&device).map_err(wrong)?
        };
        Ok(Self {
            key: device.key,
            import_key: device.import_key,
            target: device.target_id,
            disk: device.disk.unwrap_or_default(),
            size: device.file_size.and_then(|size| u64::try_from(size).ok()),
            url,
            pin,
            at_server,
        })
    }
}

/// Returns the thumbprint of the certificate that the host must present. If the server sent
/// the certificate, it takes precedence over the digest, which servers before 8.0 compute with
/// SHA-1.
fn pin(device: &HttpNfcLeaseDeviceUrl) -> Result<Option<Thumbprint>, String> {
    let pem = device.ssl_certificate.as_deref().unwrap_or_default();
    if !pem.trim().is_empty() {
        return CertificateDer::from_pem_slice(pem.as_bytes())
            .map(|certificate| Some(Thumbprint::sha256(&certificate)))
            .map_err(|error| format!("comes with a certificate that cannot be read: {error}"));
    }
    if device.ssl_thumbprint.trim().is_empty() {
        return Ok(None);
    }
    let thumbprint = device.ssl_thumbprint.parse();
    thumbprint
        .map(Some)
        .map_err(|_| "comes with a thumbprint that cannot be read".to_owned())
}

impl fmt::Debug for LeaseDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseDevice")
            .field("key", &self.key)
            .field("import_key", &self.import_key)
            .field("target", &self.target)
            .field("disk", &self.disk)
            .field("size", &self.size)
            .field("host", &self.url.host_str())
            .field("pin", &self.pin)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    fn read(url: &str, thumbprint: &str, server: &str) -> Result<LeaseDevice, String> {
        let device = HttpNfcLeaseDeviceUrl {
            key: "k".into(),
            url: url.into(),
            ssl_thumbprint: thumbprint.into(),
            disk: Some(true),
            target_id: Some("disk-0.vmdk".into()),
            ..HttpNfcLeaseDeviceUrl::default()
        };
        LeaseDevice::read(device, &Url::parse(server).unwrap())
    }

    const PIN: &str = "A9:99:3E:36:47:06:81:6A:BA:3E:25:71:78:50:C2:6C:9C:D0:D8:9D";

    #[test]
    fn a_star_stands_for_the_host_and_port_that_were_connected_to() {
        let device = read("https://*/nfc/tok/disk-0.vmdk", PIN, "https://esx:8443/sdk").unwrap();
        assert_eq!(device.url.as_str(), "https://esx:8443/nfc/tok/disk-0.vmdk");
        assert!(device.at_server && device.pin.is_none());
        let device = read("https://*/nfc/tok/d", "", "https://[fd00::1]/sdk").unwrap();
        assert_eq!(device.url.as_str(), "https://[fd00::1]/nfc/tok/d");
    }

    #[test]
    fn another_host_is_pinned_and_gets_no_session() {
        let device = read("https://esx2/nfc/tok/d", PIN, "https://vc/sdk").unwrap();
        assert!(!device.at_server);
        assert_eq!(device.pin.unwrap().to_string(), PIN);
        // A URL with another port may refer to another server.
        let device = read("https://vc:902/nfc/tok/d", PIN, "https://vc/sdk").unwrap();
        assert!(!device.at_server && device.pin.is_some());
    }

    #[test]
    fn bad_addresses_are_refused_without_showing_the_token() {
        for (url, thumbprint) in [
            ("nonsense", ""),
            ("ftp://esx/nfc/secret/d", ""),
            ("http://esx/nfc/secret/d", ""),
            ("https://esx/nfc/secret/d", "12:34"),
        ] {
            let error = read(url, thumbprint, "https://vc/sdk").unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
        let device = read("https://esx/nfc/secret/d", PIN, "https://vc/sdk").unwrap();
        assert!(!format!("{device:?}").contains("secret"));
    }
}
