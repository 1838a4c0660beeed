//! The implementation of the port layer's traits on ESXi and vCenter.
//!
//! [`Hosts`] uses a connected client to install, find and open hosts; the containers of an open
//! host are a [`VsphereExec`]. All state is in vSphere. A container is a virtual machine, and
//! everything known about the container is that machine's power state and keys. The keys are
//! written as VIC wrote them, in the [`Dialect`] of the [`Options`].
//!
//! # A container's machine
//! A container's machine is created by a single `CreateVM_Task`, so a container is never
//! incomplete:
//!
//! | device | purpose |
//! | --- | --- |
//! | `ide0:0` | a CD with the host's `bootstrap.iso` |
//! | `serial0` | a network serial port that connects to `tcp://<host's address>:8080`, or to the port in the address, with hardware flow control |
//! | `serial1` | the log: a file `<id>.log` in the machine's directory; absent in VIC 0.4; older parts, if it is rotated ([`LogRotation`]), are `<id>.log.1` … |
//! | `ethernet0` to `ethernet9` | a vmxnet3 card on the bridge network for all bridge scopes, and one per network of an external scope; each card has its own MAC address and a fixed PCI slot |
//! | `scsi0` | a paravirtual controller with the container's disk: a child of the image's disk, or new, empty, thin, 8 GiB |
//!
//! # Trust
//! The guest reports whether a process started and how it ended, in keys that the guest may write.
//! The start of a run, and the exit status of a run whose keys the endpoint lost, are stored in
//! keys that the guest can neither see nor write (`portlayer/starts`, `portlayer/exit`). A start
//! clears the guest's reports about the previous run, in a change that is refused if the machine
//! was changed concurrently. So an exit status never belongs to a different run, and the exit
//! status of a machine that was powered off without a report is [`Lost`](crate::ExitStatus::Lost),
//! unless the log ends with the final record of this run. The agent takes the number of the run from
//! a key that it cannot write (`run`).
//!
//! The first start records nothing, because a new container already has the keys of its first run.
//! If its machine is powered off before the guest reported anything, and no port layer saw the
//! machine on, the container still looks created. If a process must run at most once, start its
//! container with [`only_if_never_started`](crate::exec::StartOptions::only_if_never_started),
//! which records the start before the machine is powered on.
//!
//! # Names
//! A machine is named `<container's name>-<first 12 digits of the id>`. Containers are found by the
//! machine's BIOS UUID, which is derived from the ids of the host and the container. One port layer
//! keeps names unique; if two programs create containers with the same name at the same time, both
//! may succeed.
//!
//! An endpoint may forget the keys that were written while a machine was on when it is powered off. The
//! name of a container that was renamed while it was running is kept, because the machine's display
//! name contains it (not in VIC 0.4's dialect): it is written to the keys again by the next start or
//! edit. In VIC 0.4's dialect, such a container can be renamed only while it is off. The same applies to
//! labels, annotations and restart counts in both dialects, without
//! [`LiveEdits`](crate::Capability::LiveEdits), unless the caller accepts that they
//! [may be forgotten](crate::exec::Edit::may_be_forgotten).
//!
//! # The index
//! Opening a host starts one watch of its resource pool, or of its inventory folder in a cluster
//! without DRS. All handles of the host share the watch,
//! and it ends when the last of them is dropped. Lists, inspections and look-ups of containers and
//! images, the addresses of networks, and the users of images are answered from a cache of the
//! reports, without a request to the endpoint. The cache shows changes by this process, and
//! everything that it has already read, at once. Changes by other programs appear when the endpoint
//! reports them, usually within milliseconds. After a lost session, everything is reported again.
//! While the endpoint does not respond, the cache keeps the last reports for as long as the client
//! retries.
//!
//! The number of calls per operation follows. A test on the simulator counts them; the poll that
//! all watches of a client share is not included.
//!
//! | operation | calls |
//! | --- | --- |
//! | `create` and the first `start` | 4: `CreateVM_Task`, `PowerOnVM_Task`, and one change of the view of tasks for each |
//! | a later `start` | also a read of the machine and a change that records the run |
//! | `list`, `inspect`, `resolve`; `list` and `inspect` of images | 0, once the index is filled |
//! | `create` from an image | also 1 read to check that the image still exists, unless this is the [only writer](#the-only-writer); for the first container of an image also 1 read of its disk |
//! | `remove` of an image that containers use, which is refused | 0 |
//! | a look-up of an unknown image | 1: the list of the host's machines |
//! | `usage` of images | 1: the sizes of the images' machines |
//!
//! A container's keys record the image from which it was created. Disks are read only for machines
//! of the host that are not readable as containers. Before the disk of an image is deleted, the
//! list of the host's machines is compared with the index, and machines that were not reported yet
//! are read.
//!
//! # The only writer
//! With [`Options::sole_writer`], the program that opens a host is the only one that changes it. Its
//! name and an epoch are stored in keys of the host's appliance that the appliance's guest cannot
//! see. Another program that wants to write stores a claim there and waits for an answer:
//!
//! - A writer that is alive answers at once, and the claim is refused with
//!   [`InUse`](crate::ErrorKind::InUse).
//! - A writer that shuts down releases the host.
//! - If a claim is not answered within [`Options::takeover_timeout`], the claimant takes over the
//!   host, with the next epoch. The former writer may only have been frozen or disconnected. As soon
//!   as it notices the takeover, it refuses every change with [`InUse`](crate::ErrorKind::InUse), and
//!   has to open the host again. A change that it sent before the takeover may still be carried out.
//!
//! Programs that open the host without this option are not bound by this protocol; programs that
//! only read do not need it.
//!
//! # What endpoints may lack
//! When a host is opened for the first time, a machine is created, inspected and destroyed to probe
//! the endpoint. The machine is powered on for a moment.
//!
//! | capability | missing if |
//! | --- | --- |
//! | [`VmxContents`](crate::Capability::VmxContents) | the machine's file on the datastore lacks a key that was set through the API |
//! | [`DiskContents`](crate::Capability::DiskContents) | the machine's file on the datastore lacks that key, as above |
//! | [`GuestKeys`](crate::Capability::GuestKeys), [`Signals`](crate::Capability::Signals) | the machine's file on the datastore lacks that key, as above: an endpoint that does not store a machine's configuration cannot run the machine, so there is no guest |
//! | [`StaleChangeVersionRefused`](crate::Capability::StaleChangeVersionRefused) | a change with an outdated version is accepted |
//! | [`KeyCaseFolding`](crate::Capability::KeyCaseFolding) | a key that differs only in case becomes a second key |
//! | [`ScopeVlans`](crate::Capability::ScopeVlans) | the bridge network is on a standard switch, but the host's machines run on several ESXi hosts; or its switch cannot be read |
//! | [`LiveEdits`](crate::Capability::LiveEdits) | a key that is set while the machine is on is gone once it is off, or the machine cannot be powered on |
//!
//! `Signals` is also missing if the endpoint does not support guest operations.

mod allocation;
mod appliance_cards;
mod derive_state;
mod disks;
mod endpoint;
mod exec;
mod fault;
mod hardware;
mod host_objects;
mod host_record;
mod host_settings;
mod hosts;
mod images;
mod index;
pub mod kind;
mod line_keys;
mod log_rotation;
mod machine_spec;
mod networks;
mod options;
mod packed_keys;
mod probe;
mod record;
mod room;
mod run_state;
mod scope_networks;
mod sole_writer;
mod space;
mod streams;
mod vlan_range;

pub use exec::{Inconsistency, Problem, Repaired, VsphereExec};
pub use guestinfo::Dialect;
pub use hosts::{
    ApplianceCertificates, ApplianceComponent, ApplianceNetworks, Component, ComponentState,
    ContainerPolicy, Deletion, Finding, HostInfo, HostSpec, HostState, Hosts, InstallError,
    InstallProgress, InstallStatus, InstallStep, Iso, NetworkRole, ObserveInstall, Plan,
    PlannedStep, PoolAllocation, Registries, RoleNetwork, Severity, StaticAddress, VolumeStore,
    VolumeStoreError,
};
pub use images::VsphereImages;
pub use log_rotation::LogRotation;
pub use networks::VsphereNetworks;
pub use options::Options;
#[cfg(feature = "attach")]
pub use streams::LineServer;
pub use vlan_range::{VlanRange, VlanRangeError};
