//! Real processes in containers. On a host where containers cannot be created, these tests
//! print `SKIPPED` and pass.
#![allow(
    clippy::print_stderr,
    reason = "a skipped test is reported on standard error"
)]

mod agent;
mod archive;
mod card;
mod container;
#[cfg(feature = "ssh")]
mod openssh;
mod supervisor;
