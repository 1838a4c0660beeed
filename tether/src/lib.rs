//! The agent in a container machine.
//!
//! It reads the container's configuration from the keys of its machine, starts the
//! processes, forwards their streams over the serial lines, reports how they end,
//! and switches the machine off after the last one has ended.
//!
//! [`Agent`] implements this independently of its environment, which it accesses through
//! three traits:
//!
//! | trait | purpose | implementations |
//! | --- | --- | --- |
//! | [`GuestRpc`](guestinfo::rpc::GuestRpc) | the keys of the machine | backdoor, vsock, the simulator's machine |
//! | [`Platform`] | file systems, network, processes, power | [`Supervisor`] for the processes; the simulator's guests for the rest |
//! | [`Lines`] | the serial lines | devices, the simulator's serial ports |
//!
//! Processes are started by a [`Supervisor`]: the first process of the
//! container, which does everything that requires a single-threaded process. See
//! [`sys`] for its implementation.
//!
//! # As the first process of a machine
//!
//! [`run_machine`] runs the agent as the first process of a machine. The binary calls it when the
//! kernel starts it as `/init` of an initramfs, with the kernel's modules in `/modules`:
//!
//! | | |
//! | --- | --- |
//! | keys | VMware's backdoor; otherwise a virtio-serial port called `com.vmware.guestinfo`, with the messages of VMware's sockets |
//! | control line | the first serial port, `ttyS0` |
//! | log line | the last serial port, if there are several |
//! | root file system | the ext4 file system with the label `containerfs`; the agent stays in the initramfs |
//! | network | fixed addresses, or else DHCP (IPv4), routes and MTUs; a card is found by its PCI slot |
//! | shutdown | the power button |
//!
//! The program that the machine runs cannot reach the agent's files, but it is root of the machine.
//! Unsupported settings, such as volumes, are reported in the container's diagnostics.
//!
//! A card without a fixed address obtains one by DHCP. The start of the processes waits 20 seconds
//! for it; after that, the missing network is noted in the diagnostics, and the agent keeps asking.
//! The lease is extended while the machine runs. The address, gateway and name servers are reported
//! in the keys `assigned` of the endpoint and of its network, and in `/etc/hosts` and
//! `/etc/resolv.conf`, also when they change. Name servers and a search domain in the keys take
//! precedence.
//!
//! # Build
//!
//! The binary of a machine is static, and has a profile of its own in the workspace:
//!
//! ```console
//! $ RUSTFLAGS="-C target-feature=+crt-static" cargo build -p tether --features ssh \
//!     --profile tether --target x86_64-unknown-linux-gnu
//! ```
//!
//! On 2026-11-27 it had 3.77 MB (target: 4 MB), and its two processes had 1.8 and 2.7 MB of resident
//! memory in a machine under QEMU (target: 10 MB).
//!
//! # Log
//!
//! The output of the processes is written to the log line as records. The
//! [final record](guest_io::log::End) says how the container's own session ended, which is the one
//! with the container's id, or else the session that ended last. It has the number of the run, from
//! the read-only key `run`, and the reason if the process was not started or the machine could not be
//! prepared. The raw log of VIC 0.4 has none.
//!
//! # Features
//!
//! | feature | adds |
//! | --- | --- |
//! | `ssh` | clients can attach to the processes over the control line |
//!
//! # How a process ended
//!
//! The key `status` of a session has the exit code, or 128 plus the number of the signal
//! that ended the process, as with VIC. The key `signal` next to it, which VIC does not
//! have, is the number of that signal, or 0 if the process exited by itself. The key `oom`, also
//! ours, is `true` if the kernel killed the process because the machine's memory ran out. Only the
//! first process of a machine can tell; elsewhere that is the signal `KILL`. The agent itself is
//! exempt from being killed.
//!
//! # Limits
//!
//! The key `limits` of a session, which VIC does not have, is a list of limits of the process, such
//! as `nofile=1024:4096 core=0:0`. A limit that cannot be set is a failed start.
//!
//! # Reload
//!
//! The subsystem `reload` of the control line, and [`Agent::reloader`], make the agent read its keys
//! again. Processes that the host has added to the running container, under `execs`, are not started
//! yet: the response and the key `started` of each have the reason.
//!
//! # Archives
//!
//! The subsystems `archive-out PATH` and `archive-in PATH` of the control line copy tar archives out
//! of the container and into it. A child process of the supervisor does it, inside the root and the
//! namespaces of the container ([`Supervisor::archive`]); it requires Linux 5.6. An archive with a
//! name that contains `..`, or that leads through a symbolic link or to another file system, is
//! refused, as are sparse files. Files that the archive replaces are complete or unchanged. What the
//! system does not allow, such as other owners in a user namespace with one id, is listed by kind.
//!
//! # Keys of the control line
//!
//! Clients attach over SSH. The machine's private key is in the read-only key `key`, and the
//! public key of the only accepted client is in the read-only key `clientkey`, both in OpenSSH's
//! format. Without them, no client can attach, and sessions do not wait for one.

#![cfg(target_os = "linux")]

mod agent;
#[cfg(feature = "ssh")]
mod archive;
#[cfg(feature = "ssh")]
mod control;
mod ended;
mod files;
mod lines;
mod log;
mod machine;
mod platform;
mod pollable;
mod process;
mod reload;
mod run;
mod session;
mod signal;
mod supervisor;

/// The types of a container's configuration, which is passed to [`Platform::prepare`].
pub use guestinfo;
/// The supervisor, which is the first process of a container.
pub use tether_sys as sys;

pub use agent::{Agent, AgentError};
pub use files::{container_files, host_name};
pub use lines::{Line, Lines};
pub use machine::{fixed_link, run_machine};
pub use platform::{NetworkChange, Platform, PlatformError, Prepared};
pub use process::{Process, ProcessInput, ProcessOutput};
pub use reload::{ReloadError, Reloaded, Reloader};
pub use session::{Attachment, Output, Session, SessionError, Sessions};
pub use signal::signal_number;
pub use supervisor::{Created, Dialing, Supervisor, SupervisorError};
