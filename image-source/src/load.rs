//! Loading images from files: docker archives, OCI layouts.

use std::io::{self, Read};
use std::path::Path;

use portlayer::image::{Digest, Image, Layer, OpenLayer, ReadSeek};
use serde::Deserialize;

use crate::files::{Files, verify};
use crate::manifest::{Descriptor, Document, Manifest, read_config};
use crate::section::Section;
use crate::{Error, Limits, Platform, Reference, Result};

/// The maximum nesting of indexes; deeper nesting is a cycle.
const INDEX_DEPTH: usize = 4;

/// Options for loading images from files.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LoadOptions {
    /// The platform to choose if there are several.
    pub platform: Platform,
    /// Limits for hostile files.
    pub limits: Limits,
}

impl LoadOptions {
    /// Creates options for `linux/amd64` with default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the platform.
    #[must_use]
    pub fn platform(mut self, platform: Platform) -> Self {
        self.platform = platform;
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// An image found in an archive or a layout.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoadedImage {
    /// The image. Its layers are read from the file on demand.
    pub image: Image,
    /// The names of the image in the file, possibly none.
    pub references: Vec<Reference>,
}

/// Loads the images of a `docker save` file, of an OCI layout directory, or of an
/// archive of one, optionally compressed with gzip or zstd.
///
/// Only the indexes and configs are read here; configs are verified now, layers when
/// they are imported. An uncompressed file must not be modified until then; it may be unlinked.
///
/// # Errors
/// [`Error::NotAnImage`] if the path is none of these, and the errors of invalid content.
pub async fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Vec<LoadedImage>> {
    let (path, options) = (path.as_ref().to_owned(), options.clone());
    crate::blocking(move || load_blocking(&path, &options)).await
}

fn load_blocking(path: &Path, options: &LoadOptions) -> Result<Vec<LoadedImage>> {
    let files = Files::open(path, &options.limits)?;
    // Since version 25, docker writes archives that have both forms; only `manifest.json` has
    // the names.
    if files.has("manifest.json") {
        return docker_archive(&files, options);
    }
    if files.has("oci-layout") || files.has("index.json") {
        return layout(&files, path, options);
    }
    Err(Error::NotAnImage {
        path: path.to_owned(),
        reason: "it has neither a manifest.json (docker archive) nor an index.json (OCI layout); \
                 a bare root file system is imported, not loaded"
            .into(),
    })
}

/// One image in a docker archive's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

fn docker_archive(files: &Files, options: &LoadOptions) -> Result<Vec<LoadedImage>> {
    let limits = &options.limits;
    let manifest = files
        .document("manifest.json", limits.document_bytes)?
        .unwrap_or_default();
    let entries: Vec<DockerEntry> = serde_json::from_slice(&manifest)
        .map_err(|error| Error::document("archive's manifest.json", error))?;
    entries
        .into_iter()
        .map(|entry| docker_image(files, entry, options))
        .collect()
}

fn docker_image(files: &Files, entry: DockerEntry, options: &LoadOptions) -> Result<LoadedImage> {
    let limits = &options.limits;
    let missing = |name: &str| {
        Error::document(
            "archive's manifest.json",
            format_args!("it names {name:?}, which is not in the archive"),
        )
    };
    let bytes = files
        .document(&entry.config, limits.config_bytes)?
        .ok_or_else(|| missing(&entry.config))?;
    if let Some(expected) = named_digest(&entry.config) {
        verify(&entry.config, &bytes, &expected)?;
    }
    let names = entry.layers.unwrap_or_default();
    if names.len() > limits.layers {
        return Err(Error::Unsupported {
            reason: format!(
                "it has {} layers, the limit is {}",
                names.len(),
                limits.layers
            ),
        });
    }
    let config = read_config(bytes, names.len(), &options.platform)?;
    let layers = names.iter().zip(config.diff_ids()).map(|(name, diff_id)| {
        let section = files.file(name)?.ok_or_else(|| missing(name))?;
        check_length(name, &section, limits)?;
        Ok(layer(*diff_id, section))
    });
    let layers = layers.collect::<Result<Vec<_>>>()?;
    let references = entry.repo_tags.unwrap_or_default();
    Ok(LoadedImage {
        image: Image::new(config, layers),
        references: references
            .iter()
            .map(|text| text.parse())
            .collect::<Result<_>>()?,
    })
}

/// Returns the digest in the name of a docker archive's config: `<hex>.json` or
/// `blobs/sha256/<hex>`.
fn named_digest(name: &str) -> Option<Digest> {
    let last = name.rsplit('/').next().unwrap_or(name);
    let hex = last.strip_suffix(".json").unwrap_or(last);
    format!("sha256:{hex}").parse().ok()
}

fn layout(files: &Files, path: &Path, options: &LoadOptions) -> Result<Vec<LoadedImage>> {
    let limits = &options.limits;
    let not_an_image = |reason: String| Error::NotAnImage {
        path: path.to_owned(),
        reason,
    };
    if let Some(version) = files.document("oci-layout", limits.document_bytes)? {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            image_layout_version: String,
        }
        let version: Version = serde_json::from_slice(&version)
            .map_err(|error| Error::document("layout's version", error))?;
        if !version.image_layout_version.starts_with("1.") {
            return Err(not_an_image(format!(
                "its layout has the version {:?}, not 1.x",
                version.image_layout_version
            )));
        }
    }
    let index = files
        .document("index.json", limits.document_bytes)?
        .ok_or_else(|| not_an_image("its index.json is missing".into()))?;
    let Document::Index(index) = Document::parse(&index, crate::manifest::OCI_INDEX)? else {
        return Err(Error::document("layout's index", "it is a manifest"));
    };
    // Several entries are several images. If no entry has a name, they are the platforms of
    // one image.
    let named = index.manifests.iter().filter(|entry| name(entry).is_some());
    let mut chosen: Vec<&Descriptor> = named.collect();
    if chosen.is_empty() {
        chosen.push(index.choose(&options.platform)?);
    }
    if chosen.len() > limits.layers {
        return Err(not_an_image(format!(
            "it holds {} images, the limit is {}",
            chosen.len(),
            limits.layers
        )));
    }
    let mut images: Vec<LoadedImage> = Vec::new();
    for entry in chosen {
        let image = layout_image(files, entry, options)?;
        let reference = name(entry).and_then(|text| text.parse().ok());
        match images
            .iter_mut()
            .find(|known| known.image.id() == image.id())
        {
            Some(known) => known.references.extend(reference),
            None => images.push(LoadedImage {
                image,
                references: reference.into_iter().collect(),
            }),
        }
    }
    Ok(images)
}

/// Returns the image name of a layout's entry. The annotation of the specification is not
/// enough: it often holds a bare tag, which means nothing outside of the layout.
fn name(entry: &Descriptor) -> Option<&str> {
    let annotations = entry.annotations.as_ref()?;
    let full = annotations.get("io.containerd.image.name");
    full.or_else(|| annotations.get("org.opencontainers.image.ref.name"))
        .map(String::as_str)
}

fn layout_image(files: &Files, entry: &Descriptor, options: &LoadOptions) -> Result<Image> {
    let limits = &options.limits;
    let mut entry = entry.clone();
    for _ in 0..INDEX_DEPTH {
        let bytes = files.verified(&entry, limits.document_bytes)?;
        match Document::parse(&bytes, &entry.media_type)? {
            Document::Index(index) => entry = index.choose(&options.platform)?.clone(),
            Document::Manifest(manifest) => return manifest_image(files, &manifest, options),
        }
    }
    Err(Error::document("index", "indexes point at each other"))
}

fn manifest_image(files: &Files, manifest: &Manifest, options: &LoadOptions) -> Result<Image> {
    let limits = &options.limits;
    manifest.check(limits)?;
    let bytes = files.verified(&manifest.config, limits.config_bytes)?;
    let config = read_config(bytes, manifest.layers.len(), &options.platform)?;
    let layers = manifest.layers.iter().zip(config.diff_ids());
    let layers = layers.map(|(descriptor, diff_id)| {
        let section = files.blob(descriptor)?;
        Ok(layer(*diff_id, section).stored(descriptor.digest, descriptor.size))
    });
    let layers = layers.collect::<Result<Vec<_>>>()?;
    Ok(Image::new(config, layers))
}

fn check_length(name: &str, section: &Section, limits: &Limits) -> Result<()> {
    if section.len() > limits.layer_bytes {
        return Err(Error::TooLarge {
            what: format!("layer {name}"),
            limit: limits.layer_bytes,
        });
    }
    Ok(())
}

/// Creates a layer whose content is part of a file.
pub(crate) fn layer(diff_id: Digest, section: Section) -> Layer {
    Layer::new(diff_id, Stored(section))
}

/// Opens a layer in a file.
struct Stored(Section);

impl OpenLayer for Stored {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.0.reader()))
    }

    fn open_seekable(&self) -> io::Result<Option<Box<dyn ReadSeek>>> {
        Ok(Some(Box::new(self.0.reader())))
    }
}
