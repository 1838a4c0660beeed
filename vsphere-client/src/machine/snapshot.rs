//! Lists, takes, reverts to and removes snapshots.

use vim25::types::{VirtualMachinePowerState, VirtualMachineSnapshotTree};
use vim25::{Ref, Timestamp, mo, props};

use super::Machine;
use crate::error::{EntityKind, Error, Result, SearchScope};
use crate::escape::{escape_name, unescape_name};

/// A snapshot of a virtual machine.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The snapshot object.
    pub reference: Ref<mo::VirtualMachineSnapshot>,
    /// The name, which need not be unique.
    pub name: String,
    /// The names from the root snapshot to this one, such as `installed/updated`; a slash
    /// within a name is written `%2f`.
    pub path: String,
    /// The description given when the snapshot was taken.
    pub description: String,
    /// The time when the snapshot was taken.
    pub created: Timestamp,
    /// The power state of the machine in the snapshot.
    pub state: VirtualMachinePowerState,
    /// Whether the machine's current state is based on this snapshot.
    pub is_current: bool,
}

impl Machine<'_> {
    /// Lists the snapshots, parents before their children.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn snapshots(&self) -> Result<Vec<Snapshot>> {
        let info = self
            .client
            .try_get(self.vm, props::virtual_machine::SNAPSHOT)
            .await?;
        let Some(info) = info else {
            return Ok(Vec::new());
        };
        Ok(flat(
            &info.root_snapshot_list,
            info.current_snapshot.as_ref(),
        ))
    }

    /// Returns the snapshot on which the machine's current state is based, if there is one.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn current_snapshot(&self) -> Result<Option<Snapshot>> {
        let mut all = self.snapshots().await?.into_iter();
        Ok(all.find(|snapshot| snapshot.is_current))
    }

    /// Finds a snapshot by its name, by the end of a path such as `installed/updated`, or by the
    /// id of its reference such as `snapshot-12`.
    ///
    /// # Errors
    /// [`Error::NotFound`] with the existing paths; [`Error::Ambiguous`] with the matching
    /// paths; otherwise see [`Error`].
    pub async fn find_snapshot(&self, name: &str) -> Result<Snapshot> {
        let all = self.snapshots().await?;
        pick(all, name, &self.vm.to_string())
    }

    /// Takes a snapshot. With `memory`, it includes the memory of a running machine, so that
    /// the machine continues to run after a revert.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn take_snapshot(
        &self,
        name: &str,
        description: &str,
        memory: bool,
    ) -> Result<Ref<mo::VirtualMachineSnapshot>> {
        let call = self
            .vm
            .create_snapshot(name, Some(description), memory, false);
        self.client.run(call).await
    }

    /// Reverts to a snapshot. Changes since the last snapshot are lost. A machine whose snapshot
    /// has its memory is on afterwards, others are off.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn revert_to(&self, snapshot: &Snapshot) -> Result<()> {
        let call = snapshot.reference.revert_to_snapshot(None, None);
        self.client.run(call).await
    }

    /// Reverts to the current snapshot. Changes since it was taken are lost.
    ///
    /// # Errors
    /// `NotFound` when the machine has no snapshot; otherwise see [`Error`].
    pub async fn revert_to_current_snapshot(&self) -> Result<()> {
        let call = self.vm.revert_to_current_snapshot(None, None);
        self.client.run(call).await
    }

    /// Changes the name of a snapshot, and its description if one is given.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn rename_snapshot(
        &self,
        snapshot: &Snapshot,
        name: &str,
        description: Option<&str>,
    ) -> Result<()> {
        let call = snapshot.reference.rename_snapshot(Some(name), description);
        self.client.call(call).await
    }

    /// Removes all snapshots. The state of the machine does not change.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn remove_all_snapshots(&self) -> Result<()> {
        let call = self.vm.remove_all_snapshots(Some(true), None);
        self.client.run(call).await
    }

    /// Merges disks that removed snapshots left behind, because they were removed without a merge
    /// or the merge failed: `runtime.consolidationNeeded` is set then.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn consolidate_disks(&self) -> Result<()> {
        self.client.run(self.vm.consolidate_vm_disks()).await
    }

    /// Removes a snapshot; with `children`, its descendants are removed too. The state of the
    /// machine does not change.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn remove_snapshot(&self, snapshot: &Snapshot, children: bool) -> Result<()> {
        let call = snapshot.reference.remove_snapshot(children, Some(true));
        self.client.run(call).await
    }
}

/// Flattens the trees of snapshots. Not recursive, because the server determines how deep they
/// are.
fn flat(
    roots: &[VirtualMachineSnapshotTree],
    current: Option<&Ref<mo::VirtualMachineSnapshot>>,
) -> Vec<Snapshot> {
    let mut found = Vec::new();
    let mut open: Vec<(String, &VirtualMachineSnapshotTree)> = roots
        .iter()
        .rev()
        .map(|tree| (String::new(), tree))
        .collect();
    while let Some((above, tree)) = open.pop() {
        let name = unescape_name(&tree.name).into_owned();
        let path = format!("{above}{}", escape_name(&name));
        for child in tree.child_snapshot_list.iter().rev() {
            open.push((format!("{path}/"), child));
        }
        found.push(Snapshot {
            reference: tree.snapshot.clone(),
            name,
            path,
            description: tree.description.clone(),
            created: tree.create_time,
            state: tree.state.clone(),
            is_current: current == Some(&tree.snapshot),
        });
    }
    found
}

fn pick(all: Vec<Snapshot>, name: &str, machine: &str) -> Result<Snapshot> {
    let paths = |snapshots: &[Snapshot]| snapshots.iter().map(|one| one.path.clone()).collect();
    let there = paths(&all);
    let end = format!("/{name}");
    let mut fitting: Vec<_> = all
        .into_iter()
        .filter(|one| {
            one.name == name
                || one.path == name
                || one.path.ends_with(&end)
                || one.reference.value() == name
        })
        .collect();
    match fitting.len() {
        1 => Ok(fitting.swap_remove(0)),
        0 => Err(Error::not_found(
            EntityKind::Snapshot,
            name,
            SearchScope::new(machine, there),
        )),
        _ => Err(Error::Ambiguous {
            kind: EntityKind::Snapshot,
            place: SearchScope::new(machine, paths(&fitting)),
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    fn tree(
        id: i32,
        name: &str,
        children: Vec<VirtualMachineSnapshotTree>,
    ) -> VirtualMachineSnapshotTree {
        VirtualMachineSnapshotTree {
            snapshot: Ref::new(&format!("snapshot-{id}")),
            name: name.to_owned(),
            child_snapshot_list: children,
            id,
            ..VirtualMachineSnapshotTree::default()
        }
    }

    #[test]
    fn a_snapshot_is_found_by_its_name_or_the_end_of_its_path() {
        let roots = [tree(
            1,
            "installed",
            vec![
                tree(2, "updated", vec![]),
                tree(3, "a/b", vec![tree(4, "updated", vec![])]),
            ],
        )];
        let current = Ref::new("snapshot-3");
        let all = flat(&roots, Some(&current));
        let paths: Vec<_> = all.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "installed",
                "installed/updated",
                "installed/a%2fb",
                "installed/a%2fb/updated"
            ]
        );
        assert_eq!(all.iter().position(|one| one.is_current), Some(2));
        for (name, id) in [
            ("installed", "snapshot-1"),
            ("installed/updated", "snapshot-2"),
            ("a/b", "snapshot-3"),
            ("a%2fb/updated", "snapshot-4"),
            ("snapshot-2", "snapshot-2"),
        ] {
            let found = pick(all.clone(), name, "vm").unwrap();
            assert_eq!(found.reference.value(), id, "{name}");
        }
        let error = pick(all.clone(), "updated", "vm").unwrap_err();
        assert!(matches!(error, Error::Ambiguous { .. }), "{error}");
        let error = pick(all, "nothing", "vm").unwrap_err();
        assert!(error.to_string().contains("installed/updated"), "{error}");
    }
}
