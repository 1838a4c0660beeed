//! The certificate, made anew for each simulator.

use std::error::Error;
use std::fmt::Write;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

/// A certificate and what serves it.
pub(crate) struct Identity {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) thumbprint: String,
    pub(crate) certificate_pem: String,
}

impl Identity {
    pub(crate) fn make() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names)?;
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let mut thumbprint = String::new();
        for byte in Sha256::digest(&certificate) {
            if !thumbprint.is_empty() {
                thumbprint.push(':');
            }
            let _ = write!(thumbprint, "{byte:02X}");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            thumbprint,
            certificate_pem: made.cert.pem(),
        })
    }
}
