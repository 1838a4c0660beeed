//! Tracks the machines that the table of addresses already includes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use tokio::time::Instant;
use vim25::{Ref, mo};

use crate::ContainerId;
use crate::network::table::Assignment;
use crate::vsphere::index::Seen;

/// Machines that the table includes, and operations with an unknown outcome.
#[derive(Debug, Default)]
pub(super) struct Known {
    machines: HashMap<Ref<mo::VirtualMachine>, Entry>,
    /// The machines of each container, as pairs: more than one if a machine was copied.
    of_container: BTreeSet<(ContainerId, Ref<mo::VirtualMachine>)>,
    /// The revision of the index that the table included last.
    synced: Option<u64>,
    /// Machines that this program created, changed or destroyed since. They are looked at once
    /// more, because the index may have shown that before the table knew of it.
    again: HashSet<Ref<mo::VirtualMachine>>,
    unsettled: Vec<Unsettled>,
}

/// An operation with an unknown outcome, which the endpoint may still carry out.
#[derive(Debug)]
pub(super) struct Unsettled {
    pub(super) assignment: Assignment,
    since: Instant,
}

#[derive(Debug)]
struct Entry {
    /// The container's id; `None` if the machine is not a container, or is unreadable.
    id: Option<ContainerId>,
    /// The machine's state that the table includes. `None` after a change by this program, which
    /// the index has shown since.
    seen: Option<Arc<Seen>>,
}

impl Known {
    /// Returns whether the table includes this revision.
    pub(super) fn is_synced(&self, revision: u64) -> bool {
        self.synced == Some(revision) && self.unsettled.is_empty()
    }

    /// Returns the revision that the table included last.
    pub(super) const fn synced(&self) -> Option<u64> {
        self.synced
    }

    /// Records that the table includes a revision.
    pub(super) fn sync(&mut self, revision: u64) {
        self.synced = Some(revision);
    }

    /// Returns the machines to look at once more.
    pub(super) fn again(&mut self) -> HashSet<Ref<mo::VirtualMachine>> {
        std::mem::take(&mut self.again)
    }

    /// Records a machine that this program created.
    pub(super) fn created(&mut self, vm: Ref<mo::VirtualMachine>, id: ContainerId) {
        self.again.insert(vm.clone());
        let entry = Entry {
            id: Some(id),
            seen: None,
        };
        self.insert(vm, entry);
    }

    fn insert(&mut self, vm: Ref<mo::VirtualMachine>, entry: Entry) {
        if self.machines.get(&vm).map(|known| known.id) != Some(entry.id) {
            self.left(&vm);
            if let Some(id) = entry.id {
                self.of_container.insert((id, vm.clone()));
            }
        }
        self.machines.insert(vm, entry);
    }

    /// Records a change of a container by this program.
    pub(super) fn changed(&mut self, id: &ContainerId) {
        for vm in machines_of(&self.of_container, id) {
            if let Some(entry) = self.machines.get_mut(vm) {
                entry.seen = None;
            }
            self.again.insert(vm.clone());
        }
    }

    /// Records a machine as the index shows it. Returns whether the machine is new, or its keys
    /// differ from those that the table includes.
    pub(super) fn is_news(&mut self, machine: &Arc<Seen>, id: Option<ContainerId>) -> bool {
        let known = self.machines.get(&machine.vm);
        let before = known.and_then(|entry| entry.seen.as_ref());
        let is_news = before
            .is_none_or(|before| !Arc::ptr_eq(before, machine) && !machine.has_keys_of(before));
        let entry = Entry {
            // A machine that has become unreadable still belongs to its container.
            id: id.or(known.and_then(|entry| entry.id)),
            seen: Some(Arc::clone(machine)),
        };
        self.insert(machine.vm.clone(), entry);
        is_news
    }

    /// Records a machine that this program destroyed.
    pub(super) fn destroyed(&mut self, vm: Ref<mo::VirtualMachine>) {
        self.left(&vm);
        self.again.insert(vm);
    }

    /// Removes a machine that is missing. Returns its container.
    pub(super) fn left(&mut self, vm: &Ref<mo::VirtualMachine>) -> Option<ContainerId> {
        let id = self.machines.remove(vm)?.id?;
        self.of_container.remove(&(id, vm.clone()));
        Some(id)
    }

    /// Removes the machines that are missing from a complete list. Returns their containers.
    pub(super) fn retain(
        &mut self,
        is_listed: impl Fn(&Ref<mo::VirtualMachine>) -> bool,
    ) -> Vec<ContainerId> {
        let gone = self.machines.keys().filter(|vm| !is_listed(vm));
        let gone: Vec<_> = gone.cloned().collect();
        gone.iter().filter_map(|vm| self.left(vm)).collect()
    }

    /// Returns whether a machine of this container is known.
    pub(super) fn has(&self, id: &ContainerId) -> bool {
        machines_of(&self.of_container, id).next().is_some()
    }

    /// Returns the ids of all containers with a known machine.
    pub(super) fn ids(&self) -> HashSet<ContainerId> {
        self.of_container.iter().map(|(id, _)| *id).collect()
    }

    /// Records an operation whose outcome is unknown.
    pub(super) fn unsettle(&mut self, assignment: Assignment) {
        let since = Instant::now();
        self.unsettled.push(Unsettled { assignment, since });
    }

    /// Removes the operations whose outcome has become known.
    pub(super) fn settle(
        &mut self,
        is_settled: impl Fn(&Assignment, Instant) -> bool,
    ) -> Vec<Assignment> {
        let settled = self.unsettled.extract_if(.., |operation| {
            is_settled(&operation.assignment, operation.since)
        });
        settled.map(|operation| operation.assignment).collect()
    }
}

/// Iterates over the machines of a container.
fn machines_of<'k>(
    of_container: &'k BTreeSet<(ContainerId, Ref<mo::VirtualMachine>)>,
    id: &ContainerId,
) -> impl Iterator<Item = &'k Ref<mo::VirtualMachine>> {
    let id = *id;
    let pairs = of_container.range((id, Ref::default())..);
    pairs
        .take_while(move |(other, _)| *other == id)
        .map(|(_, vm)| vm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_known_as_long_as_one_of_its_machines() {
        let (id, other) = (ContainerId::generate(), ContainerId::generate());
        let vms = ["vm-1", "vm-2"].map(Ref::<mo::VirtualMachine>::new);
        let mut known = Known::default();
        for vm in &vms {
            known.created(vm.clone(), id);
        }
        known.again();
        known.changed(&id);
        assert_eq!(known.again(), HashSet::from(vms.clone()));
        known.changed(&other);
        assert!(known.again().is_empty());
        assert_eq!(known.left(&vms[0]), Some(id));
        assert!(known.has(&id) && !known.has(&other));
        known.created(vms[1].clone(), other);
        assert_eq!(known.ids(), HashSet::from([other]));
        assert_eq!(known.retain(|_| false), [other]);
        assert!(known.ids().is_empty());
    }
}
