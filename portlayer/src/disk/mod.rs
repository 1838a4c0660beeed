//! Disks in files: written from the layers of an image, and read as a tar stream.

pub(crate) mod files;
pub(crate) mod layers;

use std::io;

use crate::{Error, Resource};

/// Returns the error of a temporary file that cannot be written.
pub(crate) fn no_space(resource: &Resource, error: io::Error) -> Error {
    let what = "space for temporary files";
    Error::exhausted(resource.clone(), what).with_source(error)
}
