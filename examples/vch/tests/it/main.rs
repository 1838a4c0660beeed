//! Tests of the command against the simulator, as an ESXi host and as a vCenter with a
//! cluster.
#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

mod esxi;
mod killed;
mod rebuilt;
mod refusals;
mod scene;
#[cfg(unix)]
mod terminal;
mod vcenter;
mod vcsim;
mod walk;
mod wrong_options;
