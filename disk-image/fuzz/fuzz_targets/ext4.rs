//! Reads damaged file systems: each is read or rejected. The input lists which words of a valid
//! file system to change: of each five bytes, three choose a place in the blocks that are not
//! empty, and two are the new value.
#![no_main]

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, OnceLock};

use disk_image::ext4::Reader;
use disk_image::{BlockRead, Error, FsOptions, LayerDigests, LayerSource, Limits, Merge, Monitor};
use libfuzzer_sys::fuzz_target;

const BLOCK: usize = 4096;

/// A valid file system, and the numbers of its blocks that are not empty.
struct Sound {
    disk: Vec<u8>,
    blocks: Vec<usize>,
}

/// A file system with changed bytes.
struct Damaged {
    sound: &'static Sound,
    changes: BTreeMap<usize, u8>,
}

impl BlockRead for Damaged {
    fn size(&self) -> u64 {
        self.sound.disk.len() as u64
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> Result<(), Error> {
        self.sound.disk.read_exact_at(buf, offset)?;
        let start = offset as usize;
        for (at, byte) in self.changes.range(start..start + buf.len()) {
            buf[at - start] = *byte;
        }
        Ok(())
    }
}

fuzz_target!(|data: &[u8]| {
    static SOUND: OnceLock<Sound> = OnceLock::new();
    let sound = SOUND.get_or_init(sound);
    let mut changes = BTreeMap::new();
    // Disable metadata checksums, so that damage gets past the checksum verification.
    let features = 1024 + 0x65;
    changes.insert(features, sound.disk[features] & !4);
    for change in data.chunks_exact(5) {
        let block = sound.blocks[change[0] as usize % sound.blocks.len()];
        let within = usize::from(u16::from_le_bytes([change[1], change[2]])) % (BLOCK - 1);
        changes.insert(block * BLOCK + within, change[3]);
        changes.insert(block * BLOCK + within + 1, change[4]);
    }
    let disk = Damaged { sound, changes };
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
    // Holes may be terabytes long.
    _ = reader.write_tar(
        &root,
        std::io::sink(),
        |visited| visited.inode.size() < 1 << 20,
        &Monitor::new(),
    );
});

/// Returns a valid 8 MiB file system with a small tree, including a fragmented file.
fn sound() -> Sound {
    let mut merge = Merge::new(Limits::default());
    let layer: Arc<dyn LayerSource> = Arc::new(Arc::<[u8]>::from(layer()));
    merge
        .layer(layer, LayerDigests::none(), &Monitor::new())
        .expect("the layer is sound");
    let options = FsOptions::new(8 << 20, uuid::Uuid::from_u128(1));
    let plan = merge
        .plan(&options, &Monitor::new())
        .expect("the content fits");
    let disk = plan
        .write_raw(Vec::new(), &Monitor::new())
        .expect("writing to memory cannot fail");
    let is_used = |block: &usize| disk[block * BLOCK..][..BLOCK].iter().any(|&byte| byte != 0);
    let blocks = (0..disk.len() / BLOCK).filter(is_used).collect();
    Sound { disk, blocks }
}

/// Returns the record of an extended attribute of `length` bytes, below 1000 bytes in all.
fn record(name: &str, length: usize) -> Vec<u8> {
    let rest = format!(" SCHILY.xattr.{name}={}\n", "v".repeat(length));
    let digits = if rest.len() + 2 < 100 { 2 } else { 3 };
    format!("{}{rest}", rest.len() + digits).into_bytes()
}

fn layer() -> Vec<u8> {
    let mut tar = Vec::new();
    let fragments: Vec<u8> = (0..6)
        .flat_map(|n| [vec![n + 1; 4096], vec![0; 17 * 4096]].concat())
        .collect();
    let attributes = [record("user.a", 20), record("user.b", 300)].concat();
    for (name, kind, data) in [
        ("d", b'5', &[][..]),
        ("attributes", b'x', &attributes),
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
