//! Container images from registries, archives, layouts and root file systems.
//!
//! | source | function |
//! | --- | --- |
//! | a registry | [`Registries::resolve`], then [`ResolvedImage::fetch`] |
//! | `docker save` (also compressed), an OCI layout's directory or archive | [`load`] |
//! | the tar of a root file system (`docker import`) | [`from_root_fs`] |
//! | a stored image, to [`save`] it | [`from_export`] |
//!
//! Each returns a [`portlayer::image::Image`], which [`Images::import`] stores and [`save`]
//! writes to an archive. This crate verifies configs against their digests, and content
//! fetched from a registry against its manifest. Layers are verified again when they are
//! imported, by the digests of their decompressed content.
//!
//! No source is trusted: documents, archives and layers have [`Limits`]. Connections use
//! verified HTTPS unless [`RegistryOptions`] overrides it for a registry by name.
//!
//! ```no_run
//! # async fn pull(layer: &dyn portlayer::image::Images) -> Result<(), Box<dyn std::error::Error>> {
//! use image_source::{Reference, Registries, RegistryOptions, Spool};
//! use portlayer::image::ImportOptions;
//!
//! let registries = Registries::new(RegistryOptions::new());
//! let reference: Reference = "hello-world".parse()?;
//! let found = registries.resolve(&reference).await?;
//! let image = found.fetch(&Spool::temporary()?, ()).await?;
//! let stored = layer.import(image, ImportOptions::new()).await?;
//! println!("{} is {}", reference, stored.id);
//! # Ok(())
//! # }
//! ```
//!
//! [`Images::import`]: portlayer::image::Images::import

mod archive;
mod compression;
mod error;
mod export;
mod files;
mod limits;
mod load;
mod manifest;
mod platform;
mod reference;
mod registry;
mod rootfs;
mod save;
mod section;
mod spool;

pub use error::{Error, Result};
pub use export::from_export;
pub use limits::Limits;
pub use load::{LoadOptions, LoadedImage, load};
pub use platform::{ParsePlatformError, Platform};
pub use reference::Reference;
pub use registry::{
    Credentials, DockerConfig, LayerProgress, LayerStage, ObserveFetch, Registries,
    RegistryOptions, ResolvedImage, Transport,
};
pub use rootfs::{RootFsOptions, from_root_fs};
pub use save::{save, save_to};
pub use spool::Spool;

/// Runs blocking work on a thread of the blocking pool. Dropping the future does not stop the
/// work.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(Error::Configuration {
                what: "the runtime, which is shutting down".into(),
                source: error.into(),
            }),
        },
    }
}
