//! The certificates of an appliance.

use std::fmt;

use guestinfo::vic::{self, RawCertificate, Redacted};

/// The certificates with which the appliance serves its clients, all in PEM.
///
/// They are stored in the keys of the appliance. The private key is sealed in the dialect of VIC 1.x,
/// with a secret that the endpoint does not return to clients; in that of 0.4 it is stored in the
/// clear, so that everybody can read it who may read the appliance's configuration. In both, the guest
/// of the appliance can read it, which needs it. Containers run in other machines, whose guests
/// cannot. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApplianceCertificates {
    /// The certificate that the appliance presents, followed by those of the authorities between it
    /// and the root, if any.
    pub certificate: String,
    key: Redacted<String>,
    /// The certificates of the authorities whose clients the appliance accepts. Empty: it accepts
    /// clients without certificates.
    pub authorities: String,
}

impl ApplianceCertificates {
    /// Combines a certificate with its private key. Clients need no certificates.
    #[must_use]
    pub fn new(certificate: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            certificate: certificate.into(),
            key: Redacted(key.into()),
            authorities: String::new(),
        }
    }

    /// Requires clients to have a certificate of one of these authorities.
    #[must_use]
    pub fn authorities(mut self, authorities: impl Into<String>) -> Self {
        self.authorities = authorities.into();
        self
    }

    /// Returns why the texts cannot be certificates and a key.
    pub(super) fn refusal(&self) -> Option<&'static str> {
        let has = |text: &str, what: &str| text.contains("-----BEGIN ") && text.contains(what);
        if !has(&self.certificate, "CERTIFICATE-----") {
            return Some("the certificate is not in PEM");
        }
        if !has(&self.key.0, "PRIVATE KEY-----") {
            return Some("the private key is not in PEM");
        }
        if !self.authorities.is_empty() && !has(&self.authorities, "CERTIFICATE-----") {
            return Some("the certificates of the authorities are not in PEM");
        }
        None
    }

    /// Returns the certificates as they are stored.
    pub(in crate::vsphere) fn to_record(&self) -> vic::Certificates {
        vic::Certificates {
            host: Some(RawCertificate {
                key: Redacted(self.key.0.clone().into_bytes()),
                cert: self.certificate.clone().into_bytes(),
            }),
            authorities: self.authorities.clone().into_bytes(),
            ..vic::Certificates::default()
        }
    }
}

impl fmt::Debug for ApplianceCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApplianceCertificates")
            .field("certificate", &self.certificate)
            .field("authorities", &self.authorities)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_private_key_is_not_printed() {
        let key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----";
        let certificate = "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----";
        let certificates = ApplianceCertificates::new(certificate, key);
        assert_eq!(certificates.refusal(), None);
        let printed = format!("{certificates:?} {:?}", certificates.to_record());
        assert!(!printed.contains("c2VjcmV0"), "{printed}");
        let swapped = ApplianceCertificates::new(key, certificate);
        assert_eq!(swapped.refusal(), Some("the certificate is not in PEM"));
    }
}
