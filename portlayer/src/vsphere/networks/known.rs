//! The machines that the table of addresses already includes.

use std::collections::HashMap;

use tokio::time::Instant;
use vim25::{Ref, mo};

use crate::ContainerId;
use crate::network::table::Assignment;

/// Machines that were read, and operations whose outcome is not known.
#[derive(Debug, Default)]
pub(super) struct Known {
    machines: HashMap<Ref<mo::VirtualMachine>, Entry>,
    /// Machines that this program destroyed, until a list that was requested later arrives.
    destroyed: HashMap<Ref<mo::VirtualMachine>, u64>,
    /// A logical clock: a list does not override events that happened after it was requested.
    clock: u64,
    /// The revision of the index that was taken into account last.
    synced: Option<u64>,
    resets: u64,
    /// Assignments of operations with unknown outcome, and since when.
    pub(super) unsettled: HashMap<ContainerId, (Assignment, Instant)>,
}

#[derive(Debug)]
struct Entry {
    /// `None`: not a container, or unreadable.
    id: Option<ContainerId>,
    since: u64,
}

/// The logical time at which a list of machines was requested.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment(u64);

impl Known {
    /// Whether a list of this revision is taken into account.
    pub(super) fn is_synced(&self, revision: u64) -> bool {
        self.synced == Some(revision) && self.unsettled.is_empty()
    }

    /// How often something happened that a list must be looked at again for.
    pub(super) const fn resets(&self) -> u64 {
        self.resets
    }

    /// A list of this revision was taken into account, which began after so many resets.
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

    pub(super) fn insert(&mut self, vm: Ref<mo::VirtualMachine>, id: Option<ContainerId>) {
        self.clock += 1;
        let since = self.clock;
        self.machines.insert(vm, Entry { id, since });
    }

    /// Forgets a container: its machine is read again when it is next listed.
    pub(super) fn forget(&mut self, id: &ContainerId) {
        self.unsync();
        self.machines.retain(|_, entry| entry.id != Some(*id));
    }

    pub(super) fn destroyed(&mut self, vm: Ref<mo::VirtualMachine>) {
        self.clock += 1;
        self.unsync();
        self.machines.remove(&vm);
        self.destroyed.insert(vm, self.clock);
    }

    /// Returns whether a machine in a list of that moment has to be read.
    pub(super) fn is_new(&self, vm: &Ref<mo::VirtualMachine>, moment: Moment) -> bool {
        let is_gone = self.destroyed.get(vm).is_some_and(|at| *at > moment.0);
        !is_gone && !self.machines.contains_key(vm)
    }

    /// Removes the machines that are missing from a complete list of that moment. Returns their
    /// containers.
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
}
