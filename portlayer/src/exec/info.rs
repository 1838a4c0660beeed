//! What a back end knows about containers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Command, ContainerSpec, Resources, RootFs};
use crate::network::EndpointInfo;
use crate::volume::Mount;
use crate::{ContainerId, State};

/// A container as the back end has it.
///
/// What the guest can write is marked; do not trust it further than to show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ContainerInfo {
    /// Its identity.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// What its root file system starts from.
    pub root: RootFs,
    /// What runs in it.
    pub command: Command,
    /// Its host name.
    pub host_name: Option<String>,
    /// What is mounted into its file system.
    pub mounts: Vec<Mount>,
    /// The scopes it is connected to, with its addresses.
    pub endpoints: Vec<EndpointInfo>,
    /// Virtual hardware.
    pub resources: Resources,
    /// What users sort containers by.
    pub labels: BTreeMap<String, String>,
    /// What a front end keeps with the container.
    pub annotations: BTreeMap<String, String>,
    /// How often a front end has restarted it.
    pub restart_count: u32,
    /// Where it is in its life, with the exit of the last run. The exit code, and whether the
    /// process started, are reported by the guest.
    pub state: State,
    /// Why the process of the last run could not be launched, in the guest's words.
    pub failure: Option<String>,
    /// When it was created, if the back end recorded that.
    pub created: Option<Timestamp>,
    /// When the process of the last run started, if that is known. Reported by the guest.
    pub started: Option<Timestamp>,
    /// When it ended, if that is known. Reported by the guest.
    pub finished: Option<Timestamp>,
}

impl ContainerInfo {
    /// A container that was made from this specification and has not been started.
    #[must_use]
    pub fn new(spec: ContainerSpec) -> Self {
        Self {
            id: spec.id,
            name: spec.name,
            root: spec.root,
            command: spec.command,
            host_name: spec.host_name,
            mounts: spec.mounts,
            endpoints: spec.endpoints.into_iter().map(EndpointInfo::new).collect(),
            resources: spec.resources,
            labels: spec.labels,
            annotations: spec.annotations,
            restart_count: spec.restart_count,
            state: State::Created,
            failure: None,
            created: None,
            started: None,
            finished: None,
        }
    }

    /// The same container in another state.
    #[must_use]
    pub fn with_state(mut self, state: State) -> Self {
        self.state = state;
        self
    }
}

/// The containers of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Listing {
    /// Those that can be read, including [`Broken`](State::Broken) ones.
    pub containers: Vec<ContainerInfo>,
    /// Those that cannot.
    pub quarantined: Vec<Quarantined>,
}

impl Listing {
    /// A listing of these containers, sorted by creation time and then id, and of what cannot be
    /// read, sorted by label.
    #[must_use]
    pub fn new(mut containers: Vec<ContainerInfo>, mut quarantined: Vec<Quarantined>) -> Self {
        containers.sort_by_key(|container| (container.created, container.id));
        quarantined.sort_by(|a, b| a.label.cmp(&b.label));
        Self {
            containers,
            quarantined,
        }
    }
}

/// Something among the containers of a host that cannot be read as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Quarantined {
    /// The container's id, if that much can be read. [`Exec::remove`](super::Exec::remove)
    /// accepts it.
    pub id: Option<ContainerId>,
    /// What the back end calls it, for finding it there.
    pub label: String,
    /// Why it cannot be read.
    pub reason: String,
}

impl Quarantined {
    /// What the back end calls so, and why it cannot be read.
    pub fn new(
        id: Option<ContainerId>,
        label: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            id,
            label: label.into(),
            reason: reason.into(),
        }
    }
}
