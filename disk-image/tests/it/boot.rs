//! Creates disks for a kernel under QEMU, and checks what the kernel wrote to them. The
//! interoperability suite (`cargo xtask interop disks`) boots the kernel between the two tests.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;

use disk_image::ext4::{ChangeKind, Changes, FileKind, Inode, Reader};
use disk_image::vmdk::{ChildForm, Disk, SparseDisk};
use disk_image::{Digest, Monitor, RawDisk, RawFile, StreamOptions, copy};

use crate::peers::{layers, run};
use crate::support::{merge, options};

const SIZE: u64 = 1 << 30;
/// The disks that the kernel writes to.
const DISKS: [&str; 2] = ["sparse.vmdk", "child.vmdk"];

fn folder() -> PathBuf {
    std::env::var_os("DISKS")
        .expect("the suite sets the directory of the disks")
        .into()
}

#[test]
#[ignore = "needs QEMU and a kernel: in the interoperability suite"]
fn disks_for_a_kernel_are_written() {
    let folder = folder();
    let monitor = Monitor::new();
    let plan = merge(layers())
        .plan(&options(SIZE), &Monitor::new())
        .unwrap();
    let stream = folder.join("stream.vmdk");
    plan.write_stream_optimized(
        File::create(&stream).unwrap(),
        &StreamOptions::new(),
        &monitor,
    )
    .unwrap();
    let digest = Digest::of(&fs::read(&stream).unwrap()).to_string();
    fs::write(folder.join("stream.sum"), &digest["sha256:".len()..]).unwrap();
    let mut sparse = SparseDisk::create(folder.join(DISKS[0]), SIZE, 5).unwrap();
    plan.write(&mut sparse, &monitor).unwrap();
    let parent = Disk::open(&stream).unwrap();
    let child = folder.join(DISKS[1]);
    SparseDisk::create_child(child, parent, "stream.vmdk", 9, ChildForm::Monolithic).unwrap();
    let reader = Reader::open(Disk::open(&stream).unwrap()).unwrap();
    fs::write(folder.join("sums"), sums(&reader)).unwrap();
}

/// Returns the digests of all files outside of `big`, in the format of `sha256sum`.
fn sums(reader: &Reader<Disk>) -> String {
    let mut lines = BTreeMap::new();
    reader
        .walk(&reader.root().unwrap(), &Monitor::new(), |visited| {
            let path = String::from_utf8(visited.path.to_vec()).unwrap();
            if visited.inode.kind() == FileKind::File && !path.ends_with("SUMS") {
                let content = content(reader, visited.inode);
                let digest = Digest::of(&content).to_string();
                lines.insert(format!("./{path}"), digest["sha256:".len()..].to_owned());
            }
            Ok(path != "big")
        })
        .unwrap();
    let lines = lines
        .iter()
        .map(|(path, digest)| format!("{digest}  {path}\n"));
    lines.collect()
}

fn content(reader: &Reader<Disk>, inode: &Inode) -> Vec<u8> {
    let mut content = Vec::new();
    std::io::Read::read_to_end(&mut reader.file(inode).unwrap(), &mut content).unwrap();
    content
}

#[test]
#[ignore = "needs QEMU and a kernel: in the interoperability suite"]
fn disks_of_a_kernel_are_sound() {
    let folder = folder();
    let monitor = Monitor::new();
    let before = Reader::open(Disk::open(folder.join("stream.vmdk")).unwrap()).unwrap();
    for name in DISKS {
        let disk = Disk::open(folder.join(name)).unwrap();
        let raw = folder.join("raw");
        let file = File::create(&raw).unwrap();
        let mut sink = RawFile::new(&file);
        copy(&disk, &mut sink, &monitor).unwrap();
        sink.finish(SIZE).unwrap();
        run("e2fsck", &["-f", "-n", raw.to_str().unwrap()]);

        let after = Reader::open(disk).unwrap();
        let file = |path: &str| after.lookup(path.as_bytes()).unwrap();
        let theirs = String::from_utf8(content(&after, &file("SUMS"))).unwrap();
        assert_eq!(sums(&after), theirs, "{name}");
        assert_eq!(after.read_dir(&file("kernel")).unwrap().len(), 1008);
        // Of the 20,000 files, the kernel removed 100, and it added 1,000.
        assert_eq!(after.read_dir(&file("big")).unwrap().len(), 20_900);
        let data = file("kernel/data");
        assert_eq!((data.uid(), data.gid()), (70_000, 70_001));
        assert_eq!((data.permissions(), data.links()), (0o4711, 2));
        assert_eq!(file("kernel/link").number(), data.number());
        assert_eq!(file("kernel/hole").size(), (16 << 20) + 4);
        assert_eq!(content(&after, &file("kernel/unwritten")), vec![0; 1 << 20]);
        assert_eq!(file("kernel/null").kind(), FileKind::Char(1, 3));
        assert_eq!(file("kernel/fifo").kind(), FileKind::Fifo);
        assert_eq!(after.read_link(&file("kernel/symlink")).unwrap(), b"data");
        assert_eq!(
            file("kernel/file-1").modified().seconds,
            -315_619_200,
            "1960"
        );
        assert_eq!(
            file("kernel/file-2").modified().seconds,
            2_177_452_800,
            "2039"
        );

        let changes = Changes::between(&before, &after, &monitor).unwrap();
        let kind = |path: &str| {
            let found = changes
                .list()
                .iter()
                .find(|change| *change.path == *path.as_bytes());
            found.map(|change| change.kind)
        };
        assert_eq!(kind("kernel"), Some(ChangeKind::Added));
        assert_eq!(kind("d/file"), Some(ChangeKind::Modified));
        assert_eq!(kind("d/fragments"), Some(ChangeKind::Modified));
        assert_eq!(kind("opaque"), Some(ChangeKind::Deleted));
        assert_eq!(kind("third"), Some(ChangeKind::Deleted));
        assert_eq!(kind("attributes"), None);
        // The changes, merged as a layer over the old layers, produce the same files.
        let layer = changes
            .write_layer(&after, Vec::new(), |_| true, &monitor)
            .unwrap();
        let again = merge(layers().into_iter().chain([layer]));
        let again = again.plan(&options(SIZE), &Monitor::new()).unwrap();
        let path = folder.join("again");
        again
            .write_file(&File::create(&path).unwrap(), &monitor)
            .unwrap();
        let again = Reader::open(RawDisk::open(&path).unwrap()).unwrap();
        let changes = Changes::between(&after, &again, &monitor).unwrap();
        assert_eq!(changes.list(), []);
    }
}
