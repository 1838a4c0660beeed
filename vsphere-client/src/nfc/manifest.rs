//! Compares transfers with the server's manifest.

use std::fmt::Write;

use vim25::types::HttpNfcLeaseManifestEntry;

use super::lease::Lease;
use crate::error::{Error, Result};

/// The length and checksum of one device's transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transferred {
    /// The device's [`key`](super::LeaseDevice::key).
    pub key: String,
    /// The length in bytes.
    pub bytes: u64,
    /// The SHA-1 digest in lower-case hexadecimal digits, if one was requested. It detects
    /// accidental changes, not forgery.
    pub sha1: Option<String>,
    /// The SHA-256 digest in lower-case hexadecimal digits, if one was computed.
    pub sha256: Option<String>,
}

impl Lease {
    /// Compares transfers with the server's manifest: each device must be in
    /// it, with the same length and, where both sides have one, the same SHA-1.
    ///
    /// # Errors
    /// [`Error::Decode`] naming the first device that differs; otherwise see [`Error`].
    pub async fn check_manifest(&self, transferred: &[Transferred]) -> Result<()> {
        let manifest = self.manifest().await?;
        for item in transferred {
            let entry = manifest.iter().find(|entry| entry.key == item.key);
            self.compare(item, entry)?;
        }
        Ok(())
    }

    /// Compares transfers with the server's manifest, as far as it has one: some servers have
    /// manifests of exports only.
    pub(crate) async fn check_known(&self, transferred: &[Transferred]) -> Result<()> {
        let manifest = match self.manifest().await {
            Ok(manifest) => manifest,
            Err(Error::Fault { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        for item in transferred {
            if let Some(entry) = manifest.iter().find(|entry| entry.key == item.key) {
                self.compare(item, Some(entry))?;
            }
        }
        Ok(())
    }

    fn compare(&self, item: &Transferred, entry: Option<&HttpNfcLeaseManifestEntry>) -> Result<()> {
        match difference(item, entry) {
            None => Ok(()),
            Some(difference) => Err(Error::Decode {
                operation: self.operation.clone(),
                source: format!(
                    "device {:?} was not transferred as a whole: {difference}",
                    item.key
                )
                .into(),
            }),
        }
    }
}

fn difference(item: &Transferred, entry: Option<&HttpNfcLeaseManifestEntry>) -> Option<String> {
    let Some(entry) = entry else {
        return Some("it is not in the server's manifest".into());
    };
    if u64::try_from(entry.size) != Ok(item.bytes) {
        return Some(format!("{} bytes here, {} there", item.bytes, entry.size));
    }
    let is = |name: &str| {
        let kind = entry.checksum_type.as_deref();
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case(name))
    };
    if let (Some(here), Some(there)) = (&item.sha256, &entry.checksum)
        && is("sha256")
    {
        return (!there.eq_ignore_ascii_case(here))
            .then(|| format!("its SHA-256 is {here} here, {there} there"));
    }
    let here = item.sha1.as_deref()?;
    let there = match &entry.checksum {
        Some(checksum) if is("sha1") => checksum,
        _ => &entry.sha1,
    };
    (!there.is_empty() && !there.eq_ignore_ascii_case(here))
        .then(|| format!("its SHA-1 is {here} here, {there} there"))
}

/// Formats bytes as pairs of lower-case hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_digests_are_compared_where_both_sides_have_them() {
        let mut item = Transferred {
            key: "k".into(),
            bytes: 3,
            sha1: Some("a9993e364706816aba3e25717850c26c9cd0d89d".into()),
            sha256: None,
        };
        let mut entry = HttpNfcLeaseManifestEntry {
            size: 3,
            sha1: "A9993E364706816ABA3E25717850C26C9CD0D89D".into(),
            ..HttpNfcLeaseManifestEntry::default()
        };
        assert_eq!(difference(&item, Some(&entry)), None);
        assert!(difference(&item, None).is_some());
        entry.sha1 = "00".into();
        assert!(difference(&item, Some(&entry)).is_some());
        item.sha256 = Some("ab".into());
        entry.checksum = Some("cd".into());
        assert!(difference(&item, Some(&entry)).is_some());
        item.sha1 = None;
        assert_eq!(difference(&item, Some(&entry)), None);
        entry.checksum_type = Some("SHA256".into());
        assert!(difference(&item, Some(&entry)).is_some());
        entry.checksum = Some("AB".into());
        assert_eq!(difference(&item, Some(&entry)), None);
        entry.size = 4;
        assert!(difference(&item, Some(&entry)).is_some());
    }
}
