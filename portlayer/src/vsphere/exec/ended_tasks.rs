//! Caches which tasks have ended, so that they are not read again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vim25::{Ref, mo};

use super::Shared;
use crate::vsphere::index::Seen;
use crate::{ContainerId, Resource, Result};

/// The ended tasks among the recent tasks of each machine. The endpoint bounds how many a machine
/// lists.
#[derive(Debug, Default)]
pub(super) struct EndedTasks {
    ended: Mutex<HashMap<ContainerId, HashSet<Ref<mo::Task>>>>,
}

impl EndedTasks {
    /// Returns the tasks that are not known to have ended.
    fn others(&self, id: &ContainerId, tasks: &[Ref<mo::Task>]) -> Vec<Ref<mo::Task>> {
        let ended = self.lock();
        let ended = ended.get(id);
        let is_open = |task: &&Ref<mo::Task>| ended.is_none_or(|ended| !ended.contains(*task));
        tasks.iter().filter(is_open).cloned().collect()
    }

    fn insert(&self, id: ContainerId, ended: impl Iterator<Item = Ref<mo::Task>>) {
        self.lock().insert(id, ended.collect());
    }

    pub(super) fn forget(&self, id: &ContainerId) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, HashSet<Ref<mo::Task>>>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Returns the containers among these whose machines are being powered on by a task, no matter
    /// who started it. Reads only tasks that are not known to have ended, all of them at once.
    pub(super) async fn powering_on<'m>(
        &self,
        machines: impl IntoIterator<Item = (ContainerId, &'m Arc<Seen>)>,
        resource: &Resource,
    ) -> Result<HashSet<ContainerId>> {
        let mut unclear = Vec::new();
        let mut others = Vec::new();
        for (id, machine) in machines {
            let open = self.ended_tasks.others(&id, &machine.tasks);
            if !open.is_empty() {
                others.extend(open);
                unclear.push((id, machine));
            }
        }
        if unclear.is_empty() {
            return Ok(HashSet::new());
        }
        let running = self.endpoint.running_tasks(others, resource).await?;
        let mut powering_on = HashSet::new();
        for (id, machine) in unclear {
            let is_power_on = |task| running.get(task).is_some_and(|kind| kind.is_power_on());
            if machine.tasks.iter().any(is_power_on) {
                powering_on.insert(id);
            }
            let ended = machine.tasks.iter();
            let ended = ended.filter(|task| !running.contains_key(*task));
            self.ended_tasks.insert(id, ended.cloned());
        }
        Ok(powering_on)
    }
}
