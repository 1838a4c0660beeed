//! Replaces files in one step: a program that opens the file sees the old or the new
//! content, even if this program is interrupted.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

/// Replaces a file with its edited bytes.
///
/// Links are kept: the file to which they point is replaced. The file keeps its mode,
/// owner and group. Fails if the file cannot be written, if it is not a regular file (a
/// pipe would be lost), or if another program has changed it in the meantime.
pub(crate) fn edited(path: &Path, was: &[u8], bytes: &[u8]) -> Result<()> {
    let metadata = path
        .metadata()
        .with_context(|| cannot_write(path, "reading its metadata"))?;
    ensure!(
        metadata.is_file(),
        "{} is not a regular file and cannot be edited in place; choose another file with --output",
        path.display()
    );
    let target = target(path)?;
    let unchanged = || -> Result<()> {
        let now = fs::read(&target).with_context(|| cannot_write(path, "reading it again"))?;
        ensure!(
            now == was,
            "{} was changed by another program concurrently; nothing was written",
            path.display()
        );
        Ok(())
    };
    in_one_step(&target, Some(&metadata), bytes, unchanged)
}

/// Writes bytes to a path of the user's choice. A file is replaced in one step; anything
/// else, such as a pipe, is written into.
pub(crate) fn output(path: &Path, bytes: &[u8]) -> Result<()> {
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => bail!(cannot_write(path, "it is a folder")),
        Ok(metadata) if metadata.is_file() => {
            in_one_step(&target(path)?, Some(&metadata), bytes, || Ok(()))
        }
        Ok(_) => OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut file| file.write_all(bytes))
            .with_context(|| cannot_write(path, "writing into it")),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
            in_one_step(path, None, bytes, || Ok(()))
        }
        Err(error) => Err(error).with_context(|| cannot_write(path, "reading its metadata")),
    }
}

/// Returns the file itself, with links resolved, if it may be written.
fn target(path: &Path) -> Result<PathBuf> {
    // Replacing a file only requires a writable folder, but a user who made the file
    // itself read-only did not want it replaced.
    OpenOptions::new()
        .write(true)
        .open(path)
        .with_context(|| cannot_write(path, "opening it"))?;
    path.canonicalize()
        .with_context(|| cannot_write(path, "following it"))
}

fn in_one_step(
    target: &Path,
    old: Option<&Metadata>,
    bytes: &[u8],
    last_look: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let temporary = temporary_name(target);
    let result = write_new(&temporary, old, bytes)
        .with_context(|| cannot_write(&temporary, "making it"))
        .and_then(|()| last_look())
        .and_then(|()| {
            fs::rename(&temporary, target).with_context(|| cannot_write(target, "replacing it"))
        });
    match &result {
        Ok(()) => persist(target),
        Err(error) if already_there(error) => {}
        Err(_) => {
            let _ = fs::remove_file(&temporary);
        }
    }
    result
}

fn write_new(temporary: &Path, old: Option<&Metadata>, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(temporary)?;
    if let Some(old) = old {
        // Set before the first byte is written, so that secrets of the old file stay
        // protected.
        keep_owner(&file, old)?;
        file.set_permissions(old.permissions())?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(unix)]
fn keep_owner(file: &File, old: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};

    let new = file.metadata()?;
    let (user, group) = (old.uid(), old.gid());
    if (new.uid(), new.gid()) == (user, group) {
        return Ok(());
    }
    fchown(file, Some(user), Some(group)).map_err(|error| {
        let reason = format!(
            "owner {user} and group {group} of the old file cannot be kept ({error}); \
             edit it as its owner, or write another with --output"
        );
        io::Error::new(error.kind(), reason)
    })
}

#[cfg(not(unix))]
fn keep_owner(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}

/// Syncs the folder, so that the new file survives a power failure.
fn persist(target: &Path) {
    if let Some(folder) = target.parent() {
        // Not every system can open folders; the file itself is already synced.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

/// Whether the temporary file of another run already exists; it must not be removed.
fn already_there(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::AlreadyExists)
}

fn temporary_name(target: &Path) -> PathBuf {
    let mut name = OsString::from(target.file_name().unwrap_or_default());
    name.push(format!(".{}.new", std::process::id()));
    target.with_file_name(name)
}

fn cannot_write(path: &Path, step: &str) -> String {
    format!("cannot write {}: {step}", path.display())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_file_that_another_program_wrote_meanwhile_is_left_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.vmx");
        fs::write(&path, "theirs").unwrap();
        let error = edited(&path, b"old", b"ours").unwrap_err();
        assert!(error.to_string().contains("by another program"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        edited(&path, b"theirs", b"ours").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"ours");
    }
}
