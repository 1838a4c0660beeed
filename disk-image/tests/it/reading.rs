//! File systems are read: walked, unpacked, and streamed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use disk_image::ext4::{self, Changes, Reader};
use disk_image::{Error, Monitor, Timestamp, UnpackOptions};
use tar::EntryType;
use tempfile::tempdir;

use crate::support::{Tar, disk, merge, merged, tree};

/// Returns a layer with a file of every type.
fn everything() -> Vec<u8> {
    let fraction: Vec<u8> = (0..400u32)
        .flat_map(|n| [vec![n as u8 | 1; 4096], vec![0; 17 * 4096]].concat())
        .collect();
    Tar::new()
        .add("dir", EntryType::Directory, "", b"", |header| {
            header.set_mode(0o1777);
        })
        .file("dir/file", b"content")
        .file("dir/fragments", &fraction)
        .hard_link("dir/second", "dir/file")
        .symlink("short", "dir/file")
        .pax(&[("linkpath", &b"long/".repeat(100))])
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
            ("SCHILY.xattr.user.a", b"line\nline"),
            ("SCHILY.xattr.user.empty", b""),
        ])
        .pax(&[
            ("SCHILY.xattr.user.big", &[b'v'; 3000]),
            ("mtime", b"-1000000000.25"),
        ])
        .file("attributes", b"x")
        .pax(&[("mtime", b"16725225600")])
        .file("far", b"")
        .done()
}

#[test]
fn every_kind_of_file_is_read_as_it_was_written() {
    let disk = disk([everything()]);
    let reader = Reader::open(&disk).unwrap();
    assert_eq!(reader.label(), b"test");
    assert_eq!(reader.uuid(), uuid::Uuid::from_u128(0x1234));
    let tree = tree(&disk);
    assert_eq!(tree["null"], "Char(1, 3)");
    assert_eq!(tree["disk"], "Block(259, 70000)");
    assert_eq!(tree["fifo"], "Fifo");
    assert_eq!(tree["long"], format!("l:{}", "long/".repeat(100)));
    let dir = reader.lookup(b"dir").unwrap();
    assert_eq!(dir.permissions(), 0o1777);
    let attributes = reader.lookup(b"attributes").unwrap();
    assert_eq!(
        attributes.modified(),
        Timestamp {
            seconds: -1_000_000_001,
            nanos: 750_000_000
        }
    );
    let far = reader.lookup(b"far").unwrap().modified();
    assert_eq!(
        far,
        Timestamp {
            seconds: 15_032_385_535,
            nanos: 0
        },
        "clamped, not wrapped"
    );
}

#[test]
fn attributes_are_kept_in_the_inode_and_in_a_block() {
    let tar = Tar::new()
        .pax(&[
            ("SCHILY.xattr.user.small", b"s"),
            ("SCHILY.xattr.user.big", &[b'v'; 3000]),
            (
                "SCHILY.xattr.security.capability",
                b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            ),
        ])
        .file("a", b"")
        .pax(&[
            ("SCHILY.xattr.strange.name", b"x"),
            ("SCHILY.xattr.user.x", b"y"),
        ])
        .file("b", b"")
        .done();
    let merge = merge([tar.clone()]);
    assert_eq!(merge.notes().len(), 1, "{:?}", merge.notes());
    let disk = disk([tar]);
    let reader = Reader::open(&disk).unwrap();
    let names = |path: &[u8]| -> Vec<(String, usize)> {
        let found = reader.xattrs(&reader.lookup(path).unwrap()).unwrap();
        found
            .iter()
            .map(|(n, v)| (String::from_utf8_lossy(n).into_owned(), v.len()))
            .collect()
    };
    let expected = [
        ("security.capability", 20),
        ("user.big", 3000),
        ("user.small", 1),
    ];
    assert_eq!(
        names(b"a"),
        expected.map(|(name, len)| (name.to_owned(), len))
    );
    assert_eq!(names(b"b"), [("user.x".to_owned(), 1)]);
}

#[test]
fn the_tar_of_a_disk_makes_the_same_disk() {
    let first = disk([everything()]);
    let reader = Reader::open(&first).unwrap();
    let root = reader.root().unwrap();
    let tar = reader
        .write_tar(&root, Vec::new(), |_| true, &Monitor::new())
        .unwrap();
    let again = disk([tar.clone()]);
    assert_eq!(tree(&again), tree(&first));
    let reader = Reader::open(&again).unwrap();
    let root = reader.root().unwrap();
    assert!(
        reader
            .write_tar(&root, Vec::new(), |_| true, &Monitor::new())
            .unwrap()
            == tar
    );
}

#[test]
fn subtrees_are_streamed_with_a_filter() {
    let disk = disk([Tar::new()
        .file("a/b/c", b"1")
        .file("a/skip/d", b"2")
        .file("e", b"3")
        .done()]);
    let reader = Reader::open(&disk).unwrap();
    let start = reader.lookup(b"/a").unwrap();
    let tar = reader.write_tar(
        &start,
        Vec::new(),
        |visited| visited.path != b"skip",
        &Monitor::new(),
    );
    let names: Vec<String> = merged([tar.unwrap()]).into_keys().collect();
    assert_eq!(names, ["b", "b/c"]);
}

#[test]
fn what_is_in_lost_and_found_is_a_change() {
    let (old, new) = (
        disk([]),
        disk([Tar::new().file("lost+found/x", b"1").done()]),
    );
    let [old, new] = [&old, &new].map(|disk| Reader::open(disk).unwrap());
    let list = |from, to| {
        let changes = Changes::between(from, to, &Monitor::new()).unwrap();
        let changes = changes.list().iter();
        changes
            .map(|c| c.path.escape_ascii().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(list(&old, &new), ["lost+found", "lost+found/x"]);
    assert_eq!(list(&new, &old), ["lost+found", "lost+found/x"]);
    assert_eq!(list(&old, &old), [""; 0]);
}

/// A file such as `lastlog` has a hole for every user id that was never used.
#[test]
fn holes_are_compared_without_reading_them() {
    let size = 1u64 << 40;
    let file = |at: u64, data: &[u8]| {
        let map = format!("0,1,{at},1");
        let records: [(&str, &[u8]); 2] = [
            ("GNU.sparse.size", b"1099511627776"),
            ("GNU.sparse.map", map.as_bytes()),
        ];
        disk([Tar::new().pax(&records).file("lastlog", data).done()])
    };
    let old = file(size - 5, b"ab");
    let monitor = Monitor::new();
    for (new, count) in [
        (file(size - 5, b"ab"), 0),
        // Another block of zeros is stored.
        (file(size / 2, b"a\0"), 1),
        (file(size - 5, b"ac"), 1),
        (file(size / 2, b"ab"), 1),
    ] {
        let [old, new] = [&old, &new].map(|disk| Reader::open(disk).unwrap());
        for (from, to) in [(&old, &new), (&new, &old)] {
            let changes = Changes::between(from, to, &monitor).unwrap();
            assert_eq!(changes.list().len(), count);
        }
    }
    assert!(monitor.bytes() < 1 << 20, "{}", monitor.bytes());
}

#[test]
fn a_file_has_no_archive_of_its_own() {
    let disk = disk([Tar::new().file("a", b"1").done()]);
    let reader = Reader::open(&disk).unwrap();
    let file = reader.lookup(b"a").unwrap();
    let tar = reader.write_tar(&file, Vec::new(), |_| true, &Monitor::new());
    let Err(Error::Ext4(ext4::Error::NotADirectory(number))) = tar else {
        panic!("{tar:?}");
    };
    assert_eq!(number, file.number());
}

/// The times of the superblock had bits of the sign in the high byte.
#[test]
fn the_time_of_creation_is_clamped() {
    for (seconds, low, high) in [
        (-5, 0, 0),
        (5, 5, 0),
        (1 << 32, 0, 1),
        (i64::MAX, u32::MAX, 0xff),
    ] {
        let options = crate::support::options(16 << 20).epoch(Timestamp::from_seconds(seconds));
        let disk = crate::support::raw(&merge([]).plan(&options, &Monitor::new()).unwrap());
        let sb = &disk[1024..2048];
        assert_eq!(sb[0x108..0x10c], u32::to_le_bytes(low), "{seconds}");
        assert_eq!(sb[0x276], high, "{seconds}");
    }
}

#[test]
fn large_directories_are_indexed_and_read_in_order() {
    let count = 40_000;
    let mut tar = Tar::new();
    for index in 0..count {
        tar = tar.add(
            &format!("d/{index:06}-{}", "n".repeat(index % 60)),
            EntryType::Regular,
            "",
            b"",
            |_| {},
        );
    }
    let plan = merge([tar.done()])
        .plan(
            &crate::support::options(256 << 20).inodes(50_000),
            &Monitor::new(),
        )
        .unwrap();
    let disk = crate::support::raw(&plan);
    let reader = Reader::open(&disk).unwrap();
    let names = reader.read_dir(&reader.lookup(b"d").unwrap()).unwrap();
    assert_eq!(names.len(), count);
    assert!(
        names
            .iter()
            .enumerate()
            .all(|(n, (name, _))| name.starts_with(format!("{n:06}").as_bytes()))
    );
}

#[test]
fn layers_and_the_disk_of_them_unpack_to_the_same_files() {
    let folder = tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let options = UnpackOptions::new().devices(false).owners(false);
    let monitor = Monitor::new();
    let from_layers = merge([everything()])
        .unpack(&a, &options, &monitor)
        .unwrap();
    let disk = disk([everything()]);
    let from_disk = Reader::open(&disk)
        .unwrap()
        .unpack(&b, &options, &monitor)
        .unwrap();
    assert_eq!(from_layers.entries, from_disk.entries);
    let devices = |unpacked: &disk_image::Unpacked| {
        let refused = unpacked.refused.iter();
        refused
            .filter(|r| matches!(r.what, disk_image::RefusedKind::Device { .. }))
            .count()
    };
    assert_eq!((devices(&from_layers), devices(&from_disk)), (2, 2));
    for root in [&a, &b] {
        assert_eq!(fs::read(root.join("dir/file")).unwrap(), b"content");
        assert_eq!(
            fs::metadata(root.join("dir")).unwrap().permissions().mode() & 0o7777,
            0o1777
        );
        let [file, second] =
            ["dir/file", "dir/second"].map(|name| fs::metadata(root.join(name)).unwrap().ino());
        assert_eq!(file, second);
        assert_eq!(
            fs::read_link(root.join("short")).unwrap().to_str(),
            Some("dir/file")
        );
        assert!(!root.join("null").exists());
        assert!(!root.join("lost+found").exists());
        assert_eq!(
            fs::metadata(root.join("attributes")).unwrap().mtime(),
            -1_000_000_001
        );
    }
    assert!(
        fs::read(a.join("dir/fragments")).unwrap() == fs::read(b.join("dir/fragments")).unwrap()
    );
}

#[test]
fn unpacking_stays_in_its_directory() {
    let folder = tempdir().unwrap();
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let lower = Tar::new().symlink("way", outside.to_str().unwrap()).done();
    let upper = Tar::new().file("way/file", b"x").done();
    let target = folder.path().join("target");
    let monitor = Monitor::new();
    merge([lower, upper])
        .unpack(&target, &UnpackOptions::new(), &monitor)
        .unwrap();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    let path = outside.strip_prefix("/").unwrap().join("file");
    assert_eq!(
        fs::read(target.join(path)).unwrap(),
        b"x",
        "resolved inside the tree"
    );
    let again = merge([Tar::new().done()]).unpack(&target, &UnpackOptions::new(), &monitor);
    assert!(
        matches!(again, Err(Error::Unpack { .. })),
        "only into an empty directory"
    );
}
