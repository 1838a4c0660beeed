//! The simulator as its clients and guests see it.
#![allow(
    clippy::unwrap_used,
    clippy::field_reassign_with_default,
    reason = "tests"
)]

mod client;
mod connecting;
mod consistency;
mod devices;
mod disks;
mod ending;
mod guests;
mod inventory;
mod leases;
mod machines;
mod restart;
mod updates;
