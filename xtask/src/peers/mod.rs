//! Third-party programs, pinned in `xtask/peers.lock` and installed below the
//! target folder.
//!
//! A peer that is not available is represented by a value with the reason, which the
//! caller prints. A peer that is available but does not build is an error.

pub(crate) mod crates;
pub(crate) mod engine;
pub(crate) mod go;
mod lock;
mod peer;
pub(crate) mod python;

pub(crate) use lock::Lock;
pub(crate) use peer::Peer;

use std::path::{Path, PathBuf};

/// Returns the folder below the target folder in which peers are built and installed.
pub(crate) fn folder(target: &Path) -> PathBuf {
    target.join("peers")
}
