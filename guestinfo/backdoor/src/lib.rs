//! Messages between a VMware guest and its host through the backdoor port.
//!
//! The hypervisor intercepts reads of I/O port 0x5658. A guest that loads certain
//! registers and reads the port enters the hypervisor, which answers in the registers. A
//! message protocol builds on this: open a channel, send a message in words of 4 bytes,
//! receive the answer in the same way, close the channel.
//!
//! [`Channel`] implements the protocol in safe code over any [`Port`]; [`Hardware`] is
//! the port of the machine and the only code with `unsafe`. Only the low-bandwidth form
//! with 4 bytes per call is used: messages have at most 64 KiB, and the high-bandwidth
//! form needs registers that the compiler reserves.

mod error;
mod hardware;
mod message;
mod port;

pub use error::Error;
pub use hardware::Hardware;
pub use message::{Channel, MAX_MESSAGE_BYTES};
pub use port::{Port, Registers, Status};
