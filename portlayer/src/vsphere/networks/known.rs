//! Tracks the machines that the table of addresses already includes.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;
use vim25::{Ref, mo};

use crate::ContainerId;
use crate::network::table::Assignment;
use crate::vsphere::index::Seen;

/// Machines that were read, and operations with an unknown outcome.
#[derive(Debug, Default)]
pub(super) struct Known {
    machines: HashMap<Ref<mo::VirtualMachine>, Entry>,
    /// Machines that this program destroyed. Each is kept until a list of machines arrives that was
    /// requested later.
    destroyed: HashMap<Ref<mo::VirtualMachine>, u64>,
    /// A logical clock: a list does not override events that happened after it was requested.
    clock: u64,
    /// The revision of the index that the table included last.
    synced: Option<u64>,
    resets: u64,
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
    since: u64,
    /// The machine's state that the table includes. `None` after a change by this program, which
    /// the index has shown since.
    seen: Option<Arc<Seen>>,
}

/// The logical time at which a list of machines was requested.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment(u64);

impl Known {
    /// Returns whether the table includes the list of this revision.
    pub(super) fn is_synced(&self, revision: u64) -> bool {
        self.synced == Some(revision) && self.unsettled.is_empty()
    }

    /// Returns the number of events so far after which an unchanged list must be processed again.
    pub(super) const fn resets(&self) -> u64 {
        self.resets
    }

    /// Records that the table includes a list of this revision, whose processing began after this
    /// many resets.
    pub(super) fn sync(&mut self, revision: u64, resets: u64) {
        self.synced = (self.resets == resets).then_some(revision);
    }

    fn unsync(&mut self) {
        self.synced = None;
        self.resets += 1;
    }

    pub(super) fn moment(&mut self) -> Moment {
        self.clock += 1;
        Moment(self.clock)
    }

    /// Records a machine that this program created.
    pub(super) fn created(&mut self, vm: Ref<mo::VirtualMachine>, id: ContainerId) {
        self.clock += 1;
        let entry = Entry {
            id: Some(id),
            since: self.clock,
            seen: None,
        };
        self.machines.insert(vm, entry);
    }

    /// Records a change of a container by this program.
    pub(super) fn changed(&mut self, id: &ContainerId) {
        self.clock += 1;
        for entry in self.machines.values_mut() {
            if entry.id == Some(*id) {
                entry.since = self.clock;
                entry.seen = None;
            }
        }
    }

    /// Records a machine in a list that was requested at that moment. Returns whether the machine
    /// is new, or its keys differ from those that the table includes.
    pub(super) fn is_news(
        &mut self,
        machine: &Arc<Seen>,
        id: Option<ContainerId>,
        moment: Moment,
    ) -> bool {
        let vm = &machine.vm;
        if self.destroyed.get(vm).is_some_and(|at| *at > moment.0) {
            return false;
        }
        let known = self.machines.get(vm);
        if known.is_some_and(|entry| entry.since > moment.0) {
            return false;
        }
        let before = known.and_then(|entry| entry.seen.as_ref());
        let is_news = before
            .is_none_or(|before| !Arc::ptr_eq(before, machine) && !machine.has_keys_of(before));
        let entry = Entry {
            // A machine that has become unreadable still belongs to its container.
            id: id.or(known.and_then(|entry| entry.id)),
            since: moment.0,
            seen: Some(Arc::clone(machine)),
        };
        self.machines.insert(vm.clone(), entry);
        is_news
    }

    pub(super) fn destroyed(&mut self, vm: Ref<mo::VirtualMachine>) {
        self.clock += 1;
        self.unsync();
        self.machines.remove(&vm);
        self.destroyed.insert(vm, self.clock);
    }

    /// Removes the machines that are missing from a complete list that was requested at that
    /// moment. Returns their containers.
    pub(super) fn retain(
        &mut self,
        moment: Moment,
        is_listed: impl Fn(&Ref<mo::VirtualMachine>) -> bool,
    ) -> Vec<ContainerId> {
        let mut gone = Vec::new();
        self.machines.retain(|vm, entry| {
            let stays = entry.since > moment.0 || is_listed(vm);
            if !stays {
                gone.extend(entry.id);
            }
            stays
        });
        self.destroyed.retain(|_, at| *at > moment.0);
        gone
    }

    /// Returns whether a machine of this container is known.
    pub(super) fn has(&self, id: &ContainerId) -> bool {
        self.machines.values().any(|entry| entry.id == Some(*id))
    }

    /// Records an operation whose outcome is unknown.
    pub(super) fn unsettle(&mut self, assignment: Assignment) {
        self.unsync();
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
