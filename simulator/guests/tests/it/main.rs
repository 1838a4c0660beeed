//! Real processes in containers. Where containers cannot be created, these
//! tests say so and pass.
#![allow(
    clippy::print_stderr,
    reason = "a test that is skipped says so where people look"
)]

#[cfg(target_arch = "x86_64")]
mod boot;
mod dialer;
mod elf;
mod line_relay;
mod machine;
