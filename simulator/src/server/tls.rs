//! The server's certificate, persisted with the datastore.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

/// The file name of the certificate, as on ESXi.
const CERTIFICATE: &str = "rui.crt";
const KEY: &str = "rui.key";

/// The server's certificate, and a TLS acceptor that serves it.
pub(crate) struct Identity {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) thumbprint: String,
    pub(crate) certificate_pem: String,
}

impl Identity {
    /// Loads the identity from a directory, or creates a new one and stores it there.
    pub(crate) fn of(directory: Option<&Path>) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let kept = match directory {
            Some(directory) => read(directory)?,
            None => None,
        };
        let (certificate_pem, key_pem) = match kept {
            Some(kept) => kept,
            None => {
                let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
                let made = rcgen::generate_simple_self_signed(names)?;
                let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
                if let Some(directory) = directory {
                    std::fs::create_dir_all(directory)?;
                    write(&directory.join(KEY), &key)?;
                    write(&directory.join(CERTIFICATE), &certificate)?;
                }
                (certificate, key)
            }
        };
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())?;
        let mut thumbprint = String::new();
        for byte in Sha256::digest(&certificate) {
            if !thumbprint.is_empty() {
                thumbprint.push(':');
            }
            let _ = write!(thumbprint, "{byte:02X}");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            thumbprint,
            certificate_pem,
        })
    }
}

/// Reads the stored certificate and key.
fn read(directory: &Path) -> io::Result<Option<(String, String)>> {
    match std::fs::read_to_string(directory.join(CERTIFICATE)) {
        Ok(certificate) => {
            let key = std::fs::read_to_string(directory.join(KEY))?;
            Ok(Some((certificate, key)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file that only its owner can read.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}
