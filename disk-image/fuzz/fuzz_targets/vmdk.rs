//! Reads arbitrary bytes as a stream and as a disk file: both are read or rejected.
#![no_main]

use disk_image::vmdk::{Disk, StreamReader};
use disk_image::{BlockRead, Error, Monitor, Sink};
use libfuzzer_sys::fuzz_target;

struct Nowhere;

impl Sink for Nowhere {
    fn put(&mut self, _: u64, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }
}

fuzz_target!(|data: &[u8]| {
    if let Ok(reader) = StreamReader::new(data) {
        // Threads would cost more time than everything else.
        _ = reader.threads(0).copy_to(&mut Nowhere, &Monitor::new());
    }
    let folder = std::env::temp_dir().join(format!("disk-image-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a directory for the disk");
    let path = folder.join("disk.vmdk");
    std::fs::write(&path, data).expect("a file for the disk");
    if let Ok(disk) = Disk::open_within(&path, &folder) {
        let mut buf = [0; 4096];
        for offset in [
            0,
            4096,
            65_536,
            33 << 20,
            disk.capacity().saturating_sub(4096),
        ] {
            _ = disk.read_exact_at(&mut buf, offset);
        }
        if disk.capacity() < 1 << 30 {
            _ = disk_image::copy(&disk, &mut Nowhere, &Monitor::new());
        }
    }
});
