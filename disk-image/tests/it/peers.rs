//! Other programs check our disks. These tests run in the interoperability suite (`cargo xtask
//! interop`), which installs the programs if possible and lists by name what it could not run.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use disk_image::ext4::Reader;
use disk_image::vmdk::{ChildForm, CreateType, Disk, FlatDisk, SparseDisk};
use disk_image::{CompressionLevel, Monitor, Plan, RawDisk, StreamOptions, UnpackOptions, copy};
use tar::EntryType;
use tempfile::tempdir;

use crate::support::{Tar, merge, options};

/// Runs a program and returns its output.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (printed, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{printed}{errors}",
        output.status
    );
    printed
}

/// Returns layers with a file of every type, a large directory, fragmented files, and whiteouts.
pub(crate) fn layers() -> [Vec<u8>; 2] {
    let fragments: Vec<u8> = (0..1500u32)
        .flat_map(|n| [vec![n as u8 | 1; 4096], vec![0; 16 * 4096]].concat())
        .collect();
    let mut lower = Tar::new()
        .add("d", EntryType::Directory, "", b"", |header| {
            header.set_mode(0o1777);
        })
        .file("d/file", b"content")
        .file("d/fragments", &fragments)
        .hard_link("d/second", "d/file")
        .symlink("short", "d/file")
        .symlink("59", &"s".repeat(59))
        .symlink("60", &"s".repeat(60))
        .pax(&[("linkpath", &b"long/".repeat(300))])
        .symlink("long", "x")
        .add("fifo", EntryType::Fifo, "", b"", |_| {})
        .add("null", EntryType::Char, "", b"", |header| {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        })
        .add("disk", EntryType::Block, "", b"", |header| {
            header.set_device_major(259).unwrap();
            header.set_device_minor(70_000).unwrap();
        })
        .pax(&[
            (
                "SCHILY.xattr.security.capability",
                b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            ),
            ("SCHILY.xattr.user.big", &[b'v'; 3000]),
            ("mtime", b"-1000000000.25"),
        ])
        .file("attributes", b"x")
        .pax(&[("uid", b"3000000000"), ("mtime", b"2177452800.5")])
        .add("suid", EntryType::Regular, "", b"x", |header| {
            header.set_mode(0o4755);
        })
        .file("gone/a", b"")
        .file("opaque/a", b"");
    for index in 0..20_000 {
        lower = lower.file(&format!("big/{index:05}-{}", "n".repeat(index % 50)), b"");
    }
    let upper = Tar::new()
        .dir("d")
        .file(".wh.gone", b"")
        .file("opaque/b", b"2");
    let upper = upper
        .dir("opaque")
        .file("opaque/.wh..wh..opq", b"")
        .hard_link("third", "d/file");
    [lower.done(), upper.done()]
}

/// Returns a plan with more than two block groups, so that there is a copy of the superblock.
fn plan() -> Plan {
    merge(layers())
        .plan(&options(1 << 30), &Monitor::new())
        .unwrap()
}

fn raw(plan: &Plan, path: &Path) {
    plan.write_file(&File::create(path).unwrap(), &Monitor::new())
        .unwrap();
}

#[test]
#[ignore = "needs e2fsprogs: in the interoperability suite"]
fn e2fsck_finds_nothing_to_mend() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("image");
    let text = path.to_str().unwrap();
    let merged = merge(layers());
    let smallest = merged
        .plan(&options(1 << 30), &Monitor::new())
        .unwrap()
        .min_size();
    let small = merge([Tar::new().file("a", b"x").done()]);
    let plans = [
        plan(),
        merged.plan(&options(smallest), &Monitor::new()).unwrap(),
        merged.plan(&options(40 << 30), &Monitor::new()).unwrap(),
        merged
            .plan(
                &options(1 << 30).journal(false).inodes(1_000_000),
                &Monitor::new(),
            )
            .unwrap(),
        small
            .plan(
                &options(
                    small
                        .plan(&options(64 << 20), &Monitor::new())
                        .unwrap()
                        .min_size(),
                ),
                &Monitor::new(),
            )
            .unwrap(),
        small.plan(&options(3 << 40), &Monitor::new()).unwrap(),
    ];
    for plan in plans {
        raw(&plan, &path);
        run("e2fsck", &["-f", "-n", text]);
    }
    for size in [9u64, 127, 128, 129, 256, 300, 1152] {
        raw(
            &small.plan(&options(size << 20), &Monitor::new()).unwrap(),
            &path,
        );
        run("e2fsck", &["-f", "-n", text]);
    }
}

#[test]
#[ignore = "needs e2fsprogs: in the interoperability suite"]
fn debugfs_sees_what_was_written() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("image");
    raw(&plan(), &path);
    let ask = |request: &str| run("debugfs", &["-R", request, path.to_str().unwrap()]);
    assert_eq!(ask("cat /d/file"), "content");
    assert!(ask("stat /d/second").contains("Links: 3"));
    assert!(
        ask("stat /suid").contains("User: 3000000000") || ask("stat /suid").contains("-1294967296")
    );
    assert!(ask("stat /disk").contains("259:70000"));
    assert!(ask("ea_get /attributes user.big").contains("vvvv"));
    assert!(ask("stats").contains("Filesystem volume name:   test"));
    assert!(ask("htree_dump /big").contains("Indirect levels: 0"));
}

#[test]
#[ignore = "needs e2fsprogs: in the interoperability suite"]
fn file_systems_of_mke2fs_are_read() {
    let folder = tempdir().unwrap();
    let tree = folder.path().join("tree");
    let fragments: Vec<u8> = (0..400u32)
        .flat_map(|n| [vec![n as u8 | 1; 4096], vec![0; 16 * 4096]].concat())
        .collect();
    let mut layer = Tar::new()
        .file("d/file", b"content")
        .file("fragments", &fragments)
        .hard_link("second", "d/file")
        .symlink("short", "d/file")
        .symlink("long", &"s".repeat(90))
        .pax(&[("mtime", b"-315619200")])
        .file("1960", b"");
    // No later than 2038, because mke2fs truncates times to 32 bits.
    for index in 0..1000 {
        layer = layer.file(&format!("big/{index:05}-{}", "n".repeat(index % 50)), b"x");
    }
    merge([layer.done()])
        .unpack(&tree, &UnpackOptions::new().owners(false), &Monitor::new())
        .unwrap();
    let image = folder.path().join("image");
    for (index, features) in [
        &["-t", "ext4"][..],
        &["-t", "ext2"],
        &["-t", "ext3"],
        &["-t", "ext4", "-b", "1024"],
        &["-t", "ext4", "-O", "inline_data"],
        &["-t", "ext4", "-O", "meta_bg,^resize_inode,^64bit"],
        &["-t", "ext4", "-O", "metadata_csum_seed,large_dir"],
        &["-t", "ext4", "-O", "^flex_bg,^metadata_csum,uninit_bg"],
    ]
    .iter()
    .enumerate()
    {
        _ = fs::remove_file(&image);
        let fixed = ["-q", "-F", "-I", "256", "-d", tree.to_str().unwrap()];
        let place = [image.to_str().unwrap(), "64M"];
        run("mke2fs", &[&fixed, *features, &place[..]].concat());
        let again = folder.path().join(index.to_string());
        let reader = Reader::open(RawDisk::open(&image).unwrap()).unwrap();
        reader
            .unpack(&again, &UnpackOptions::new().owners(false), &Monitor::new())
            .unwrap();
        let mut different = difference(&manifest(&tree), &manifest(&again));
        // mke2fs sets the root's time itself.
        different.remove("");
        if features.contains(&"inline_data") {
            // mke2fs 1.47.0 truncates sparse files at their last hole; debugfs reads our files
            // correctly.
            different.remove("fragments");
        }
        assert!(different.is_empty(), "{features:?}: {different:#?}");
    }
}

#[test]
#[ignore = "needs qemu-img: in the interoperability suite"]
fn qemu_reads_every_form_as_we_wrote_it() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let monitor = Monitor::new();
    let plan = plan();
    let image = folder.join("image");
    raw(&plan, &image);
    let stream = File::create(folder.join("stream.vmdk")).unwrap();
    plan.write_stream_optimized(stream, &StreamOptions::new(), &monitor)
        .unwrap();
    let mut sparse = SparseDisk::create(folder.join("sparse.vmdk"), 1 << 30, 5).unwrap();
    plan.write(&mut sparse, &monitor).unwrap();
    for (name, kind) in [
        ("flat.vmdk", CreateType::MonolithicFlat),
        ("vmfs.vmdk", CreateType::Vmfs),
    ] {
        plan.write(
            &mut FlatDisk::create(folder.join(name), kind, 1 << 30, 6).unwrap(),
            &monitor,
        )
        .unwrap();
    }
    for name in ["stream.vmdk", "sparse.vmdk", "flat.vmdk", "vmfs.vmdk"] {
        let path = folder.join(name);
        run("qemu-img", &["check", path.to_str().unwrap()]);
        run(
            "qemu-img",
            &[
                "compare",
                "-f",
                "raw",
                image.to_str().unwrap(),
                path.to_str().unwrap(),
            ],
        );
        // Creates a child of each disk, with another image.
        let other = merge([Tar::new().file("other", b"x").done()])
            .plan(&options(1 << 30), &Monitor::new())
            .unwrap();
        let other_image = folder.join("other");
        raw(&other, &other_image);
        for (form, child) in [
            (ChildForm::Monolithic, "child.vmdk"),
            (ChildForm::Delta, "delta.vmdk"),
        ] {
            let child = folder.join(format!("{name}-{child}"));
            let parent = Disk::open(&path).unwrap();
            let mut disk = SparseDisk::create_child(&child, parent, name, 9, form).unwrap();
            run(
                "qemu-img",
                &[
                    "compare",
                    "-f",
                    "raw",
                    image.to_str().unwrap(),
                    child.to_str().unwrap(),
                ],
            );
            let mut replacement = disk.replace();
            other.write(&mut replacement, &monitor).unwrap();
            replacement.finish().unwrap();
            let (other, child) = (other_image.to_str().unwrap(), child.to_str().unwrap());
            run("qemu-img", &["compare", "-f", "raw", other, child]);
        }
    }
}

#[test]
#[ignore = "needs qemu-img: in the interoperability suite"]
fn disks_of_qemu_are_read_as_it_wrote_them() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let image = folder.join("image");
    raw(&plan(), &image);
    for form in [
        "monolithicSparse",
        "monolithicFlat",
        "twoGbMaxExtentSparse",
        "twoGbMaxExtentFlat",
        "streamOptimized",
    ] {
        let path = folder.join(format!("{form}.vmdk"));
        let option = format!("subformat={form}");
        let (from, to) = (image.to_str().unwrap(), path.to_str().unwrap());
        run(
            "qemu-img",
            &[
                "convert", "-f", "raw", "-O", "vmdk", "-o", &option, from, to,
            ],
        );
        let again = folder.join("again");
        let file = File::create(&again).unwrap();
        let mut sink = disk_image::RawFile::new(&file);
        copy(&Disk::open(&path).unwrap(), &mut sink, &Monitor::new()).unwrap();
        sink.finish(1 << 30).unwrap();
        let again = again.to_str().unwrap();
        run(
            "qemu-img",
            &["compare", "-f", "raw", "-F", "raw", from, again],
        );
    }
}

/// The suite compares the digests with those that vmdk-core finds.
#[test]
#[ignore = "needs vmdk-core: in the interoperability suite"]
fn disks_for_vmdk_core_are_written() {
    const SIZE: u64 = 64 << 20;
    let folder = std::env::var_os("DISKS").expect("the suite says where the disks are");
    let folder = Path::new(&folder);
    let monitor = Monitor::new();
    let fragments: Vec<u8> = (0..200u32)
        .flat_map(|n| [vec![n as u8 | 1; 4096], vec![0; 16 * 4096]].concat())
        .collect();
    let plan = merge([Tar::new().file("fragments", &fragments).done()])
        .plan(&options(SIZE), &Monitor::new())
        .unwrap();
    for (name, threads) in [("stream.vmdk", 2), ("small-stream.vmdk", 0)] {
        let level = match threads {
            0 => CompressionLevel::Small,
            _ => CompressionLevel::Fast,
        };
        let options = StreamOptions::new().level(level).threads(threads);
        let file = File::create(folder.join(name)).unwrap();
        plan.write_stream_optimized(file, &options, &monitor)
            .unwrap();
    }
    let mut sparse = SparseDisk::create(folder.join("sparse.vmdk"), SIZE, 5).unwrap();
    plan.write(&mut sparse, &monitor).unwrap();
    for (name, kind) in [
        ("flat.vmdk", CreateType::MonolithicFlat),
        ("vmfs.vmdk", CreateType::Vmfs),
    ] {
        let mut flat = FlatDisk::create(folder.join(name), kind, SIZE, 6).unwrap();
        plan.write(&mut flat, &monitor).unwrap();
    }
    let parent = Disk::open(folder.join("stream.vmdk")).unwrap();
    let form = ChildForm::Monolithic;
    SparseDisk::create_child(folder.join("child.vmdk"), parent, "stream.vmdk", 9, form).unwrap();
    let raw = plan.write_raw(Vec::new(), &monitor).unwrap();
    let digest = disk_image::Digest::of(&raw).to_string();
    fs::write(folder.join("sum"), &digest["sha256:".len()..]).unwrap();
}

#[test]
#[ignore = "needs umoci and root: in the interoperability suite"]
fn umoci_unpacks_the_same_files() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let layout = folder.join("layout");
    let image = format!("{}:x", layout.to_str().unwrap());
    run("umoci", &["init", "--layout", layout.to_str().unwrap()]);
    run("umoci", &["new", "--image", &image]);
    for (index, layer) in layers().into_iter().enumerate() {
        let path = folder.join(format!("{index}.tar"));
        fs::write(&path, layer).unwrap();
        run(
            "umoci",
            &[
                "raw",
                "add-layer",
                "--image",
                &image,
                path.to_str().unwrap(),
            ],
        );
    }
    let theirs = folder.join("theirs");
    run(
        "umoci",
        &["raw", "unpack", "--image", &image, theirs.to_str().unwrap()],
    );
    let disk = folder.join("disk");
    raw(&plan(), &disk);
    let reader = Reader::open(RawDisk::open(&disk).unwrap()).unwrap();
    let ours = folder.join("ours");
    let unpacked = reader
        .unpack(&ours, &UnpackOptions::new(), &Monitor::new())
        .unwrap();
    assert_eq!(unpacked.refused, [], "root may create everything");
    let ours = manifest(&ours);
    for name in ["security.capability", "user.big"] {
        assert!(ours["attributes"].contains(name), "{}", ours["attributes"]);
    }
    let mut different = difference(&manifest(&theirs), &ours);
    // The time of a directory that no layer describes is unspecified.
    for implicit in ["", "big"] {
        different.remove(implicit);
    }
    assert!(different.is_empty(), "{different:#?}");
}

/// Describes all properties of every file except the access and change times of directories.
fn manifest(root: &Path) -> BTreeMap<String, String> {
    let mut manifest = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let kind = meta.file_type();
        let content = if kind.is_symlink() {
            fs::read_link(&path).unwrap().to_string_lossy().into_owned()
        } else if kind.is_file() {
            disk_image::Digest::of(&fs::read(&path).unwrap()).to_string()
        } else if kind.is_char_device() || kind.is_block_device() {
            format!("device {}", meta.rdev())
        } else {
            String::new()
        };
        if kind.is_dir() {
            open.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        let links = if kind.is_dir() { 0 } else { meta.nlink() };
        let attributes = attributes(&path);
        let text = format!(
            "{:o} {}:{} {}.{} links {links} {content} {attributes}",
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.mtime(),
            meta.mtime_nsec()
        );
        let name = path
            .strip_prefix(root)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        if name != "lost+found" {
            manifest.insert(name, text);
        }
    }
    manifest
}

/// Describes the extended attributes of a file.
fn attributes(path: &Path) -> String {
    let mut names = vec![0; 1 << 16];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap();
    let names = names[..length].split(|&byte| byte == 0);
    let mut names: Vec<&[u8]> = names.filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    let mut text = String::new();
    for name in names {
        let mut value = vec![0; 1 << 16];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
        let digest = disk_image::Digest::of(&value[..length]);
        text += &format!(" {}={digest}", name.escape_ascii());
    }
    text
}

fn difference(
    a: &BTreeMap<String, String>,
    b: &BTreeMap<String, String>,
) -> BTreeMap<String, (Option<String>, Option<String>)> {
    let names = a.keys().chain(b.keys());
    let pairs = names.map(|name| (name.clone(), (a.get(name).cloned(), b.get(name).cloned())));
    pairs.filter(|(_, (a, b))| a != b).collect()
}
