//! A channel through the backdoor.

use std::error::Error;

use guestinfo_backdoor::Hardware;

use super::rpci::{Channel, Rpci};

/// A channel through the VMware backdoor of an x86-64 Linux guest.
///
/// Every message opens and closes a channel of its own, because a machine has few
/// channels and loses them when it is suspended.
#[derive(Debug)]
pub struct Backdoor {
    hardware: Hardware,
}

impl Backdoor {
    /// Checks whether this is a VMware guest.
    ///
    /// # Errors
    /// Fails if it is not. Reading the port would then end the process.
    pub fn probe() -> Result<Rpci<Self>, guestinfo_backdoor::Error> {
        let hardware = Hardware::probe()?;
        Ok(Rpci::new(Self { hardware }))
    }
}

impl Channel for Backdoor {
    fn call(&mut self, message: &[u8]) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        let mut channel = guestinfo_backdoor::Channel::open(&mut self.hardware)?;
        let answer = channel.call(message)?;
        channel.close()?;
        Ok(answer)
    }
}
