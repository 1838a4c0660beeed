//! Sizes of build results.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSection, SectionKind};

/// Returns the bytes of machine code in a library: what every program pays even if it
/// uses no type. It stays small only if code per type is generated where it is used.
///
/// # Errors
/// Fails when the library cannot be read.
pub(super) fn machine_code(library: &Path) -> Result<f64> {
    let bytes = fs::read(library).with_context(|| format!("read {}", library.display()))?;
    let archive = ArchiveFile::parse(&*bytes)
        .with_context(|| format!("read {} as an archive", library.display()))?;
    let mut code = 0;
    for member in archive.members() {
        // The crate's metadata is a member too, but not an object file.
        let Ok(file) = object::File::parse(member?.data(&*bytes)?) else {
            continue;
        };
        let text = file.sections().filter(|s| s.kind() == SectionKind::Text);
        code += text.map(|section| section.size()).sum::<u64>();
    }
    Ok(code as f64)
}

/// Returns the size of a file in bytes.
///
/// # Errors
/// Fails when it does not exist.
pub(super) fn file(path: &Path) -> Result<f64> {
    let metadata =
        fs::metadata(path).with_context(|| format!("read the size of {}", path.display()))?;
    Ok(metadata.len() as f64)
}
