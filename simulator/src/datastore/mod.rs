//! The datastore, which is a directory of files.

pub(crate) mod disk;
pub(crate) mod path;
pub(crate) mod redo_log;
mod space;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use vim25::Fault;

use crate::fault;
use crate::saved;
use path::DatastorePath;
pub(crate) use space::Allowance;

/// The files of the datastore.
#[derive(Debug)]
pub(crate) struct Store {
    name: String,
    directory: PathBuf,
    /// Bytes; `None` without a limit.
    capacity: Option<u64>,
    temporary: Mutex<Option<tempfile::TempDir>>,
}

/// A deleted file or directory, renamed so that clients do not see it. Its content is still on
/// disk.
#[derive(Debug)]
pub(crate) struct Aside {
    path: DatastorePath,
    file: PathBuf,
}

impl Aside {
    /// Deletes the content.
    pub(crate) fn remove(self) -> Result<(), Fault> {
        let removed = if self.file.is_dir() {
            std::fs::remove_dir_all(&self.file)
        } else {
            std::fs::remove_file(&self.file)
        };
        removed.map_err(|error| fault::file_fault(&self.path.to_string(), &error))
    }
}

impl Store {
    /// Creates a datastore in a temporary directory, which is removed with the simulator.
    pub(crate) fn temporary(name: &str) -> Result<Self, (PathBuf, io::Error)> {
        let directory = tempfile::Builder::new()
            .prefix("vsphere-simulator-")
            .tempdir()
            .map_err(|error| (std::env::temp_dir(), error))?;
        Ok(Self {
            name: name.to_owned(),
            directory: directory.path().to_owned(),
            capacity: None,
            temporary: Mutex::new(Some(directory)),
        })
    }

    pub(crate) fn open(name: &str, directory: &Path) -> Result<Self, (PathBuf, io::Error)> {
        let open = || {
            std::fs::create_dir_all(directory)?;
            directory.canonicalize()
        };
        Ok(Self {
            name: name.to_owned(),
            directory: open().map_err(|error| (directory.to_owned(), error))?,
            capacity: None,
            temporary: Mutex::new(None),
        })
    }

    /// Limits the space that files occupy.
    pub(crate) fn with_capacity(self, capacity: Option<u64>) -> Self {
        Self { capacity, ..self }
    }

    /// Returns the number of bytes that are free; `None` without a capacity.
    pub(crate) fn free(&self) -> Option<u64> {
        let capacity = self.capacity?;
        Some(capacity.saturating_sub(space::occupied(&self.directory)))
    }

    /// Returns the space that a writer may use from now on. Concurrent writers do not share theirs,
    /// so together they may exceed the capacity.
    pub(crate) fn allowance(&self) -> Allowance {
        Allowance::new(self.free())
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn remove_temporary(&self) {
        let directory = self
            .temporary
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(Err(error)) = directory.map(tempfile::TempDir::close) {
            tracing::warn!(%error, "a temporary datastore was not removed");
        }
    }

    /// Parses a path such as `[datastore1] a/b.vmx`.
    pub(crate) fn parse(&self, text: &str) -> Result<DatastorePath, Fault> {
        let path = DatastorePath::parse(text).ok_or_else(|| fault::invalid_datastore_path(text))?;
        let kept = path
            .parts()
            .first()
            .is_some_and(|part| part.eq_ignore_ascii_case(saved::DIRECTORY));
        if path.datastore() == self.name && !kept {
            Ok(path)
        } else {
            Err(fault::invalid_datastore_path(text))
        }
    }

    /// Returns the datastore path of a file, given its path relative to the datastore.
    pub(crate) fn path(&self, relative: &str) -> Result<DatastorePath, Fault> {
        self.parse(&format!("[{}] {relative}", self.name))
    }

    /// Returns the path of a file in the file system of the simulator's own host.
    pub(crate) fn file(&self, path: &DatastorePath) -> PathBuf {
        let mut file = self.directory.clone();
        file.extend(path.parts());
        file
    }

    /// Returns the datastore path of the first file in a list.
    pub(crate) fn name_of(&self, files: &[PathBuf]) -> String {
        let relative = files
            .first()
            .and_then(|file| file.strip_prefix(&self.directory).ok())
            .unwrap_or_else(|| Path::new(""));
        format!("[{}] {}", self.name, relative.display())
    }

    pub(crate) fn exists(&self, path: &DatastorePath) -> bool {
        self.file(path).exists()
    }

    pub(crate) fn read(&self, path: &DatastorePath) -> Result<Vec<u8>, Fault> {
        std::fs::read(self.file(path)).map_err(|error| fault::file_fault(&path.to_string(), &error))
    }

    /// Writes a file atomically: readers see either the old or the new content.
    pub(crate) fn write(&self, path: &DatastorePath, content: &[u8]) -> Result<(), Fault> {
        let write = || {
            self.allowance().take(content.len() as u64)?;
            let file = self.file(path);
            let mut new = file.clone().into_os_string();
            new.push(".part");
            std::fs::write(&new, content)?;
            std::fs::rename(&new, &file)
        };
        write().map_err(|error: io::Error| fault::file_fault(&path.to_string(), &error))
    }

    /// Creates a directory; its parent must exist unless `parents` is set.
    pub(crate) fn make_directory(&self, path: &DatastorePath, parents: bool) -> Result<(), Fault> {
        let directory = self.file(path);
        let made = if parents {
            std::fs::create_dir_all(directory)
        } else {
            std::fs::create_dir(directory)
        };
        made.map_err(|error| fault::file_fault(&path.to_string(), &error))
    }

    /// Hides a file or directory from clients immediately; its content is deleted later,
    /// outside of the transaction.
    pub(crate) fn put_aside(&self, path: &DatastorePath) -> Result<Aside, Fault> {
        if path.is_root() {
            return Err(fault::invalid_datastore_path(&path.to_string()));
        }
        let file = self.file(path);
        let unique = uuid::Uuid::new_v4().simple();
        let aside = file.with_file_name(format!("{}.{unique}.part", path.file_name()));
        std::fs::rename(&file, &aside)
            .map_err(|error| fault::file_fault(&path.to_string(), &error))?;
        let path = path.clone();
        Ok(Aside { path, file: aside })
    }

    /// Deletes a file, or a directory with its content.
    pub(crate) fn delete(&self, path: &DatastorePath) -> Result<(), Fault> {
        if path.is_root() {
            return Err(fault::invalid_datastore_path(&path.to_string()));
        }
        let file = self.file(path);
        let deleted = if file.is_dir() {
            std::fs::remove_dir_all(file)
        } else {
            std::fs::remove_file(file)
        };
        deleted.map_err(|error| fault::file_fault(&path.to_string(), &error))
    }
}
