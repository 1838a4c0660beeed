//! Sizes of what was built.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSection, SectionKind};

/// Bytes of machine code in a library: what every program pays for before it has
/// named a type, and proof that code per type is made only where it is used.
///
/// # Errors
/// When it cannot be read.
pub(super) fn machine_code(library: &Path) -> Result<f64> {
    let bytes = fs::read(library).with_context(|| format!("read {}", library.display()))?;
    let archive = ArchiveFile::parse(&*bytes)
        .with_context(|| format!("read {} as an archive", library.display()))?;
    let mut code = 0;
    for member in archive.members() {
        // The crate's metadata is a member too, and no object file.
        let Ok(file) = object::File::parse(member?.data(&*bytes)?) else {
            continue;
        };
        let text = file.sections().filter(|s| s.kind() == SectionKind::Text);
        code += text.map(|section| section.size()).sum::<u64>();
    }
    Ok(code as f64)
}

/// Bytes of a file.
///
/// # Errors
/// When there is none.
pub(super) fn file(path: &Path) -> Result<f64> {
    let metadata = fs::metadata(path).with_context(|| format!("look at {}", path.display()))?;
    Ok(metadata.len() as f64)
}
