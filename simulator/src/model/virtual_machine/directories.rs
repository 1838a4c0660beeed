//! New directories for the files of a machine: its own, and one on every other datastore that it
//! has disks on.

use vim25::Fault;

use super::create;
use crate::datastore::path::DatastorePath;
use crate::datastore::{Store, Volume};

#[derive(Clone, Debug)]
struct Directory {
    path: DatastorePath,
    /// The path that it was planned with. On vSAN, the path is known when the directory exists.
    planned: DatastorePath,
    is_new: bool,
}

/// Directories for the files of a machine, at most one per datastore.
#[derive(Debug)]
pub(super) struct Directories {
    all: Vec<Directory>,
}

impl Directories {
    /// Starts with a new directory for the machine's `.vmx` file.
    pub(super) fn new(home: DatastorePath) -> Self {
        Self {
            all: vec![Directory::new(home, true)],
        }
    }

    /// Starts with the existing directory of the machine's `.vmx` file.
    pub(super) fn existing(home: DatastorePath) -> Self {
        Self {
            all: vec![Directory::new(home, false)],
        }
    }

    /// Returns the directory on a datastore, which is named after the machine.
    pub(super) fn on(
        &mut self,
        store: &Store,
        volume: &Volume,
        name: &str,
    ) -> Result<DatastorePath, Fault> {
        let mut known = self.all.iter().map(|directory| &directory.path);
        let root = store.path(volume, "")?;
        if let Some(known) = known.find(|path| path.is_near(&root)) {
            return Ok(known.clone());
        }
        let directory = create::free_directory(store, &root, name);
        self.all.push(Directory::new(directory.clone(), true));
        Ok(directory)
    }

    /// Creates the directories. On a fault, those that were created are deleted.
    pub(super) fn make(&mut self, store: &Store) -> Result<(), Fault> {
        for at in 0..self.all.len() {
            let Some(directory) = self.all.get_mut(at).filter(|one| one.is_new) else {
                continue;
            };
            match store.make_home(&directory.planned) {
                Ok(path) => directory.path = path,
                Err(fault) => {
                    self.all.truncate(at);
                    self.delete(store);
                    return Err(fault);
                }
            }
        }
        Ok(())
    }

    /// Returns the path of a file in a directory that was created since the path was planned.
    pub(super) fn made(&self, planned: &DatastorePath) -> DatastorePath {
        let home = planned.parent();
        let mut all = self.all.iter();
        match all.find(|directory| directory.planned == home) {
            Some(directory) => directory.path.join(planned.file_name()),
            None => planned.clone(),
        }
    }

    /// Deletes the new directories with their content.
    pub(super) fn delete(&self, store: &Store) {
        for directory in self.all.iter().filter(|directory| directory.is_new) {
            let _ = store.delete(&directory.path);
        }
    }
}

impl Directory {
    fn new(path: DatastorePath, is_new: bool) -> Self {
        Self {
            planned: path.clone(),
            path,
            is_new,
        }
    }
}
