//! Virtual container hosts: the place on an endpoint where containers live. Each is a pool of
//! resources with an appliance machine, its boot images and its configuration.

mod progress;
mod spec;

use async_trait::async_trait;

pub use progress::{InstallError, Observe, Progress, Step, StepStatus};
pub use spec::{HostSpec, Iso};

use crate::{PortLayer, Result};
use serde::{Deserialize, Serialize};

/// The life of virtual container hosts on one endpoint.
///
/// Dropping a future is safe; what the endpoint has begun it finishes. An install that was
/// dropped or killed leaves a host that [`find`](Self::find) finds, unfinished, and that
/// [`delete`](Self::delete) removes.
#[async_trait]
pub trait Hosts: std::fmt::Debug + Send + Sync + 'static {
    /// Makes a host: looks everything up first, then pool, appliance, boot images,
    /// configuration, power on. Each step is told to `observer`.
    ///
    /// # Errors
    /// What was made until then is removed again; what could not be removed is
    /// [named](InstallError::left_behind). The cause is, among others,
    /// [`AlreadyExists`](crate::Error::AlreadyExists) for a second host of one name, and
    /// [`NotFound`](crate::Error::NotFound) naming an unknown datastore or network: in both cases
    /// nothing was made.
    async fn install(
        &self,
        spec: HostSpec,
        observer: &dyn Observe,
    ) -> Result<HostInfo, InstallError>;

    /// The host of this name.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound).
    async fn find(&self, name: &str) -> Result<HostInfo>;

    /// All hosts on the endpoint, sorted by name.
    ///
    /// # Errors
    /// Only such as concern the whole endpoint.
    async fn list(&self) -> Result<Vec<HostInfo>>;

    /// The port layer of the host of this name.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound); [`InvalidState`](crate::Error::InvalidState) if its
    /// installation was not finished.
    async fn open(&self, name: &str) -> Result<PortLayer>;

    /// Removes a host with its boot images, its appliance and its pool, and leaves nothing.
    /// It can be asked for again after a failure and then goes on where it stopped.
    ///
    /// # Errors
    /// - [`NotFound`](crate::Error::NotFound).
    /// - [`InUse`](crate::Error::InUse) naming the containers, with
    ///   [`Containers::Refuse`].
    async fn delete(&self, name: &str, containers: Containers) -> Result<()>;
}

/// What [`Hosts::delete`] does about a host's containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Containers {
    /// Deletes nothing while there is a container.
    Refuse,
    /// Stops and removes them first.
    Remove,
}

/// A host as the endpoint has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostInfo {
    /// Its name.
    pub name: String,
    /// How far it is.
    pub state: HostState,
    /// The datastore that holds its files.
    pub datastore: String,
    /// The directory of its files there.
    pub directory: String,
    /// The network its containers are on.
    pub bridge_network: String,
    /// Where its containers' serial lines connect to: a name or an address.
    pub address: String,
}

/// How far a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HostState {
    /// Its installation was not finished: delete it and install it again.
    Unfinished,
    /// Its appliance is off.
    Off,
    /// Its appliance is on.
    Running,
}
