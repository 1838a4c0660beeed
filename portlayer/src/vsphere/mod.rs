//! The traits on ESXi and vCenter.
//!
//! [`Hosts`] is given a connected client and installs, finds and opens hosts; what it opens
//! is a [`VsphereExec`]. All state is in vSphere: a container is a virtual machine, and what is
//! known of it are that machine's power state and its keys, spelled as VIC spelled them in the
//! [`Dialect`] of the [`Options`].
//!
//! # A container's machine
//! One `CreateVM_Task` makes it, so there is never half a container:
//!
//! | device | is |
//! | --- | --- |
//! | `ide0:0` | a CD with the host's `bootstrap.iso` |
//! | `serial0` | a network line that calls `tcp://<host's address>:8080`, or the port that the address names, with hardware flow control |
//! | `serial1` | the log: a file `<id>.log` in the machine's directory; VIC 0.4 had none |
//! | `ethernet0` | a vmxnet3 card on the bridge network, or the network of the spec |
//! | `scsi0` | a paravirtual controller with the container's disk: a child of the image's disk, or new, empty, thin, 8 GiB |
//!
//! # Whose word counts
//! That a process started, and how it ended, is the guest's word, in the keys that the guest may
//! write. That a run began, and the exit of one whose keys the endpoint forgot, are in keys that
//! the guest neither sees nor writes (`portlayer/starts`, `portlayer/exit`). A start clears what the guest
//! said about the last run, in a change that is refused if somebody else changed the machine
//! concurrently; so an exit status never belongs to a different run, and a machine that went off without a word
//! is [`Lost`](crate::ExitStatus::Lost).
//!
//! # Names
//! A machine is called `<container's name>-<first 12 digits of the id>`, and its BIOS UUID is made
//! from the host's and the container's id: that is what an id is found by. Names are unique as far
//! as one port layer sees; two programs that create one name at the same instant may both succeed.
//!
//! # What endpoints may lack
//! When a host is opened for the first time, a machine is made, looked at and destroyed, without
//! being switched on:
//!
//! | capability | is missing when |
//! | --- | --- |
//! | [`VmxContents`](crate::Capability::VmxContents) | the machine's file on the datastore lacks a key that the API was given |
//! | [`DiskContents`](crate::Capability::DiskContents) | the same |
//! | [`GuestKeys`](crate::Capability::GuestKeys), [`Signals`](crate::Capability::Signals) | the same: what does not write down a machine's configuration cannot run that machine, so there is no guest |
//! | [`StaleChangeVersionRefused`](crate::Capability::StaleChangeVersionRefused) | a change with an outdated version is made |
//! | [`KeyCaseFolding`](crate::Capability::KeyCaseFolding) | a key in other letters becomes a second key |
//!
//! `Signals` is missing, too, where the endpoint passes no orders to guests.

mod derive_state;
mod disks;
mod endpoint;
mod exec;
mod fault;
mod hardware;
mod host_record;
mod hosts;
mod images;
pub mod kind;
mod line_keys;
mod machine_spec;
mod options;
mod place;
mod probe;
mod record;
mod streams;

pub use exec::VsphereExec;
pub use guestinfo::Dialect;
pub use hosts::{
    Containers, HostInfo, HostSpec, HostState, Hosts, InstallError, Iso, Observe, Progress, Step,
    StepStatus,
};
pub use images::VsphereImages;
pub use options::Options;
#[cfg(feature = "attach")]
pub use streams::LineServer;
