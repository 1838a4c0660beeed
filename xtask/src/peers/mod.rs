//! Programs that nobody here wrote, pinned in `xtask/peers.lock`: getting them
//! here, below the target folder.
//!
//! A peer that cannot be had is a value with the reason, for the chore to print;
//! one that can be had but does not build is an error.

pub(crate) mod go;
mod lock;
mod peer;
pub(crate) mod python;

pub(crate) use lock::Lock;
pub(crate) use peer::Peer;

use std::path::{Path, PathBuf};

/// The folder for what the peers build and install, below the target folder.
pub(crate) fn folder(target: &Path) -> PathBuf {
    target.join("peers")
}
