//! The agent in a container machine.
//!
//! It reads what the container is from the keys of its machine, starts the
//! processes, carries their streams over the serial lines, reports how they end,
//! and switches the machine off after the last one.
//!
//! [`Agent`] is that, without knowing where it runs. What it needs comes through
//! three seams:
//!
//! | seam | is | implementations |
//! | --- | --- | --- |
//! | [`GuestRpc`](guestinfo::rpc::GuestRpc) | the keys of the machine | backdoor, vsock, the simulator's machine |
//! | [`Platform`] | file systems, network, processes, power | [`Supervisor`] does the processes; the simulator's guests the rest |
//! | [`Lines`] | the serial lines | devices, the simulator's serial ports |
//!
//! Processes are started by a [`Supervisor`]: the first process of the
//! container, which has one thread and does all that needs it. See
//! [`sys`] for its side.
//!
//! # Features
//!
//! | feature | adds |
//! | --- | --- |
//! | `ssh` | clients attach to the processes over the control line |
//!
//! # Keys of the control line
//!
//! Clients attach over SSH. The machine's private key is in the read-only key `key`, the
//! public key of the one client in the read-only key `clientkey`, both as OpenSSH
//! writes them. Without them nobody can attach, and sessions do not wait for a client.

#![cfg(target_os = "linux")]

mod agent;
#[cfg(feature = "ssh")]
mod control;
mod lines;
mod log;
mod platform;
mod process;
mod run;
mod session;
mod signal;
mod supervisor;

/// The configuration of containers, as [`Platform::prepare`] gets it.
pub use guestinfo;
/// The supervisor's side: what happens inside the first process of a container.
pub use tether_sys as sys;

pub use agent::{Agent, AgentError};
pub use lines::{Line, Lines};
pub use platform::{Platform, PlatformError, Prepared};
pub use process::{Input, Outlet, Process};
pub use session::{Attachment, Output, Session, SessionError, Sessions};
pub use signal::signal_number;
pub use supervisor::{Supervisor, SupervisorError};
