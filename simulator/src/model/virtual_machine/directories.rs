//! New directories for the files of a machine: its own, and one on every other datastore that it
//! has disks on.

use vim25::Fault;

use super::create;
use crate::datastore::Store;
use crate::datastore::path::DatastorePath;

/// Directories for the files of a machine, at most one per datastore.
#[derive(Debug)]
pub(super) struct Directories {
    /// Each with whether it is new.
    all: Vec<(DatastorePath, bool)>,
}

impl Directories {
    /// Starts with a new directory for the machine's `.vmx` file.
    pub(super) fn new(home: DatastorePath) -> Self {
        Self {
            all: vec![(home, true)],
        }
    }

    /// Starts with the existing directory of the machine's `.vmx` file.
    pub(super) fn existing(home: DatastorePath) -> Self {
        Self {
            all: vec![(home, false)],
        }
    }

    /// Returns the directory on a datastore, which is named after the machine.
    pub(super) fn on(
        &mut self,
        store: &Store,
        datastore: &str,
        name: &str,
    ) -> Result<DatastorePath, Fault> {
        let mut known = self.all.iter().map(|(path, _)| path);
        if let Some(known) = known.find(|path| path.datastore() == datastore) {
            return Ok(known.clone());
        }
        let root = store.path(datastore, "")?;
        let directory = create::free_directory(store, &root, name);
        self.all.push((directory.clone(), true));
        Ok(directory)
    }

    /// Creates the directories. On a fault, those that were created are deleted.
    pub(super) fn make(&self, store: &Store) -> Result<(), Fault> {
        for (at, (directory, is_new)) in self.all.iter().enumerate() {
            if *is_new && let Err(fault) = store.make_directory(directory, true) {
                let made = self.all.get(..at).unwrap_or_default();
                delete(store, made);
                return Err(fault);
            }
        }
        Ok(())
    }

    /// Deletes the new directories with their content.
    pub(super) fn delete(&self, store: &Store) {
        delete(store, &self.all);
    }
}

fn delete(store: &Store, directories: &[(DatastorePath, bool)]) {
    for (directory, is_new) in directories {
        if *is_new {
            let _ = store.delete(directory);
        }
    }
}
