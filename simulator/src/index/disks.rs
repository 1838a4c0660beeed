//! The index of the machines in a datacenter by their disks' files.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Values, mark};
use crate::machine::Machine;

/// The values of machines by the files of their disks. Any number of machines can have a disk with
/// the same parent, so each question has a table of its own; none is answered by a walk through
/// all machines that share a parent.
#[derive(Clone, Debug, Default)]
pub(super) struct Disks {
    /// The machines with a disk whose chain contains a file, now or in a snapshot.
    users: HashMap<String, Values>,
    /// The machines to which a file is attached, not only as a parent.
    owners: HashMap<String, Values>,
    /// The machines that are on and have a disk whose chain contains a file.
    running: HashMap<String, Values>,
}

impl Disks {
    /// Applies the change of one machine.
    pub(super) fn update(&mut self, value: &str, old: Option<&Machine>, new: Option<&Machine>) {
        let mut are_same = false;
        if let (Some(old), Some(new)) = (old, new) {
            are_same = old.chains == new.chains && Arc::ptr_eq(&old.snapshots, &new.snapshots);
            if are_same && old.cycle.is_some() == new.cycle.is_some() {
                return;
            }
        }
        for (machine, present) in [(old, false), (new, true)] {
            let Some(machine) = machine else { continue };
            if !are_same {
                for file in machine.disk_files() {
                    mark(&mut self.users, file.clone(), value, present);
                }
                for file in machine.chains.iter().filter_map(|chain| chain.first()) {
                    mark(&mut self.owners, file.clone(), value, present);
                }
            }
            if machine.cycle.is_some() {
                for file in machine.chains.iter().flatten() {
                    mark(&mut self.running, file.clone(), value, present);
                }
            }
        }
    }

    /// Iterates over the machines with a disk whose chain contains a file, now or in a snapshot.
    pub(super) fn users(&self, file: &str) -> impl Iterator<Item = &str> {
        of(&self.users, file)
    }

    /// Iterates over the machines to which a file is attached, not only as a parent.
    pub(super) fn owners(&self, file: &str) -> impl Iterator<Item = &str> {
        of(&self.owners, file)
    }

    /// Iterates over the machines that are on and have a disk whose chain contains a file.
    pub(super) fn running(&self, file: &str) -> impl Iterator<Item = &str> {
        of(&self.running, file)
    }
}

fn of<'t>(table: &'t HashMap<String, Values>, file: &str) -> impl Iterator<Item = &'t str> {
    let values = table.get(file).into_iter().flatten();
    values.map(|value| &**value)
}
