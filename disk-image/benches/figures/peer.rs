//! The other way to make the same disk: `mke2fs -d` and `qemu-img convert`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::DISK;

pub(crate) struct Peer {
    tree: PathBuf,
    image: PathBuf,
    disk: PathBuf,
}

impl Peer {
    /// Unpacks the layer, which is not measured. Returns `None` if a program is not installed.
    pub(crate) fn new(folder: &Path, layer: &Path) -> Option<Self> {
        for program in ["mke2fs", "qemu-img"] {
            Command::new(program).arg("--version").output().ok()?;
        }
        let peer = Self {
            tree: folder.join("tree"),
            image: folder.join("peer.img"),
            disk: folder.join("peer.vmdk"),
        };
        std::fs::create_dir_all(&peer.tree).unwrap();
        run(Command::new("tar")
            .arg("-xf")
            .arg(layer)
            .arg("-C")
            .arg(&peer.tree));
        Some(peer)
    }

    /// Makes the disk; returns the seconds of both programs.
    pub(crate) fn run(&self) -> (f64, f64) {
        // Freeing the files of the last run is no work of this one.
        for last in [&self.image, &self.disk] {
            _ = std::fs::remove_file(last);
        }
        let mut make = Command::new("mke2fs");
        make.args(["-q", "-F", "-t", "ext4", "-d"])
            .args([&self.tree, &self.image])
            .arg(format!("{}M", DISK >> 20));
        let mut convert = Command::new("qemu-img");
        convert
            .args([
                "convert",
                "-f",
                "raw",
                "-O",
                "vmdk",
                "-o",
                "subformat=streamOptimized",
            ])
            .args([&self.image, &self.disk]);
        (run(&mut make), run(&mut convert))
    }

    /// Returns the length of the disk in bytes.
    pub(crate) fn size(&self) -> u64 {
        std::fs::metadata(&self.disk).unwrap().len()
    }
}

/// Runs a program, and returns how many seconds it took.
fn run(command: &mut Command) -> f64 {
    let start = Instant::now();
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    start.elapsed().as_secs_f64()
}
