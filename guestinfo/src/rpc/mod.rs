//! Access to keys from within the guest.
//!
//! A guest can read one visible key and set one writable key at a time. It cannot list or
//! delete keys, or set a key to empty text. [`GuestRpc`] represents these abilities, and
//! [`GuestStore`] reads and writes whole values with them.
//!
//! | transport | needs |
//! | --- | --- |
//! | [`Backdoor`] (feature `backdoor`) | x86-64 Linux on VMware |
//! | [`Vsock`] | a connected stream to the hypervisor, port [`VSOCK_PORT`] |
//! | [`Memory`] | nothing; a map with the platform's rules |
//!
//! Calls block, because the hypervisor answers within the instruction or on a local
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
    /// Returns the text of a key, which begins with `guestinfo.`, or `None` if there is
    /// none. The platform does not distinguish empty text from a missing key.
    ///
    /// # Errors
    /// Fails if the transport fails or the host refuses.
    fn get(&mut self, key: &str) -> Result<Option<String>, RpcError>;

    /// Sets the text of a key.
    ///
    /// # Errors
    /// Fails if the transport fails or the host refuses, as it does for keys that contain
    /// a `/`.
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
