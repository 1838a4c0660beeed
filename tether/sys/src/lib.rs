//! The system calls of the agent in a container: mounts, namespaces, terminals, and
//! the steps between `fork` and `exec`.
//!
//! It is the only crate of the agent with `unsafe` code. Everything that needs a
//! process with one thread (namespaces of users, forking) happens in a *supervisor*:
//! a process that does nothing else, takes [`Request`]s over a socket and answers
//! with [`Event`]s and open files. The agent itself, with its threads, only talks
//! to it:
//!
//! | the agent | the supervisor |
//! | --- | --- |
//! | makes a [`pair`] of sockets and starts the supervisor with one end | [`run_container`] |
//! | [`send_request`]: set up, launch, signal, dial | does so, inside of the container |
//! | [`receive_event`] | reports, with the files of the streams |
//! | closes its end, or dies | ends, and with it everything in the container |

#![cfg(target_os = "linux")]

mod account;
mod capability;
mod container;
mod error;
mod fork;
mod hostname;
mod launch;
mod message;
mod netlink;
mod rootfs;
mod setup;
mod socket;
mod supervisor;
mod terminal;
mod wire;

pub use container::run_container;
pub use error::SysError;
pub use launch::Launch;
pub use message::{Event, Exit, Request, TerminalSize};
pub use setup::{Bind, ContainerSetup, Isolation, RootDirectory};
pub use socket::{hang_up, pair, receive_event, send_request, set_nonblocking};
pub use terminal::set_terminal_size;
