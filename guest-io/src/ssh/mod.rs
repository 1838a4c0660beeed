//! Multiplexed streams over a serial line: SSH, with the guest as server.
//!
//! As in VIC, the host initiates: after the [handshake](crate::handshake) it is the SSH
//! client, and the agent in the guest is the server. [`server::Server`] is the guest's
//! end, [`client::Connector`] the host's.
//!
//! # Authentication
//!
//! Both ends have Ed25519 keys. The host identifies a machine only by the [`Fingerprint`] of
//! its host key; the guest accepts only the client key of its host.
//! Every process in a container can read the machine's read-only keys, so the host key
//! identifies the *machine*, not the agent: a process that takes over the line can
//! impersonate the agent of its own machine, but not that of another one.
//!
//! # VIC's own agents
//!
//! Agents of VIC itself cannot be attached to, and there is no option for it:
//!
//! - They serve channels of a type of their own, `attach`, and no others. `russh` opens only channels of
//!   the types of SSH's standard and of OpenSSH.
//! - Their host keys are RSA keys of 512 bits, which identify nobody: a key of this size can be factored
//!   in hours. `russh` reads RSA keys only with a feature that is not enabled here, so such an agent is
//!   refused before its key is read, with the algorithms of both ends as the reason.
//! - They accept every client, so anything that reaches the line can attach.
//!
//! Their handshake, in both dialects, and their [logs](crate::log) are read.
//!
//! # On the wire
//!
//! The protocol is standard SSH, so any client can be used for diagnosis. VIC had its own
//! channel type and requests, which `russh` can neither send nor receive. They are mapped as
//! follows:
//!
//! | VIC | here |
//! | --- | --- |
//! | channel `attach`, extra data = session id | channel `session`, subsystem `vic-attach ID` or `attach ID` |
//! | data; extended data of type 1 | the same |
//! | request `window-change` | the same; `pty-req` is used only for its size |
//! | request `signal` | the same, the signal's name without `SIG` |
//! | request `close-stdin` | end of file of the channel |
//! | request `unblock` | a [control frame](self#control-frames); `attach ID` unblocks by itself |
//! | request `ping` | global request `keepalive@openssh.com` |
//! | global requests `container-ids`, `version` | channel `session`, subsystem of that name; the response is its output |
//! | – | subsystem `reload`: the agent reads its keys again; the response is a [`ReloadReport`] |
//! | – | subsystems `vic-archive-out PATH`, `vic-archive-in PATH`, `archive-out PATH` and `archive-in PATH`: [archives](self#archives) |
//! | – | `exit-status` and `exit-signal` after the process has ended |
//!
//! With OpenSSH's client: `ssh -s -o ProxyCommand=… daemon@line 'attach ID'`.
//!
//! # Archives
//!
//! The output of `archive-out PATH` is a tar archive of a path of the container, and the input of
//! `archive-in PATH` is one that is unpacked into a directory of the container. The exit status is 0
//! if the archive is complete; only then may the receiver rely on it. Otherwise standard error has
//! the reason. If the status is 0, standard error has one line for each property that was not
//! preserved. A client that closes the channel early, or is lost, ends the transfer; what was
//! unpacked by then remains.
//!
//! With OpenSSH's client: `ssh -s … daemon@line 'archive-out /etc' > etc.tar`.
//!
//! # Control frames
//!
//! `russh` extends SSH's windows as soon as data arrives, not when it is consumed, so
//! a slow reader of one session would block the whole line. Channels opened by
//! `vic-attach`, `vic-archive-out` and `vic-archive-in` therefore have their own windows: each end may send
//! [`WINDOW`] bytes of a session, and more once the other end has consumed them. These
//! grants are sent as extended data of the private type [`CONTROL_TYPE`], in frames of five
//! bytes: a kind (1 = grant, 2 = unblock) and a big-endian number (bytes granted, 0).
//! A peer that sends more than it was granted is disconnected.

pub mod client;
mod control_frame;
mod credit;
mod keys;
mod reload;
pub mod server;
mod signals;
mod subsystem;
mod transport;

pub use control_frame::{ControlDecoder, ControlFrame};
pub use keys::{ClientPublicKey, Fingerprint, KeyError, PrivateKey};
pub use reload::{ReloadFailed, ReloadRefusal, ReloadReport};
pub use subsystem::{ArchiveDirection, Subsystem};

/// The maximum number of bytes in flight per session and direction: 256 KiB.
pub const WINDOW: u32 = 256 * 1024;

/// The type of extended data that carries control frames, from the range that RFC 4254
/// reserves for private use.
pub const CONTROL_TYPE: u32 = 0xfe56_4943;

/// The version of this protocol, as returned by the subsystem `version`.
pub const VERSION: u32 = 1;

/// The user name with which the host logs in, as in VIC.
const USER: &str = "daemon";

/// The maximum number of sessions that are attached over one line at the same time.
pub const MAX_CHANNELS: usize = 64;

/// The maximum length of a session id, in bytes.
pub const MAX_ID: usize = 256;

/// The maximum length of the path of an archive, in bytes.
pub const MAX_PATH: usize = 4096;

/// Type of extended data for standard error.
const STDERR: u32 = 1;

/// How a session's process ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Exit {
    /// The process exited with this code.
    Code(u32),
    /// The process was ended by a signal.
    Signal {
        /// The signal's name without `SIG`, such as `KILL`.
        name: String,
        /// Whether it left a core dump.
        core_dumped: bool,
    },
}

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Window {
    /// The width in characters.
    pub columns: u32,
    /// The height in characters.
    pub rows: u32,
}

impl Window {
    /// Creates a size in characters.
    pub fn new(columns: u32, rows: u32) -> Self {
        Self { columns, rows }
    }
}

/// Returns a random position or token of a handshake, which need not be unpredictable.
fn random_byte() -> u8 {
    use std::hash::{BuildHasher, Hasher};
    let hash = std::hash::RandomState::new().build_hasher().finish();
    hash.to_le_bytes()[0]
}

/// Returns the accepted algorithms: only those of our guests, and no compression.
fn preferred() -> russh::Preferred {
    use std::borrow::Cow;
    russh::Preferred {
        key: Cow::Borrowed(&[russh::keys::Algorithm::Ed25519]),
        cipher: Cow::Borrowed(&[russh::cipher::AES_256_GCM, russh::cipher::CHACHA20_POLY1305]),
        compression: Cow::Borrowed(&[russh::compression::NONE]),
        ..russh::Preferred::DEFAULT
    }
}
