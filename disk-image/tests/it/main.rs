//! Tests of the public API. Tests that need e2fsprogs, qemu-img or umoci run in the
//! interoperability suite.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod boot;
mod disks;
mod errors;
mod hostile;
mod hostile_fs;
mod layers;
mod peers;
mod random;
mod reading;
mod seekable;
mod support;
