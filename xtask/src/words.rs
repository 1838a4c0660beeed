//! Counts words that our text avoids, per crate. The counts are recorded in
//! `xtask/words.txt` and may only fall.
//!
//! CONTRIBUTING.md describes how we write. These words belong to a private vocabulary: a
//! reader who searches for the usual technical words does not find the text. The words
//! are counted in Rust sources and Markdown, except in generated code and test data.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::capture;
use crate::workspace;

/// The counted words, in lower case, each with what to write instead.
const BANNED: [(&str, &str); 12] = [
    ("anew", "again"),
    ("meanwhile", "concurrently, in between"),
    ("whoever", "a caller that, who"),
    ("likewise", "the sentence again"),
    ("beside", "next to, besides"),
    ("is told", "is notified"),
    ("are told", "are notified"),
    ("speaks of", "refers to"),
    ("hangs on", "is attached to"),
    ("is as good", "counts as success"),
    ("who asks", "the caller"),
    ("by what it gives", "by what it returns"),
];

const RECORD: &str = "xtask/words.txt";

/// Compares the counts with the record, or writes the record.
///
/// # Errors
/// Fails with each crate whose count differs from the record.
pub(crate) fn run(write: bool) -> Result<()> {
    let counts = count(&workspace::root())?;
    let path = workspace::root().join(RECORD);
    let recorded = match fs::read_to_string(&path) {
        Ok(text) => parse(&text)?,
        Err(error) if write && error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    let problems = compare(&counts, &recorded, write);
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    if write {
        fs::write(&path, print(&counts)).with_context(|| format!("write {}", path.display()))?;
    }
    println!(
        "words: {} left in {} crates",
        counts.values().sum::<usize>(),
        counts.values().filter(|count| **count > 0).count()
    );
    Ok(())
}

/// Returns the differences from the record, or, with `write`, only the counts that rose.
fn compare(
    counts: &BTreeMap<String, usize>,
    recorded: &BTreeMap<String, usize>,
    write: bool,
) -> Vec<String> {
    let mut problems = Vec::new();
    for (package, count) in counts {
        // A crate without a line is new, and new text must not contain any of the words.
        let allowed = recorded.get(package).copied().unwrap_or(0);
        let first = write && recorded.is_empty();
        if *count > allowed && !first {
            problems.push(format!(
                "{package} has {count} of the words that {RECORD} counts, and may have {allowed}: \
                 `cargo xtask words --list` shows them"
            ));
        } else if *count < allowed && !write {
            problems.push(format!(
                "{package} has fewer words than {RECORD} says, {count} of {allowed}: \
                 run `cargo xtask words --write` and commit the file"
            ));
        }
    }
    problems
}

/// Prints every occurrence.
///
/// # Errors
/// Fails when a file cannot be read.
pub(crate) fn list() -> Result<()> {
    let root = workspace::root();
    for path in sources(&root)? {
        let text = read(&root.join(&path))?;
        for (number, line) in (1..).zip(text.lines()) {
            for (word, instead) in found(line) {
                println!("{}:{number}: \"{word}\": {instead}", path.display());
            }
        }
    }
    Ok(())
}

/// Counts the words per package; files outside any package count as `docs`.
fn count(root: &Path) -> Result<BTreeMap<String, usize>> {
    let mut counts = BTreeMap::new();
    for path in sources(root)? {
        let text = read(&root.join(&path))?;
        let words = text.lines().map(|line| found(line).count()).sum::<usize>();
        *counts.entry(package(root, &path)).or_insert(0) += words;
    }
    Ok(counts)
}

/// Returns the folder of the nearest manifest above a file, which identifies the file's crate.
fn package(root: &Path, path: &Path) -> String {
    path.ancestors()
        .skip(1)
        .find(|folder| {
            !folder.as_os_str().is_empty() && root.join(folder).join("Cargo.toml").is_file()
        })
        .map_or_else(|| "docs".to_owned(), |folder| folder.display().to_string())
}

/// Returns the tracked files that are written by people.
fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let mut command = Command::new("git");
    command.current_dir(root);
    let listed = capture(command.args(["ls-files", "--", "*.rs", "*.md"]))?;
    Ok(listed
        .lines()
        .filter(|path| !path.contains("/generated/") && !path.contains("/data/"))
        // This file has to mention the words.
        .filter(|path| *path != "xtask/src/words.rs")
        .map(PathBuf::from)
        .filter(|path| root.join(path).is_file())
        .collect())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

/// Iterates over the banned words of a line, as whole words, once per occurrence.
fn found(line: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let line = line.to_lowercase();
    BANNED.into_iter().flat_map(move |(word, instead)| {
        let times = line
            .match_indices(word)
            .filter(|(at, _)| {
                let before = line.get(..*at).and_then(|text| text.chars().next_back());
                let after = line
                    .get(at + word.len()..)
                    .and_then(|text| text.chars().next());
                let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
                !is_part(before) && !is_part(after)
            })
            .count();
        std::iter::repeat_n((word, instead), times)
    })
}

fn parse(text: &str) -> Result<BTreeMap<String, usize>> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (package, count) = line
                .split_once(' ')
                .with_context(|| format!("{RECORD}: no count in the line `{line}`"))?;
            let count = count
                .trim()
                .parse()
                .with_context(|| format!("{RECORD}: no number in the line `{line}`"))?;
            Ok((package.to_owned(), count))
        })
        .collect()
}

fn print(counts: &BTreeMap<String, usize>) -> String {
    let mut text = String::from(
        "# Words of a private vocabulary left per crate; written by `cargo xtask words --write`.\n\
         # A count may only fall, and a crate without a line has none.\n",
    );
    for (package, count) in counts.iter().filter(|(_, count)| **count > 0) {
        text.push_str(&format!("{package} {count}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot run should stop")]

    use super::*;

    fn counts(of: &[(&str, usize)]) -> BTreeMap<String, usize> {
        of.iter()
            .map(|(package, count)| ((*package).to_owned(), *count))
            .collect()
    }

    #[test]
    fn whole_words_count_and_parts_of_words_do_not() {
        let words = |line| found(line).map(|(word, _)| word).collect::<Vec<_>>();
        assert_eq!(words("Made anew, and Anew."), ["anew", "anew"]);
        assert_eq!(words("besides renewal manewver beside_it"), [""; 0]);
        assert_eq!(words("who is told is told twice"), ["is told", "is told"]);
    }

    #[test]
    fn a_count_may_only_fall() {
        let recorded = counts(&[("vmx", 2)]);
        assert!(compare(&counts(&[("vmx", 2)]), &recorded, false).is_empty());
        for (count, write) in [(3, false), (3, true), (1, false)] {
            let problems = compare(&counts(&[("vmx", count)]), &recorded, write);
            assert_eq!(problems.len(), 1, "{count} {write}");
        }
        assert!(compare(&counts(&[("vmx", 1)]), &recorded, true).is_empty());
    }

    #[test]
    fn a_new_crate_has_none() {
        let recorded = counts(&[("vmx", 2)]);
        assert_eq!(
            compare(&counts(&[("tether", 1)]), &recorded, false).len(),
            1
        );
        assert!(compare(&counts(&[("tether", 0)]), &recorded, false).is_empty());
    }

    #[test]
    fn the_record_reads_what_it_prints() {
        let written = counts(&[("docs", 3), ("vmx", 1)]);
        assert_eq!(parse(&print(&written)).unwrap(), written);
        assert!(parse("vmx").is_err());
    }
}
