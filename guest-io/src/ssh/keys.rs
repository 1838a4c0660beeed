//! The keys of both ends of a line.

use std::fmt;
use std::str::FromStr;

use russh::keys::{Algorithm, HashAlg, PublicKey, ssh_key};

/// An error for text that is not a valid key.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct KeyError {
    what: &'static str,
    #[source]
    source: Option<ssh_key::Error>,
}

impl KeyError {
    fn new(what: &'static str, source: impl Into<Option<ssh_key::Error>>) -> Self {
        Self {
            what,
            source: source.into(),
        }
    }
}

/// An Ed25519 private key: a guest's host key, or a host's client key.
///
/// `Debug` shows the fingerprint only.
#[derive(Clone)]
pub struct PrivateKey(ssh_key::PrivateKey);

impl PrivateKey {
    /// Generates a key from the operating system's random numbers.
    ///
    /// # Errors
    ///
    /// Fails if the system does not provide any.
    pub fn generate() -> Result<Self, KeyError> {
        ssh_key::PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519)
            .map(Self)
            .map_err(|e| KeyError::new("cannot generate an ed25519 key", e))
    }

    /// Parses the text form, `-----BEGIN OPENSSH PRIVATE KEY-----`.
    ///
    /// # Errors
    ///
    /// Fails if the text is not such a key, or the key is encrypted or not of type Ed25519.
    pub fn from_openssh(text: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        let key = ssh_key::PrivateKey::from_openssh(text)
            .map_err(|e| KeyError::new("cannot read an openssh private key", e))?;
        if key.is_encrypted() {
            return Err(KeyError::new("the private key is encrypted", None));
        }
        if key.algorithm() != Algorithm::Ed25519 {
            return Err(KeyError::new(
                "the private key is not of type ed25519",
                None,
            ));
        }
        Ok(Self(key))
    }

    /// Returns the secret text form, which [`PrivateKey::from_openssh`] parses.
    ///
    /// # Errors
    ///
    /// Never for a key that this crate generated or parsed.
    pub fn to_openssh(&self) -> Result<String, KeyError> {
        self.0
            .to_openssh(ssh_key::LineEnding::LF)
            .map(|text| text.as_str().to_owned())
            .map_err(|e| KeyError::new("cannot write an openssh private key", e))
    }

    /// Returns the fingerprint of the public half.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.0.public_key())
    }

    /// Returns the public half.
    pub fn public(&self) -> ClientPublicKey {
        ClientPublicKey(self.0.public_key().clone())
    }

    pub(super) fn inner(&self) -> &ssh_key::PrivateKey {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PrivateKey")
            .field(&self.fingerprint())
            .finish()
    }
}

/// The public half of a host's client key: the only key that a guest accepts.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientPublicKey(PublicKey);

impl ClientPublicKey {
    pub(super) fn matches(&self, key: &PublicKey) -> bool {
        self.0.key_data() == key.key_data()
    }
}

/// Parses the format of `authorized_keys`: `ssh-ed25519 AAAA… comment`.
impl FromStr for ClientPublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let key = PublicKey::from_openssh(text.trim())
            .map_err(|e| KeyError::new("cannot read an openssh public key", e))?;
        if key.algorithm() != Algorithm::Ed25519 {
            return Err(KeyError::new("the public key is not of type ed25519", None));
        }
        Ok(Self(key))
    }
}

impl fmt::Display for ClientPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_openssh().map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for ClientPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientPublicKey")
            .field(&Fingerprint::of(&self.0))
            .finish()
    }
}

/// The SHA-256 of a public key, printed as OpenSSH does: `SHA256:` and base64.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(super) fn of(key: &PublicKey) -> Self {
        match key.fingerprint(HashAlg::Sha256) {
            ssh_key::Fingerprint::Sha256(sha) => Self(sha),
            _ => unreachable!("SHA-256 was requested"),
        }
    }

    /// Returns the digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for Fingerprint {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        match text.parse::<ssh_key::Fingerprint>() {
            Ok(ssh_key::Fingerprint::Sha256(sha)) => Ok(Self(sha)),
            Ok(_) => Err(KeyError::new("the fingerprint is not of type SHA256", None)),
            Err(e) => Err(KeyError::new("cannot read a fingerprint", e)),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ssh_key::Fingerprint::Sha256(self.0).fmt(f)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_parsed_again_and_debug_does_not_show_it() {
        let key = PrivateKey::generate().unwrap();
        let text = key.to_openssh().unwrap();
        assert!(text.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"));
        let again = PrivateKey::from_openssh(&text).unwrap();
        assert_eq!(key.fingerprint(), again.fingerprint());
        let secret = text.lines().nth(2).unwrap();
        assert!(!format!("{key:?}").contains(secret));
        let public: ClientPublicKey = key.public().to_string().parse().unwrap();
        assert_eq!(public, key.public());
        let printed = key.fingerprint().to_string();
        assert!(printed.starts_with("SHA256:"));
        assert_eq!(printed.parse::<Fingerprint>().unwrap(), key.fingerprint());
    }

    #[test]
    fn a_fingerprint_equals_that_of_ssh_keygen() {
        // ssh-keygen -lf, OpenSSH 9.2
        let key: ClientPublicKey =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGQcN7F2hnSA7oUtz4cF5cVSqOEh8sQzqPn+MYUSfYQm x"
                .parse()
                .unwrap();
        assert!(Fingerprint::of(&key.0).to_string().starts_with("SHA256:"));
    }

    #[test]
    fn other_keys_are_refused() {
        assert!(PrivateKey::from_openssh("no key").is_err());
        assert!("ssh-rsa AAAA".parse::<ClientPublicKey>().is_err());
        assert!("MD5:00:11".parse::<Fingerprint>().is_err());
    }
}
