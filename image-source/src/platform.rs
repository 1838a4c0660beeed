//! Selecting an image by platform.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An operating system and an architecture: `linux/amd64`, `linux/arm/v7`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// The operating system, by its name in Go (`GOOS`).
    pub os: String,
    /// The architecture, by its name in Go (`GOARCH`).
    pub architecture: String,
    /// The variant of the architecture, such as `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Returns the platform of vSphere's virtual machines.
    #[must_use]
    pub fn linux_amd64() -> Self {
        Self {
            os: "linux".into(),
            architecture: "amd64".into(),
            variant: None,
        }
    }

    /// Returns whether an image for `offered` can be used if `self` is requested. Variants are
    /// compared only if `self` has one.
    pub(crate) fn accepts(&self, offered: &Self) -> bool {
        self.os == offered.os
            && self.architecture == offered.architecture
            && (self.variant.is_none() || self.variant == offered.variant)
    }

    /// Returns whether `offered` is the same platform, including the variant: the better
    /// choice if several platforms are accepted.
    pub(crate) fn is_exactly(&self, offered: &Self) -> bool {
        self == offered
    }
}

impl Default for Platform {
    fn default() -> Self {
        Self::linux_amd64()
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = ParsePlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('/');
        let valid = |part: &&str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
        };
        let refused = || ParsePlatformError(text.to_owned());
        let os = parts.next().filter(valid).ok_or_else(refused)?;
        let architecture = parts.next().filter(valid).ok_or_else(refused)?;
        let variant = match parts.next() {
            Some(part) => Some(Some(part).filter(valid).ok_or_else(refused)?),
            None => None,
        };
        if parts.next().is_some() {
            return Err(refused());
        }
        let architecture = match architecture {
            "x86_64" | "x86-64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Ok(Self {
            os: os.to_ascii_lowercase(),
            architecture: architecture.to_ascii_lowercase(),
            variant: variant.map(str::to_ascii_lowercase),
        })
    }
}

/// An error for text that is not a platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a platform; write it as linux/amd64")]
pub struct ParsePlatformError(String);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    #[test]
    fn text_round_trips_and_common_spellings_are_understood() {
        for text in ["linux/amd64", "linux/arm/v7"] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }
        assert_eq!(
            "linux/x86_64".parse::<Platform>().unwrap(),
            Platform::linux_amd64()
        );
        for bad in ["", "linux", "linux/", "/amd64", "a/b/c/d", "a/b/", "l x/y"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_variant_counts_only_when_wanted() {
        let wanted: Platform = "linux/arm".parse().unwrap();
        let offered: Platform = "linux/arm/v7".parse().unwrap();
        assert!(wanted.accepts(&offered));
        assert!(!offered.accepts(&wanted));
    }
}
