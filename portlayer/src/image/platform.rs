//! The platform that images need and machines have.

use super::Image;
use crate::{Error, Resource, Result};

/// The architecture of vSphere's virtual machines, in Go's terms.
pub(crate) const AMD64: &str = "amd64";

/// Refuses an image whose programs cannot run on machines with this architecture. An image that
/// names no operating system or architecture is accepted, such as one made from a bare tar.
pub(crate) fn check(image: &Image, architecture: &str) -> Result<()> {
    let refuse = |field, reason: String| {
        let resource = Resource::image(image.id());
        Err(Error::invalid_argument(resource, field, reason))
    };
    let config = image.config();
    if !matches!(config.os(), "" | "linux") {
        let reason = format!(
            "its operating system is {:?}; containers run linux",
            config.os()
        );
        return refuse("os", reason);
    }
    let needed = config.architecture();
    if needed.is_empty() || needed == architecture || (needed, architecture) == ("386", AMD64) {
        return Ok(());
    }
    let reason = format!(
        "its programs are for {needed:?}, but the machines have the architecture \
         {architecture:?}; take the image for linux/{architecture}"
    );
    refuse("architecture", reason)
}
