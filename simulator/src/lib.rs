//! An embeddable vSphere endpoint: an ESXi host or a vCenter inside the process.
//!
//! It serves HTTPS on loopback with its own certificate. Its datastores are directories of
//! files, in which virtual machines have `.vmx` files and disks. It has sessions, tasks, a
//! property collector that pushes updates, and guests that run in the machines.
//!
//! ```
//! use simulator::Simulator;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let simulator = Simulator::builder().user("root").password("secret").start().await?;
//! assert!(simulator.url().starts_with("https://127.0.0.1:"));
//! // … point any vSphere client at it …
//! simulator.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
#![doc = include_str!("../CONTROL.md")]
#![doc = include_str!("../VCSIM.md")]
#![allow(
    clippy::field_reassign_with_default,
    reason = "fields of a base type are set through `Deref`, which no literal can do"
)]

mod api_version;
mod builder;
mod control;
mod datastore;
mod device;
mod dispatch;
mod enums;
mod fault;
mod guest;
mod ids;
mod index;
mod interest;
mod invocation;
mod layout;
mod lease;
mod load;
mod machine;
mod model;
mod object;
mod platform;
mod property;
mod saved;
mod script;
mod serial;
mod server;
mod session;
mod shared;
mod simulator;
mod snapshot;
mod task;
mod topology;
mod vapp;
mod view;
mod world;

pub use builder::{SimulatorBuilder, StartError};
pub use datastore::spec::Datastore;
pub use guest::{
    DiskMode, Guest, GuestAddress, GuestDisk, GuestError, GuestHardware, GuestMachine, GuestNic,
    GuestNicAddresses, GuestProgram, GuestProgramRefusal, Process, Program, SerialPort, Tether,
};
pub use load::LoadError;
pub use model::compute_resource::UnknownClusterError;
pub use model::host_connection::UnknownHostError;
pub use platform::Platform;
pub use property::assign::SetPropertyError;
pub use script::{Reaction, Script};
pub use simulator::Simulator;
pub use topology::Topology;
