//! The system calls of the agent in a container: mounts, namespaces, terminals, and
//! the steps between `fork` and `exec`.
//!
//! This is the agent's only crate with `unsafe` code. Everything that requires a
//! single-threaded process (user namespaces, forking) is done by a *supervisor*:
//! a process with no other purpose, which receives [`Request`]s over a socket and responds
//! with [`Event`]s and open files. The multi-threaded agent only communicates with it:
//!
//! | the agent | the supervisor |
//! | --- | --- |
//! | creates a [`pair`] of sockets and starts the supervisor with one end | [`run_container`] |
//! | [`send_request`]: set up, launch, signal, dial, archive | executes it inside the container |
//! | [`receive_event`] | reports the result, with the files of the streams |
//! | closes its end, or dies | exits, which ends every process in the container |

#![cfg(target_os = "linux")]

mod account;
mod archive;
mod capability;
mod container;
mod dhcp;
mod disk;
mod error;
mod fork;
mod hostname;
mod kernel_log;
mod launch;
mod limit;
mod link;
mod machine;
mod message;
mod netlink;
mod owners;
mod rootfs;
mod setup;
mod socket;
mod sub_ids;
mod supervisor;
mod tap;
mod terminal;
mod wire;

pub use archive::{Archive, ArchiveDirection};
pub use container::run_container;
pub use dhcp::dhcp_socket;
pub use error::SysError;
pub use hostname::set_host_name;
pub use launch::Launch;
pub use limit::Limit;
pub use link::{LinkSetup, configure_link, configure_loopback, remove_address};
pub use machine::run_machine;
pub use message::{Event, Exit, Request, TerminalSize, Transport};
pub use owners::RefusedFile;
pub use setup::{Bind, ContainerSetup, Isolation, RootDirectory};
pub use socket::{hang_up, pair, receive_event, send_request, set_nonblocking};
pub use sub_ids::{IdRange, SubIds, enter_user_namespace};
pub use tap::CardSetup;
pub use terminal::{set_raw, set_terminal_size};
