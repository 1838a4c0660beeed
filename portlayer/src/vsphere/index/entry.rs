//! One machine of a host, with its keys decoded.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::exec::ContainerInfo;
use crate::network::EndpointInfo;
use crate::vsphere::endpoint::Machine;
use crate::vsphere::images::ImageRecord;
use crate::vsphere::machine_spec::{container_name_in, name_of_container};
use crate::vsphere::record::{NotAContainer, REMOVING, Record};
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
    /// What the keys report about the container's last run: a list asks it of each container.
    last_run: LastRun,
    is_half_removed: bool,
    /// Whether an image is being imported, or an image or container is being removed.
    is_incomplete: bool,
    /// Whether the keys contain an earlier name of the container.
    has_stale_name: bool,
}

/// What is kept of a container. The rest of its record is decoded again when it is needed, because
/// there may be thousands of containers.
#[derive(Debug)]
struct Container {
    id: ContainerId,
    name: Box<str>,
    /// The assigned connections, if the guest has reported more about them.
    assigned: Option<Box<[EndpointInfo]>>,
    /// The last description, which lists return until it changes.
    info: Mutex<Arc<ContainerInfo>>,
}

impl Container {
    fn new(record: Record, machine: &Machine, run: &RunState) -> Self {
        let id = record.spec.id;
        let seen = record.endpoints_seen();
        let mut info = ContainerInfo::new(record.spec);
        info.created = record.created;
        (info.started, info.finished) = run.times(&id);
        info.resources = machine.resources;
        info.endpoints = seen;
        let is_assigned = info.endpoints == record.endpoints;
        Self {
            id,
            name: info.name.as_str().into(),
            assigned: (!is_assigned).then(|| record.endpoints.into()),
            info: Mutex::new(Arc::new(info)),
        }
    }

    fn last_info(&self) -> MutexGuard<'_, Arc<ContainerInfo>> {
        self.info.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The purpose of a machine.
#[derive(Debug)]
enum Role {
    Container(Box<Container>),
    Unreadable(NotAContainer),
    /// The record of an image, or the reason why it is unreadable.
    Image(Result<Arc<ImageRecord>, String>),
}

/// Takes the name of a container from the name of its machine, and returns whether the keys have
/// another one. A rename changes both, but what is written to the keys of a machine that is on may
/// be lost when it is powered off.
fn rename(record: &mut Record, machine: &str) -> bool {
    match name_of_container(machine, &record.spec.id) {
        Some(name) if name != record.spec.name => {
            record.spec.name = name.to_owned();
            true
        }
        _ => false,
    }
}

impl Role {
    /// Returns the id of the container, as recorded in the keys.
    fn container(&self) -> Option<ContainerId> {
        match self {
            Self::Container(container) => Some(container.id),
            Self::Unreadable(broken) => broken.id,
            Self::Image(_) => None,
        }
    }
}

impl Decoded {
    fn read(machine: &Machine) -> Self {
        let keys = machine.keys.expand();
        let is_half_removed = keys.get(REMOVING).is_some();
        let image = ImageRecord::is_image(&keys).then(|| machine.keys.unpack());
        let is_incomplete =
            is_half_removed || image.as_ref().is_some_and(ImageRecord::is_incomplete);
        let run = RunState::read(keys.iter());
        let mut has_stale_name = false;
        let role = match image.as_ref().and_then(ImageRecord::read) {
            Some(image) => Role::Image(image.map(Arc::new)),
            None => match Record::read(keys.iter()) {
                Ok(mut record) => {
                    has_stale_name = rename(&mut record, &machine.name);
                    Role::Container(Box::new(Container::new(record, machine, &run)))
                }
                Err(broken) => Role::Unreadable(broken),
            },
        };
        let last_run = role.container().map(|id| run.last(&id)).unwrap_or_default();
        Self {
            role,
            last_run,
            is_half_removed,
            is_incomplete,
            has_stale_name,
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

    /// Returns the id of the container, or the reason why the container is unreadable; `None` if the
    /// machine does not belong to a container.
    pub(in crate::vsphere) fn container(&self) -> Option<Result<ContainerId, &NotAContainer>> {
        match &self.decoded.role {
            Role::Container(container) => Some(Ok(container.id)),
            Role::Unreadable(broken) => Some(Err(broken)),
            Role::Image(_) => None,
        }
    }

    /// Returns the last description of the container, in whatever state; `None` if the machine does
    /// not belong to a readable container.
    pub(in crate::vsphere) fn described(&self) -> Option<Arc<ContainerInfo>> {
        match &self.decoded.role {
            Role::Container(container) => Some(Arc::clone(&container.last_info())),
            _ => None,
        }
    }

    /// Returns the connections of the container with the assigned addresses.
    pub(in crate::vsphere) fn endpoints(&self) -> Vec<EndpointInfo> {
        match &self.decoded.role {
            Role::Container(container) => match &container.assigned {
                Some(assigned) => assigned.to_vec(),
                None => container.last_info().endpoints.clone(),
            },
            _ => Vec::new(),
        }
    }

    /// Decodes the state of the container's runs.
    pub(in crate::vsphere) fn run(&self) -> RunState {
        RunState::read(self.machine.keys.expand().iter())
    }

    /// Returns what the keys report about the last run of a container.
    pub(in crate::vsphere) fn last_run(&self, id: &ContainerId) -> Cow<'_, LastRun> {
        if self.id().as_ref() == Some(id) {
            Cow::Borrowed(&self.decoded.last_run)
        } else {
            Cow::Owned(self.run().last(id))
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

    /// Returns whether the machine is that of an image that is being imported or removed, or of an
    /// image or container that is being removed.
    pub(in crate::vsphere) fn is_incomplete(&self) -> bool {
        self.decoded.is_incomplete
    }

    /// Returns the description of the container in this state, with the reason why its process
    /// could not be launched; `None` if the machine does not belong to a readable container.
    /// Successive calls return the same value until something changes.
    pub(in crate::vsphere) fn info(
        &self,
        state: State,
        failure: Option<String>,
    ) -> Option<Arc<ContainerInfo>> {
        let Role::Container(container) = &self.decoded.role else {
            return None;
        };
        let mut info = container.last_info();
        // All other fields depend on the keys and the machine's name only.
        if (&info.state, &info.failure) != (&state, &failure)
            || info.resources != self.machine.resources
        {
            let info = Arc::make_mut(&mut info);
            info.state = state;
            info.failure = failure;
            info.resources = self.machine.resources;
        }
        Some(Arc::clone(&info))
    }

    /// Returns the container's id, as recorded in the keys.
    pub(in crate::vsphere) fn id(&self) -> Option<ContainerId> {
        self.decoded.role.container()
    }

    /// Returns the container's name: that in its machine's name, otherwise that in the keys. If the
    /// container is unreadable, its name is derived from the machine's name.
    pub(in crate::vsphere) fn name(&self) -> &str {
        let of_machine = &self.machine.name;
        match &self.decoded.role {
            Role::Container(container) => &container.name,
            _ => container_name_in(of_machine).unwrap_or(of_machine),
        }
    }
}
