//! Writes an initramfs, the initial file system of a Linux kernel: a cpio archive in the
//! format `newc`.

use std::path::Path;

use anyhow::{Context, Result};

/// Builds an archive in memory. A directory has to be added before its entries.
#[derive(Debug)]
pub(super) struct Initramfs {
    bytes: Vec<u8>,
    entries: u32,
}

impl Initramfs {
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            entries: 0,
        }
    }

    pub(super) fn directory(&mut self, path: &str) {
        self.entry(path, 0o040_755, b"");
    }

    pub(super) fn file(&mut self, path: &str, permissions: u32, content: &[u8]) {
        self.entry(path, 0o100_000 | permissions, content);
    }

    /// Writes the archive, which the kernel accepts without compression.
    ///
    /// # Errors
    /// Fails when the file cannot be written.
    pub(super) fn write(mut self, path: &Path) -> Result<()> {
        self.entry("TRAILER!!!", 0, b"");
        std::fs::write(path, self.bytes).with_context(|| format!("write {}", path.display()))
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let fields = [
            self.entries,
            mode,
            0, // owner
            0, // group
            1, // links
            0, // time
            content.len() as u32,
            0, // device
            0,
            0, // device of a device node
            0,
            path.len() as u32 + 1,
            0, // checksum
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_contents_start_at_multiples_of_four() {
        let mut initramfs = Initramfs::new();
        initramfs.directory("bin");
        initramfs.file("bin/ab", 0o755, b"12345");
        let text = String::from_utf8_lossy(&initramfs.bytes).into_owned();
        let starts: Vec<usize> = text.match_indices("070701").map(|(at, _)| at).collect();
        assert_eq!(starts, [0, 116]);
        assert_eq!(&text[116 + 110..116 + 117], "bin/ab\0");
        assert_eq!(&text[116 + 54..116 + 62], "00000005");
        assert_eq!(&text[236..241], "12345");
    }
}
