//! References: names of images, in the form in which users write them.

use std::fmt;
use std::str::FromStr;

use portlayer::image::Digest;

use crate::{Error, Result};

/// The default registry, for names without a registry.
const HUB: &str = "docker.io";
/// The prefix of docker's official images in the default registry.
const OFFICIAL: &str = "library/";
const TAG_DEFAULT: &str = "latest";
/// The longest repository name that registries accept, registry included.
const NAME_MAX: usize = 255;
const TAG_MAX: usize = 128;

/// The name of an image: a registry, a repository, and a tag or digest, completed as docker
/// completes them.
///
/// ```
/// use image_source::Reference;
///
/// let reference: Reference = "hello-world".parse()?;
/// assert_eq!(reference.to_string(), "docker.io/library/hello-world:latest");
/// assert_eq!(reference.familiar(), "hello-world:latest");
/// assert_eq!("lab:5000/a/b".parse::<Reference>()?.registry(), "lab:5000");
/// # Ok::<(), image_source::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Returns the registry: a host name or address, with its port if there is one.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the repository in the registry, such as `library/hello-world`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag; `None` if there is only a digest.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest, if there is one. It identifies the image regardless of the tag.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns the name without tag and digest as docker shows it: without the default registry.
    #[must_use]
    pub fn familiar_name(&self) -> String {
        if self.registry != HUB {
            return format!("{}/{}", self.registry, self.repository);
        }
        let repository = &self.repository;
        match repository.strip_prefix(OFFICIAL) {
            Some(short) if !short.contains('/') => short.to_owned(),
            _ => repository.clone(),
        }
    }

    /// Returns the reference as docker shows it: without the default registry.
    #[must_use]
    pub fn familiar(&self) -> String {
        let mut text = self.familiar_name();
        self.suffix(&mut text);
        text
    }

    /// Returns a reference to the same repository with this tag and no digest.
    ///
    /// # Errors
    /// [`Error::InvalidReference`] if the tag is invalid.
    pub fn with_tag(&self, tag: &str) -> Result<Self> {
        check_tag(tag, tag)?;
        Ok(Self {
            tag: Some(tag.to_owned()),
            digest: None,
            ..self.clone()
        })
    }

    /// Returns a reference to the same repository with this digest and no tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// Returns what to request from a registry: the digest, or else the tag.
    pub(crate) fn version(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => TAG_DEFAULT.to_owned(),
        }
    }

    fn suffix(&self, text: &mut String) {
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(&digest.to_string());
        }
    }
}

impl fmt::Display for Reference {
    /// Formats the complete reference, with registry and tag.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut suffix = String::new();
        self.suffix(&mut suffix);
        write!(f, "{}/{}{suffix}", self.registry, self.repository)
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |reason| {
            Err(Error::InvalidReference {
                text: text.to_owned(),
                reason,
            })
        };
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => match digest.parse() {
                Ok(digest) => (rest, Some(digest)),
                Err(_) => return refuse("a digest is \"sha256:\" and 64 hexadecimal digits"),
            },
        };
        // A colon before the last slash separates the registry's port, not a tag.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if let Some(tag) = tag {
            check_tag(text, tag)?;
        }
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if is_registry(first) => (first, rest),
            _ => (HUB, name),
        };
        let registry = match registry {
            "index.docker.io" | "registry-1.docker.io" => HUB,
            other => other,
        };
        if !is_host(registry) {
            return refuse("the registry is not a host name with an optional port");
        }
        let repository = if registry == HUB && !repository.contains('/') {
            format!("{OFFICIAL}{repository}")
        } else {
            repository.to_owned()
        };
        if registry.len() + 1 + repository.len() > NAME_MAX {
            return refuse("the name is longer than 255 characters");
        }
        if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return refuse("repository name must be lowercase");
        }
        if !repository.split('/').all(is_component) {
            return refuse(
                "a repository consists of lower-case letters, digits, and single separators \
                 between them",
            );
        }
        if tag.is_none() && digest.is_none() && is_hex_id(name) {
            return refuse("it looks like an image's id");
        }
        let tag = match (tag, &digest) {
            (Some(tag), _) => Some(tag.to_owned()),
            (None, Some(_)) => None,
            (None, None) => Some(TAG_DEFAULT.to_owned()),
        };
        Ok(Self {
            registry: registry.to_owned(),
            repository,
            tag,
            digest,
        })
    }
}

/// Returns whether the first part of a name is a registry rather than part of the repository.
fn is_registry(first: &str) -> bool {
    first == "localhost"
        || first.contains(['.', ':'])
        || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let valid_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
    let valid_host = match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.split('.').all(|label| {
                    !label.is_empty()
                        && !label.starts_with('-')
                        && !label.ends_with('-')
                        && label
                            .bytes()
                            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
                })
        }
    };
    valid_port && valid_host
}

/// Returns whether the text is a component of a repository: letters and digits with `.`, `_`,
/// `__` or dashes between them.
fn is_component(text: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    alphanumeric(first)
        && alphanumeric(last)
        && text
            .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            .all(|separator| {
                matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
            })
}

fn is_hex_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn check_tag(text: &str, tag: &str) -> Result<()> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if !tag.is_empty()
        && tag.len() <= TAG_MAX
        && tag.bytes().all(valid)
        && !tag.starts_with(['.', '-'])
    {
        return Ok(());
    }
    Err(Error::InvalidReference {
        text: text.to_owned(),
        reason: "a tag has 1 to 128 letters, digits, '_', '.' and '-'",
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_completed_as_docker_does() {
        for (text, full, familiar) in [
            (
                "hello-world",
                "docker.io/library/hello-world:latest",
                "hello-world:latest",
            ),
            ("a/b:1", "docker.io/a/b:1", "a/b:1"),
            ("localhost/a", "localhost/a:latest", "localhost/a:latest"),
            (
                "localhost:5000/a:v1",
                "localhost:5000/a:v1",
                "localhost:5000/a:v1",
            ),
            (
                "127.0.0.1:5000/x/y",
                "127.0.0.1:5000/x/y:latest",
                "127.0.0.1:5000/x/y:latest",
            ),
            (
                "index.docker.io/library/a",
                "docker.io/library/a:latest",
                "a:latest",
            ),
            ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
            (
                "quay.io/a__b/c--d.e",
                "quay.io/a__b/c--d.e:latest",
                "quay.io/a__b/c--d.e:latest",
            ),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), full);
            assert_eq!(reference.familiar(), familiar);
        }
        let digest = Digest::of(b"");
        let pinned: Reference = format!("a@{digest}").parse().unwrap();
        assert_eq!(pinned.tag(), None);
        assert_eq!(pinned.to_string(), format!("docker.io/library/a@{digest}"));
    }

    #[test]
    fn what_registries_would_not_accept_is_refused() {
        let long = "a".repeat(250);
        let id = "0123456789abcdef".repeat(4);
        for text in [
            "",
            ":",
            "a:",
            "A",
            "a b",
            "a/../b",
            "/a",
            "a/",
            "a//b",
            "a@sha256:1",
            "-a",
            "a-",
            "a___b",
            "a:-x",
            "lab:70000/a",
            "a.b:x:y/z",
            "la_b:1/a",
            &long,
            &id,
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_round_trips(text in "[a-z0-9./:@_-]{0,40}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(&reference.to_string().parse::<Reference>().unwrap(), &reference);
                prop_assert_eq!(&reference.familiar().parse::<Reference>().unwrap(), &reference);
            }
        }

        #[test]
        fn any_text_is_answered_without_panic(text: String) {
            let _ = text.parse::<Reference>();
        }
    }
}
