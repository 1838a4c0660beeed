//! Containers that are virtual machines.
//!
//! A front end (a Docker or containerd shim, a CI runner) wants "run this image as a machine, tell
//! me when it ends" and no vSphere. It speaks the traits of this crate and their plain values:
//!
//! | trait | is | implementations |
//! | --- | --- | --- |
//! | [`Exec`] | containers: create, start, inspect, list, wait, stop, signal, remove | [`memory`], `vsphere` |
//! | [`Hosts`](host::Hosts) | the place where containers live: install, find, open, delete | [`memory`], `vsphere` |
//!
//! Storage and network traits are not part of this version: a container's disk is new and empty,
//! and its one interface is on the host's bridge network or a network given by name. Nor is a
//! stream of the events of all containers: [`Exec::wait`] tells when one ends.
//!
//! [`PortLayer`] bundles the traits of one host. All errors are [`Error`]. What a back end or its
//! endpoint lacks is a [`Capability`]. The cases that every implementation must pass are in
//! `conformance` (feature of that name).
//!
//! # A container's life
//! ```
//! use portlayer::exec::{Command, ContainerSpec, Exec, ExecExt};
//! use portlayer::memory::{Behaviour, MemoryExec};
//! use portlayer::{ExitStatus, PortLayer, State};
//!
//! # async fn life() -> portlayer::Result<()> {
//! // Tests say how a process ends; on vSphere its guest does.
//! let layer = PortLayer::new(MemoryExec::new(|_: &ContainerSpec| Behaviour::exits(3)));
//! let exec = layer.exec();
//!
//! let spec = ContainerSpec::new("jovial_ride", "hello-world", Command::new("/hello"));
//! let id = exec.create(spec).await?;
//! exec.start(&id).await?;
//! assert_eq!(exec.wait(&id).await?, ExitStatus::Code(3));
//!
//! for container in exec.list().await?.containers {
//!     assert_eq!(container.state, State::Stopped { exit: ExitStatus::Code(3) });
//! }
//! exec.remove(&id).await?;
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(life()).unwrap();
//! ```

mod capability;
mod error;
pub mod exec;
pub mod host;
mod id;
pub mod memory;
mod queue;
mod resource;
mod state;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "vsphere")]
pub mod vsphere;

use std::sync::Arc;

pub use capability::{Capabilities, Capability};
pub use error::{Error, Result, Source};
pub use exec::{Exec, ExecExt};
pub use id::{ContainerId, ParseContainerIdError};
pub use resource::{Resource, ResourceKind};
pub use state::{ExitStatus, State, StateKind};

/// The port layer of one virtual container host: the traits in one handle, cheap to clone.
#[derive(Clone, Debug)]
pub struct PortLayer {
    exec: Arc<dyn Exec>,
}

impl PortLayer {
    /// The layer made of this implementation.
    pub fn new(exec: impl Exec) -> Self {
        Self::from_shared(Arc::new(exec))
    }

    /// The layer made of an implementation that others hold too.
    #[must_use]
    pub fn from_shared(exec: Arc<dyn Exec>) -> Self {
        Self { exec }
    }

    /// The containers.
    #[must_use]
    pub fn exec(&self) -> &dyn Exec {
        &*self.exec
    }
}
