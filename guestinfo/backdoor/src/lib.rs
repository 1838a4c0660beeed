//! Messages between a VMware guest and its host through the backdoor port.
//!
//! The hypervisor watches I/O port 0x5658. A guest that loads certain registers
//! and reads the port enters the hypervisor, which answers in the registers. On
//! top of this lies a message protocol: open a channel, send a message in words
//! of 4 bytes, receive the answer in the same way, close the channel.
//!
//! [`Channel`] is the protocol and safe code over any [`Port`]; [`Hardware`] is
//! the port of the machine and the only place with `unsafe`. Only the narrow
//! form of 4 bytes per call is used: a message has at most 64 KiB, and the wide
//! form needs registers that a compiler does not give away.

mod error;
mod hardware;
mod message;
mod port;

pub use error::Error;
pub use hardware::Hardware;
pub use message::{Channel, MAX_MESSAGE_BYTES};
pub use port::{Port, Registers, Status};
