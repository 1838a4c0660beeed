//! The disks of a container, for tests.
#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk_image::vmdk::{ChildForm, CreateType, Disk, FlatDisk, SparseDisk};
use disk_image::{FsOptions, LayerDigests, Limits, Merge, Monitor};
use uuid::Uuid;

/// The capacity of the disks, in bytes.
pub(super) const SIZE: u64 = 64 << 20;

/// Creates the disk of an image with this tar layer, and an empty child of it, in a directory. Returns
/// the child and its parent.
pub(super) fn disks(folder: &Path, layer: Vec<u8>) -> Vec<PathBuf> {
    let layer: Arc<[u8]> = layer.into();
    let monitor = Monitor::new();
    let mut merge = Merge::new(Limits::default());
    merge
        .layer(Arc::new(layer), LayerDigests::none(), &monitor)
        .unwrap();
    let options = FsOptions::new(SIZE, Uuid::from_u128(7)).label("container");
    let parent = folder.join("image.vmdk");
    let mut disk = FlatDisk::create(&parent, CreateType::Vmfs, SIZE, 1).unwrap();
    merge
        .plan(&options, &monitor)
        .unwrap()
        .write(&mut disk, &monitor)
        .unwrap();
    let child = folder.join("child.vmdk");
    let open = Disk::open(&parent).unwrap();
    SparseDisk::create_child(&child, open, "image.vmdk", 2, ChildForm::Delta).unwrap();
    vec![child, parent]
}
