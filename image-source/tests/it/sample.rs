//! A small image, and archives of it.

use std::io::{Read as _, Write as _};
use std::path::Path;

use portlayer::image::{Digest, Image};
use serde_json::{Value, json};

/// Returns a layer: a tar with one file.
pub(crate) fn layer(name: &str, content: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o755);
    builder.append_data(&mut header, name, content).unwrap();
    builder.into_inner().unwrap()
}

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Returns the config of an image with these layers.
pub(crate) fn config(layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<Digest> = layers.iter().map(Digest::of).collect();
    json!({
        "os": "linux", "architecture": "amd64", "config": { "Cmd": ["/hello"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    })
    .to_string()
    .into_bytes()
}

pub(crate) fn two_layers() -> Vec<Vec<u8>> {
    vec![
        layer("hello", b"the first"),
        layer("data", &b"0123456789abcdef".repeat(8192)),
    ]
}

/// Writes a tar with these names and contents; `Err` is the target of a symbolic link.
pub(crate) fn archive(path: &Path, members: &[(&str, Result<&[u8], &str>)]) {
    let mut builder = tar::Builder::new(std::fs::File::create(path).unwrap());
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        match content {
            Ok(bytes) => {
                header.set_size(bytes.len() as u64);
                builder.append_data(&mut header, name, *bytes).unwrap();
            }
            Err(target) => {
                header.set_size(0);
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, name, target).unwrap();
            }
        }
    }
    builder.finish().unwrap();
}

/// Checks that the layers of an image can be read and match their digests.
pub(crate) fn check_layers(image: &Image, layers: &[Vec<u8>]) {
    assert_eq!(image.layers().len(), layers.len());
    for (layer, expected) in image.layers().iter().zip(layers) {
        let mut bytes = Vec::new();
        layer.open().unwrap().read_to_end(&mut bytes).unwrap();
        if bytes.starts_with(&[0x1f, 0x8b]) {
            let packed = std::mem::take(&mut bytes);
            let mut decoder = flate2::read::GzDecoder::new(&packed[..]);
            decoder.read_to_end(&mut bytes).unwrap();
        }
        assert!(bytes == *expected, "layer {}", layer.diff_id);
        assert_eq!(Digest::of(&bytes), layer.diff_id);
    }
}

/// Writes an OCI layout with compressed layers; returns the entry in its index.
pub(crate) fn layout(directory: &Path, layers: &[Vec<u8>], annotations: &Value) {
    let blobs = directory.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let blob = |media_type: &str, content: &[u8]| {
        let digest = Digest::of(content);
        std::fs::write(blobs.join(digest.hex()), content).unwrap();
        json!({ "mediaType": media_type, "digest": digest, "size": content.len() })
    };
    let packed: Vec<Value> = layers
        .iter()
        .map(|layer| blob("application/vnd.oci.image.layer.v1.tar+gzip", &gzip(layer)))
        .collect();
    let config = blob("application/vnd.oci.image.config.v1+json", &config(layers));
    let manifest = json!({ "schemaVersion": 2, "config": config, "layers": packed });
    let mut entry = blob(
        "application/vnd.oci.image.manifest.v1+json",
        manifest.to_string().as_bytes(),
    );
    entry["annotations"] = annotations.clone();
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    std::fs::write(directory.join("index.json"), index.to_string()).unwrap();
    let version = r#"{"imageLayoutVersion":"1.0.0"}"#;
    std::fs::write(directory.join("oci-layout"), version).unwrap();
}
