//! The certificates of the TLS address, made once and kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// A directory with `ca.pem`, `cert.pem` and `key.pem`, as the docker command wants them in
/// `DOCKER_CERT_PATH`, and the server's own `server-cert.pem` and `server-key.pem`.
#[derive(Debug)]
pub(crate) struct Certificates {
    directory: PathBuf,
}

impl Certificates {
    /// Those in this directory; made if they are missing, for these names and addresses. The
    /// authority's key is not kept: what it signed is all there will be.
    pub(crate) fn open(directory: PathBuf, names: &[String]) -> Result<Self> {
        let certificates = Self { directory };
        if !certificates.path("server-key.pem").exists() {
            certificates
                .make(names)
                .context("cannot make the certificates of the TLS address")?;
        }
        Ok(certificates)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn make(&self, names: &[String]) -> Result<()> {
        std::fs::create_dir_all(&self.directory)?;
        let mut authority = CertificateParams::default();
        authority
            .distinguished_name
            .push(DnType::CommonName, "portlayer docker front end");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

        let mut server = CertificateParams::new(names.to_vec())?;
        server
            .distinguished_name
            .push(DnType::CommonName, "docker front end");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server_key = KeyPair::generate()?;
        let server = server.signed_by(&server_key, &authority)?;

        let mut client = CertificateParams::default();
        client
            .distinguished_name
            .push(DnType::CommonName, "docker client");
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let client_key = KeyPair::generate()?;
        let client = client.signed_by(&client_key, &authority)?;

        std::fs::write(self.path("ca.pem"), authority.pem())?;
        std::fs::write(self.path("cert.pem"), client.pem())?;
        write_secret(&self.path("key.pem"), &client_key.serialize_pem())?;
        std::fs::write(self.path("server-cert.pem"), server.pem())?;
        // Last: its presence says that the others are complete.
        write_secret(&self.path("server-key.pem"), &server_key.serialize_pem())?;
        Ok(())
    }

    /// The server's side of TLS; with `verify` only for clients that hold the client's key.
    pub(crate) fn acceptor(&self, verify: bool) -> Result<TlsAcceptor> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let read = |name: &str| {
            CertificateDer::pem_file_iter(self.path(name))
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .with_context(|| format!("cannot read {}", self.path(name).display()))
        };
        let key = PrivateKeyDer::from_pem_file(self.path("server-key.pem"))
            .with_context(|| format!("cannot read {}", self.path("server-key.pem").display()))?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = if verify {
            let mut roots = RootCertStore::empty();
            for authority in read("ca.pem")? {
                roots.add(authority)?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let config = builder.with_single_cert(read("server-cert.pem")?, key)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Writes a file that only its owner can read.
fn write_secret(path: &Path, content: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(content.as_bytes())
}
