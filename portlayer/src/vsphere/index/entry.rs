//! One machine of a host, with its keys decoded.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use crate::exec::ContainerInfo;
use crate::vsphere::endpoint::Machine;
use crate::vsphere::images::ImageRecord;
use crate::vsphere::machine_spec::{container_name_in, name_of_container};
use crate::vsphere::record::{Keys, NotAContainer, Record, is_half_removed};
use crate::vsphere::run_state::{LastRun, RunState};
use crate::{ContainerId, State};

/// A machine in the index, with its keys decoded once.
#[derive(Clone, Debug)]
pub(in crate::vsphere) struct Seen {
    pub(in crate::vsphere) machine: Machine,
    decoded: Arc<Decoded>,
}

/// The decoded keys of a machine.
#[derive(Debug)]
struct Decoded {
    role: Role,
    run: Arc<RunState>,
    /// What `run` reports about the container's last run: a list asks it of each container.
    last_run: LastRun,
    is_half_removed: bool,
    /// Whether the keys contain an earlier name of the container.
    has_stale_name: bool,
    /// The last description of the container, which lists return until it changes.
    info: Mutex<Option<Arc<ContainerInfo>>>,
}

/// The purpose of a machine.
#[derive(Debug)]
enum Role {
    Container(Box<Record>),
    Unreadable(NotAContainer),
    /// The record of an image, or the reason why it is unreadable.
    Image(Result<Arc<ImageRecord>, String>),
}

impl Role {
    fn read(keys: &Keys) -> Self {
        match ImageRecord::read(keys) {
            Some(image) => Self::Image(image.map(Arc::new)),
            None => match Record::read(keys) {
                Ok(record) => Self::Container(Box::new(record)),
                Err(broken) => Self::Unreadable(broken),
            },
        }
    }

    /// Takes the name of a container from the name of its machine, and returns whether the keys
    /// have another one. A rename changes both, but what is written to the keys of a machine that is
    /// on may be lost when it is powered off.
    fn rename(&mut self, machine: &str) -> bool {
        let Self::Container(record) = self else {
            return false;
        };
        match name_of_container(machine, &record.spec.id) {
            Some(name) if name != record.spec.name => {
                record.spec.name = name.to_owned();
                true
            }
            _ => false,
        }
    }

    /// Returns the id of the container, as recorded in the keys.
    fn container(&self) -> Option<ContainerId> {
        match self {
            Self::Container(record) => Some(record.spec.id),
            Self::Unreadable(broken) => broken.id,
            Self::Image(_) => None,
        }
    }
}

impl Decoded {
    fn read(machine: &Machine) -> Self {
        let keys = &machine.keys.unpack();
        let (mut role, run) = (Role::read(keys), RunState::read(keys));
        let has_stale_name = role.rename(&machine.name);
        let last_run = role.container().map(|id| run.last(&id)).unwrap_or_default();
        Self {
            role,
            run: Arc::new(run),
            last_run,
            is_half_removed: is_half_removed(&machine.keys),
            has_stale_name,
            info: Mutex::default(),
        }
    }
}

impl Deref for Seen {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.machine
    }
}

impl Seen {
    /// Decodes the keys of a machine, or reuses the decoded keys of `before` if they and the
    /// machine's name are equal.
    pub(in crate::vsphere) fn new(machine: Machine, before: Option<&Self>) -> Self {
        let decoded = match before {
            Some(before)
                if before.machine.keys == machine.keys && before.machine.name == machine.name =>
            {
                Arc::clone(&before.decoded)
            }
            _ => Arc::new(Decoded::read(&machine)),
        };
        Self { machine, decoded }
    }

    /// Returns whether the keys equal those of the previous snapshot `other`.
    pub(in crate::vsphere) fn has_keys_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.decoded, &other.decoded)
    }

    pub(in crate::vsphere) fn is_image(&self) -> bool {
        matches!(self.decoded.role, Role::Image(_))
    }

    /// Returns the record of an image, or the reason why it is unreadable; `None` if the machine
    /// does not belong to an image.
    pub(in crate::vsphere) fn image(&self) -> Option<Result<&Arc<ImageRecord>, &str>> {
        match &self.decoded.role {
            Role::Image(image) => Some(image.as_ref().map_err(String::as_str)),
            _ => None,
        }
    }

    /// Returns the record of the container, or the reason why it is unreadable; `None` if the
    /// machine does not belong to a container.
    pub(in crate::vsphere) fn record(&self) -> Option<Result<&Record, &NotAContainer>> {
        match &self.decoded.role {
            Role::Container(record) => Some(Ok(record)),
            Role::Unreadable(broken) => Some(Err(broken)),
            Role::Image(_) => None,
        }
    }

    /// Returns the state of the container's runs.
    pub(in crate::vsphere) fn run(&self) -> &Arc<RunState> {
        &self.decoded.run
    }

    /// Returns what the keys report about the last run of a container.
    pub(in crate::vsphere) fn last_run(&self, id: &ContainerId) -> Cow<'_, LastRun> {
        if self.id().as_ref() == Some(id) {
            Cow::Borrowed(&self.decoded.last_run)
        } else {
            Cow::Owned(self.decoded.run.last(id))
        }
    }

    /// Returns whether the keys contain an earlier name of the container than [`name`](Self::name).
    pub(in crate::vsphere) fn has_stale_name(&self) -> bool {
        self.decoded.has_stale_name
    }

    /// Returns whether the removal of the container has started.
    pub(in crate::vsphere) fn is_half_removed(&self) -> bool {
        self.decoded.is_half_removed
    }

    /// Returns the description of the container in this state, with the reason why its process
    /// could not be launched; `None` if the machine does not belong to a readable container.
    /// Successive calls return the same value until something changes.
    pub(in crate::vsphere) fn info(
        &self,
        state: State,
        failure: Option<String>,
    ) -> Option<Arc<ContainerInfo>> {
        let Role::Container(record) = &self.decoded.role else {
            return None;
        };
        let last = || {
            self.decoded
                .info
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        // All other fields depend on the keys and the machine's name only.
        if let Some(info) = &*last()
            && (&info.state, &info.failure) == (&state, &failure)
            && info.resources == self.machine.resources
        {
            return Some(Arc::clone(info));
        }
        let mut info = ContainerInfo::new(record.spec.clone()).with_state(state);
        info.failure = failure;
        info.created = record.created;
        info.endpoints = record.endpoints_seen();
        (info.started, info.finished) = self.decoded.run.times(&record.spec.id);
        info.resources = self.machine.resources;
        let info = Arc::new(info);
        *last() = Some(Arc::clone(&info));
        Some(info)
    }

    /// Returns the container's id, as recorded in the keys.
    pub(in crate::vsphere) fn id(&self) -> Option<ContainerId> {
        self.decoded.role.container()
    }

    /// Returns the container's name: that in its machine's name, otherwise that in the keys. If the container is unreadable, its name is derived from the
    /// machine's name.
    pub(in crate::vsphere) fn name(&self) -> &str {
        let of_machine = &self.machine.name;
        match self.record() {
            Some(Ok(record)) => &record.spec.name,
            _ => container_name_in(of_machine).unwrap_or(of_machine),
        }
    }
}
