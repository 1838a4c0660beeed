//! Creates the machines of a topology, in as many threads as there are cores.
//!
//! The inventory is one value behind a lock, so each thread creates its machines in a draft: a copy of
//! the inventory without machines. What a machine takes from the counters of identifiers is known from
//! the first one, so each thread knows the identifiers of its machines, and the inventory is the same as
//! if they were created one after the other. A machine that turns out to need more than that is created
//! in the inventory itself.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use vim25::Fault;

use super::inventory::Machine;
use crate::object::Hidden;
use crate::shared::Shared;
use crate::world::{Changes, Draft, Transaction};

/// The number of machines from which on threads save time.
const MANY: usize = 64;
/// The number of finished machines of a thread that wait until they are added to the inventory.
const AHEAD: usize = 64;
/// Machines of different kinds take turns in no inventory; after this many, no threads are started.
const ATTEMPTS: usize = 8;

/// The position of the counters of identifiers: numbers and UUIDs.
type Position = (u64, u64);

/// Creates machines in order, each in a transaction of its own, so that the indexes contain those
/// created before.
pub(super) fn make(shared: &Arc<Shared>, machines: &[Machine]) -> Result<(), Fault> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    // These machines depend on those created before.
    let is_counted = shared.settings.machines_per_host.is_some();
    let is_ordered = is_counted || shared.store.names_directories();
    let (mut left, mut attempts) = (machines, 0);
    while let Some((first, rest)) = left.split_first() {
        let taken = make_one(shared, first)?;
        left = rest;
        if left.len() >= MANY && threads > 1 && attempts < ATTEMPTS && !is_ordered {
            attempts += 1;
            let done = make_many(shared, left, taken, threads)?;
            left = left.get(done..).unwrap_or_default();
        }
    }
    Ok(())
}

/// Creates a machine in the inventory. Returns by how much it moved the counters of identifiers.
fn make_one(shared: &Arc<Shared>, machine: &Machine) -> Result<Position, Fault> {
    let mut tx = Transaction::begin(shared)?;
    let (numbers, drawn) = tx.ids().position();
    machine.make(&mut tx)?;
    let after = tx.ids().position();
    tx.commit();
    Ok((after.0 - numbers, after.1 - drawn))
}

/// Creates machines that each take the same number of identifiers, in several threads. Returns how many:
/// fewer if one of them is different.
fn make_many(
    shared: &Arc<Shared>,
    machines: &[Machine],
    taken: Position,
    threads: usize,
) -> Result<usize, Fault> {
    let start = Transaction::begin(shared)?.ids().position();
    let position = |number: usize| {
        let number = number as u64;
        (start.0 + number * taken.0, start.1 + number * taken.1)
    };
    std::thread::scope(|scope| {
        let mut made: Vec<Receiver<Changes>> = Vec::with_capacity(threads);
        for thread in 0..threads {
            let (sender, receiver) = sync_channel(AHEAD);
            made.push(receiver);
            let own = (thread..machines.len()).step_by(threads);
            let own = own.filter_map(move |number| {
                let machine = machines.get(number)?;
                Some((machine, position(number), position(number + 1)))
            });
            let runtime = shared.runtime.clone();
            scope.spawn(move || {
                let _entered = runtime.enter();
                in_draft(shared, own, &sender);
            });
        }
        let mut done = 0;
        while done < machines.len() {
            let next = made.get(done % threads).map(Receiver::recv);
            let Some(Ok(changes)) = next else { break };
            let mut tx = Transaction::begin(shared)?;
            let (numbers, drawn) = position(done + 1);
            tx.ids().resume(numbers, drawn);
            tx.adopt(changes);
            tx.commit();
            done += 1;
        }
        // Those after a machine that could not be made this way.
        for changes in made.into_iter().flatten() {
            delete(shared, &changes);
        }
        Ok(done)
    })
}

/// Creates machines in a draft, until one of them does not begin and end at its positions or changes
/// other objects.
fn in_draft<'m>(
    shared: &Arc<Shared>,
    machines: impl Iterator<Item = (&'m Machine, Position, Position)>,
    made: &SyncSender<Changes>,
) {
    let draft = Draft::of(shared);
    for (machine, from, to) in machines {
        let mut tx = Transaction::in_draft(shared, &draft);
        tx.ids().resume(from.0, from.1);
        if machine.make(&mut tx).is_err() {
            // It is made again in the inventory, where the error is reported.
            return;
        }
        let is_as_expected = tx.ids().position() == to;
        let changes = tx.into_changes();
        if !is_as_expected || changes.objects().count() != 1 {
            delete(shared, &changes);
            return;
        }
        if let Err(unsent) = made.send(changes) {
            delete(shared, &unsent.0);
            return;
        }
    }
}

/// Deletes the files of a machine that is not added to the inventory. Best effort.
fn delete(shared: &Arc<Shared>, changes: &Changes) {
    for object in changes.objects() {
        if let Hidden::Machine(machine) = &object.hidden
            && let Err(fault) = shared.store.delete(&machine.vmx.parent())
        {
            tracing::warn!(vmx = %machine.vmx, %fault, "files of a machine are left");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use vim25::types::VirtualMachineConfigInfo;

    use super::*;
    use crate::{Simulator, Topology};

    /// Returns what clients see of all machines, sorted by their references.
    fn seen(shared: &Arc<Shared>) -> Vec<String> {
        let tx = Transaction::begin(shared).unwrap();
        let machines = tx.all("VirtualMachine").map(|object| {
            let mut config: VirtualMachineConfigInfo = object.read("config").unwrap();
            config.change_version.clear();
            config.modified = jiff::Timestamp::UNIX_EPOCH;
            config.create_date = None;
            let pool = object.find("resourcePool");
            let parent = object.find("parent");
            format!("{} {config:?} {pool:?} {parent:?}", object.value())
        });
        let mut machines: Vec<String> = machines.collect();
        machines.sort();
        machines
    }

    async fn machines(topology: Topology, in_order: bool) -> Vec<String> {
        let mut builder = Simulator::builder().topology(topology).seed(7);
        if in_order {
            // With a limit, machines are created one after the other.
            builder = builder.machines_per_host(10_000);
        }
        let simulator = builder.start().await.unwrap();
        let machines = seen(simulator.shared());
        simulator.shutdown().await;
        machines
    }

    #[tokio::test]
    async fn threads_make_the_same_machines_as_one() {
        for topology in [
            Topology::esx().machines(3 * MANY),
            Topology::vcenter().machines(MANY).apps(1).pools(1),
            Topology::esx().machines(2 * MANY).autostart(false),
        ] {
            let expected = machines(topology.clone(), true).await;
            assert!(expected.len() >= 2 * MANY);
            let found = machines(topology, false).await;
            assert!(found == expected, "the machines differ");
        }
    }

    #[tokio::test]
    async fn machines_that_do_not_fit_leave_no_files() {
        let directory = tempfile::tempdir().unwrap();
        let topology = Topology::esx().machines(8 * MANY);
        let datastore = crate::Datastore::vmfs("small").capacity(1 << 20);
        let datastore = datastore.directory(directory.path());
        let builder = Simulator::builder().topology(topology).datastore(datastore);
        let started = builder.start().await;
        assert!(matches!(started, Err(crate::StartError::Inventory(_))));
        let entries = std::fs::read_dir(directory.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let machines = names.filter_map(|name| name.strip_prefix("ha-host_VM")?.parse().ok());
        let mut machines: Vec<usize> = machines.collect();
        machines.sort_unstable();
        assert!(!machines.is_empty());
        let expected: Vec<usize> = (0..machines.len()).collect();
        assert_eq!(
            machines, expected,
            "files are left of machines after the first that failed"
        );
    }
}
