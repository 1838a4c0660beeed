//! Prints the SHA-256 digest of the content of each disk, as vmdk-core reads it, with its
//! parents.

use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in std::env::args().skip(1) {
        let mut disk = vmdk::VmdkChainReader::open(Path::new(&path))
            .map_err(|error| format!("{path}: {error}"))?;
        let size = disk.virtual_disk_size();
        let mut digest = Sha256::new();
        let mut buf = vec![0; 1 << 20];
        loop {
            match disk.read(&mut buf).map_err(|error| format!("{path}: {error}"))? {
                0 => break,
                n => digest.update(&buf[..n]),
            }
        }
        let digest = digest.finalize();
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        println!("{digest} {size} {path}");
    }
    Ok(())
}
