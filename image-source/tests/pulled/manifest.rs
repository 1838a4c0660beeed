//! Describes the files of a tree, and finds differences.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use portlayer::image::Digest;

/// Describes every file: type, mode, owner, time, number of links, and content or target.
pub(crate) fn manifest(root: &Path) -> BTreeMap<String, String> {
    let mut manifest = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let kind = meta.file_type();
        let content = if kind.is_symlink() {
            fs::read_link(&path).unwrap().to_string_lossy().into_owned()
        } else if kind.is_file() {
            Digest::of(fs::read(&path).unwrap()).to_string()
        } else if kind.is_char_device() || kind.is_block_device() {
            format!("device {}", meta.rdev())
        } else {
            String::new()
        };
        if kind.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            open.extend(entries.map(|entry| entry.unwrap().path()));
        }
        let links = if kind.is_dir() { 0 } else { meta.nlink() };
        let text = format!(
            "{:o} {}:{} {}.{:09} links {links} {content}",
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.mtime(),
            meta.mtime_nsec()
        );
        let name = path.strip_prefix(root).unwrap();
        let name = name.to_string_lossy().into_owned();
        if name != "lost+found" {
            manifest.insert(name, text);
        }
    }
    manifest
}

/// Returns the files that differ, each as it is in both trees.
pub(crate) fn difference(
    a: &BTreeMap<String, String>,
    b: &BTreeMap<String, String>,
) -> BTreeMap<String, (Option<String>, Option<String>)> {
    let names = a.keys().chain(b.keys());
    let pairs = names.map(|name| (name.clone(), (a.get(name).cloned(), b.get(name).cloned())));
    pairs.filter(|(_, (a, b))| a != b).collect()
}
