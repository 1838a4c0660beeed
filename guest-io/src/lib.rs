//! Both ends of the protocols on the serial lines of a container machine.
//!
//! A container machine has two serial lines. Over the first, the host attaches to the
//! container's processes; the second is a file to which the agent in the machine appends
//! the output of the processes.
//!
//! | module | purpose | I/O |
//! | --- | --- | --- |
//! | [`handshake`] | synchronizes the two ends of the first line | none |
//! | [`log`] | the log on the second line: encodes and decodes records, finds the last lines or a time, rotates | none |
//! | `ssh` (feature `ssh`) | multiplexed streams over the first line, after the handshake | tokio |
//!
//! Data from a line is written by a guest and is not trusted: each parser uses bounded memory
//! and never panics.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod handshake;
pub mod log;
#[cfg(feature = "ssh")]
pub mod ssh;
mod stream;

pub use stream::Stream;
