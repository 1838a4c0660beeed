//! Hostile archives: each one is refused with a specific error, or results in a sound disk. The
//! crate documentation compares the outcomes with those of umoci.

use std::collections::BTreeMap;

use disk_image::{Error, Monitor};
use tar::EntryType;

use crate::support::{Tar, merge, options, raw, tree, try_merge};

/// The expected outcome for an archive.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// The layer is refused with this problem.
    Refused(String),
    /// The layer is merged, but no disk can be created from it.
    Unstorable(String),
    /// A disk with these names is created.
    Made(Vec<String>),
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(reason) => write!(f, "refused: {reason}"),
            Self::Unstorable(reason) => write!(f, "no disk: {reason}"),
            Self::Made(names) if names.is_empty() => write!(f, "makes nothing"),
            Self::Made(names) => write!(f, "makes {}", names.join(", ")),
        }
    }
}

fn outcome(tar: Vec<u8>) -> Outcome {
    let merge = match try_merge([tar]) {
        Ok(merge) => merge,
        Err(Error::Layer { source, .. }) => return Outcome::Refused(source.problem().to_string()),
        Err(other) => panic!("{other:?}"),
    };
    match merge.plan(&options(64 << 20), &Monitor::new()) {
        Ok(plan) => Outcome::Made(tree(&raw(&plan)).into_keys().collect()),
        Err(Error::Unstorable { reason, .. }) => Outcome::Unstorable(reason.to_owned()),
        Err(other) => panic!("{other:?}"),
    }
}

fn refused(text: &str) -> Outcome {
    Outcome::Refused(text.to_owned())
}

fn made(names: &[&str]) -> Outcome {
    Outcome::Made(names.iter().map(|name| (*name).to_owned()).collect())
}

fn sized(size: &[u8; 12]) -> Tar {
    Tar::new().add("f", EntryType::Regular, "", b"", |header| {
        header.as_old_mut().size = *size;
    })
}

#[test]
fn hostile_archives_end_as_documented() {
    let long_link = "x".repeat(5000);
    let big = vec![b'v'; 60_000];
    let escapes = "the path leaves the tree";
    let mut cut = Tar::new().file("f", &[1; 2000]).unfinished();
    cut.truncate(1500);
    let mut sum = Tar::new().file("f", b"").done();
    sum[0] = b'g';
    let cases: Vec<(&str, Vec<u8>, Outcome)> = vec![
        (
            "dot-dot",
            Tar::new().file("../../etc/evil", b"").done(),
            refused(escapes),
        ),
        (
            "inner dot-dot",
            Tar::new().file("a/../b", b"").done(),
            made(&["b"]),
        ),
        (
            "absolute",
            Tar::new().file("/abs", b"").done(),
            made(&["abs"]),
        ),
        (
            "hard link out",
            Tar::new().hard_link("a", "../../etc/passwd").done(),
            refused(escapes),
        ),
        (
            "hard link to nothing",
            Tar::new().hard_link("a", "b").done(),
            refused("the target of the hard link does not exist"),
        ),
        (
            "hard link to itself",
            Tar::new().file("a", b"").hard_link("a", "a").done(),
            refused("the target of the hard link is itself"),
        ),
        (
            "hard link to a directory",
            Tar::new().dir("d").hard_link("a", "d").done(),
            refused("the target of the hard link is a directory"),
        ),
        (
            "symbolic link loop as parent",
            Tar::new()
                .symlink("a", "b")
                .symlink("b", "a")
                .file("a/x", b"")
                .done(),
            refused("the path leads through too many or too long symbolic links"),
        ),
        (
            "symbolic link out as parent",
            Tar::new().symlink("a", "../../..").file("a/x", b"").done(),
            made(&["a", "x"]),
        ),
        (
            "dangling symbolic link as parent",
            Tar::new().symlink("a", "b/c").file("a/x", b"").done(),
            made(&["a", "b", "b/c", "b/c/x"]),
        ),
        (
            "file as parent",
            Tar::new().file("a", b"").file("a/x", b"").done(),
            refused("the parent is not a directory"),
        ),
        (
            "256 bytes of name",
            Tar::new()
                .pax(&[("path", &[b'n'; 256])])
                .file("f", b"")
                .done(),
            refused("more than 255 bytes in a name"),
        ),
        (
            "5,000 bytes of link",
            Tar::new()
                .pax(&[("linkpath", long_link.as_bytes())])
                .symlink("f", "x")
                .done(),
            Outcome::Unstorable("the target of a symbolic link has at most 4095 bytes".to_owned()),
        ),
        (
            "link to nothing",
            Tar::new().symlink("f", "").done(),
            refused("malformed tar: symbolic link without a target"),
        ),
        (
            "NUL in a name",
            Tar::new().pax(&[("path", b"a\0b")]).file("f", b"").done(),
            refused("the name contains a NUL"),
        ),
        (
            "whiteout without a name",
            Tar::new().file(".wh.", b"").done(),
            refused("the name is a whiteout without a name"),
        ),
        (
            "whiteout of dot-dot",
            Tar::new().file("a/.wh...", b"").done(),
            refused("the name is a whiteout without a name"),
        ),
        (
            "opaque root",
            Tar::new().file("f", b"").file(".wh..wh..opq", b"").done(),
            made(&["f"]),
        ),
        ("file as root", Tar::new().file("./", b"").done(), made(&[])),
        (
            "link as root",
            Tar::new().symlink(".", "x").done(),
            refused("the name is that of the root, which must be a directory"),
        ),
        (
            "truncated",
            cut,
            refused("the layer ends in the middle of an entry"),
        ),
        (
            "wrong checksum",
            sum,
            refused("malformed tar: header checksum"),
        ),
        (
            "size of 2^62",
            sized(b"\x80\0\0\0\x40\0\0\0\0\0\0\0").done(),
            refused("the layer ends in the middle of an entry"),
        ),
        (
            "size of 2^63 - 1",
            sized(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff").done(),
            refused("the layer ends in the middle of an entry"),
        ),
        (
            "size of 2^64 - 1",
            sized(b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff").done(),
            refused("malformed tar: size"),
        ),
        (
            "time that is no number",
            Tar::new().pax(&[("mtime", b"NaN")]).file("f", b"").done(),
            made(&["f"]),
        ),
        (
            "attribute of no namespace",
            Tar::new()
                .pax(&[("SCHILY.xattr.bogus", b"x")])
                .file("f", b"")
                .done(),
            made(&["f"]),
        ),
        (
            "attribute of 60,000 bytes",
            Tar::new()
                .pax(&[("SCHILY.xattr.user.a", &big)])
                .file("f", b"")
                .done(),
            Outcome::Unstorable("its extended attributes need more than a block".to_owned()),
        ),
        (
            "sparse map that overlaps",
            Tar::new()
                .pax(&[("GNU.sparse.size", b"100"), ("GNU.sparse.map", b"0,4,2,4")])
                .file("f", b"12345678")
                .done(),
            refused("malformed tar: sparse map"),
        ),
        (
            "unknown type",
            Tar::new()
                .add("f", EntryType::new(b'Q'), "", b"", |_| {})
                .done(),
            refused("an entry of an unknown type is not supported"),
        ),
    ];
    // Writes the archives, in the order of the cases, for testing other programs with them.
    if let Some(folder) = std::env::var_os("HOSTILE_ARCHIVES") {
        for (index, (name, tar, outcome)) in cases.iter().enumerate() {
            let name = format!("{index:02}-{}", name.replace(' ', "_"));
            let path = std::path::Path::new(&folder).join(name);
            std::fs::write(path.with_extension("tar"), tar).unwrap();
            std::fs::write(path.with_extension("ours"), outcome.to_string()).unwrap();
        }
    }
    let found: BTreeMap<&str, Outcome> = cases
        .iter()
        .map(|(name, tar, _)| (*name, outcome(tar.clone())))
        .collect();
    for (name, _, expected) in &cases {
        assert_eq!(&found[name], expected, "{name}");
    }
}

#[test]
fn five_thousand_nested_directories_are_no_problem() {
    let path = "d/".repeat(5000);
    let tar = Tar::new()
        .pax(&[("path", path.as_bytes())])
        .file("f", b"")
        .done();
    let plan = merge([tar.clone()])
        .plan(&options(64 << 20), &Monitor::new())
        .unwrap();
    assert_eq!(tree(&raw(&plan)).len(), 5000);
    // Removing all of them again does not recurse either.
    let whiteout = Tar::new().file(".wh.d", b"").done();
    assert_eq!(
        tree(&raw(&merge([tar, whiteout])
            .plan(&options(64 << 20), &Monitor::new())
            .unwrap()))
        .len(),
        0
    );
}
