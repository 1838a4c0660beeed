//! The digest of everything in a layer that the layout of a disk depends on.

use sha2::{Digest as _, Sha256};

use crate::Digest;

/// Covers the headers of all entries with their extensions, and which parts of the files contain
/// data. Two readings of a layer with the same outline and the same length lead to the same layout.
#[derive(Default)]
pub(crate) struct Outline(Sha256);

impl Outline {
    /// Adds bytes of a header, an extension or a sparse map.
    pub(crate) fn header(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Adds the ranges of a file that contain data, as [`RangeFinder`](crate::ranges::RangeFinder)
    /// finds them.
    pub(crate) fn ranges(&mut self, ranges: &[(u64, u64)]) {
        self.0.update((ranges.len() as u64).to_le_bytes());
        for (start, count) in ranges {
            self.0.update(start.to_le_bytes());
            self.0.update(count.to_le_bytes());
        }
    }

    /// Returns the digest of everything that was added so far.
    pub(crate) fn digest(&self) -> Digest {
        Digest::from_bytes(self.0.clone().finalize().into())
    }
}
