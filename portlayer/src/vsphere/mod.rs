//! The traits implemented on ESXi and vCenter.
//!
//! [`Hosts`] takes a connected client and installs, finds and opens hosts; an opened host
//! is a [`VsphereExec`]. All state is in vSphere: a container is a virtual machine, and everything
//! known about it is that machine's power state and keys, written as VIC wrote them in the
//! [`Dialect`] of the [`Options`].
//!
//! # A container's machine
//! It is created by a single `CreateVM_Task`, so there is never half a container:
//!
//! | device | purpose |
//! | --- | --- |
//! | `ide0:0` | a CD with the host's `bootstrap.iso` |
//! | `serial0` | a network serial port that connects to `tcp://<host's address>:8080`, or to the port in the address, with hardware flow control |
//! | `serial1` | the log: a file `<id>.log` in the machine's directory; absent in VIC 0.4 |
//! | `ethernet0` to `ethernet9` | a vmxnet3 card on the bridge network for all bridge scopes, and one per network of an external scope, each with a MAC address of its own and a fixed place on the PCI bus |
//! | `scsi0` | a paravirtual controller with the container's disk: a child of the image's disk, or new, empty, thin, 8 GiB |
//!
//! # Trust
//! Whether a process started, and how it ended, is reported by the guest, in keys that the guest
//! may write. That a run started, and the exit status of a run whose keys the endpoint forgot, are
//! stored in keys that the guest can neither see nor write (`portlayer/starts`, `portlayer/exit`).
//! A start clears what the guest reported about the last run, in a change that is refused if the
//! machine was changed concurrently. So an exit status never belongs to a different run, and a
//! machine that was switched off without a report is [`Lost`](crate::ExitStatus::Lost).
//!
//! The first start records nothing, because a new container has the keys of its first run. If its
//! machine then goes off before the guest reported anything, and no port layer saw it on, the
//! container still looks created. A caller whose process must run at most once starts it with
//! [`only_if_never_started`](crate::exec::StartOptions::only_if_never_started), which records the
//! start before the machine is switched on.
//!
//! # Names
//! A machine is named `<container's name>-<first 12 digits of the id>`. Its BIOS UUID is derived
//! from the ids of host and container, and containers are found by it. Names are unique as seen by
//! one port layer; two programs that create the same name at the same instant may both succeed.
//!
//! # The index
//! Opening a host starts one watch of its resource pool, which all handles of the host share and
//! which ends with the last of them. Lists, inspections and look-ups of containers and images, the
//! addresses of networks, and what is in use by whom are answered from what it reports, without
//! asking the endpoint. What this process did, or was told, shows at once; what other programs do shows when the endpoint reports it, usually within
//! milliseconds. After a lost session everything is reported again. While the endpoint does not
//! answer, the last reports stand, for as long as the client tries to reach it.
//!
//! Calls, counted by a test on the simulator, besides the poll that all watches of a client share:
//!
//! | operation | calls |
//! | --- | --- |
//! | `create` and the first `start` | 4: `CreateVM_Task`, `PowerOnVM_Task`, and one change of the view of tasks for each |
//! | a later `start` | also a read of the machine and a change that records the run |
//! | `list`, `inspect`, `resolve`; `list` and `inspect` of images | 0, once the index is filled |
//! | `create` from an image | also 1 read that the image is still there, unless this is the [only writer](#the-only-writer); for the first container of an image also 1 read of its disk |
//! | `remove` of an image that containers use, which is refused | 0 |
//! | an image that is unknown | 1: the list of the pool's machines |
//! | `usage` of images | 1: the sizes of the images' machines |
//!
//! A container's keys say from which image it was created. Disks are read only of machines in the
//! pool that are not readable as containers. Before the disk of an image is deleted, the list of the
//! pool's machines is compared with the index, and machines that were not reported yet are read.
//!
//! # The only writer
//! With [`Options::sole_writer`], the program that opens a host is the only one that changes it. Its
//! name and an epoch are stored in keys of the host's appliance that the appliance's guest cannot
//! see. Another program that wants to write stores a claim there and waits for an answer:
//!
//! - The writer answers at once, and the claim is refused with
//!   [`InUse`](crate::ErrorKind::InUse).
//! - A writer that ends gives the host up.
//! - A claim that is not answered within [`Options::takeover_timeout`] takes the host over, with the
//!   next epoch. The former writer, if it was only frozen or cut off, refuses every change with
//!   [`InUse`](crate::ErrorKind::InUse) as soon as it sees that; it has to open the host again. What
//!   it sent before, it sent: a change in flight at that moment may still happen.
//!
//! Programs that open the host without the option are not bound by any of this, and readers need
//! not be.
//!
//! # What endpoints may lack
//! When a host is opened for the first time, a machine is created, inspected and destroyed, without
//! being switched on:
//!
//! | capability | missing if |
//! | --- | --- |
//! | [`VmxContents`](crate::Capability::VmxContents) | the machine's file on the datastore lacks a key that was set through the API |
//! | [`DiskContents`](crate::Capability::DiskContents) | the same |
//! | [`GuestKeys`](crate::Capability::GuestKeys), [`Signals`](crate::Capability::Signals) | the same: an endpoint that does not store a machine's configuration cannot run the machine, so there is no guest |
//! | [`StaleChangeVersionRefused`](crate::Capability::StaleChangeVersionRefused) | a change with an outdated version is accepted |
//! | [`KeyCaseFolding`](crate::Capability::KeyCaseFolding) | a key in different case becomes a second key |
//!
//! `Signals` is also missing if the endpoint does not support guest operations.

mod derive_state;
mod disks;
mod endpoint;
mod exec;
mod fault;
mod hardware;
mod host_record;
mod hosts;
mod images;
mod index;
pub mod kind;
mod line_keys;
mod machine_spec;
mod networks;
mod options;
mod place;
mod probe;
mod record;
mod run_state;
mod sole_writer;
mod streams;

pub use exec::{Inconsistency, Problem, Repaired, VsphereExec};
pub use guestinfo::Dialect;
pub use hosts::{
    ContainerPolicy, Deletion, Finding, HostInfo, HostSpec, HostState, Hosts, InstallError,
    InstallProgress, InstallStatus, InstallStep, Iso, ObserveInstall, Plan, PlannedStep, Severity,
};
pub use images::VsphereImages;
pub use networks::VsphereNetworks;
pub use options::Options;
#[cfg(feature = "attach")]
pub use streams::LineServer;
