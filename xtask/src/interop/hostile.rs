//! Runs umoci and GNU tar on the hostile archives of `disk-image`, and compares the results
//! with the table in that crate's documentation.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::built::Built;
use super::report::Report;
use crate::process::{is_root, on_path, output, run};
use crate::workspace;

const NAME: &str = "disk-image: the table of hostile archives matches the programs";
const TABLE: &str = "disk-image/src/hostile.md";

/// Generates the table again and compares it with the one in the documentation. The new one
/// is written to `folder`.
pub(super) fn check(report: &mut Report, built: &Built, folder: &Path) {
    let missing = ["umoci", "tar"].into_iter().find(|name| !on_path(name));
    if let Some(name) = missing {
        report.not_run(NAME, &format!("{name} is not installed"));
    } else if !is_root() {
        report.not_run(
            NAME,
            "without root, umoci refuses more than it does as root",
        );
    } else {
        let table = built.test("disk-image", "it").and_then(generate);
        match table.and_then(|table| compare(&table, folder)) {
            Ok(Some(reason)) => report.not_run(NAME, &reason),
            other => report.check(NAME, || other.map(|_| ())),
        }
    }
}

/// Returns the reason if the tables cannot be compared.
fn compare(table: &str, folder: &Path) -> Result<Option<String>> {
    let new = folder.join("hostile.md");
    fs::write(&new, table).with_context(|| format!("write {}", new.display()))?;
    let path = workspace::root().join(TABLE);
    let old = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let head = |table: &str| table.lines().next().unwrap_or_default().to_owned();
    if head(&old) != head(table) {
        return Ok(Some(format!(
            "the table was recorded with other versions: {}",
            head(table)
        )));
    }
    if rows(&old) != rows(table) {
        bail!(
            "{TABLE} differs from what the programs do; compare it with {}",
            new.display()
        );
    }
    Ok(None)
}

/// Returns the rows that do not depend on the file system that is unpacked to.
fn rows(table: &str) -> Vec<&str> {
    let depends = |row: &&str| !row.starts_with("| attribute of 60,000 bytes |");
    table.lines().filter(depends).collect()
}

/// Writes the archives with the test program `tests`, and runs the programs on each.
fn generate(mut tests: Command) -> Result<String> {
    let folder = tempfile::tempdir().context("create a folder for archives")?;
    let test = "hostile::hostile_archives_end_as_documented";
    run(tests
        .args(["--exact", test, "--quiet"])
        .env("HOSTILE_ARCHIVES", folder.path()))?;
    let mut archives: Vec<PathBuf> = fs::read_dir(folder.path())
        .context("list the archives")?
        .map(|entry| Ok(entry.context("list the archives")?.path()))
        .collect::<Result<_>>()?;
    archives.retain(|path| path.extension().is_some_and(|extension| extension == "tar"));
    archives.sort();
    ensure!(!archives.is_empty(), "the test wrote no archives");
    let (umoci, tar) = (version("umoci")?, version("tar")?);
    let mut table =
        format!("| archive | this crate | {umoci} | GNU {tar} |\n| --- | --- | --- | --- |\n");
    for archive in archives {
        let name = archive.file_stem().unwrap_or_default().to_string_lossy();
        let ours = fs::read_to_string(archive.with_extension("ours"))
            .with_context(|| format!("read the outcome of {name}"))?;
        let umoci = with_umoci(&archive)?;
        let tar = with_tar(&archive)?;
        let (_, name) = name.split_once('-').unwrap_or_default();
        let name = name.replace('_', " ");
        table.push_str(&format!("| {name} | {} | {umoci} | {tar} |\n", ours.trim()));
    }
    Ok(table)
}

/// Returns the first line of `--version`, without the words in brackets.
fn version(program: &str) -> Result<String> {
    let printed = output(Command::new(program).arg("--version"))?.stdout;
    let printed = String::from_utf8_lossy(&printed).into_owned();
    let line = printed.lines().next().unwrap_or_default();
    let words = line
        .split_whitespace()
        .filter(|word| !word.starts_with('(') && !word.ends_with(')') && *word != "version");
    Ok(words.collect::<Vec<_>>().join(" "))
}

fn with_umoci(archive: &Path) -> Result<String> {
    observe(|folder, target| {
        let image = format!("{}:x", folder.join("layout").display());
        let umoci = |arguments: &[&str]| output(Command::new("umoci").args(arguments));
        let layout = folder.join("layout").display().to_string();
        for arguments in [
            &["init", "--layout", &layout][..],
            &["new", "--image", &image],
            &[
                "raw",
                "add-layer",
                "--image",
                &image,
                &archive.display().to_string(),
            ],
        ] {
            if !umoci(arguments)?.status.success() {
                return Ok(false);
            }
        }
        let target = target.display().to_string();
        Ok(umoci(&["raw", "unpack", "--image", &image, &target])?
            .status
            .success())
    })
}

fn with_tar(archive: &Path) -> Result<String> {
    observe(|_, target| {
        fs::create_dir(target).context("create a folder to unpack to")?;
        let mut tar = Command::new("tar");
        tar.args(["--xattrs", "--xattrs-include=*", "-xf"])
            .arg(archive);
        Ok(output(tar.arg("-C").arg(target))?.status.success())
    })
}

/// Unpacks into a nested directory, and describes the result: whether the program refused the
/// archive, which files it created, and whether one of them is outside of the target.
fn observe(unpack: impl FnOnce(&Path, &Path) -> Result<bool>) -> Result<String> {
    let outer = tempfile::tempdir().context("create a folder to unpack in")?;
    let work = tempfile::tempdir().context("create a folder for an image")?;
    let inner = outer.path().join("a/b/c");
    fs::create_dir_all(&inner).context("create a folder to unpack in")?;
    let target = inner.join("target");
    let accepted = unpack(work.path(), &target)?;
    let mut made = BTreeSet::new();
    names(&target, &target, &mut made)?;
    let mut all = BTreeSet::new();
    names(outer.path(), outer.path(), &mut all)?;
    let outside = all.iter().find(|path| {
        !path.starts_with("a/b/c/target") && !["a", "a/b", "a/b/c"].contains(&path.as_str())
    });
    let made = match made.len() {
        0 => "nothing".to_owned(),
        1..=4 => made.into_iter().collect::<Vec<_>>().join(", "),
        count => format!("{count} names"),
    };
    Ok(match (outside, accepted) {
        (Some(path), _) => format!("**outside**: {path}"),
        (None, true) => format!("makes {made}"),
        (None, false) if made == "nothing" => "refused".to_owned(),
        (None, false) => format!("refused, leaves {made}"),
    })
}

fn names(root: &Path, folder: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry.context("list what was unpacked")?.path();
        let name = path
            .strip_prefix(root)
            .unwrap_or(&path)
            .display()
            .to_string();
        found.insert(if name.len() > 40 {
            format!("a name of {} bytes", name.len())
        } else {
            name
        });
        if path.is_dir() && !path.is_symlink() {
            names(root, &path, found)?;
        }
    }
    Ok(())
}
