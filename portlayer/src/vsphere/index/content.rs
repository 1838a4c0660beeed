//! The content of the index: machines by reference, UUID and name. No I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;
use vim25::{Ref, mo};

use super::entry::Seen;
use crate::ContainerId;
use crate::vsphere::endpoint::Machine;
use crate::vsphere::packed_keys::Names;

type Vm = Ref<mo::VirtualMachine>;

/// Maximum delay after which a destroyed machine may still be reported.
const REPORTED_WITHIN: Duration = Duration::from_secs(60);

/// The number of latest changes that are listed one by one.
const LATEST_MAX: usize = 1024;

/// The machines of one host by reference, UUID and name.
///
/// The content has two sources: reports of the endpoint, which are in order but late, and reads of
/// single machines, which are current but not ordered with the reports. A report that follows a
/// read of the same machine may be older than the read. So it is ignored, and the machine is read
/// again until a report agrees with a read. Without this, a caller could see a stopped container as
/// running a moment later.
#[derive(Debug, Default)]
pub(super) struct Content {
    entries: HashMap<Vm, Entry>,
    /// Machines that were read and that no report has confirmed yet.
    unconfirmed: HashMap<Vm, Unconfirmed>,
    uuids: HashMap<Uuid, Vm>,
    names: HashMap<String, Few>,
    ids: BTreeMap<ContainerId, Few>,
    images: BTreeSet<Vm>,
    /// Machines that this process destroyed and that were not reported as removed yet.
    destroyed: HashMap<Vm, Instant>,
    /// Counts the changes to the set of machines and to their keys.
    revision: u64,
    /// Counts all changes to the set of machines and to their states.
    changes: u64,
    /// The machines of the latest changes to keys, oldest first.
    latest: VecDeque<Vm>,
    /// Whether all machines have been reported or read since the content was cleared.
    is_complete: bool,
    key_names: Names,
}

/// What is known of a machine besides the state that was read last.
#[derive(Debug)]
struct Unconfirmed {
    /// The time of the last read.
    read: Instant,
    /// The machine as last reported, if it was. Reports contain only the properties that changed.
    reported: Option<Machine>,
}

/// A machine, with those who wait for its changes.
#[derive(Debug)]
struct Entry {
    seen: Arc<Seen>,
    /// Exists while the machine is watched: a channel takes half a kilobyte.
    watched: Option<watch::Sender<Arc<Seen>>>,
}

impl Entry {
    fn subscribe(&mut self) -> watch::Receiver<Arc<Seen>> {
        let seen = &self.seen;
        self.watched
            .get_or_insert_with(|| watch::Sender::new(Arc::clone(seen)))
            .subscribe()
    }

    fn change(&mut self, seen: &Arc<Seen>) {
        self.seen = Arc::clone(seen);
        match &self.watched {
            Some(watched) if watched.receiver_count() > 0 => {
                watched.send_replace(Arc::clone(seen));
            }
            _ => self.watched = None,
        }
    }
}

/// Machines with the same name or id, in order: one, unless a machine was copied. A set would
/// have room for eleven.
#[derive(Debug, Default)]
struct Few(Vec<Vm>);

impl Few {
    fn insert(&mut self, vm: &Vm) {
        if let Err(at) = self.0.binary_search(vm) {
            self.0.reserve_exact(1);
            self.0.insert(at, vm.clone());
        }
    }

    /// Removes a machine, and returns whether none is left.
    fn remove(&mut self, vm: &Vm) -> bool {
        self.0.retain(|known| known != vm);
        self.0.is_empty()
    }
}

/// The result of processing a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Taken,
    /// The report may be older than the known state: the machine has to be read.
    Doubtful,
}

impl Content {
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Returns the machines that changed after a revision, with their states; `None` for those that
    /// left. Returns nothing if too many changes followed, or all machines were cleared: then any
    /// of them may have changed.
    pub(super) fn changed_since(&self, revision: u64) -> Option<Vec<(Vm, Option<Arc<Seen>>)>> {
        let count = usize::try_from(self.revision.checked_sub(revision)?).ok()?;
        let first = self.latest.len().checked_sub(count)?;
        let changed: HashSet<&Vm> = self.latest.range(first..).collect();
        Some(
            changed
                .into_iter()
                .map(|vm| (vm.clone(), self.get(vm)))
                .collect(),
        )
    }

    /// Returns all machines; nothing if some may be missing.
    pub(super) fn complete(&self) -> Option<Vec<Arc<Seen>>> {
        self.is_complete.then(|| self.all())
    }

    fn revise(&mut self, vm: &Vm) {
        self.revision += 1;
        if self.latest.len() == LATEST_MAX {
            self.latest.pop_front();
        }
        self.latest.push_back(vm.clone());
    }

    pub(super) fn get(&self, vm: &Vm) -> Option<Arc<Seen>> {
        Some(Arc::clone(&self.entries.get(vm)?.seen))
    }

    /// Returns the machine as last reported; `None` if it was never reported.
    pub(super) fn last_report(&self, vm: &Vm) -> Option<Machine> {
        match self.unconfirmed.get(vm) {
            Some(unconfirmed) => unconfirmed.reported.clone(),
            None => Some(self.entries.get(vm)?.seen.machine.clone()),
        }
    }

    pub(super) fn subscribe(&mut self, vm: &Vm) -> Option<watch::Receiver<Arc<Seen>>> {
        Some(self.entries.get_mut(vm)?.subscribe())
    }

    pub(super) fn by_uuid(&self, uuid: Uuid) -> Option<Arc<Seen>> {
        self.get(self.uuids.get(&uuid)?)
    }

    /// Returns the machines whose containers have this name.
    pub(super) fn named(&self, name: &str) -> Vec<Arc<Seen>> {
        let vms = self.names.get(name).map_or(&[][..], |vms| &vms.0);
        vms.iter().filter_map(|vm| self.get(vm)).collect()
    }

    /// Returns up to `limit` ids of containers that begin with these hexadecimal digits, in order.
    pub(super) fn ids_with_prefix(&self, digits: &str, limit: usize) -> Vec<ContainerId> {
        let Some(first) = ContainerId::first_with_prefix(digits) else {
            return Vec::new();
        };
        let ids = self.ids.range(first..).map(|(id, _)| *id);
        ids.take_while(|id| id.to_string().starts_with(digits))
            .take(limit)
            .collect()
    }

    /// Returns the machines of images, including incomplete and unreadable ones.
    pub(super) fn images(&self) -> Vec<Arc<Seen>> {
        self.images.iter().filter_map(|vm| self.get(vm)).collect()
    }

    /// Returns the machines among these that are neither known nor known to be destroyed.
    pub(super) fn unknown(&self, mut vms: Vec<Vm>) -> Vec<Vm> {
        vms.retain(|vm| !self.entries.contains_key(vm) && !self.destroyed.contains_key(vm));
        vms
    }

    pub(super) fn all(&self) -> Vec<Arc<Seen>> {
        let entries = self.entries.values();
        entries.map(|entry| Arc::clone(&entry.seen)).collect()
    }

    /// Processes a report of the endpoint.
    pub(super) fn report(&mut self, machine: Machine) -> Verdict {
        if self.destroyed.contains_key(&machine.vm) {
            return Verdict::Taken;
        }
        if self.unconfirmed.contains_key(&machine.vm) {
            if self.is_known(&machine) {
                self.unconfirmed.remove(&machine.vm);
                return Verdict::Taken;
            }
            if let Some(unconfirmed) = self.unconfirmed.get_mut(&machine.vm) {
                unconfirmed.reported = Some(machine);
            }
            return Verdict::Doubtful;
        }
        self.insert(machine);
        Verdict::Taken
    }

    /// Processes a read that was requested at `asked`, and returns the current state of the
    /// machine. The read is newer than all reports before that time.
    pub(super) fn read(&mut self, machine: Machine, asked: Instant) -> Arc<Seen> {
        let vm = machine.vm.clone();
        let last = self.unconfirmed.get(&vm).map(|last| last.read);
        // Of two concurrent reads, the one that was requested later wins.
        let is_late = last.is_some_and(|last| last > asked);
        if is_late || self.destroyed.contains_key(&vm) {
            // The late read is still a valid result for its caller.
            return Arc::new(Seen::new(machine, None));
        }
        if self.is_known(&machine)
            && let Some(seen) = self.get(&vm)
        {
            if let Some(last) = self.unconfirmed.get_mut(&vm) {
                last.read = asked;
            }
            return seen;
        }
        let unconfirmed = Unconfirmed {
            read: asked,
            reported: self.last_report(&vm),
        };
        self.unconfirmed.insert(vm, unconfirmed);
        self.insert(machine)
    }

    /// Processes a read that was made because no report followed the previous read. Later reports
    /// are trusted again.
    pub(super) fn read_again(&mut self, machine: Machine, asked: Instant) {
        let vm = machine.vm.clone();
        if self.is_known(&machine)
            && self
                .unconfirmed
                .get(&vm)
                .is_some_and(|last| last.read < asked)
        {
            self.unconfirmed.remove(&vm);
        } else {
            self.read(machine, asked);
        }
    }

    /// Removes a machine that the endpoint reported as removed.
    pub(super) fn left(&mut self, vm: &Vm) {
        self.destroyed.remove(vm);
        self.remove(vm);
    }

    /// Removes a machine that this process destroyed. Delayed reports of it are ignored.
    pub(super) fn destroyed(&mut self, vm: &Vm, now: Instant) {
        self.remove(vm);
        self.destroyed
            .retain(|_, since| now.duration_since(*since) < REPORTED_WITHIN);
        self.destroyed.insert(vm.clone(), now);
    }

    /// Removes the machines that were not reported, when all that exist were reported.
    pub(super) fn retain(&mut self, is_reported: impl Fn(&Vm) -> bool) {
        let is_gone = |vm: &&Vm| !is_reported(vm) && !self.unconfirmed.contains_key(*vm);
        let gone: Vec<_> = self.entries.keys().filter(is_gone).cloned().collect();
        for vm in gone {
            self.remove(&vm);
        }
        self.destroyed.retain(|vm, _| is_reported(vm));
        self.is_complete = true;
    }

    /// Removes everything.
    pub(super) fn clear(&mut self) {
        *self = Self {
            revision: self.revision + 1,
            changes: self.changes + 1,
            ..Self::default()
        };
    }

    /// Returns the machines that were last read at `before` or earlier and not confirmed by a
    /// report since.
    pub(super) fn unconfirmed(&self, before: Instant) -> Vec<Vm> {
        let mut due = self.unconfirmed.iter();
        due.by_ref()
            .filter(|(_, last)| last.read <= before)
            .map(|(vm, _)| vm.clone())
            .collect()
    }

    /// Returns the time of the earliest unconfirmed read.
    pub(super) fn first_unconfirmed(&self) -> Option<Instant> {
        self.unconfirmed.values().map(|last| last.read).min()
    }

    fn is_known(&self, machine: &Machine) -> bool {
        let known = self.entries.get(&machine.vm);
        known.is_some_and(|entry| entry.seen.machine == *machine)
    }

    fn insert(&mut self, mut machine: Machine) -> Arc<Seen> {
        self.changes += 1;
        self.key_names.share(&mut machine.keys);
        let vm = machine.vm.clone();
        let before = self.get(&vm);
        let seen = Arc::new(Seen::new(machine, before.as_deref()));
        if !before
            .as_ref()
            .is_some_and(|before| before.has_keys_of(&seen))
        {
            self.revise(&vm);
        }
        if let Some(before) = &before {
            self.unlist(before, &vm);
        }
        if let Some(uuid) = seen.machine.uuid {
            self.uuids.entry(uuid).or_insert_with(|| vm.clone());
        }
        if let Some(id) = seen.id() {
            self.ids.entry(id).or_default().insert(&vm);
        }
        if seen.is_image() {
            self.images.insert(vm.clone());
        } else {
            self.names
                .entry(seen.name().to_owned())
                .or_default()
                .insert(&vm);
        }
        match self.entries.get_mut(&vm) {
            Some(entry) => entry.change(&seen),
            None => {
                let entry = Entry {
                    seen: Arc::clone(&seen),
                    watched: None,
                };
                self.entries.insert(vm, entry);
            }
        }
        seen
    }

    fn remove(&mut self, vm: &Vm) {
        self.unconfirmed.remove(vm);
        if let Some(entry) = self.entries.remove(vm) {
            self.changes += 1;
            self.unlist(&entry.seen, vm);
            self.revise(vm);
        }
    }

    fn unlist(&mut self, seen: &Seen, vm: &Vm) {
        if let Some(uuid) = seen.machine.uuid
            && self.uuids.get(&uuid) == Some(vm)
        {
            self.uuids.remove(&uuid);
        }
        self.images.remove(vm);
        if let Some(vms) = self.names.get_mut(seen.name())
            && vms.remove(vm)
        {
            self.names.remove(seen.name());
        }
        if let Some(id) = seen.id()
            && let Some(vms) = self.ids.get_mut(&id)
            && vms.remove(vm)
        {
            self.ids.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests;
