//! Reads dictionaries from a path or standard input.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use vmx::{Document, Encoding, EncodingError, FileKind, ParseOptions, Policy};

use crate::output::complain;

/// The path that means standard input.
const STANDARD_INPUT: &str = "-";

/// Maximum number of problems of a file that are printed as text.
pub(crate) const SHOWN_PROBLEMS: usize = 20;

pub(crate) fn encoding(label: &str) -> Result<Encoding, EncodingError> {
    Encoding::for_label(label)
}

pub(crate) fn is_standard_input(path: &Path) -> bool {
    path == Path::new(STANDARD_INPUT)
}

/// Returns the name of a file as shown in messages.
pub(crate) fn shown(path: &Path) -> String {
    if is_standard_input(path) {
        "standard input".into()
    } else {
        path.display().to_string()
    }
}

/// Reads a dictionary leniently and prints what VMware would refuse.
pub(crate) fn read(path: &Path, encoding: Encoding) -> Result<Document> {
    let document = read_quietly(path, encoding)?;
    let problems = document.problems();
    for problem in problems.iter().take(SHOWN_PROBLEMS) {
        complain(format_args!("{}: {problem}", shown(path)));
    }
    if let Some(more) = more(problems.len()) {
        complain(format_args!("{}: {more}", shown(path)));
    }
    if problems.iter().any(|problem| !problem.depends_on_host()) {
        complain(format_args!(
            "{}: VMware does not open this file",
            shown(path)
        ));
    } else if !problems.is_empty() {
        complain(format_args!(
            "{}: whether VMware opens this file depends on the host's own encoding; pass it with \
             --encoding",
            shown(path)
        ));
    }
    if document.is_encrypted() {
        complain(format_args!(
            "{}: the settings are encrypted; only the unencrypted entries can be read",
            shown(path)
        ));
    }
    Ok(document)
}

/// Returns the line about the problems that are not printed.
pub(crate) fn more(problems: usize) -> Option<String> {
    match problems.checked_sub(SHOWN_PROBLEMS)? {
        0 => None,
        1 => Some("and 1 more problem".into()),
        more => Some(format!("and {more} more problems")),
    }
}

/// Reads a dictionary leniently, without printing its problems.
pub(crate) fn read_quietly(path: &Path, encoding: Encoding) -> Result<Document> {
    let bytes = bytes(path).with_context(|| format!("cannot read {}", shown(path)))?;
    match FileKind::of(&bytes) {
        kind if kind.is_dictionary() => {}
        FileKind::ExtendedConfig => bail!(
            "{} is XML, like .vmxf files, and not a .vmx file",
            shown(path)
        ),
        FileKind::DiskDescriptor | FileKind::Disk => {
            bail!(
                "{} is a disk; use the .vmx file of the machine",
                shown(path)
            )
        }
        _ => bail!("{} is binary, and not a .vmx file", shown(path)),
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
