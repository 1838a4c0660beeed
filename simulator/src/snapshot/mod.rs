//! The snapshots of a machine: their tree, and the files that record them.

mod files;
mod state_file;

pub(crate) use files::{StoredSnapshot, list_file, load, state_file_name, write_list, write_state};

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use vim25::types::{
    VirtualMachineConfigInfo, VirtualMachinePowerState, VirtualMachineSnapshotTree,
};
use vim25::{Ref, mo};
use vmx::ExtraConfig;

use crate::device;

/// A snapshot: the configuration of a machine at some time. The content of its disks is in the
/// files that the configuration names, which are not written any more.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// The number of the snapshot among those of its machine. A child has a larger number than
    /// its parent.
    pub(crate) uid: i32,
    pub(crate) reference: Ref<mo::VirtualMachineSnapshot>,
    pub(crate) parent: Option<i32>,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) created: Timestamp,
    /// The power state of the machine after it is reverted to the snapshot.
    pub(crate) state: VirtualMachinePowerState,
    pub(crate) quiesced: bool,
    pub(crate) config: VirtualMachineConfigInfo,
    pub(crate) extra: ExtraConfig,
    /// For each disk in the snapshot, its file followed by those of its parents.
    chains: Vec<Vec<String>>,
}

/// What is given when a snapshot is taken.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) state: VirtualMachinePowerState,
    pub(crate) quiesced: bool,
}

impl Snapshot {
    pub(crate) fn set_config(&mut self, config: VirtualMachineConfigInfo) {
        let devices = config.hardware.device.iter();
        let disks = devices.filter(|device| device::is_in_snapshots(device));
        self.chains = disks.map(device::chain).collect();
        self.config = config;
    }

    pub(crate) fn chains(&self) -> &[Vec<String>] {
        &self.chains
    }
}

/// The snapshots of a machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshots {
    taken: BTreeMap<i32, Arc<Snapshot>>,
    /// The snapshot that the machine's current state is based on.
    current: Option<i32>,
    /// The last number that was used.
    last: i32,
    /// Whether redo logs of removed snapshots remain that can be merged.
    pub(crate) unmerged: bool,
}

impl Snapshots {
    pub(crate) fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// Returns whether the machine had snapshots at any time.
    pub(crate) const fn is_used(&self) -> bool {
        self.last > 0
    }

    /// Iterates over the snapshots, parents before their children.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Snapshot>> {
        self.taken.values()
    }

    pub(crate) fn get(&self, uid: i32) -> Option<&Arc<Snapshot>> {
        self.taken.get(&uid)
    }

    pub(crate) fn find(
        &self,
        reference: &Ref<mo::VirtualMachineSnapshot>,
    ) -> Option<&Arc<Snapshot>> {
        self.iter()
            .find(|one| one.reference.value() == reference.value())
    }

    pub(crate) fn current(&self) -> Option<&Arc<Snapshot>> {
        self.get(self.current?)
    }

    /// Returns the number that the next snapshot gets.
    pub(crate) const fn next_uid(&self) -> i32 {
        self.last + 1
    }

    /// Returns the number of snapshots from the root to the current one.
    pub(crate) fn depth(&self) -> usize {
        std::iter::successors(self.current(), |one| self.get(one.parent?)).count()
    }

    /// Adds a snapshot of the machine's current state, which is then based on it.
    pub(crate) fn take(
        &mut self,
        reference: Ref<mo::VirtualMachineSnapshot>,
        label: Label,
        config: VirtualMachineConfigInfo,
        extra: ExtraConfig,
    ) -> Arc<Snapshot> {
        self.last = self.next_uid();
        let mut snapshot = Snapshot {
            uid: self.last,
            reference,
            parent: self.current().map(|current| current.uid),
            name: label.name,
            description: label.description,
            created: now(),
            state: label.state,
            quiesced: label.quiesced,
            config: VirtualMachineConfigInfo::default(),
            extra,
            chains: Vec::new(),
        };
        snapshot.set_config(config);
        let snapshot = Arc::new(snapshot);
        self.taken.insert(snapshot.uid, Arc::clone(&snapshot));
        self.current = Some(snapshot.uid);
        snapshot
    }

    /// Creates the snapshots that a list in a file names, without the snapshots themselves.
    pub(crate) fn stored(last: i32, current: Option<i32>, unmerged: bool) -> Self {
        Self {
            taken: BTreeMap::new(),
            current,
            last,
            unmerged,
        }
    }

    /// Adds a snapshot that was read from its file. Parents have to be added before their
    /// children; the children of a parent that is missing become roots.
    pub(crate) fn restore(
        &mut self,
        stored: StoredSnapshot,
        reference: Ref<mo::VirtualMachineSnapshot>,
        config: VirtualMachineConfigInfo,
        extra: ExtraConfig,
    ) {
        let mut snapshot = Snapshot {
            uid: stored.uid,
            reference,
            parent: stored.parent.filter(|uid| self.taken.contains_key(uid)),
            name: stored.label.name,
            description: stored.label.description,
            created: stored.created,
            state: stored.label.state,
            quiesced: stored.label.quiesced,
            config: VirtualMachineConfigInfo::default(),
            extra,
            chains: Vec::new(),
        };
        snapshot.set_config(config);
        self.taken.insert(snapshot.uid, Arc::new(snapshot));
    }

    /// Bases the machine's current state on a snapshot.
    pub(crate) const fn revert_to(&mut self, uid: i32) {
        self.current = Some(uid);
    }

    /// Changes a snapshot.
    pub(crate) fn edit(&mut self, uid: i32, change: impl FnOnce(&mut Snapshot)) {
        if let Some(snapshot) = self.taken.get_mut(&uid) {
            change(Arc::make_mut(snapshot));
        }
    }

    /// Removes a snapshot. Its children and the current state continue its parent.
    pub(crate) fn remove(&mut self, uid: i32) -> Option<Arc<Snapshot>> {
        let removed = self.taken.remove(&uid)?;
        for child in self.taken.values_mut() {
            if child.parent == Some(uid) {
                Arc::make_mut(child).parent = removed.parent;
            }
        }
        if self.current == Some(uid) {
            self.current = removed.parent;
        }
        Some(removed)
    }

    /// Returns the numbers of a snapshot and its descendants, parents first.
    pub(crate) fn with_descendants(&self, uid: i32) -> Vec<i32> {
        let mut found = vec![uid];
        for snapshot in self.iter() {
            if snapshot
                .parent
                .is_some_and(|parent| found.contains(&parent))
            {
                found.push(snapshot.uid);
            }
        }
        found
    }

    /// Returns the children of a snapshot, or the roots.
    pub(crate) fn children(&self, of: Option<i32>) -> Vec<Ref<mo::VirtualMachineSnapshot>> {
        let children = self.iter().filter(|one| one.parent == of);
        children.map(|one| one.reference.clone()).collect()
    }

    /// Returns the trees of the snapshots, as the API shows them.
    pub(crate) fn trees(&self, vm: &Ref<mo::VirtualMachine>) -> Vec<VirtualMachineSnapshotTree> {
        let mut open: BTreeMap<Option<i32>, Vec<VirtualMachineSnapshotTree>> = BTreeMap::new();
        // Children come after their parents, so their trees are complete before those.
        for snapshot in self.iter().rev() {
            let mut children = open.remove(&Some(snapshot.uid)).unwrap_or_default();
            children.reverse();
            let tree = VirtualMachineSnapshotTree {
                snapshot: snapshot.reference.clone(),
                vm: vm.clone(),
                name: snapshot.name.clone(),
                description: snapshot.description.clone(),
                id: snapshot.uid,
                create_time: snapshot.created,
                state: snapshot.state.clone(),
                quiesced: snapshot.quiesced,
                child_snapshot_list: children,
                replay_supported: Some(false),
                ..Default::default()
            };
            open.entry(snapshot.parent).or_default().push(tree);
        }
        let mut roots = open.remove(&None).unwrap_or_default();
        roots.reverse();
        roots
    }

    /// Iterates over the files of the disks in all snapshots, including their parents.
    pub(crate) fn files(&self) -> impl Iterator<Item = &String> {
        self.iter()
            .flat_map(|snapshot| snapshot.chains.iter().flatten())
    }
}

/// Returns the time in the precision of the files.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn taken(snapshots: &mut Snapshots, name: &str) -> i32 {
        let reference = Ref::new(&format!("snapshot-{}", snapshots.next_uid()));
        let label = Label {
            name: name.into(),
            description: String::new(),
            state: VirtualMachinePowerState::PoweredOff,
            quiesced: false,
        };
        let config = VirtualMachineConfigInfo::default();
        let extra = ExtraConfig::new();
        snapshots.take(reference, label, config, extra).uid
    }

    fn shape(trees: &[VirtualMachineSnapshotTree]) -> String {
        let one = |tree: &VirtualMachineSnapshotTree| {
            format!("{}({})", tree.name, shape(&tree.child_snapshot_list))
        };
        trees.iter().map(one).collect()
    }

    #[test]
    fn a_tree_grows_and_closes_over_removed_snapshots() {
        let vm = Ref::new("vm-1");
        let mut snapshots = Snapshots::default();
        let a = taken(&mut snapshots, "a");
        let b = taken(&mut snapshots, "b");
        taken(&mut snapshots, "c");
        snapshots.revert_to(b);
        taken(&mut snapshots, "d");
        snapshots.revert_to(a);
        taken(&mut snapshots, "e");
        assert_eq!(shape(&snapshots.trees(&vm)), "a(b(c()d())e())");
        assert_eq!(snapshots.depth(), 2);
        assert_eq!(snapshots.with_descendants(b), [2, 3, 4]);
        snapshots.remove(b).unwrap();
        assert_eq!(shape(&snapshots.trees(&vm)), "a(c()d()e())");
        assert_eq!(snapshots.current().unwrap().name, "e");
        snapshots.remove(5).unwrap();
        assert_eq!(snapshots.current().unwrap().name, "a");
        snapshots.remove(a).unwrap();
        assert_eq!(shape(&snapshots.trees(&vm)), "c()d()");
        assert!(snapshots.current().is_none());
        // Numbers are not reused.
        assert_eq!(taken(&mut snapshots, "f"), 6);
    }
}
