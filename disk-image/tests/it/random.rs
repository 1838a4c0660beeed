//! Properties of random trees, and random damage to disks.

use std::collections::BTreeMap;
use std::io::Read;

use disk_image::ext4::{Changes, Reader};
use disk_image::vmdk::{Descriptor, Disk, StreamReader};
use disk_image::{Error, Monitor, Sink, StreamOptions};
use proptest::prelude::*;
use tempfile::tempdir;

use crate::support::{Tar, disk, merge, merged, options, raw, tree, try_merge};

/// A change by a layer to the files of two directories.
#[derive(Debug, Clone)]
enum Step {
    File(usize, u8),
    Directory(usize),
    Whiteout(usize),
}

const PATHS: [&str; 6] = ["a", "b", "a/x", "a/y", "b/x", "b/x/z"];

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step = prop_oneof![
        (0..PATHS.len(), any::<u8>()).prop_map(|(path, data)| Step::File(path, data)),
        (0..PATHS.len()).prop_map(Step::Directory),
        (0..PATHS.len()).prop_map(Step::Whiteout),
    ];
    prop::collection::vec(prop::collection::vec(step, 0..6), 1..4)
}

/// A simple model of merging layers. Returns `None` if a layer contains a file where it needs a
/// directory itself.
fn model(layers: &[Vec<Step>]) -> Option<BTreeMap<String, String>> {
    let mut tree: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for (number, layer) in layers.iter().enumerate() {
        let is_below = |path: &str, of: &str| path == of || path.starts_with(&format!("{of}/"));
        // Whiteouts are applied first, because they affect only lower layers.
        let mut next = tree.clone();
        for step in layer {
            if let Step::Whiteout(path) = step {
                let path = PATHS[*path];
                // The parent of a whiteout may be a file, which has nothing to hide.
                next.retain(|name, _| !is_below(name, path));
            }
        }
        for step in layer {
            let (path, what) = match step {
                Step::File(path, data) => (PATHS[*path], format!("f:{data}")),
                Step::Directory(path) => (PATHS[*path], "d".to_owned()),
                Step::Whiteout(_) => continue,
            };
            for (at, _) in path.match_indices('/') {
                let directory = || ("d".to_owned(), number);
                let parent = next.entry(path[..at].to_owned()).or_insert_with(directory);
                if parent.0 != "d" && parent.1 == number {
                    return None;
                }
                if parent.0 != "d" {
                    *parent = directory();
                }
            }
            let stays = what == "d" && next.get(path).is_some_and(|old| old.0 == "d");
            if !stays {
                next.retain(|name, _| !is_below(name, path));
            }
            next.insert(path.to_owned(), (what, number));
        }
        tree = next;
    }
    Some(
        tree.into_iter()
            .map(|(path, (what, _))| (path, what))
            .collect(),
    )
}

fn layer(steps: &[Step]) -> Vec<u8> {
    let mut tar = Tar::new();
    for step in steps {
        tar = match step {
            Step::File(path, data) => tar.file(PATHS[*path], data.to_string().as_bytes()),
            Step::Directory(path) => tar.dir(PATHS[*path]),
            Step::Whiteout(path) => {
                let (parent, name) = PATHS[*path].rsplit_once('/').unwrap_or((".", PATHS[*path]));
                tar.file(&format!("{parent}/.wh.{name}"), b"")
            }
        };
    }
    tar.done()
}

struct Nowhere;

impl Sink for Nowhere {
    fn put(&mut self, _: u64, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }
}

/// Changes some bytes.
fn damage(bytes: &mut [u8], changes: &[(prop::sample::Index, u8)]) {
    for (index, value) in changes {
        let at = index.index(bytes.len());
        bytes[at] = *value;
    }
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..8)
}

/// Reads all directories and files.
fn read_all(disk: &Vec<u8>) -> Result<(), Error> {
    let reader = Reader::open(disk)?;
    let monitor = Monitor::new();
    reader.walk(&reader.root()?, &monitor, |visited| {
        _ = reader.xattrs(visited.inode);
        _ = reader.read_link(visited.inode);
        if let Ok(mut file) = reader.file(visited.inode) {
            let mut buf = [0; 4096];
            // A damaged size may result in terabytes of holes.
            while let Ok(Some(_)) = file.seek_data() {
                if file.read(&mut buf).is_err() {
                    break;
                }
            }
        }
        Ok(true)
    })
}

fn sample() -> Tar {
    Tar::new()
        .file("d/a", &[7; 9000])
        .symlink("l", &"s".repeat(80))
        .hard_link("h", "d/a")
        .pax(&[("SCHILY.xattr.user.big", &[b'v'; 2000])])
        .file("x", b"x")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn layers_merge_as_the_model_says(steps in steps()) {
        let layers: Vec<Vec<u8>> = steps.iter().map(|steps| layer(steps)).collect();
        match model(&steps) {
            Some(expected) => prop_assert_eq!(merged(layers), expected),
            None => prop_assert!(try_merge(layers).is_err()),
        }
    }

    #[test]
    fn a_difference_applied_to_the_old_makes_the_new(old in steps(), new in steps()) {
        let layers = |steps: &[Vec<Step>]| steps.iter().map(|steps| layer(steps)).collect::<Vec<_>>();
        if let (Some(_), Some(expected)) = (model(&old), model(&new)) {
            let (old, new) = (layers(&old), layers(&new));
            let (old_disk, new_disk) = (disk(old.clone()), disk(new));
            let [old_reader, new_reader] = [&old_disk, &new_disk].map(|d| Reader::open(d).unwrap());
            let monitor = Monitor::new();
            let changes = Changes::between(&old_reader, &new_reader, &monitor).unwrap();
            let diff = changes.write_layer(&new_reader, Vec::new(), |_| true, &monitor).unwrap();
            prop_assert_eq!(merged(old.into_iter().chain([diff])), expected);
        }
    }

    #[test]
    fn files_of_any_shape_are_read_as_they_were(
        parts in prop::collection::vec((any::<bool>(), 0usize..200_000), 0..12)
    ) {
        let content: Vec<u8> = parts
            .iter()
            .flat_map(|&(zero, len)| (0..len).map(move |n| if zero { 0 } else { n as u8 | 1 }))
            .collect();
        let plan = merge([Tar::new().file("f", &content).done()]).plan(&options(32 << 20), &Monitor::new()).unwrap();
        let disk = raw(&plan);
        let reader = Reader::open(&disk).unwrap();
        let mut found = Vec::new();
        reader.file(&reader.lookup(b"f").unwrap()).unwrap().read_to_end(&mut found).unwrap();
        prop_assert!(found == content);
    }

    #[test]
    fn damaged_layers_never_panic(changes in changes()) {
        let mut tar = sample().done();
        damage(&mut tar, &changes);
        if let Ok(merge) = try_merge([tar])
            && let Ok(plan) = merge.plan(&options(16 << 20), &Monitor::new())
        {
            // The written disk is readable.
            tree(&raw(&plan));
        }
    }

    #[test]
    fn damaged_file_systems_never_panic(changes in changes(), in_metadata in any::<bool>()) {
        let mut disk = disk([sample().done()]);
        let end = if in_metadata { 64 << 10 } else { 6 << 20 };
        // Disable checksums, so that damage gets past their verification.
        disk[1024 + 0x65] &= !4;
        damage(&mut disk[1024..end], &changes);
        _ = read_all(&disk);
    }

    #[test]
    fn damaged_virtual_disks_never_panic(changes in changes()) {
        let plan = merge([sample().done()]).plan(&options(9 << 20), &Monitor::new()).unwrap();
        let stream = StreamOptions::new().threads(0);
        let mut bytes = plan.write_stream_optimized(Vec::new(), &stream, &Monitor::new()).unwrap();
        damage(&mut bytes, &changes);
        if let Ok(reader) = StreamReader::new(&bytes[..]) {
            _ = reader.threads(changes.len() % 3).copy_to(&mut Nowhere, &Monitor::new());
        }
        let folder = tempdir().unwrap();
        let path = folder.path().join("d.vmdk");
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(disk) = Disk::open_within(&path, folder.path())
            && disk.capacity() < 1 << 30
        {
            _ = disk_image::copy(&disk, &mut Nowhere, &Monitor::new());
        }
    }

    #[test]
    fn descriptors_are_printed_as_they_were_parsed(text in "(# D\\n)?([a-zA-Z.]{1,9} ?= ?\"?[ -~]{0,9}\"?\\r?\\n|RW [0-9]{1,21} (FLAT|SPARSE|ZERO) \"[a-z]\"( [0-9])?\\n|createType=\"vmfs\"\\n|.{0,9}\\n){0,9}") {
        if let Ok(descriptor) = Descriptor::parse(text.as_bytes()) {
            prop_assert_eq!(descriptor.to_bytes(), text.trim_end_matches('\0').as_bytes());
            _ = (descriptor.cid(), descriptor.parent_cid(), descriptor.capacity());
        }
    }
}
