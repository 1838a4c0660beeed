//! Real processes in containers. On a host where containers cannot be created, these tests
//! print `SKIPPED` and pass.
#![allow(
    clippy::print_stderr,
    reason = "a skipped test is reported on standard error"
)]

#[cfg(target_arch = "x86_64")]
mod boot;
mod dialer;
mod line_relay;
mod machine;
#[cfg(target_arch = "x86_64")]
mod network;
#[cfg(target_arch = "x86_64")]
mod sub_ids;
#[cfg(target_arch = "x86_64")]
mod unprivileged;
