//! Tests of the public API.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod handshake;
mod log;
#[cfg(feature = "ssh")]
mod ssh;
