//! Guests of the simulator that run real processes.
//!
//! [`ProcessGuest`] runs the processes of container machines on this Linux host:
//! each machine is a container with its own root file system, which is that of the
//! machine's disk, and its own namespaces. The agent in it is the one that runs on
//! ESXi, [`tether`].
//!
//! The first process of a container must be single-threaded. The current program is executed
//! again for it, so a program that uses the guest must call [`init`] first in its `main`.
//!
//! ```no_run
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     simulator_guests::init();
//!     tokio::runtime::Runtime::new()?.block_on(async {
//!         let guest = simulator_guests::ProcessGuest::builder().start().await?;
//!         let simulator = simulator::Simulator::builder().guest(guest).start().await?;
//!         // … point any vSphere client at it …
//!         simulator.shutdown().await;
//!         Ok(())
//!     })
//! }
//! ```
//!
//! # Isolation
//!
//! Namespaces, root directories, capabilities and terminals are set up by [`tether::sys`], whose code
//! also runs in container machines. youki's library `libcontainer` 0.7.0 (features `v1` and `v2`, 135
//! packages) was tried instead on 2026-11-27, in a program of its own: Linux 6.18, cgroups v1, two
//! processors with a load of 9, builds without optimization. The median of 20 runs of a static
//! program, from the creation of the container to its exit, in two series:
//!
//! | | as root | without root |
//! | --- | --- | --- |
//! | `libcontainer` | 110 and 135 ms | refused |
//! | [`tether::sys`], with the start of the helper | 53 and 29 ms | 47 and 52 ms |
//!
//! With cgroups v2 alone, and a lower load, `libcontainer` took 66 ms as root. Without root it starts
//! nothing on a host without systemd: in a user namespace it always manages cgroups, through systemd
//! on v2, and on v1 by writing to hierarchies that belong to root; a specification without cgroups
//! changes nothing. It also forks the calling process, so the helper would still be needed.
//! Therefore we do not use it.
//!
//! # Network
//!
//! A container has a network namespace with the network cards of its machine, `eth0` and so on. They
//! are tap devices, with the cards' MAC addresses, and the addresses, routes and MTUs of the
//! container's keys. A switch in this process transfers frames between the cards of a port group; a
//! card that is disconnected, or connected to another port group, while the container runs follows.
//! So containers on a network reach each other by their addresses, and no others.
//!
//! What does not work: networks have no gateway and no DHCP server, so containers do not reach other
//! systems, and a card without a fixed address has none. There is no name server; `/etc/hosts`
//! contains only the container itself. Cards that are added to a running machine appear at its next
//! start. The speed is not limited: a container that floods its network uses a processor. The host
//! reaches servers inside through [`Dialer`], over TCP and UDP, so a front end can relay published
//! ports.
//!
//! Taps require `/dev/net/tun`, which must be accessible if the simulator does not run as root; most
//! distributions allow all users to open it. This is determined at start. If it fails, containers have only
//! a loopback device, which has their addresses. Then published ports are relayed as above, but
//! containers do not reach each other. This is reported by [`ProcessGuest::limitations`], in the log
//! at start, and in the diagnostics of a container for each network that it is put into (VIC 1.x
//! only; the keys of 0.4 have none). With [`RootMethod::Chroot`], containers use the network of the
//! host, without addresses of their own, and published ports are not relayed.
//!
//! # Resources
//!
//! The memory and the processors of a container's machine are not limits: its processes use those of
//! the host. [`ProcessGuest::limitations`] reports that, too.
//!
//! # Without root
//!
//! A simulator that does not run as root creates containers in a user namespace in which the caller is
//! root. If `/etc/subuid` and `/etc/subgid` have ranges for the caller, and the programs `newuidmap`
//! and `newgidmap` are installed, the ids of the largest range of each are the ids from 1 in the
//! namespace, and processes run as their users. This is determined at start. Images are unpacked,
//! changes are written back, and files of these ids are deleted by a process in such a namespace.
//! Users and groups above the size of the ranges are refused, device nodes of images and the
//! attributes `trusted.*` are missing in running containers, whose archives show the owners and device
//! nodes, and the container's disk keeps all of them, as described below. If other ranges are found when the simulator is restarted, it no longer
//! has access to earlier changes that were not written back.
//!
//! Otherwise the caller's is the only id, which is reported by [`ProcessGuest::limitations`] with what
//! is missing. Then:
//!
//! - A process that requests another user is not started, with that reason. With
//!   [`ProcessGuestBuilder::ignore_users`] it runs as root of the container.
//! - The system refuses other owners, device nodes, the attributes `security.*` and `trusted.*`, and
//!   set-id bits of other owners. They are missing in a running container. Its
//!   [archives](tether::sys::Archive) show the owners and set-id bits of the image where a file of the
//!   same kind is at the same path and the container has not set another mode. They show the device
//!   nodes of the image, without their times, in each directory that is at the path of theirs, also
//!   if the container has deleted it and created it again. Attributes are missing. The container's
//!   disk keeps all of them: when its changes are written
//!   back, unchanged and changed files have the owners of the image, device nodes are those of the
//!   image, and new files belong to root. Set-id bits are kept unless the container has set another
//!   mode, and capabilities unless the content has changed.

#![cfg(target_os = "linux")]

mod builder;
mod cards;
mod changes;
mod command;
mod container;
mod copy;
mod dial;
mod file_job;
mod guest;
mod helper;
mod limitations;
mod lines;
mod originals;
mod platform;
mod probe;
mod rights;
mod sub_ids;
mod switch;
mod tree;
mod work;
mod write_back;

pub use builder::{ProcessGuestBuilder, StartError};
pub use dial::{DialError, Dialer};
pub use guest::ProcessGuest;
pub use helper::init;
pub use probe::RootMethod;
