//! Images from the tar of a root file system.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use portlayer::image::{Image, ImageConfig};
use sha2::{Digest as _, Sha256};

use crate::compression::decompress;
use crate::load::layer;
use crate::section::Section;
use crate::{Error, Limits, Platform, Result};

/// Options of an image from the tar of a root file system.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RootFsOptions {
    /// The platform of the image.
    pub platform: Platform,
    /// The comment in the image's history.
    pub comment: Option<String>,
    /// The time of creation, in RFC 3339. With `None` it is not recorded, so that the same tar
    /// yields the same image.
    pub created: Option<String>,
    /// The image's `config` object, in the form of the OCI image-spec: `Cmd`, `Env`,
    /// `WorkingDir`, …
    pub config: serde_json::Map<String, serde_json::Value>,
    /// Limits for hostile files.
    pub limits: Limits,
}

impl RootFsOptions {
    /// Creates options for a `linux/amd64` image without a command.
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

    /// Sets the comment in the history.
    #[must_use]
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    /// Sets the time of creation, in RFC 3339.
    #[must_use]
    pub fn created(mut self, created: impl Into<String>) -> Self {
        self.created = Some(created.into());
        self
    }

    /// Sets the image's `config` object.
    #[must_use]
    pub fn config(mut self, config: serde_json::Map<String, serde_json::Value>) -> Self {
        self.config = config;
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// Creates an image with one layer from the tar of a root file system, like `docker import`.
/// The tar may be compressed with gzip or zstd. The file is read now, for its digest, and
/// again when the image is imported. It must not be modified in between, but it may be
/// unlinked.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::NotAnImage`] if it is not a tar.
pub async fn from_root_fs(path: impl AsRef<Path>, options: RootFsOptions) -> Result<Image> {
    let path = path.as_ref().to_owned();
    crate::blocking(move || from_root_fs_blocking(path, &options)).await
}

fn from_root_fs_blocking(path: PathBuf, options: &RootFsOptions) -> Result<Image> {
    let file = File::open(&path).map_err(Error::io("open", &path))?;
    let section = Section::whole(file).map_err(Error::io("open", &path))?;
    let read = |error: io::Error| match Error::from_read(&error) {
        Some(inner) => Error::NotAnImage {
            path: path.clone(),
            reason: inner.to_string(),
        },
        None => Error::io("read", &path)(error),
    };
    let mut content = decompress(section.reader(), &options.limits).map_err(read)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; 128 * 1024];
    let mut first = true;
    loop {
        let count = fill(&mut content, &mut block).map_err(read)?;
        if first && !is_tar(&block[..count]) {
            return Err(Error::NotAnImage {
                path,
                reason: "it is not a tar file".into(),
            });
        }
        first = false;
        if count == 0 {
            break;
        }
        hasher.update(&block[..count]);
    }
    let diff_id = portlayer::image::Digest::from_bytes(hasher.finalize().into());
    let created = options.created.as_deref();
    let config = serde_json::json!({
        "architecture": options.platform.architecture,
        "os": options.platform.os,
        "created": created.unwrap_or("0001-01-01T00:00:00Z"),
        "config": options.config,
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        "history": [{
            "created": created.unwrap_or("0001-01-01T00:00:00Z"),
            "comment": options.comment.as_deref().unwrap_or("imported"),
        }],
    });
    let config = ImageConfig::parse(config.to_string().into_bytes())
        .map_err(|error| Error::document("config", error))?;
    Ok(Image::new(config, [layer(diff_id, section)]))
}

/// Reads until the block is full or the content ends; returns the number of bytes read.
fn fill(content: &mut impl io::Read, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match content.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Returns whether the bytes are the start of a tar: a header with the right checksum, or the
/// end marker of an empty tar.
fn is_tar(start: &[u8]) -> bool {
    let Some(header) = start.get(..512) else {
        return false;
    };
    if header.iter().all(|byte| *byte == 0) {
        return true;
    }
    let declared = std::str::from_utf8(&header[148..156])
        .map(|text| text.trim_matches([' ', '\0']))
        .ok()
        .and_then(|text| u32::from_str_radix(text, 8).ok());
    let sum = header.iter().enumerate().map(|(position, byte)| {
        u32::from(if (148..156).contains(&position) {
            b' '
        } else {
            *byte
        })
    });
    declared == Some(sum.sum())
}
