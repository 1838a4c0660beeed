//! Keys as the guest reaches them.
//!
//! A guest can ask for one visible key and set one writable key; it can neither
//! list keys nor delete one nor set one to empty text. [`GuestRpc`] is that
//! ability, [`GuestStore`] reads and writes whole values through it.
//!
//! | transport | needs |
//! | --- | --- |
//! | [`Backdoor`] (feature `backdoor`) | x86-64 Linux on VMware |
//! | [`Vsock`] | a connected stream to the hypervisor, port [`VSOCK_PORT`] |
//! | [`Memory`] | nothing; the platform's rules over a map |
//!
//! Calls block: the hypervisor answers within the instruction, or on a local
//! socket.

#[cfg(feature = "backdoor")]
mod backdoor;
mod error;
mod memory;
mod rpci;
mod store;
mod vsock;

#[cfg(feature = "backdoor")]
pub use backdoor::Backdoor;
pub use error::RpcError;
pub use memory::Memory;
pub use rpci::{Channel, MAX_MESSAGE_BYTES, Rpci};
pub use store::GuestStore;
pub use vsock::{VSOCK_PORT, Vsock};

use std::fmt;

/// A guest's access to the keys of its machine.
pub trait GuestRpc: fmt::Debug {
    /// Asks for the text of a key, which begins with `guestinfo.`; `None` when
    /// there is none. The platform does not tell an empty text from none.
    ///
    /// # Errors
    /// When the transport fails or the host refuses.
    fn get(&mut self, key: &str) -> Result<Option<String>, RpcError>;

    /// Sets the text of a key.
    ///
    /// # Errors
    /// When the transport fails or the host refuses, as it does for keys that
    /// hold a `/`.
    fn set(&mut self, key: &str, value: &str) -> Result<(), RpcError>;
}

impl<R: GuestRpc + ?Sized> GuestRpc for &mut R {
    fn get(&mut self, key: &str) -> Result<Option<String>, RpcError> {
        (**self).get(key)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), RpcError> {
        (**self).set(key, value)
    }
}

impl<R: GuestRpc + ?Sized> GuestRpc for Box<R> {
    fn get(&mut self, key: &str) -> Result<Option<String>, RpcError> {
        (**self).get(key)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), RpcError> {
        (**self).set(key, value)
    }
}
