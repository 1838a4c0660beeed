//! Containers that are virtual machines.
//!
//! A front end (a Docker or containerd shim, a CI runner) wants to run images and get exit statuses
//! without dealing with vSphere. It uses the traits of this crate and their plain values:
//!
//! | trait | purpose | implementations |
//! | --- | --- | --- |
//! | [`Exec`] | containers: create, start, inspect, list, wait, stop, signal, remove | [`memory`], `vsphere` |
//! | [`Images`](image::Images) | images, from which containers are created | [`memory`], `vsphere` |
//! | [`Volumes`](volume::Volumes) | disks that outlive containers | |
//! | [`Networks`](network::Networks) | scopes, addresses, names | [`memory`], `vsphere` |
//! | [`Streams`](stream::Streams) | attach, logs, terminal size | [`memory`], `vsphere` (attaching needs the feature `attach`) |
//! | [`Archive`](archive::Archive) | copying files in and out as tar streams | |
//! | [`Events`](event::Events) | events on a host | [`memory`] |
//! | [`Store`](store::Store) | small values that a front end stores with its host | [`memory`] |
//!
//! Virtual container hosts, on which containers run, are specific to vSphere: `vsphere::Hosts`
//! installs, finds, opens and deletes them.
//!
//! [`PortLayer`] bundles the traits of one host. The methods of a missing part return
//! [`Unsupported`](crate::ErrorKind::Unsupported). All errors are [`Error`]. A feature that a back
//! end or its endpoint may lack is a [`Capability`]. The module `conformance` (feature of that
//! name) contains the tests that every implementation must pass.
//!
//! # The life of a container
//! ```
//! use portlayer::exec::{Command, ContainerSpec, Exec, ExecExt, StartOptions};
//! use portlayer::memory::{Behaviour, MemoryExec};
//! use portlayer::{ExitStatus, PortLayer, State};
//!
//! # async fn life() -> portlayer::Result<()> {
//! // In memory, the program decides how a process ends. On vSphere, the guest reports it.
//! let layer = PortLayer::new(MemoryExec::new(|_: &ContainerSpec| Behaviour::exits(3)));
//! let exec = layer.exec();
//!
//! let spec = ContainerSpec::new("jovial_ride", Command::new("/hello"));
//! let id = exec.create(spec).await?;
//! exec.start(&id, StartOptions::new()).await?;
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

pub mod archive;
mod capability;
#[cfg(feature = "vsphere")]
mod disk;
mod error;
pub mod event;
pub mod exec;
mod hex;
mod id;
pub mod image;
pub mod memory;
pub mod network;
mod parts;
mod queue;
mod resource;
mod state;
pub mod store;
pub mod stream;
mod unsupported;
pub mod volume;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "vsphere")]
pub mod vsphere;

pub use capability::{Capabilities, Capability};
pub use error::{Error, ErrorKind, Result, Source};
pub use exec::{Exec, ExecExt};
pub use id::{ContainerId, ParseContainerIdError};
pub use parts::PortLayer;
pub use resource::{Resource, ResourceKind};
pub use state::{ExitStatus, State, StateKind};
