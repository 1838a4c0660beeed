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
    /// Returns whether a task is powering on the machine, no matter who started it. Reads only
    /// tasks that are not known to have ended.
    pub(super) async fn is_powering_on(
        &self,
        id: &ContainerId,
        machine: &Arc<Seen>,
    ) -> Result<bool> {
        let recent = &machine.tasks;
        let others = self.ended_tasks.others(id, recent);
        if others.is_empty() {
            return Ok(false);
        }
        let tasks = self
            .endpoint
            .tasks(others, &Resource::container(id))
            .await?;
        let ended = recent.iter().filter(|task| !tasks.running.contains(task));
        self.ended_tasks.insert(*id, ended.cloned());
        Ok(tasks.power_on)
    }
}
