//! The privileges of this process.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// Returns whether this process runs as root.
pub(crate) fn is_root() -> bool {
    // `/proc/self` belongs to the effective user of the process.
    fs::metadata("/proc/self").is_ok_and(|data| data.uid() == 0)
}
