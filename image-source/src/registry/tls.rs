//! Certificate verification for registries.

use std::sync::Arc;
use std::time::Duration;

use portlayer::image::Digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};

use crate::{Error, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// The time without received data after which a connection counts as broken.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const REDIRECTS_MAX: usize = 10;

/// The transport to a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// HTTPS, verified against the certificate authorities of the system and of the options.
    #[default]
    Https,
    /// HTTPS with one certificate, no matter who signed it. Holds the SHA-256 of the
    /// certificate's DER form, which `openssl x509 -noout -fingerprint -sha256` prints.
    Pinned([u8; 32]),
    /// HTTPS with any certificate: an attacker in between can read credentials. Digests in
    /// references still protect content.
    DangerAcceptInvalidCerts,
    /// HTTP without encryption: an attacker in between can read credentials and replace images.
    /// Digests in references still protect content.
    PlainHttp,
}

impl Transport {
    pub(super) fn scheme(&self) -> &'static str {
        match self {
            Self::PlainHttp => "http",
            _ => "https",
        }
    }

    pub(super) fn client(&self, authorities: &[Vec<u8>]) -> Result<reqwest::Client> {
        let plain = *self == Self::PlainHttp;
        let redirects = reqwest::redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() > REDIRECTS_MAX {
                attempt.error("too many redirects")
            } else if attempt.url().scheme() == "http" && !plain {
                attempt.error("a redirect from HTTPS to plain HTTP")
            } else {
                attempt.follow()
            }
        });
        let config = match self {
            Self::Https => verified(authorities)?,
            Self::Pinned(thumbprint) => {
                unverified(Some(*thumbprint)).map_err(|error| unusable(SETTINGS, error.into()))?
            }
            // Without verification, no authorities are needed or loaded.
            Self::DangerAcceptInvalidCerts | Self::PlainHttp => {
                unverified(None).map_err(|error| unusable(SETTINGS, error.into()))?
            }
        };
        reqwest::Client::builder()
            .user_agent(concat!("image-source/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .redirect(redirects)
            .tls_backend_preconfigured(config)
            .build()
            .map_err(|error| unusable("the HTTP client's settings", error.into()))
    }
}

/// Returns a configuration that accepts certificates signed by the system's authorities or by
/// the `extra` ones, in PEM form.
fn verified(extra: &[Vec<u8>]) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = Vec::new();
    for pem in extra {
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.push(certificate.map_err(|error| unusable(AUTHORITY, error.into()))?);
        }
        if roots.len() == before {
            return Err(unusable(AUTHORITY, "there is no certificate in it".into()));
        }
    }
    let settings = |error: rustls::Error| unusable(SETTINGS, error.into());
    let verifier =
        rustls_platform_verifier::Verifier::new_with_extra_roots(roots, Arc::clone(&provider))
            .map_err(settings)?;
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(settings)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// Returns a configuration that accepts the certificate with this thumbprint, or any
/// certificate if there is none.
fn unverified(thumbprint: Option<[u8; 32]>) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Pin {
        thumbprint,
        provider: Arc::clone(&provider),
    };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

const AUTHORITY: &str = "a certificate authority; give it in PEM form";
const SETTINGS: &str = "the TLS settings";

fn unusable(what: &str, source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Configuration {
        what: what.to_owned(),
        source,
    }
}

/// A verifier that accepts the certificate with this thumbprint, or any certificate if there
/// is none.
#[derive(Debug)]
struct Pin {
    thumbprint: Option<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self
            .thumbprint
            .is_none_or(|pin| *Digest::of(certificate).as_bytes() == pin)
        {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

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

/// Returns a hint for the user about a connection error.
pub(super) fn hint(error: &reqwest::Error) -> &'static str {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        let text = error.to_string();
        if text.contains("CaUsedAsEndEntity") {
            return ": its certificate is self-signed and was given as an authority; pin its \
                    SHA-256 thumbprint instead";
        }
        if text.contains("UnknownIssuer") {
            return ": its certificate is not signed by a known authority; add the authority, or \
                    pin the certificate's SHA-256 thumbprint";
        }
        if text.contains("InvalidContentType") || text.contains("corrupt message") {
            return ": it does not speak TLS; if it serves plain HTTP, allow that for it by name";
        }
        source = error.source();
    }
    ""
}
