//! Reads damaged file systems: each is read or rejected. The input lists which bytes of a valid
//! file system to change, each as an offset in the first 8 MiB and a new value.
#![no_main]

use std::io::Read;
use std::sync::{Arc, OnceLock};

use disk_image::ext4::Reader;
use disk_image::{FsOptions, LayerDigests, LayerSource, Limits, Merge, Monitor};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    static SOUND: OnceLock<Vec<u8>> = OnceLock::new();
    let mut disk = SOUND.get_or_init(sound).clone();
    // Disable metadata checksums, so that damage gets past the checksum verification.
    disk[1024 + 0x65] &= !4;
    for change in data.chunks_exact(4) {
        let at = u32::from_le_bytes([change[0], change[1], change[2], 0]) as usize % disk.len();
        disk[at] = change[3];
    }
    let Ok(reader) = Reader::open(disk) else {
        return;
    };
    let Ok(root) = reader.root() else { return };
    _ = reader.walk(&root, &Monitor::new(), |visited| {
        _ = reader.xattrs(visited.inode);
        _ = reader.read_link(visited.inode);
        if let Ok(mut file) = reader.file(visited.inode) {
            let mut buf = [0; 4096];
            let mut reads = 0;
            while let Ok(Some(_)) = file.seek_data()
                && reads < 1000
                && file.read(&mut buf).is_ok()
            {
                reads += 1;
            }
        }
        Ok(true)
    });
});

/// Returns a valid 8 MiB file system with a small tree, including a fragmented file.
fn sound() -> Vec<u8> {
    let mut merge = Merge::new(Limits::default());
    let layer: Arc<dyn LayerSource> = Arc::new(Arc::<[u8]>::from(layer()));
    merge
        .layer(layer, LayerDigests::none(), &Monitor::new())
        .expect("the layer is sound");
    let options = FsOptions::new(8 << 20, uuid::Uuid::from_u128(1));
    let plan = merge.plan(&options).expect("the content fits");
    plan.write_raw(Vec::new(), &Monitor::new())
        .expect("writing to memory cannot fail")
}

fn layer() -> Vec<u8> {
    let mut tar = Vec::new();
    let fragments: Vec<u8> = (0..6)
        .flat_map(|n| [vec![n + 1; 4096], vec![0; 17 * 4096]].concat())
        .collect();
    for (name, kind, data) in [
        ("d", b'5', &[][..]),
        ("d/a", b'0', b"content"),
        ("f", b'0', &fragments),
        ("l", b'2', b""),
    ] {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(b"0000755\0");
        for field in [108..116, 116..124] {
            header[field].copy_from_slice(b"0000000\0");
        }
        header[124..136].copy_from_slice(format!("{:011o}\0", data.len()).as_bytes());
        header[136..148].copy_from_slice(b"00000000000\0");
        header[156] = kind;
        header[157..257].fill(b's');
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        tar.extend_from_slice(&header);
        tar.extend_from_slice(data);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}
