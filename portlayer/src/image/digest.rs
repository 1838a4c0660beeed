//! Content digests, and the identities based on them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

const BYTES: usize = 32;
const ALGORITHM: &str = "sha256";

/// A SHA-256 digest, written `sha256:` and 64 lower-case hexadecimal digits (OCI image-spec,
/// descriptor: digests). The other algorithms that the specification registers are refused.
///
/// ```
/// use portlayer::image::Digest;
///
/// let digest = Digest::of(b"hello");
/// assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
/// assert!(digest.to_string().starts_with("sha256:2cf24dba"));
/// assert!("md5:00".parse::<Digest>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; BYTES]);

impl Digest {
    /// Computes the digest of some bytes.
    #[must_use]
    pub fn of(content: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// Creates the digest with these 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    /// Returns the 64 hexadecimal digits without the algorithm.
    #[must_use]
    pub fn hex(&self) -> String {
        let mut text = String::with_capacity(64);
        let _infallible = crate::hex::write(&self.0, &mut text);
        text
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM}:")?;
        crate::hex::write(&self.0, f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (algorithm, digits) = text.split_once(':').ok_or(ParseDigestError::NoAlgorithm)?;
        if algorithm != ALGORITHM {
            return Err(ParseDigestError::Algorithm);
        }
        if digits.len() != BYTES * 2 {
            return Err(ParseDigestError::Length(digits.len()));
        }
        let mut bytes = [0; BYTES];
        for (position, digit) in digits.bytes().enumerate() {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return Err(ParseDigestError::Digit(position)),
            };
            bytes[position / 2] = bytes[position / 2] << 4 | value;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// The reason why a text is not a [`Digest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseDigestError {
    /// There is no `:` after an algorithm's name.
    #[error("a digest begins with its algorithm, as in `sha256:…`")]
    NoAlgorithm,
    /// The algorithm is not SHA-256.
    #[error("only sha256 digests are supported")]
    Algorithm,
    /// There are not 64 digits; contains their number.
    #[error("a sha256 digest has 64 hexadecimal digits, this text has {0}")]
    Length(usize),
    /// The digit at this offset is not one of `0` to `9` and `a` to `f`.
    #[error("the digit at offset {0} is not lower-case hexadecimal")]
    Digit(usize),
}

/// The identity of an image: the digest of its configuration's bytes, as in docker's classic
/// image store. The same content has the same identity on every host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(Digest);

impl ImageId {
    /// Creates the identity from the digest of an image's configuration.
    #[must_use]
    pub const fn new(config: Digest) -> Self {
        Self(config)
    }

    /// Returns the digest of the configuration.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.0
    }

    /// Returns the first 12 digits, which people see and type.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = self.0.hex();
        text.truncate(12);
        text
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for ImageId {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// The identity of a stack of layers (OCI image-spec, config: layer `ChainID`). Images with the
/// same chain id have the same root file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChainId(Digest);

impl ChainId {
    /// Computes the chain id of layers, lowest first. Without layers it is the digest of no bytes.
    #[must_use]
    pub fn of(diff_ids: &[Digest]) -> Self {
        let Some((first, rest)) = diff_ids.split_first() else {
            return Self(Digest::of([]));
        };
        Self(rest.iter().fold(*first, |chain, diff_id| {
            Digest::of(format!("{chain} {diff_id}"))
        }))
    }

    /// Returns the digest.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.0
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for ChainId {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    #[test]
    fn a_chain_of_one_layer_is_that_layer_and_order_matters() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        assert_eq!(ChainId::of(&[a]).digest(), &a);
        assert_eq!(
            ChainId::of(&[a, b]).digest(),
            &Digest::of(format!("{a} {b}"))
        );
        assert_ne!(ChainId::of(&[a, b]), ChainId::of(&[b, a]));
    }

    #[test]
    fn what_is_no_digest_is_refused_with_the_reason() {
        let good = Digest::of(b"a").to_string();
        let cases = [
            (good.replace("sha256:", ""), ParseDigestError::NoAlgorithm),
            (good.replace("256", "512"), ParseDigestError::Algorithm),
            (good[..70].to_owned(), ParseDigestError::Length(63)),
            (
                format!("sha256:{}G", &good[7..70]),
                ParseDigestError::Digit(63),
            ),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Digest>(), Err(error), "{text}");
        }
    }
}
