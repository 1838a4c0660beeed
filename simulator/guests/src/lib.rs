//! Guests of the simulator that run real processes.
//!
//! [`ProcessGuest`] runs the processes of container machines on this Linux host:
//! each machine is a container with its own root file system, which is that of the
//! machine's disk, and its own namespaces. The agent in it is the one that runs on
//! ESXi, [`tether`].
//!
//! The first process of a container must be single-threaded. The current program is executed
//! again for it, so a program that uses the guest must call [`init`] first in its `main`.
//!
//! ```no_run
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     simulator_guests::init();
//!     tokio::runtime::Runtime::new()?.block_on(async {
//!         let guest = simulator_guests::ProcessGuest::builder().start().await?;
//!         let simulator = simulator::Simulator::builder().guest(guest).start().await?;
//!         // … point any vSphere client at it …
//!         simulator.shutdown().await;
//!         Ok(())
//!     })
//! }
//! ```

#![cfg(target_os = "linux")]

mod builder;
mod changes;
mod command;
mod container;
mod copy;
mod dial;
mod guest;
mod helper;
mod lines;
mod originals;
mod platform;
mod probe;
mod rights;
mod tree;
mod work;
mod write_back;

pub use builder::{ProcessGuestBuilder, StartError};
pub use dial::{DialError, Dialer};
pub use guest::ProcessGuest;
pub use helper::init;
pub use probe::RootMethod;
