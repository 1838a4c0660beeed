//! Real processes in containers. Where the host lets nobody make containers, these
//! tests say so and pass.
#![allow(
    clippy::print_stderr,
    reason = "a test that is skipped says so where people look"
)]

mod elf;
mod machine;
