//! Finds disks by the label of their file system.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::error::SysError;

/// How long a disk may take to appear after its driver was loaded.
const PATIENCE: Duration = Duration::from_secs(10);
/// The polling interval.
const PAUSE: Duration = Duration::from_millis(10);
/// The offset of the superblock in an ext4 file system; below, those of its fields.
const SUPERBLOCK: u64 = 1024;
const MAGIC: (usize, [u8; 2]) = (0x38, [0x53, 0xef]);
const LABEL: std::ops::Range<usize> = 0x78..0x88;

/// Waits for the ext4 file system with this label, and returns its device.
pub(crate) fn by_label(label: &str) -> Result<PathBuf, SysError> {
    let begun = Instant::now();
    loop {
        if let Some(device) = look(label) {
            return Ok(device);
        }
        if begun.elapsed() > PATIENCE {
            let found = devices()
                .iter()
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>();
            let found = if found.is_empty() {
                "none".to_owned()
            } else {
                found.join(", ")
            };
            let text = format!("disks after {} s: {found}", PATIENCE.as_secs());
            let action = format!("find a disk with the label {label:?}");
            return Err(SysError::new(
                action,
                io::Error::new(io::ErrorKind::NotFound, text),
            ));
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "the first process of a machine has one thread and nothing else to do"
        )]
        sleep(PAUSE);
    }
}

fn look(label: &str) -> Option<PathBuf> {
    devices().into_iter().find(|device| {
        label_of(device).is_ok_and(|found| found.as_deref() == Some(label.as_bytes()))
    })
}

/// Returns all block devices, in the order of their names.
fn devices() -> Vec<PathBuf> {
    let entries = fs::read_dir("/sys/class/block")
        .into_iter()
        .flatten()
        .flatten();
    let mut devices: Vec<_> = entries
        .map(|entry| Path::new("/dev").join(entry.file_name()))
        .collect();
    devices.sort();
    devices
}

fn label_of(device: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = File::open(device)?;
    file.seek(SeekFrom::Start(SUPERBLOCK))?;
    let mut superblock = [0; 1024];
    file.read_exact(&mut superblock)?;
    Ok(label_in(&superblock))
}

fn label_in(superblock: &[u8]) -> Option<Vec<u8>> {
    let (at, magic) = MAGIC;
    if superblock.get(at..at + 2)? != magic {
        return None;
    }
    let label = superblock.get(LABEL)?;
    let length = label
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(label.len());
    Some(label[..length].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_read_from_a_superblock_only() {
        let mut superblock = vec![0; 1024];
        superblock[0x78..0x83].copy_from_slice(b"containerfs");
        assert_eq!(label_in(&superblock), None);
        superblock[0x38..0x3a].copy_from_slice(&[0x53, 0xef]);
        assert_eq!(label_in(&superblock).as_deref(), Some(&b"containerfs"[..]));
        superblock[0x78..0x88].copy_from_slice(b"sixteen bytes ok");
        assert_eq!(
            label_in(&superblock).as_deref(),
            Some(&b"sixteen bytes ok"[..])
        );
        assert_eq!(label_in(&superblock[..100]), None);
    }
}
