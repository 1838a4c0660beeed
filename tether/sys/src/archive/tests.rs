//! Archives of directories of the host, without a container.
#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use proptest::prelude::*;
use tar::{EntryType, Header};
use tempfile::TempDir;

use super::pack::pack;
use super::unpack::unpack;
use crate::RefusedFile;

/// A directory with a destination, and a secret outside of it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = TempDir::new().unwrap();
        for name in ["destination", "outside"] {
            fs::create_dir(place.path().join(name)).unwrap();
        }
        fs::write(place.path().join("outside/secret"), "untouched").unwrap();
        Self(place)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Unpacks an archive into the destination.
    fn unpack(&self, tar: &[u8]) -> Result<String, String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(tar).unwrap();
        file.rewind().unwrap();
        unpack(&self.text("destination"), file)
    }

    /// Asserts that nothing outside of the destination has changed, and that no temporary file is
    /// left.
    fn is_intact(&self) {
        let names = |path: &Path| {
            let entries = fs::read_dir(path).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(self.0.path()), ["destination", "outside"]);
        assert_eq!(names(&self.path("outside")), ["secret"]);
        let secret = fs::read_to_string(self.path("outside/secret")).unwrap();
        assert_eq!(secret, "untouched");
        assert_eq!(
            fs::metadata(self.path("outside/secret")).unwrap().nlink(),
            1
        );
        for name in names(&self.path("destination")) {
            assert!(!name.as_bytes().starts_with(b".archive-"), "{name:?}");
        }
    }
}

/// A tar archive with names and contents of any kind.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn add(mut self, name: &[u8], kind: EntryType, link: &[u8], content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o640);
        header.set_uid(nix::unistd::getuid().as_raw().into());
        header.set_gid(nix::unistd::getgid().as_raw().into());
        header.set_mtime(1_000_000_000);
        let fields = header.as_old_mut();
        fields.name[..name.len()].copy_from_slice(name);
        fields.linkname[..link.len()].copy_from_slice(link);
        if matches!(kind, EntryType::Char | EntryType::Block) {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        }
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, content: &[u8]) -> Self {
        self.add(name.as_bytes(), EntryType::Regular, b"", content)
    }

    fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut content = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (rest + 1..)
                .find(|n| rest + n.to_string().len() == *n)
                .unwrap();
            content.extend(format!("{length} {key}=").bytes());
            content.extend_from_slice(value);
            content.push(b'\n');
        }
        self.add(b"pax", EntryType::XHeader, b"", &content)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

/// Packs a path. Returns the archive, and the notes or the reason.
fn packed(path: &str) -> (Vec<u8>, Result<String, String>) {
    packed_with(path, None)
}

fn packed_with(path: &str, owners: Option<&fs::File>) -> (Vec<u8>, Result<String, String>) {
    let mut file = tempfile::tempfile().unwrap();
    let done = pack(path, file.try_clone().unwrap(), owners);
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    (bytes, done)
}

#[test]
fn files_that_have_not_got_their_owners_have_those_of_the_image() {
    let place = Place::new();
    let mode = |name: &str, mode| {
        fs::set_permissions(place.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    fs::create_dir(place.path("destination/home")).unwrap();
    mode("destination/home", 0o750);
    for (name, bits) in [("kept", 0o755), ("mode", 0o711), ("new", 0o600)] {
        let name = format!("destination/home/{name}");
        fs::write(place.path(&name), "").unwrap();
        mode(&name, bits);
    }
    symlink("kept", place.path("destination/home/link")).unwrap();
    fs::create_dir(place.path("destination/home/replaced")).unwrap();
    mode("destination/home/replaced", 0o700);
    symlink("destination/home", place.path("short")).unwrap();
    let image = place.path("destination/home");
    let image = image.canonicalize().unwrap();
    let image = image.as_os_str().as_bytes().strip_prefix(b"/").unwrap();
    let files = [
        ("", 0o040_750),
        ("/kept", 0o104_755),
        ("/mode", 0o104_755),
        ("/link", 0o120_777),
        ("/replaced", 0o100_644),
    ];
    let files = files.map(|(name, mode)| RefusedFile {
        path: [image, name.as_bytes()].concat(),
        uid: 1_000,
        gid: 1_001,
        mode,
        device: (0, 0),
    });
    let mut table = tempfile::tempfile().unwrap();
    table.write_all(&RefusedFile::encode(&files)).unwrap();

    let own = fs::metadata(place.path("destination/home")).unwrap();
    let (image, root) = ((1_000, 1_001), (own.uid(), own.gid()));
    let ((uid, gid), (own_uid, own_gid)) = (image, root);
    let wanted = |start: &str| {
        BTreeMap::from([
            (start.to_owned(), (uid, gid, 0o750)),
            (format!("{start}/kept"), (uid, gid, 0o4755)),
            (format!("{start}/mode"), (uid, gid, 0o711)),
            (format!("{start}/new"), (own_uid, own_gid, 0o600)),
            (format!("{start}/link"), (uid, gid, 0o777)),
            // Of another kind than in the image.
            (format!("{start}/replaced"), (own_uid, own_gid, 0o700)),
        ])
    };
    // However the directory is named.
    for (path, start) in [("destination/home", "home"), ("short/", "short")] {
        let (tar, done) = packed_with(&place.text(path), Some(&table));
        assert_eq!(done.unwrap(), "");
        assert_eq!(owners(&tar), wanted(start), "{path}");
    }
    let (tar, done) = packed_with(&place.text("destination/home/kept"), Some(&table));
    assert_eq!(done.unwrap(), "");
    let kept = BTreeMap::from([("kept".to_owned(), (uid, gid, 0o4755))]);
    assert_eq!(owners(&tar), kept);
    // A table that cannot be read is reported.
    table.set_len(9).unwrap();
    let (tar, done) = packed_with(&place.text("destination/home/kept"), Some(&table));
    assert!(done.unwrap().contains("not preserved: owners"));
    assert_eq!(owners(&tar)["kept"], (own_uid, own_gid, 0o755));
}

/// Returns the user id, group id and permissions of the entries of an archive.
fn owners(tar: &[u8]) -> BTreeMap<String, (u32, u32, u32)> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let header = entry.header();
        let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
        let (uid, gid) = (uid.try_into().unwrap(), gid.try_into().unwrap());
        let name = name.trim_end_matches('/').to_owned();
        (name, (uid, gid, header.mode().unwrap() & 0o7777))
    });
    entries.collect()
}

/// Returns the names and kinds in an archive, with the content of files and the targets of links.
fn listed(tar: &[u8]) -> BTreeMap<String, (EntryType, String)> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let kind = entry.header().entry_type();
        let mut text = String::new();
        match entry.link_name().unwrap() {
            Some(link) => text.push_str(link.to_str().unwrap()),
            None => drop(entry.read_to_string(&mut text).unwrap()),
        }
        (name.trim_end_matches('/').to_owned(), (kind, text))
    });
    entries.collect()
}

#[test]
fn a_tree_survives_the_way_out_and_in() {
    let place = Place::new();
    let tree = place.path("outside/tree");
    fs::create_dir_all(tree.join("a/b")).unwrap();
    let long = "n".repeat(200);
    fs::write(tree.join("a").join(&long), "long").unwrap();
    fs::write(tree.join("a/empty"), "").unwrap();
    let sevens = vec![7; 1_000_000];
    fs::write(tree.join("a/large"), &sevens).unwrap();
    let odd = OsStr::from_bytes(b"not \xff utf-8");
    fs::write(tree.join(odd), "odd").unwrap();
    fs::hard_link(tree.join("a/large"), tree.join("z")).unwrap();
    symlink("/nowhere/\u{e9}", tree.join("link")).unwrap();
    nix::unistd::mkfifo(
        &tree.join("fifo"),
        nix::sys::stat::Mode::from_bits_truncate(0o621),
    )
    .unwrap();
    fs::set_permissions(tree.join("a/empty"), fs::Permissions::from_mode(0o4711)).unwrap();
    fs::set_permissions(tree.join("a/b"), fs::Permissions::from_mode(0o500)).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    let value = b"line\nline\0=";
    let attribute = rustix::fs::setxattr(tree.join("a/empty"), "user.note", value, flags);
    let times = |seconds, nanos| rustix::fs::Timestamps {
        last_access: rustix::fs::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
        last_modification: rustix::fs::Timespec {
            tv_sec: seconds,
            tv_nsec: nanos,
        },
    };
    for (name, seconds, nanos) in [("a/b", 5, 250), ("a/empty", -2, 250_000_000), ("a", 9, 0)] {
        let (path, times) = (tree.join(name), times(seconds, nanos));
        let flags = rustix::fs::AtFlags::empty();
        rustix::fs::utimensat(rustix::fs::CWD, &path, &times, flags).unwrap();
    }

    let (tar, notes) = packed(&place.text("outside/tree"));
    assert_eq!(notes.unwrap(), "");
    assert_eq!(place.unpack(&tar).unwrap(), "");
    let copy = place.path("destination/tree");
    for name in ["", "a", "a/b", "a/empty", "a/large", "z", "link", "fifo"] {
        let (old, new) = (tree.join(name), copy.join(name));
        let (old, new) = (
            old.symlink_metadata().unwrap(),
            new.symlink_metadata().unwrap(),
        );
        assert_eq!(old.mode(), new.mode(), "{name}");
        assert_eq!((old.uid(), old.gid()), (new.uid(), new.gid()), "{name}");
        let time = |data: &fs::Metadata| (data.mtime(), data.mtime_nsec());
        if name != "fifo" && name != "link" {
            assert_eq!(time(&old), time(&new), "{name}");
        }
    }
    assert_eq!(
        fs::read_to_string(copy.join("a").join(&long)).unwrap(),
        "long"
    );
    assert!(fs::read(copy.join("z")).unwrap() == sevens);
    let inode = |name: &str| fs::metadata(copy.join(name)).unwrap().ino();
    assert_eq!(inode("z"), inode("a/large"));
    assert_eq!(fs::read_to_string(copy.join(odd)).unwrap(), "odd");
    let target = fs::read_link(copy.join("link")).unwrap();
    assert_eq!(target.to_str(), Some("/nowhere/\u{e9}"));
    if attribute.is_ok() {
        let mut found = [0; 100];
        let length =
            rustix::fs::getxattr(copy.join("a/empty"), "user.note", &mut found[..]).unwrap();
        assert_eq!(&found[..length], value);
    }
}

#[test]
fn names_in_the_archive_start_with_the_last_component_of_the_path() {
    let place = Place::new();
    symlink("outside", place.path("link")).unwrap();
    let names = |path: &str| {
        let (tar, done) = packed(&place.text(path));
        done.unwrap();
        listed(&tar).into_keys().collect::<Vec<_>>()
    };
    assert_eq!(names("outside"), ["outside", "outside/secret"]);
    assert_eq!(names("outside//"), ["outside", "outside/secret"]);
    assert_eq!(names("outside/secret"), ["secret"]);
    assert_eq!(names("link"), ["link"]);
    assert_eq!(names("link/"), ["link", "link/secret"]);
    assert_eq!(names("link/secret"), ["secret"]);
    assert_eq!(names("outside/."), [".", "secret"]);
    for path in ["none", "none/there", "none/"] {
        let path = place.text(path);
        let (tar, missing) = packed(&path);
        assert_eq!(
            missing.unwrap_err(),
            format!("{path:?}: no such file or directory")
        );
        assert!(tar.is_empty(), "not even the end of an archive");
    }
}

#[test]
fn links_to_the_files_of_processes_and_other_file_systems_are_not_followed() {
    let (_, refused) = packed("/proc/self/root/etc/hostname");
    assert!(refused.unwrap_err().contains("symbolic link"));
    let (_, refused) = packed("/proc/self/cwd/");
    assert!(refused.unwrap_err().contains("symbolic link"));
    let place = Place::new();
    let tar = Tar::default().file("x", b"x").end();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&tar).unwrap();
    let refused = unpack("/proc/self/cwd", file);
    assert!(refused.unwrap_err().contains("symbolic link"));
    place.is_intact();
}

#[test]
fn hostile_archives_are_refused_and_change_nothing_outside() {
    use EntryType::{Directory, Link, Regular, Symlink};
    let tar = Tar::default;
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (tar().file("../outside/secret", b"x").end(), "\"..\""),
        (tar().file("a/../../outside/secret", b"x").end(), "\"..\""),
        (tar().add(b"..", Directory, b"", b"").end(), "\"..\""),
        (
            tar()
                .add(b"link", Symlink, b"../outside", b"")
                .file("link/secret", b"x")
                .end(),
            "through a symbolic link",
        ),
        (
            tar()
                .add(b"a", Directory, b"", b"")
                .add(b"a", Symlink, b"../outside", b"")
                .end(),
            "replace a directory",
        ),
        (
            tar()
                .add(b"a", Symlink, b"../outside", b"")
                .add(b"a", Directory, b"", b"")
                .end(),
            "replace a file",
        ),
        (
            tar().add(b"h", Link, b"../outside/secret", b"").end(),
            "\"..\"",
        ),
        (
            tar()
                .add(b"link", Symlink, b"../outside", b"")
                .add(b"h", Link, b"link/secret", b"")
                .end(),
            "through a symbolic link",
        ),
        (tar().add(b"h", Link, b"missing", b"").end(), "link to"),
        (tar().add(b"h", Link, b"", b"").end(), "without a target"),
        (tar().file("", b"x").end(), "no name"),
        (tar().pax(&[("path", b"a\0b")]).file("x", b"").end(), "NUL"),
        (
            tar()
                .pax(&[("GNU.sparse.major", b"1")])
                .file("x", b"")
                .end(),
            "sparse",
        ),
        (
            tar().add(b"s", EntryType::GNUSparse, b"", b"").end(),
            "not supported",
        ),
        (
            tar().add(b"?", EntryType::new(b'!'), b"", b"").end(),
            "not supported",
        ),
        (tar().file("x", b"whole").0, "ends early"),
        (tar().file("x", &[1; 600]).0[..700].to_vec(), "ends early"),
        (Vec::new(), "ends early"),
        (b"this is not an archive".repeat(100), "not a tar archive"),
        (
            tar()
                .pax(&[("size", b"18446744073709551615")])
                .file("x", b"")
                .end(),
            "malformed",
        ),
        (
            tar().add(b"p", EntryType::XHeader, b"", b"7 a=b\n").end(),
            "malformed",
        ),
        (
            {
                // It claims to be larger than memory.
                let mut huge = tar().add(b"p", EntryType::XHeader, b"", b"").0;
                let mut header = Header::new_gnu();
                header.as_mut_bytes().copy_from_slice(&huge[..512]);
                header.set_size(1 << 60);
                header.set_cksum();
                huge[..512].copy_from_slice(header.as_bytes());
                huge.resize(4 << 20, b'x');
                huge
            },
            "at most",
        ),
        (
            tar()
                .file(&"d/".repeat(50), b"")
                .add(b"d/d", Regular, b"", b"x")
                .end(),
            "directory",
        ),
    ];
    for (bytes, reason) in cases {
        let place = Place::new();
        let error = place.unpack(&bytes).expect_err(reason);
        assert!(error.contains(reason), "{error:?} instead of {reason:?}");
        place.is_intact();
    }
}

#[test]
fn absolute_names_are_below_the_destination_and_missing_parents_are_made() {
    let place = Place::new();
    let tar = Tar::default()
        .add(b"./", EntryType::Directory, b"", b"")
        .file("/a/./b//c", b"x")
        .add(b"old-style/", EntryType::Regular, b"", b"")
        .end();
    assert_eq!(place.unpack(&tar).unwrap(), "");
    let destination = place.path("destination");
    assert_eq!(fs::read_to_string(destination.join("a/b/c")).unwrap(), "x");
    assert!(destination.join("old-style").is_dir());
    let mode = fs::metadata(&destination).unwrap().mode();
    assert_ne!(
        mode & 0o777,
        0o640,
        "the destination belongs to the container"
    );
    place.is_intact();
}

#[test]
fn a_file_is_replaced_only_by_a_complete_one() {
    let place = Place::new();
    let file = place.path("destination/file");
    fs::write(&file, "before").unwrap();
    let cut = Tar::default().file("file", &[1; 2_000]).0;
    place.unpack(&cut[..1_500]).unwrap_err();
    assert_eq!(fs::read_to_string(&file).unwrap(), "before");
    place.is_intact();

    // A link is replaced, not followed.
    symlink("../outside/secret", place.path("destination/link")).unwrap();
    let tar = Tar::default()
        .file("file", b"after")
        .file("link", b"a file now")
        .add(b"again", EntryType::Link, b"file", b"")
        .add(b"again", EntryType::Link, b"file", b"")
        .end();
    assert_eq!(place.unpack(&tar).unwrap(), "");
    assert_eq!(fs::read_to_string(&file).unwrap(), "after");
    let link = place.path("destination/link");
    assert!(link.symlink_metadata().unwrap().is_file());
    assert_eq!(fs::metadata(&file).unwrap().nlink(), 2);
    place.is_intact();
}

#[test]
fn large_sizes_long_names_and_attributes_of_extended_headers_are_used() {
    let place = Place::new();
    let name = "n".repeat(150);
    let tar = Tar::default()
        .pax(&[
            ("path", name.as_bytes()),
            ("mtime", b"-1.5"),
            ("SCHILY.xattr.user.a", b"b\nc"),
            ("comment", b"ignored"),
        ])
        .file("short", b"x")
        .add(b"long", EntryType::GNULongLink, b"", b"to somewhere\0")
        .add(b"link", EntryType::Symlink, b"", b"")
        .add(b"global", EntryType::XGlobalHeader, b"", b"skipped")
        .file("last", b"y")
        .end();
    let notes = place.unpack(&tar).unwrap();
    let file = place.path("destination").join(&name);
    let data = fs::metadata(&file).unwrap();
    assert_eq!((data.mtime(), data.mtime_nsec()), (-2, 500_000_000));
    let mut value = [0; 10];
    match rustix::fs::getxattr(&file, "user.a", &mut value[..]) {
        Ok(length) => assert_eq!(&value[..length], b"b\nc"),
        Err(_) => assert!(notes.contains("extended attributes"), "{notes}"),
    }
    let link = fs::read_link(place.path("destination/link")).unwrap();
    assert_eq!(link.to_str(), Some("to somewhere"));
    assert_eq!(
        fs::read_to_string(place.path("destination/last")).unwrap(),
        "y"
    );
}

#[test]
fn a_file_that_shrinks_while_it_is_copied_does_not_damage_the_archive() {
    // The kernel reports a size for this file, but no content.
    let file = "/sys/kernel/mm/transparent_hugepage/enabled";
    if fs::metadata(file).is_err() {
        return;
    }
    let (tar, notes) = packed(file);
    let notes = notes.unwrap();
    assert!(notes.contains("cut off"), "{notes}");
    let (_, content) = &listed(&tar)["enabled"];
    assert_eq!(content.len(), 4096);
    assert!(content.contains("never"), "{content}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever an archive contains, nothing outside of the destination changes.
    #[test]
    fn damaged_archives_change_nothing_outside(
        changes in prop::collection::vec((0_usize..5_000, any::<u8>()), 0..20),
        names in prop::collection::vec("(\\.|\\.\\.|/|a|link|b){1,8}", 1..5),
        kinds in prop::collection::vec(0_u8..8, 5),
        fix in any::<bool>(),
    ) {
        let place = Place::new();
        let mut tar = Tar::default().add(b"link", EntryType::Symlink, b"../outside", b"");
        for (name, kind) in names.iter().zip(kinds) {
            // Without devices, whose effects outlast the test.
            let kind = match kind { 3 | 4 => 5, kind => kind } + b'0';
            let link = names[0].as_bytes();
            tar = tar.add(name.as_bytes(), EntryType::new(kind), link, b"content");
        }
        let mut tar = tar.end();
        for (at, value) in changes {
            let at = at % tar.len();
            // The kinds stay.
            if at % 512 != 156 {
                tar[at] = value;
            }
        }
        if fix {
            for block in tar.chunks_mut(512) {
                let mut header = Header::new_gnu();
                if block.len() == 512 && block[257..262] == *b"ustar" {
                    header.as_mut_bytes().copy_from_slice(block);
                    header.set_cksum();
                    block.copy_from_slice(header.as_bytes());
                }
            }
        }
        let _refused_or_not = place.unpack(&tar);
        place.is_intact();
    }
}
