//! Files: read from a path or standard input, replaced in one step.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use vmx::{Document, Encoding, EncodingError, FileKind, ParseOptions, Policy};

use crate::output::complain;

/// The path that means standard input.
const STANDARD_INPUT: &str = "-";

/// How many problems of a file are printed for people.
pub(crate) const SHOWN_PROBLEMS: usize = 20;

pub(crate) fn encoding(label: &str) -> Result<Encoding, EncodingError> {
    Encoding::for_label(label)
}

pub(crate) fn is_standard_input(path: &Path) -> bool {
    path == Path::new(STANDARD_INPUT)
}

/// The name of a file in messages.
pub(crate) fn shown(path: &Path) -> String {
    if is_standard_input(path) {
        "standard input".into()
    } else {
        path.display().to_string()
    }
}

/// Reads a dictionary leniently and says what VMware would refuse.
pub(crate) fn read(path: &Path, encoding: Encoding) -> Result<Document> {
    let document = read_quietly(path, encoding)?;
    let problems = document.problems();
    for problem in problems.iter().take(SHOWN_PROBLEMS) {
        complain(format_args!("{}: {problem}", shown(path)));
    }
    if let Some(more) = problems.len().checked_sub(SHOWN_PROBLEMS + 1) {
        complain(format_args!(
            "{}: and {} problems more",
            shown(path),
            more + 1
        ));
    }
    if !problems.is_empty() {
        complain(format_args!(
            "{}: VMware does not open this file",
            shown(path)
        ));
    }
    Ok(document)
}

/// Reads a dictionary leniently.
pub(crate) fn read_quietly(path: &Path, encoding: Encoding) -> Result<Document> {
    let bytes = bytes(path).with_context(|| format!("cannot read {}", shown(path)))?;
    match FileKind::of(&bytes) {
        kind if kind.is_dictionary() => {}
        FileKind::ExtendedConfig => bail!(
            "{} is XML, as .vmxf files are, and not in the grammar of .vmx files",
            shown(path)
        ),
        FileKind::DiskDescriptor | FileKind::Disk => {
            bail!(
                "{} is a disk; give the .vmx file of the machine",
                shown(path)
            )
        }
        _ => bail!("{} is not in the grammar of .vmx files", shown(path)),
    }
    let options = ParseOptions::new()
        .policy(Policy::Lenient)
        .default_encoding(encoding);
    options
        .parse(bytes)
        .with_context(|| format!("cannot read {}", shown(path)))
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    if is_standard_input(path) {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes)?;
        Ok(bytes)
    } else {
        fs::read(path)
    }
}

/// Replaces a file in one step: whoever opens it sees the old one or the new one.
pub(crate) fn replace(path: &Path, document: &Document) -> Result<()> {
    let write = || -> io::Result<()> {
        // The file that a link points to is replaced, not the link.
        let target = match path.canonicalize() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            found => found?,
        };
        let temporary = beside(&target);
        let result = write_new(&temporary, &target, document);
        if result.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        result
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn write_new(temporary: &Path, target: &Path, document: &Document) -> io::Result<()> {
    let mut file = File::create_new(temporary)?;
    if let Ok(metadata) = target.metadata() {
        file.set_permissions(metadata.permissions())?;
    }
    file.write_all(&document.to_bytes())?;
    file.flush()?;
    file.sync_all()?;
    fs::rename(temporary, target)
}

fn beside(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    target.with_file_name(name)
}
