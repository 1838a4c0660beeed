//! Merges two arbitrary layers: they are rejected, or the merged tree produces a readable disk. The
//! outcome is the same if the layers can seek, so that only parts of them are read to plan the disk.
#![no_main]

use std::io::{Cursor, Read};
use std::sync::Arc;

use disk_image::ext4::Reader;
use disk_image::{Digest, FsOptions, LayerDigests, LayerSource, Limits, Merge, Monitor, ReadSeek};
use libfuzzer_sys::fuzz_target;

/// A layer in memory that can seek.
struct Seekable(Arc<[u8]>);

impl LayerSource for Seekable {
    fn open(&self) -> std::io::Result<Box<dyn Read + Send>> {
        self.0.open()
    }

    fn open_seekable(&self) -> std::io::Result<Option<Box<dyn ReadSeek>>> {
        Ok(Some(Box::new(Cursor::new(Arc::clone(&self.0)))))
    }
}

/// Returns the disk; `None` if a layer is rejected, or the disk is too small.
fn disk(layers: &[Arc<[u8]>], can_seek: bool) -> Option<Vec<u8>> {
    let monitor = Monitor::new();
    let mut merge = Merge::new(Limits::default().unpacked(2 << 20).entries(10_000));
    for layer in layers {
        let digests = LayerDigests::none().blob(Digest::of(layer));
        let source: Arc<dyn LayerSource> = match can_seek {
            true => Arc::new(Seekable(Arc::clone(layer))),
            false => Arc::new(Arc::clone(layer)),
        };
        merge.layer(source, digests, &monitor).ok()?;
    }
    let options = FsOptions::new(6 << 20, uuid::Uuid::from_u128(1)).journal(false);
    let plan = merge.plan(&options, &monitor).ok()?;
    let disk = plan.write_raw(Vec::new(), &monitor);
    Some(disk.expect("what was planned can be written"))
}

fuzz_target!(|data: &[u8]| {
    let monitor = Monitor::new();
    let (lower, upper) = data.split_at(data.len() / 2 / 512 * 512);
    let layers = [lower, upper].map(|layer| Arc::<[u8]>::from(repaired(layer)));
    let found = disk(&layers, false);
    assert!(found == disk(&layers, true), "seeking makes a difference");
    let Some(disk) = found else { return };
    let reader = Reader::open(disk).expect("what was written can be read");
    let root = reader.root().expect("there is a root");
    // Holes are read as zeros and may be terabytes long, so the read is limited.
    reader
        .write_tar(
            &root,
            std::io::sink(),
            |visited| visited.inode.size() < 1 << 26,
            &monitor,
        )
        .expect("everything can be read");
});

/// Fixes the checksum of every block that may be a header, so that the fuzzer gets past the
/// checksum verification.
fn repaired(layer: &[u8]) -> Vec<u8> {
    let mut layer = layer.to_vec();
    for block in layer.chunks_exact_mut(512) {
        if block[0] != 0 {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    layer
}
