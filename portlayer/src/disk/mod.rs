//! Disks in files: written from the layers of an image, and read as a tar stream.

pub(crate) mod files;
pub(crate) mod layers;
pub(crate) mod spool;

use std::io;
use std::path::{Path, PathBuf};

use crate::{Error, Resource};

/// Returns the error of a temporary file that cannot be written.
pub(crate) fn unusable(resource: &Resource, directory: &Path, error: io::Error) -> Error {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    if matches!(error.kind(), StorageFull | QuotaExceeded) {
        let what = format!(
            "space in the directory {} (disks are converted there; free space, or choose another \
             directory for temporary files)",
            directory.display()
        );
        return Error::exhausted(resource.clone(), what).with_source(error);
    }
    let reason = TemporaryFileError {
        directory: directory.to_owned(),
        source: error,
    };
    Error::internal(resource.clone(), reason)
}

#[derive(Debug, thiserror::Error)]
#[error("cannot write a disk to a temporary file in {}", directory.display())]
struct TemporaryFileError {
    directory: PathBuf,
    source: io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, ResourceKind};

    #[test]
    fn a_full_directory_is_named() {
        let resource = Resource::new(ResourceKind::Image, "i");
        let directory = Path::new("/var/spool/x");
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            let error = unusable(&resource, directory, kind.into());
            assert!(matches!(error.kind, ErrorKind::Exhausted { .. }));
            assert!(error.to_string().contains("/var/spool/x"), "{error}");
        }
        let error = unusable(&resource, directory, io::ErrorKind::PermissionDenied.into());
        assert_eq!(error.kind, ErrorKind::Internal);
        let source = std::error::Error::source(&error).map(ToString::to_string);
        assert!(source.is_some_and(|text| text.contains("/var/spool/x")));
    }
}
