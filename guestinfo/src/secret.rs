//! Sealed values of secret fields.
//!
//! A secret field is stored as standard base64 of a random nonce of 24 bytes followed by
//! the XSalsa20-Poly1305 box of the text. The caller supplies the key of 32 bytes. VIC
//! stores it as base64 at [`SECRET_KEY_KEY`], which the guest can read and the API does
//! not show.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::{Aead, AeadCore, KeyInit, OsRng};
use crypto_secretbox::{Nonce, XSalsa20Poly1305};
use zeroize::{Zeroize, Zeroizing};

/// The key at which VIC stores the secret key of an appliance, as base64.
pub const SECRET_KEY_KEY: &str = "guestinfo.ovfEnv";

const NONCE_BYTES: usize = 24;

/// The key that seals secret fields; wiped from memory when dropped.
///
/// ```
/// use guestinfo::SecretKey;
///
/// let key = SecretKey::generate();
/// let sealed = key.seal("hunter2")?;
/// assert_eq!(key.open(&sealed).unwrap(), "hunter2");
/// assert!(SecretKey::generate().open(&sealed).is_err());
/// assert_eq!(format!("{key:?}"), "SecretKey(..)");
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl SecretKey {
    /// Number of bytes that sealing adds before base64: nonce and tag.
    pub(crate) const OVERHEAD: usize = NONCE_BYTES + 16;

    /// Generates a new random key.
    #[must_use]
    pub fn generate() -> Self {
        let mut key = XSalsa20Poly1305::generate_key(&mut OsRng);
        let copy = Self::from_bytes(key.into());
        key.zeroize();
        copy
    }

    /// Creates a key from its bytes.
    #[must_use]
    pub fn from_bytes(mut bytes: [u8; 32]) -> Self {
        let key = Self(Zeroizing::new(bytes));
        bytes.zeroize();
        key
    }

    /// Parses a key in its stored form.
    ///
    /// # Errors
    /// Fails if the text is not 32 bytes in base64.
    pub fn from_base64(text: &str) -> Result<Self, SecretError> {
        let bytes = STANDARD
            .decode(text)
            .map(Zeroizing::new)
            .map_err(|_| SecretError::Key)?;
        let bytes = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| SecretError::Key)?;
        Ok(Self::from_bytes(bytes))
    }

    /// Returns the key in its stored form.
    #[must_use]
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0.as_slice()))
    }

    /// Seals a text with a fresh nonce.
    ///
    /// # Errors
    /// Fails if the text is too long for the cipher.
    pub fn seal(&self, plain: &str) -> Result<String, &'static str> {
        let nonce = XSalsa20Poly1305::generate_nonce(&mut OsRng);
        let sealed = self
            .cipher()
            .encrypt(&nonce, plain.as_bytes())
            .map_err(|_| "too long to seal")?;
        let mut stored = nonce.to_vec();
        stored.extend_from_slice(&sealed);
        Ok(STANDARD.encode(stored))
    }

    /// Opens a sealed text.
    ///
    /// # Errors
    /// Fails if the text is not a sealed box, or was sealed with a different key.
    pub fn open(&self, stored: &str) -> Result<String, SecretError> {
        let stored = STANDARD.decode(stored).map_err(|_| SecretError::Base64)?;
        let (nonce, sealed) = stored
            .split_at_checked(NONCE_BYTES)
            .ok_or(SecretError::Truncated)?;
        let plain = self
            .cipher()
            .decrypt(Nonce::from_slice(nonce), sealed)
            .map_err(|_| SecretError::WrongKey)?;
        String::from_utf8(plain).map_err(|error| {
            error.into_bytes().zeroize();
            SecretError::NotText
        })
    }

    fn cipher(&self) -> XSalsa20Poly1305 {
        XSalsa20Poly1305::new(self.0.as_slice().into())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// The error of opening a sealed text or parsing a stored secret key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The stored secret key is not 32 bytes in base64.
    #[error("the secret key is not 32 bytes in base64")]
    Key,
    /// The sealed text is not base64.
    #[error("the sealed text is not base64")]
    Base64,
    /// The sealed text is shorter than its nonce.
    #[error("the sealed text is truncated")]
    Truncated,
    /// The text was sealed with a different key, or was modified.
    #[error("the text was sealed with another key, or modified")]
    WrongKey,
    /// The sealed bytes are not UTF-8.
    #[error("the sealed bytes are not text")]
    NotText,
}

impl SecretError {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Key => "the secret key is not 32 bytes in base64",
            Self::Base64 => "the sealed text is not base64",
            Self::Truncated => "the sealed text is truncated",
            Self::WrongKey => "the text was sealed with another key, or modified",
            Self::NotText => "the sealed bytes are not text",
        }
    }
}
