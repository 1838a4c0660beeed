//! Saving images as archives.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read, Write};
use std::path::Path;

use portlayer::image::{Digest, Image};
use sha2::{Digest as _, Sha256};

use crate::compression::decompress;
use crate::files::blob_name;
use crate::manifest::{
    Descriptor, Index, Manifest, OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST,
};
use crate::{Error, Limits, Reference, Result};

/// Writes images to a file like `docker save`: an archive that `docker load` reads and that is
/// also an OCI layout. Layers are verified and written uncompressed.
///
/// The same images and names produce the same bytes. If saving fails, or the future is
/// dropped, the file is incomplete.
///
/// # Errors
/// [`Error::Io`] if a layer cannot be read or the file cannot be written, and
/// [`Error::DigestMismatch`] if a layer does not match the image.
pub async fn save(path: impl AsRef<Path>, images: Vec<(Image, Vec<Reference>)>) -> Result<()> {
    let path = path.as_ref().to_owned();
    crate::blocking(move || {
        let file = std::fs::File::create(&path).map_err(Error::io("create", &path))?;
        let mut output = io::BufWriter::with_capacity(128 * 1024, file);
        save_to(&mut output, &images)?;
        output.flush().map_err(Error::io("write", &path))
    })
    .await
}

/// Writes images like [`save`], but to any writer, and blocks the thread.
///
/// # Errors
/// Those of [`save`].
pub fn save_to(output: impl Write, images: &[(Image, Vec<Reference>)]) -> Result<()> {
    let mut archive = Writer {
        builder: tar::Builder::new(output),
        written: HashSet::new(),
    };
    let mut manifests = Vec::new();
    let mut entries = Vec::new();
    let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (image, references) in images {
        let mut layers = Vec::new();
        for layer in image.layers() {
            let length = archive.layer(layer)?;
            layers.push(Descriptor {
                media_type: OCI_LAYER.into(),
                digest: layer.diff_id,
                size: length,
                platform: None,
                annotations: None,
            });
        }
        let config = image.config().bytes();
        archive.blob(config)?;
        let manifest = json(&Manifest {
            schema_version: 2,
            media_type: OCI_MANIFEST.into(),
            config: Descriptor::new(OCI_CONFIG, config),
            layers,
        })?;
        archive.blob(&manifest)?;
        manifests.extend(index_entries(&manifest, references));
        entries.push(serde_json::json!({
            "Config": blob_name(image.id().digest()),
            "RepoTags": references.iter().map(Reference::familiar).collect::<Vec<_>>(),
            "Layers": image.layers().iter().map(|l| blob_name(&l.diff_id)).collect::<Vec<_>>(),
        }));
        for reference in references {
            if let (Some(tag), Some(top)) = (reference.tag(), image.layers().last()) {
                repositories
                    .entry(reference.familiar_name())
                    .or_default()
                    .insert(tag.to_owned(), top.diff_id.hex());
            }
        }
    }
    let index = Index {
        schema_version: 2,
        media_type: OCI_INDEX.into(),
        manifests,
    };
    archive.file("index.json", &json(&index)?)?;
    archive.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    archive.file("manifest.json", &json(&entries)?)?;
    if !repositories.is_empty() {
        archive.file("repositories", &json(&repositories)?)?;
    }
    archive.builder.finish().map_err(write_error)
}

/// Creates the index entries of an image: one per name, or one entry without a name.
fn index_entries(manifest: &[u8], references: &[Reference]) -> Vec<Descriptor> {
    let plain = Descriptor::new(OCI_MANIFEST, manifest);
    if references.is_empty() {
        return vec![plain];
    }
    let named = references.iter().map(|reference| {
        let mut annotations = BTreeMap::new();
        annotations.insert("io.containerd.image.name".into(), reference.to_string());
        if let Some(tag) = reference.tag() {
            annotations.insert("org.opencontainers.image.ref.name".into(), tag.to_owned());
        }
        Descriptor {
            annotations: Some(annotations),
            ..plain.clone()
        }
    });
    named.collect()
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::document("archive", error))
}

fn write_error(error: io::Error) -> Error {
    Error::io("write", "the archive")(error)
}

struct Writer<W: Write> {
    builder: tar::Builder<W>,
    /// The digests of the layers already written: images may share layers, and each is written
    /// once.
    written: HashSet<Digest>,
}

impl<W: Write> Writer<W> {
    fn file(&mut self, name: &str, content: &[u8]) -> Result<()> {
        self.append(name, content.len() as u64, content)
    }

    fn blob(&mut self, content: &[u8]) -> Result<()> {
        let digest = Digest::of(content);
        if self.written.insert(digest) {
            self.file(&blob_name(&digest), content)?;
        }
        Ok(())
    }

    fn append(&mut self, name: &str, length: u64, content: impl Read) -> Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_size(length);
        header.set_mode(0o644);
        header.set_mtime(0);
        self.builder
            .append_data(&mut header, name, content)
            .map_err(write_error)
    }

    /// Writes a layer and returns its length. The layer is decompressed twice, because the tar
    /// header with its length comes first.
    fn layer(&mut self, layer: &portlayer::image::Layer) -> Result<u64> {
        let name = blob_name(&layer.diff_id);
        let open = || {
            layer
                .open()
                .and_then(|reader| decompress(reader, &Limits::default()))
                .map_err(Error::io("read", format!("layer {}", layer.diff_id)))
        };
        let mut hasher = Sha256::new();
        let mut block = vec![0; 128 * 1024];
        let mut length = 0;
        let mut content = open()?;
        loop {
            let count = match content.read(&mut block) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(Error::io("read", format!("layer {}", layer.diff_id))(error));
                }
            };
            hasher.update(&block[..count]);
            length += count as u64;
        }
        let actual = Digest::from_bytes(hasher.finalize().into());
        if actual != layer.diff_id {
            return Err(Error::DigestMismatch {
                what: format!("layer {}", layer.diff_id),
                expected: layer.diff_id,
                actual,
            });
        }
        if self.written.insert(layer.diff_id) {
            self.append(&name, length, open()?.take(length))?;
        }
        Ok(length)
    }
}
