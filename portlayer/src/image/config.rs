//! An image's configuration, as the OCI image-spec defines it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;

use super::{ChainId, Digest, ImageId};

/// The maximum size of a configuration in bytes; larger ones are refused.
const SIZE_MAX: usize = 8 << 20;

/// An image's configuration: the exact bytes, whose digest is the image's identity, and the
/// fields that the port layer and front ends use.
///
/// ```
/// use portlayer::image::ImageConfig;
///
/// let json = br#"{"os":"linux","architecture":"amd64","config":{"Cmd":["/hello"]},
///     "rootfs":{"type":"layers","diff_ids":[]}}"#;
/// let config = ImageConfig::parse(json.to_vec())?;
/// assert_eq!(config.process().cmd, ["/hello"]);
/// assert_eq!(config.bytes().as_ref(), json);
/// # Ok::<(), portlayer::image::ParseImageConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ImageConfig {
    bytes: Bytes,
    id: ImageId,
    view: View,
}

impl PartialEq for ImageConfig {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for ImageConfig {}

#[derive(Clone, Debug, Deserialize)]
struct View {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
    created: Option<String>,
    author: Option<String>,
    #[serde(default)]
    config: Option<Process>,
    #[serde(default)]
    rootfs: RootFs,
    #[serde(default)]
    history: Option<Vec<History>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Option<Vec<Digest>>,
}

/// The image's defaults for the process of a container. The field names are those of the
/// specification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
#[non_exhaustive]
pub struct Process {
    /// The user, or user and group with a colon, by name or number. Empty: root.
    #[serde(deserialize_with = "nullable")]
    pub user: String,
    /// The environment, `NAME=value` each.
    #[serde(deserialize_with = "nullable")]
    pub env: Vec<String>,
    /// The program and its first arguments; the user's arguments are appended.
    #[serde(deserialize_with = "nullable")]
    pub entrypoint: Vec<String>,
    /// The default arguments, which the user's arguments replace.
    #[serde(deserialize_with = "nullable")]
    pub cmd: Vec<String>,
    /// The working directory. Empty: the root directory.
    #[serde(deserialize_with = "nullable")]
    pub working_dir: String,
    /// The labels of the image.
    #[serde(deserialize_with = "nullable")]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the process to exit, such as `SIGTERM`.
    pub stop_signal: Option<String>,
    /// The ports it listens on, such as `80/tcp`.
    #[serde(deserialize_with = "keys")]
    pub exposed_ports: Vec<String>,
    /// The paths that are meant to be volumes.
    #[serde(deserialize_with = "keys")]
    pub volumes: Vec<String>,
}

/// One step of an image's build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct History {
    /// The time of the step, in RFC 3339.
    pub created: Option<String>,
    /// The command of the step.
    pub created_by: Option<String>,
    /// The comment on the step.
    pub comment: Option<String>,
    /// Whether the step created no layer.
    pub empty_layer: bool,
}

fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Deserializes a set, which the specification writes as an object with empty values.
fn keys<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let set: Option<BTreeMap<String, serde::de::IgnoredAny>> = Option::deserialize(deserializer)?;
    Ok(set.unwrap_or_default().into_keys().collect())
}

impl ImageConfig {
    /// Parses a configuration and keeps its bytes.
    ///
    /// # Errors
    /// If it is larger than 8 MiB, is not JSON, or a field has a type or a digest that the
    /// specification does not allow; the position is named.
    pub fn parse(bytes: impl Into<Bytes>) -> Result<Self, ParseImageConfigError> {
        let bytes = bytes.into();
        if bytes.len() > SIZE_MAX {
            return Err(ParseImageConfigError::Size(bytes.len()));
        }
        let view = serde_json::from_slice(&bytes).map_err(ParseImageConfigError::Json)?;
        let id = ImageId::new(Digest::of(&bytes));
        Ok(Self { bytes, id, view })
    }

    /// Returns the identity of the image: the digest of these bytes.
    #[must_use]
    pub fn id(&self) -> ImageId {
        self.id
    }

    /// Returns the bytes that were parsed.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the operating system, such as `linux`; empty if the image does not name one.
    #[must_use]
    pub fn os(&self) -> &str {
        &self.view.os
    }

    /// Returns the processor architecture in Go's terms, such as `amd64`; empty if the image has
    /// none.
    #[must_use]
    pub fn architecture(&self) -> &str {
        &self.view.architecture
    }

    /// Returns the variant of the architecture, such as `v8`.
    #[must_use]
    pub fn variant(&self) -> Option<&str> {
        self.view.variant.as_deref()
    }

    /// Returns the time of the image's creation in RFC 3339, verbatim.
    #[must_use]
    pub fn created(&self) -> Option<&str> {
        self.view.created.as_deref()
    }

    /// Returns the author of the image.
    #[must_use]
    pub fn author(&self) -> Option<&str> {
        self.view.author.as_deref()
    }

    /// Returns the image's defaults for the process of a container.
    #[must_use]
    pub fn process(&self) -> &Process {
        static NONE: std::sync::LazyLock<Process> = std::sync::LazyLock::new(Process::default);
        self.view.config.as_ref().unwrap_or(&NONE)
    }

    /// Returns the digests of the unpacked layers, lowest first.
    #[must_use]
    pub fn diff_ids(&self) -> &[Digest] {
        self.view.rootfs.diff_ids.as_deref().unwrap_or_default()
    }

    /// Returns the identity of the stack of layers.
    #[must_use]
    pub fn chain_id(&self) -> ChainId {
        ChainId::of(self.diff_ids())
    }

    /// Returns the steps of the image's build, oldest first.
    #[must_use]
    pub fn history(&self) -> &[History] {
        self.view.history.as_deref().unwrap_or_default()
    }
}

/// The reason why bytes are not an [`ImageConfig`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParseImageConfigError {
    /// The configuration is too large; contains its size in bytes.
    #[error("an image configuration has at most 8 MiB, this one has {0} bytes")]
    Size(usize),
    /// The bytes are not the JSON of a configuration.
    #[error("cannot read the image configuration")]
    Json(#[source] serde_json::Error),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    #[test]
    fn nulls_are_empty_and_sets_are_their_keys() {
        let config = ImageConfig::parse(
            r#"{"config":{"Env":null,"Cmd":null,"ExposedPorts":{"80/tcp":{}},"Volumes":null},
                "rootfs":{"type":"layers","diff_ids":null},"history":null}"#,
        )
        .unwrap();
        assert!(config.process().env.is_empty());
        assert_eq!(config.process().exposed_ports, ["80/tcp"]);
        assert!(config.diff_ids().is_empty());
        let bare = ImageConfig::parse("{}").unwrap();
        assert_eq!(bare.process(), &Process::default());
    }

    #[test]
    fn what_is_not_a_configuration_is_refused_with_its_position() {
        let error = ImageConfig::parse(r#"{"rootfs":{"diff_ids":["md5:1"]}}"#).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            cause.contains("only sha256") && cause.contains("column"),
            "{cause}"
        );
    }
}
