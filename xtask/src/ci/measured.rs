//! Skips measurements whose inputs have not changed. Some steps take minutes and depend
//! on few files, so they run again only when one of these files has changed:
//! `xtask/measured.txt` contains, for each such step, the digest of its inputs when it
//! last passed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::Outcome;
use crate::process::capture;
use crate::workspace;

const RECORD: &str = "xtask/measured.txt";

/// The inputs of the bindings' figures, relative to the workspace. [`digest`] adds the
/// compiler and the locked dependencies of the bindings.
const BINDINGS: &[&str] = &[
    "vim25",
    "xtask/cost",
    "xtask/src/cost",
    "xtask/src/bench_peers",
];

/// The packages outside the workspace that influence the figures.
const LOCKED: &[&str] = &[
    "memchr",
    "quick-xml",
    "serde",
    "serde_core",
    "serde_json",
    "syn",
];

/// Runs `measure` unless its inputs are unchanged since it last passed, and updates the
/// record when it passes.
///
/// # Errors
/// Fails when `measure` fails or the files cannot be read.
pub(super) fn unless_unchanged(step: &str, measure: fn() -> Result<()>) -> Result<Outcome> {
    let root = workspace::root();
    let path = root.join(RECORD);
    let mut record = parse(&fs::read_to_string(&path).unwrap_or_default());
    let digest = digest(&root)?;
    if record.get(step) == Some(&digest) {
        println!(
            "skipped: the inputs are unchanged since it last passed, see {RECORD}; \
             delete its line there to measure again"
        );
        return Ok(Outcome::Passed);
    }
    measure()?;
    record.insert(step.to_owned(), digest);
    fs::write(&path, print(&record)).with_context(|| format!("write {}", path.display()))?;
    println!("measured; commit {RECORD}");
    Ok(Outcome::Passed)
}

/// Returns a digest of the sources, of their locked dependencies and of the compiler.
fn digest(root: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    hasher.update(capture(
        std::process::Command::new("rustc").arg("--version"),
    )?);
    let lock = root.join("Cargo.lock");
    let lock = fs::read_to_string(&lock).with_context(|| format!("read {}", lock.display()))?;
    hasher.update(locked(&lock));
    let mut files = Vec::new();
    for folder in BINDINGS {
        walk(&root.join(folder), &mut files)?;
    }
    files.sort();
    for file in files {
        let bytes = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        let name = file.strip_prefix(root).unwrap_or(&file);
        let bytes = match name.extension() {
            Some(extension) if extension == "rs" => code(&bytes),
            Some(extension) if extension == "md" => continue,
            _ => bytes,
        };
        hasher.update(name.to_string_lossy().as_bytes());
        hasher.update(bytes.len().to_le_bytes());
        hasher.update(bytes);
    }
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// Returns the entries of the lock file for the relevant packages, unchanged.
fn locked(lock: &str) -> String {
    lock.split("[[package]]")
        .filter(|entry| {
            entry
                .lines()
                .find_map(|line| line.strip_prefix("name = "))
                .is_some_and(|name| LOCKED.contains(&name.trim_matches('"')))
        })
        .collect()
}

/// Returns the lines that are not comments, because only these are compiled.
fn code(source: &[u8]) -> Vec<u8> {
    source
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii_start().starts_with(b"//"))
        .flatten()
        .copied()
        .collect()
}

/// Adds all files below `folder`.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("list {}", folder.display()))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if entry.file_name() != "target" {
                walk(&entry.path(), files)?;
            }
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn parse(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(step, digest)| (step.to_owned(), digest.to_owned()))
        .collect()
}

fn print(record: &BTreeMap<String, String>) -> String {
    record
        .iter()
        .map(|(step, digest)| format!("{step} {digest}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_is_read_as_it_was_written() {
        let record = BTreeMap::from([
            ("codec".to_owned(), "01ab".to_owned()),
            ("cost".to_owned(), "23cd".to_owned()),
        ]);
        assert_eq!(parse(&print(&record)), record);
    }

    #[test]
    fn comments_do_not_count() {
        assert_eq!(
            code(b"//! Docs.\nfn f() {\n    // Why.\n    g(); // here\n}\n"),
            b"fn f() {\n    g(); // here\n}\n"
        );
    }

    #[test]
    fn of_the_lock_file_only_what_the_bindings_use_counts() {
        let lock = "version = 4\n\n[[package]]\nname = \"tokio\"\nversion = \"1\"\n\n\
                    [[package]]\nname = \"quick-xml\"\nversion = \"2\"\n";
        assert_eq!(locked(lock), "\nname = \"quick-xml\"\nversion = \"2\"\n");
    }
}
