//! Sizes of build results.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSection, SectionKind};

/// Returns the bytes of machine code in a library, which every program includes even if
/// it uses no type. The number stays small only if code for a type is generated where the
/// type is used.
///
/// # Errors
/// Fails when the library cannot be read.
pub(super) fn machine_code(library: &Path) -> Result<f64> {
    let bytes = fs::read(library).with_context(|| format!("read {}", library.display()))?;
    let archive = ArchiveFile::parse(&*bytes)
        .with_context(|| format!("read {} as an archive", library.display()))?;
    let mut code = 0;
    for member in archive.members() {
        // The archive also contains the crate's metadata, which is not an object file.
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
/// Fails when the file does not exist.
pub(super) fn file(path: &Path) -> Result<f64> {
    let metadata =
        fs::metadata(path).with_context(|| format!("read the size of {}", path.display()))?;
    Ok(metadata.len() as f64)
}
