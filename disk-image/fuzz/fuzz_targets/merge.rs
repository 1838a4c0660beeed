//! Merges two arbitrary layers: they are rejected, or the merged tree produces a readable disk.
#![no_main]

use std::sync::Arc;

use disk_image::ext4::Reader;
use disk_image::{FsOptions, LayerDigests, LayerSource, Limits, Merge, Monitor};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let monitor = Monitor::new();
    let mut merge = Merge::new(Limits::default().unpacked(2 << 20).entries(10_000));
    let (lower, upper) = data.split_at(data.len() / 2 / 512 * 512);
    for layer in [lower, upper] {
        let source: Arc<dyn LayerSource> = Arc::new(Arc::<[u8]>::from(repaired(layer)));
        if merge.layer(source, LayerDigests::none(), &monitor).is_err() {
            return;
        }
    }
    let Ok(plan) = merge.plan(&FsOptions::new(6 << 20, uuid::Uuid::from_u128(1)).journal(false)) else {
        return;
    };
    let disk = plan
        .write_raw(Vec::new(), &monitor)
        .expect("what was planned can be written");
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
