//! What passes over the serial lines of a container machine, both ends of each format.
//!
//! A container machine has two serial lines. Over the first, the host attaches to the
//! container's processes; the second is a file to which the agent in the machine appends
//! what the processes write.
//!
//! | module | is | I/O |
//! | --- | --- | --- |
//! | [`handshake`] | how the two ends of the first line find out that they are in step | none |
//! | [`log`] | the records of the second line: writing, reading, tail, since, rotation | none |
//! | `ssh` (feature `ssh`) | multiplexed streams over the first line, after the handshake | tokio |
//!
//! Everything that comes over a line is written by a guest and is not trusted: each
//! parser is bounded in memory and never panics.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod handshake;
pub mod log;
#[cfg(feature = "ssh")]
pub mod ssh;
mod stream;

pub use stream::Stream;
