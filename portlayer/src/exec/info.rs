//! Descriptions of containers.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Command, ContainerSpec, Resources, RootFs};
use crate::network::EndpointInfo;
use crate::volume::Mount;
use crate::{ContainerId, State};

/// The description of a container.
///
/// Fields that the guest can write are documented as reported by the guest. Show them to users, but
/// do not rely on them otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ContainerInfo {
    /// The identity of the container.
    pub id: ContainerId,
    /// The name of the container.
    pub name: String,
    /// The origin of the root file system.
    pub root: RootFs,
    /// The command of the container.
    pub command: Command,
    /// The host name.
    pub host_name: Option<String>,
    /// The mounts in the container's file system.
    pub mounts: Vec<Mount>,
    /// The scopes that the container is connected to, with its addresses.
    pub endpoints: Vec<EndpointInfo>,
    /// The virtual hardware.
    pub resources: Resources,
    /// The labels, by which users group containers.
    pub labels: BTreeMap<String, String>,
    /// The annotations, which a front end stores with the container.
    pub annotations: BTreeMap<String, String>,
    /// How often a front end has restarted the container.
    pub restart_count: u32,
    /// The state, which includes the exit status if the container is stopped. The guest reports
    /// whether the process started, and its exit code.
    pub state: State,
    /// Why the process of the last run could not be launched, as reported by the guest.
    pub failure: Option<String>,
    /// The time of creation, if the back end recorded it.
    pub created: Option<Timestamp>,
    /// When the process of the last run started, if known. Reported by the guest.
    pub started: Option<Timestamp>,
    /// When the process of the last run ended, if known. Reported by the guest.
    pub finished: Option<Timestamp>,
}

impl ContainerInfo {
    /// Creates the description of a container with this specification that has not been started.
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

    /// Returns the description with another state.
    #[must_use]
    pub fn with_state(mut self, state: State) -> Self {
        self.state = state;
        self
    }
}

/// The result of [`Exec::list`](super::Exec::list).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Listing {
    /// The containers that can be read, including [`Broken`](State::Broken) ones. Successive lists
    /// may share the descriptions of containers that did not change.
    #[serde(with = "shared")]
    pub containers: Vec<Arc<ContainerInfo>>,
    /// The containers that cannot be read.
    pub quarantined: Vec<Quarantined>,
}

impl Listing {
    /// Creates a listing from containers, which it sorts by creation time and then id, and
    /// unreadable objects, which it sorts by label.
    #[must_use]
    pub fn new(mut containers: Vec<Arc<ContainerInfo>>, mut quarantined: Vec<Quarantined>) -> Self {
        // Copies of the keys are compared faster than keys behind thousands of references.
        containers.sort_by_cached_key(|container| (container.created, container.id));
        quarantined.sort_by(|a, b| a.label.cmp(&b.label));
        Self {
            containers,
            quarantined,
        }
    }
}

/// Serializes shared descriptions like owned ones.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::ContainerInfo;

    pub(super) fn serialize<S: Serializer>(
        containers: &[Arc<ContainerInfo>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(containers.iter().map(Arc::as_ref))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Arc<ContainerInfo>>, D::Error> {
        let owned = Vec::<ContainerInfo>::deserialize(deserializer)?;
        Ok(owned.into_iter().map(Arc::new).collect())
    }
}

/// An object among the containers of a host that cannot be read as a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Quarantined {
    /// The container's id, if it can be read. [`Exec::remove`](super::Exec::remove)
    /// accepts it.
    pub id: Option<ContainerId>,
    /// The back end's name for the object, for finding it there.
    pub label: String,
    /// Why the object cannot be read.
    pub reason: String,
}

impl Quarantined {
    /// Creates an entry from the back end's name and the reason.
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
