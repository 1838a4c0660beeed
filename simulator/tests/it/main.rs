//! Tests of the simulator from the view of its clients and guests.
#![allow(
    clippy::unwrap_used,
    clippy::field_reassign_with_default,
    reason = "tests"
)]

mod client;
mod cloning;
mod connecting;
mod connections;
mod consistency;
mod consoles;
mod control;
mod datacenters;
mod datastores;
mod devices;
mod disk_manager;
mod disks;
mod ending;
mod environment;
mod guests;
mod inventory;
mod leases;
mod limits;
mod load;
mod machines;
mod refusals;
mod restart;
mod snapshots;
mod tools;
mod unwritten;
mod updates;
mod upgrades;
mod values;
mod vapps;
mod vcenter;
mod vsan;
