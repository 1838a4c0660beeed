//! Generates the TLS certificates of a host's Docker API, and checks existing certificates.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

/// The certificates that clients of the host's Docker API need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates {
    /// The authority, if there is one.
    pub authority: Option<PathBuf>,
    /// The certificate that the client presents.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
}

/// Generates one certificate for both server and clients, like the script of VIC 0.1:
/// `NAME-cert.pem` and `NAME-key.pem`. Existing files are used. Returns whether they were
/// generated.
///
/// # Errors
/// Fails when the files cannot be written, or an existing certificate does not match its key.
pub fn single(name: &str) -> Result<(Certificates, bool)> {
    let files = Certificates {
        authority: None,
        certificate: format!("{name}-cert.pem").into(),
        key: format!("{name}-key.pem").into(),
    };
    if files.certificate.exists() && files.key.exists() {
        check(&files.certificate, &files.key)?;
        return Ok((files, false));
    }
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    write_secret(&files.key, &key.serialize_pem())?;
    write(&files.certificate, &certificate.pem())?;
    Ok((files, true))
}

/// Opens the directory of a host's certificates: `ca.pem`, `server-cert.pem`, `server-key.pem`,
/// and for clients `cert.pem` and `key.pem`, where the docker command expects them in
/// `DOCKER_CERT_PATH`. Generates them for these names and addresses of the server if they do not
/// exist. Returns whether they were generated.
///
/// # Errors
/// Fails when the files cannot be written, or an existing certificate does not match its key.
pub fn directory(directory: &Path, names: &[String]) -> Result<(Certificates, bool)> {
    let file = |name: &str| directory.join(name);
    let files = Certificates {
        authority: Some(file("ca.pem")),
        certificate: file("cert.pem"),
        key: file("key.pem"),
    };
    let exist = file("server-key.pem").exists();
    if !exist {
        generate(directory, names)
            .with_context(|| format!("cannot generate certificates in {}", directory.display()))?;
    }
    check(&file("server-cert.pem"), &file("server-key.pem"))?;
    check(&files.certificate, &files.key)?;
    Ok((files, !exist))
}

fn generate(directory: &Path, names: &[String]) -> Result<()> {
    let cname = names.first().context("the server has no name")?;
    std::fs::create_dir_all(directory)?;
    let file = |name: &str| directory.join(name);
    let mut authority = CertificateParams::default();
    authority
        .distinguished_name
        .push(DnType::CommonName, format!("{cname} authority"));
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // The authority's private key is not stored, so it cannot sign further certificates.
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let mut server = CertificateParams::new(names.to_vec())?;
    server
        .distinguished_name
        .push(DnType::CommonName, cname.as_str());
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
    write(&file("ca.pem"), &authority.pem())?;
    write(&file("cert.pem"), &client.pem())?;
    write_secret(&file("key.pem"), &client_key.serialize_pem())?;
    write(&file("server-cert.pem"), &server.pem())?;
    // Write this file last: its presence means that the other files are complete.
    write_secret(&file("server-key.pem"), &server_key.serialize_pem())
}

/// Checks that a certificate belongs to a private key.
///
/// # Errors
/// Fails when a file cannot be read, or the certificate does not match the key.
pub fn check(certificate: &Path, key: &Path) -> Result<()> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot read the certificate {}", certificate.display()))?;
    ensure!(
        !chain.is_empty(),
        "there is no certificate in {}",
        certificate.display()
    );
    let secret = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("cannot read the private key {}", key.display()))?;
    let secret = any_supported_type(&secret)
        .with_context(|| format!("cannot use the private key {}", key.display()))?;
    match CertifiedKey::new(chain, secret).keys_match() {
        // Accept a key whose public key is not available: it cannot be compared.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(()),
        Err(Error::InconsistentKeys(_)) => bail!(
            "the certificate {} does not belong to the key {}: name a pair",
            certificate.display(),
            key.display()
        ),
        Err(error) => Err(error)
            .with_context(|| format!("cannot use the certificate {}", certificate.display())),
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Writes a file that only its owner may read.
fn write_secret(file: &Path, text: &str) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(file)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    fn names() -> [String; 2] {
        ["vch-1".into(), "127.0.0.1".into()]
    }

    #[test]
    fn generated_ones_are_used_again_and_keys_are_private() {
        let place = tempfile::tempdir().unwrap();
        let (files, generated) = directory(place.path(), &names()).unwrap();
        assert!(generated);
        assert_eq!(
            directory(place.path(), &names()).unwrap(),
            (files.clone(), false)
        );
        #[cfg(unix)]
        for key in [files.key, place.path().join("server-key.pem")] {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(key).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_certificate_of_another_key_is_refused() {
        let place = tempfile::tempdir().unwrap();
        directory(place.path(), &names()).unwrap();
        let file = |name: &str| place.path().join(name);
        let refused = check(&file("server-cert.pem"), &file("key.pem")).unwrap_err();
        assert!(refused.to_string().contains("does not belong to the key"));
        std::fs::write(file("empty.pem"), "").unwrap();
        let refused = check(&file("empty.pem"), &file("key.pem")).unwrap_err();
        assert!(
            refused.to_string().contains("no certificate in"),
            "{refused}"
        );
    }
}
