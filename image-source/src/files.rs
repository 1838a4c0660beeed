//! The files of an image, in a directory or in an archive.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use portlayer::image::Digest;

use crate::archive::Archive;
use crate::compression::{Compression, decompress};
use crate::manifest::Descriptor;
use crate::section::Section;
use crate::{Error, Limits, Result};

/// The files of a docker archive or an OCI layout.
#[derive(Debug)]
pub(crate) enum Files {
    Directory(PathBuf),
    Archive(Archive),
}

impl Files {
    /// Opens a directory or a tar file. A compressed tar is decompressed to a temporary file.
    pub(crate) fn open(path: &Path, limits: &Limits) -> Result<Self> {
        let metadata = std::fs::metadata(path).map_err(Error::io("open", path))?;
        if metadata.is_dir() {
            return Ok(Self::Directory(path.to_owned()));
        }
        let file = File::open(path).map_err(Error::io("open", path))?;
        let section = Section::whole(file).map_err(Error::io("open", path))?;
        let section = plain(section, path, limits)?;
        Archive::index(section, path, limits).map(Self::Archive)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Self::Directory(root) => root.join(name).is_file(),
            Self::Archive(archive) => archive.has(name),
        }
    }

    /// Returns the bytes of a file; `None` if there is no file with that name. Only pass names
    /// from the layout's specification or made from digests: text from an image must never be
    /// joined to the directory.
    pub(crate) fn file(&self, name: &str) -> Result<Option<Section>> {
        match self {
            Self::Archive(archive) => archive.open(name),
            Self::Directory(root) => {
                let path = root.join(name);
                match File::open(&path) {
                    Ok(file) => Section::whole(file)
                        .map(Some)
                        .map_err(Error::io("open", path)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(Error::io("open", path)(error)),
                }
            }
        }
    }

    /// Returns the bytes of a small document; `None` if there is no file with that name.
    pub(crate) fn document(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.file(name)?
            .map(|section| section.read_small(name, limit))
            .transpose()
    }

    /// Returns a blob of a layout, after checking its length.
    pub(crate) fn blob(&self, descriptor: &Descriptor) -> Result<Section> {
        let name = blob_name(&descriptor.digest);
        let section = self
            .file(&name)?
            .ok_or_else(|| Error::document("layout", format_args!("{name} is missing")))?;
        if section.len() != descriptor.size {
            return Err(Error::Truncated {
                what: name,
                expected: descriptor.size,
                actual: section.len(),
            });
        }
        Ok(section)
    }

    /// Returns a small blob of a layout, after verifying its digest.
    pub(crate) fn verified(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>> {
        let name = blob_name(&descriptor.digest);
        let bytes = self.blob(descriptor)?.read_small(&name, limit)?;
        verify(&name, &bytes, &descriptor.digest)?;
        Ok(bytes)
    }
}

/// Fails unless the bytes have the digest.
pub(crate) fn verify(what: &str, bytes: &[u8], expected: &Digest) -> Result<()> {
    let actual = Digest::of(bytes);
    if actual == *expected {
        return Ok(());
    }
    Err(Error::DigestMismatch {
        what: what.to_owned(),
        expected: *expected,
        actual,
    })
}

/// Returns the path of a blob in a layout.
pub(crate) fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Returns the file itself or, if it is compressed, its decompressed bytes in an unlinked
/// temporary file.
fn plain(section: Section, path: &Path, limits: &Limits) -> Result<Section> {
    let start = section.slice(0, 6).read_small("the archive", 6)?;
    if Compression::recognise(&start)? == Compression::None {
        return Ok(section);
    }
    let spooled = || {
        let mut file = tempfile::tempfile()?;
        let mut content = decompress(section.reader(), limits)?;
        io::copy(&mut content, &mut file)?;
        Section::whole(file)
    };
    spooled().map_err(|error| match Error::from_read(&error) {
        Some(Error::TooLarge { what, limit }) => Error::TooLarge {
            what: what.clone(),
            limit: *limit,
        },
        _ => Error::io("decompress", path)(error),
    })
}
