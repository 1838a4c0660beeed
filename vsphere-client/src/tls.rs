//! Certificate verification, which happens inside the TLS handshake and therefore also works
//! through a proxy.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result, UntrustedCertificate};

/// The digest of a certificate, as pairs of hexadecimal digits: SHA-256 (32
/// bytes) or, as older tools print it, SHA-1 (20 bytes).
///
/// ```
/// use vsphere_client::Thumbprint;
///
/// let text = "30:3D:4D:D6:BC:5A:0B:DB:0C:0D:5F:6B:D6:3A:9A:B1:0C:F3:3E:02:2D:08:5C:6B:6C:3D:7C:1B:8A:5E:6A:10";
/// let thumbprint: Thumbprint = text.to_lowercase().replace(':', "").parse()?;
/// assert_eq!(thumbprint.to_string(), text);
/// # Ok::<(), vsphere_client::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Thumbprint(Digits);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Digits {
    Sha256([u8; 32]),
    Sha1([u8; 20]),
}

impl Thumbprint {
    /// Computes the SHA-256 thumbprint of a certificate in DER form.
    #[must_use]
    pub fn sha256(certificate: &[u8]) -> Self {
        Self(Digits::Sha256(Sha256::digest(certificate).into()))
    }

    /// Computes the SHA-1 thumbprint of a certificate in DER form, which older programs expect. It
    /// protects less than SHA-256.
    #[must_use]
    pub fn sha1(certificate: &[u8]) -> Self {
        Self(Digits::Sha1(sha1::Sha1::digest(certificate).into()))
    }

    fn bytes(&self) -> &[u8] {
        match &self.0 {
            Digits::Sha256(bytes) => bytes,
            Digits::Sha1(bytes) => bytes,
        }
    }

    fn matches(&self, certificate: &[u8]) -> bool {
        match &self.0 {
            Digits::Sha256(pin) => Sha256::digest(certificate).as_slice() == pin,
            Digits::Sha1(pin) => sha1::Sha1::digest(certificate).as_slice() == pin,
        }
    }
}

impl FromStr for Thumbprint {
    type Err = Error;

    /// Parses pairs of digits in either case, with or without colons between them.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::config(format!(
                "not a thumbprint: {:?}; expected the 32 bytes of a SHA-256 digest \
                 (or the 20 of a SHA-1 digest) as pairs of hexadecimal digits",
                text.chars().take(100).collect::<String>()
            ))
        };
        let digits: Option<Vec<u8>> = text
            .trim()
            .chars()
            .filter(|letter| *letter != ':')
            .map(|letter| {
                letter
                    .to_digit(16)
                    .and_then(|digit| u8::try_from(digit).ok())
            })
            .collect();
        let digits = digits.ok_or_else(wrong)?;
        let bytes: Vec<u8> = digits
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |sum, digit| sum * 16 + digit))
            .collect();
        match (
            digits.len(),
            bytes.as_slice().try_into(),
            bytes.as_slice().try_into(),
        ) {
            (64, Ok(bytes), _) => Ok(Self(Digits::Sha256(bytes))),
            (40, _, Ok(bytes)) => Ok(Self(Digits::Sha1(bytes))),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.bytes().iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The rules by which a server's certificate is accepted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    /// Certificate authorities in PEM form, which replace those of the platform. If empty,
    /// those of the platform are used.
    pub roots: Vec<Vec<u8>>,
    /// The only accepted certificate, no matter who signed it.
    pub pin: Option<Thumbprint>,
    /// Whether every certificate is accepted.
    pub anything: bool,
    /// The certificate that was accepted last.
    pub accepted: Accepted,
}

/// The certificate that was accepted last, in DER form.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accepted(Arc<Mutex<Option<Vec<u8>>>>);

impl Accepted {
    pub(crate) fn get(&self) -> Option<Vec<u8>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, certificate: &[u8]) {
        let mut accepted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if accepted.as_deref() != Some(certificate) {
            *accepted = Some(certificate.to_owned());
        }
    }
}

impl Trust {
    /// Returns the TLS configuration of a client with this trust.
    pub(crate) fn client_config(&self) -> Result<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let check = match (&self.pin, self.anything) {
            (_, true) => Check::Nothing,
            (Some(pin), _) => Check::Pin(pin.clone()),
            (None, _) => self.authorities(&provider)?,
        };
        let verifier = Verifier {
            check,
            provider: Arc::clone(&provider),
            accepted: self.accepted.clone(),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Config {
                what: "TLS cannot be set up".into(),
                source: Some(error.into()),
            })?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(config)
    }

    fn authorities(&self, provider: &Arc<CryptoProvider>) -> Result<Check> {
        if self.roots.is_empty() {
            // If this machine has no certificate authorities, every certificate is refused
            // during the handshake, with its thumbprint in the error.
            return match rustls_platform_verifier::Verifier::new(Arc::clone(provider)) {
                Ok(verifier) => Ok(Check::Authorities(Arc::new(verifier))),
                Err(error) => Ok(Check::Refuse(format!(
                    "this machine knows no certificate authorities: {error}"
                ))),
            };
        }
        let wrong = |source| Error::Config {
            what: "the TLS roots cannot be used; give certificates in PEM form".into(),
            source,
        };
        let mut store = RootCertStore::empty();
        for pem in &self.roots {
            let mut found = false;
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| wrong(Some(error.into())))?;
                store
                    .add(certificate)
                    .map_err(|error| wrong(Some(error.into())))?;
                found = true;
            }
            if !found {
                return Err(wrong(None));
            }
        }
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider));
        let verifier = builder.build().map_err(|error| wrong(Some(error.into())))?;
        Ok(Check::Authorities(verifier))
    }
}

#[derive(Debug)]
enum Check {
    Authorities(Arc<dyn ServerCertVerifier>),
    Pin(Thumbprint),
    Refuse(String),
    Nothing,
}

/// Verifies a server's certificate. The error for a refused certificate contains its
/// thumbprint.
#[derive(Debug)]
struct Verifier {
    check: Check,
    provider: Arc<CryptoProvider>,
    accepted: Accepted,
}

impl Verifier {
    fn untrusted(
        certificate: &[u8],
        expected: Option<&Thumbprint>,
        reason: String,
    ) -> rustls::Error {
        let refusal = UntrustedCertificate {
            thumbprint: Thumbprint::sha256(certificate).to_string(),
            expected: expected.map(Thumbprint::to_string),
            reason,
        };
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal))))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = match &self.check {
            Check::Nothing => Ok(ServerCertVerified::assertion()),
            Check::Pin(pin) if pin.matches(end_entity) => Ok(ServerCertVerified::assertion()),
            Check::Pin(pin) => Err(Self::untrusted(end_entity, Some(pin), String::new())),
            Check::Refuse(reason) => Err(Self::untrusted(end_entity, None, reason.clone())),
            Check::Authorities(verifier) => verifier
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .map_err(|error| match error {
                    rustls::Error::InvalidCertificate(reason) => {
                        let reason = match reason {
                            CertificateError::Other(inner) => inner.0.to_string(),
                            reason => reason.to_string(),
                        };
                        Self::untrusted(end_entity, None, reason)
                    }
                    other => other,
                }),
        };
        if verified.is_ok() {
            self.accepted.set(end_entity);
        }
        verified
    }

    // Even with a pin, the server must prove with this signature that it has the certificate's
    // key.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// Returns the refused certificate, if that is the cause of an error.
pub(crate) fn refusal(error: &rustls::Error) -> Option<&UntrustedCertificate> {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
            other.0.downcast_ref::<UntrustedCertificate>()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    #[test]
    fn thumbprints_are_read_in_every_usual_form() {
        // `printf abc | sha1sum`, `printf abc | sha256sum`
        let sha1: Thumbprint = "A9:99:3E:36:47:06:81:6A:BA:3E:25:71:78:50:C2:6C:9C:D0:D8:9D"
            .parse()
            .unwrap();
        assert!(sha1.matches(b"abc") && !sha1.matches(b"abd"));
        let sha256: Thumbprint = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
            .parse()
            .unwrap();
        assert!(sha256.matches(b"abc") && !sha256.matches(b""));
        assert_eq!(sha256, Thumbprint::sha256(b"abc"));
        assert_eq!(sha1, Thumbprint::sha1(b"abc"));
    }

    #[test]
    fn other_text_is_not_a_thumbprint() {
        for text in [
            "",
            "AB",
            "A9:99",
            "zz",
            &"AB".repeat(31),
            &"A".repeat(63),
            &"é".repeat(32),
        ] {
            assert!(text.parse::<Thumbprint>().is_err(), "{text}");
        }
    }

    #[test]
    fn roots_that_are_no_certificates_are_refused() {
        let trust = Trust {
            roots: vec![b"not a certificate".to_vec()],
            ..Trust::default()
        };
        assert!(trust.client_config().is_err());
    }
}
