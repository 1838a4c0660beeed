//! Manifests and indexes, of OCI and of docker's schema 2.

use std::collections::BTreeMap;

use portlayer::image::{Digest, ImageConfig};
use serde::{Deserialize, Serialize};

use crate::{Error, Limits, Platform, Result};

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1";

/// The media types that requests for manifests accept.
pub(crate) const ACCEPTED: [&str; 4] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST];

/// A reference to content by its digest (OCI image-spec, descriptor).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) annotations: Option<BTreeMap<String, String>>,
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, content: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(content),
            size: content.len() as u64,
            platform: None,
            annotations: None,
        }
    }

    fn is_index(&self) -> bool {
        self.media_type == OCI_INDEX || self.media_type == DOCKER_LIST
    }

    fn is_manifest(&self) -> bool {
        self.media_type == OCI_MANIFEST || self.media_type == DOCKER_MANIFEST
    }

    /// Returns the platform of an entry that can run. `None` for the attestations that
    /// docker's build tools attach to images: their platform is `unknown`.
    fn runnable_platform(&self) -> Option<&Platform> {
        self.platform
            .as_ref()
            .filter(|platform| platform.os != "unknown")
    }
}

/// An image's manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

/// A list of manifests.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) media_type: String,
    pub(crate) manifests: Vec<Descriptor>,
}

/// A manifest or an index.
#[derive(Clone, Debug)]
pub(crate) enum Document {
    Manifest(Manifest),
    Index(Index),
}

impl Document {
    /// Parses a manifest or an index. Its `mediaType` field tells which of the two it is, else
    /// the media type that it was delivered with, else its fields. A document that has the
    /// fields of both kinds is refused, as the specification requires.
    pub(crate) fn parse(bytes: &[u8], delivered_as: &str) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Kind {
            #[serde(default)]
            schema_version: u32,
            #[serde(default)]
            media_type: String,
            manifests: Option<serde::de::IgnoredAny>,
            layers: Option<serde::de::IgnoredAny>,
        }
        let malformed = |error| Error::document("manifest", error);
        let kind: Kind = serde_json::from_slice(bytes).map_err(malformed)?;
        let media_type = if kind.media_type.is_empty() {
            delivered_as
        } else {
            &kind.media_type
        };
        if kind.schema_version == 1 || media_type.starts_with(DOCKER_SCHEMA_1) {
            return Err(Error::Unsupported {
                reason: "its manifest is of schema 1, which carries no verifiable config; push it \
                         again with a current tool"
                    .into(),
            });
        }
        if kind.schema_version != 2 {
            return Err(Error::document(
                "manifest",
                format_args!("the schema version is {}", kind.schema_version),
            ));
        }
        let is_index = match media_type {
            OCI_INDEX | DOCKER_LIST => true,
            OCI_MANIFEST | DOCKER_MANIFEST => false,
            _ => kind.manifests.is_some(),
        };
        if kind.manifests.is_some() && kind.layers.is_some() {
            return Err(Error::document(
                "manifest",
                "it claims to be a manifest and an index",
            ));
        }
        if is_index {
            serde_json::from_slice(bytes).map(Self::Index)
        } else {
            serde_json::from_slice(bytes).map(Self::Manifest)
        }
        .map_err(malformed)
    }
}

impl Index {
    /// Chooses the entry for a platform: a manifest or a nested index.
    pub(crate) fn choose(&self, wanted: &Platform) -> Result<&Descriptor> {
        let candidates = || {
            self.manifests
                .iter()
                .filter(|entry| entry.is_manifest() || entry.is_index())
        };
        let offers = |entry: &&Descriptor, test: fn(&Platform, &Platform) -> bool| {
            entry
                .runnable_platform()
                .is_some_and(|offered| test(wanted, offered))
        };
        if let Some(found) = candidates()
            .find(|entry| offers(entry, Platform::is_exactly))
            .or_else(|| candidates().find(|entry| offers(entry, Platform::accepts)))
        {
            return Ok(found);
        }
        // A layout often holds one image without a platform: the platform is in the image's
        // config.
        let mut undeclared = candidates().filter(|entry| entry.platform.is_none());
        if let (Some(only), None) = (undeclared.next(), undeclared.next()) {
            return Ok(only);
        }
        Err(Error::NoSuchPlatform {
            wanted: wanted.clone(),
            available: candidates()
                .filter_map(Descriptor::runnable_platform)
                .cloned()
                .collect(),
        })
    }
}

impl Manifest {
    /// Checks that the image can become a container's disk, before anything large is read.
    pub(crate) fn check(&self, limits: &Limits) -> Result<()> {
        let unsupported = |reason: String| Err(Error::Unsupported { reason });
        let config_type = self.config.media_type.as_str();
        if !matches!(config_type, OCI_CONFIG | DOCKER_CONFIG | "") {
            return unsupported(format!(
                "it is an artifact of type {config_type:?}, not a container image"
            ));
        }
        if self.config.size > limits.config_bytes {
            return Err(Error::TooLarge {
                what: "the image's config".into(),
                limit: limits.config_bytes,
            });
        }
        if self.layers.len() > limits.layers {
            return unsupported(format!(
                "it has {} layers, the limit is {}",
                self.layers.len(),
                limits.layers
            ));
        }
        for layer in &self.layers {
            check_layer_type(&layer.media_type, &layer.digest)?;
            if layer.size > limits.layer_bytes {
                return Err(Error::TooLarge {
                    what: format!("layer {}", layer.digest),
                    limit: limits.layer_bytes,
                });
            }
        }
        Ok(())
    }
}

/// Checks that a layer is part of the image and in a readable format.
fn check_layer_type(media_type: &str, digest: &Digest) -> Result<()> {
    let refuse = |why: &str| {
        Err(Error::Unsupported {
            reason: format!("its layer {digest} {why} ({media_type})"),
        })
    };
    if media_type.contains("nondistributable") || media_type.contains("foreign") {
        return refuse("is a foreign layer, which is not part of the image");
    }
    if media_type.ends_with("+encrypted") {
        return refuse("is encrypted");
    }
    match media_type {
        // The compression is detected from the first bytes, not from the media type.
        ""
        | OCI_LAYER
        | "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.oci.image.layer.v1.tar+zstd"
        | "application/vnd.docker.image.rootfs.diff.tar"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Ok(()),
        _ => refuse("has an unknown media type"),
    }
}

/// Parses a config, and checks that it is for the platform and names as many layers as the
/// manifest.
pub(crate) fn read_config(
    bytes: impl Into<bytes::Bytes>,
    layers: usize,
    wanted: &Platform,
) -> Result<ImageConfig> {
    let config = ImageConfig::parse(bytes).map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        Error::document("config", cause.unwrap_or_else(|| error.to_string()))
    })?;
    if config.diff_ids().len() != layers {
        return Err(Error::document(
            "config",
            format_args!(
                "it names {} layers and the manifest {layers}",
                config.diff_ids().len()
            ),
        ));
    }
    // Images made by hand may lack these fields; the wanted platform is assumed.
    let or_wanted = |text: &str, wanted: &str| match text {
        "" => wanted.to_owned(),
        text => text.to_owned(),
    };
    let offered = Platform {
        os: or_wanted(config.os(), &wanted.os),
        architecture: or_wanted(config.architecture(), &wanted.architecture),
        variant: config
            .variant()
            .map(str::to_owned)
            .or_else(|| wanted.variant.clone()),
    };
    if !wanted.accepts(&offered) {
        return Err(Error::NoSuchPlatform {
            wanted: wanted.clone(),
            available: vec![offered],
        });
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    fn entry(platform: &str) -> Descriptor {
        Descriptor {
            platform: Some(platform.parse().unwrap()),
            ..Descriptor::new(OCI_MANIFEST, platform.as_bytes())
        }
    }

    fn index(platforms: &[&str]) -> Index {
        Index {
            schema_version: 2,
            media_type: OCI_INDEX.into(),
            manifests: platforms.iter().copied().map(entry).collect(),
        }
    }

    #[test]
    fn the_exact_platform_wins_and_attestations_are_no_platform() {
        let offered = index(&[
            "unknown/unknown",
            "linux/arm/v6",
            "linux/arm",
            "linux/amd64",
        ]);
        let chosen = |wanted: &str| {
            let wanted = wanted.parse().unwrap();
            offered
                .choose(&wanted)
                .map(|found| found.platform.clone().unwrap().to_string())
        };
        assert_eq!(chosen("linux/amd64").unwrap(), "linux/amd64");
        assert_eq!(chosen("linux/arm").unwrap(), "linux/arm");
        assert_eq!(chosen("linux/arm/v6").unwrap(), "linux/arm/v6");
        let error = chosen("linux/s390x").unwrap_err().to_string();
        assert_eq!(
            error,
            "no image for the platform linux/s390x; there is linux/arm/v6, linux/arm, linux/amd64"
        );
    }

    #[test]
    fn a_document_that_claims_both_kinds_is_refused() {
        let both = format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[],"layers":[]}}"#
        );
        assert!(Document::parse(both.as_bytes(), "").is_err());
        let error = Document::parse(br#"{"schemaVersion":1}"#, "").unwrap_err();
        assert!(error.to_string().contains("schema 1"), "{error}");
    }

    #[test]
    fn layers_that_cannot_be_unpacked_are_refused_by_name() {
        let digest = Digest::of(b"");
        for (media_type, word) in [
            (
                "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                "foreign",
            ),
            (
                "application/vnd.oci.image.layer.nondistributable.v1.tar",
                "foreign",
            ),
            (
                "application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
                "encrypted",
            ),
            ("application/x-squashfs", "unknown media type"),
        ] {
            let error = check_layer_type(media_type, &digest)
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(word) && error.contains(media_type),
                "{error}"
            );
        }
    }
}
