//! The registers of a backdoor call.

use std::fmt;

/// The registers of a call, before and after it.
///
/// Before the call, `eax` contains a magic number and bits 16 to 31 of `ecx` the step of
/// the message protocol; after the call, these bits contain the status. Bits 16 to 31 of
/// `edx` identify the channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// Magic number before the call, result after it.
    pub eax: u32,
    /// First argument before the call, result after it.
    pub ebx: u32,
    /// Command and step before the call, status after it.
    pub ecx: u32,
    /// Port and channel.
    pub edx: u32,
    /// First cookie.
    pub esi: u32,
    /// Second cookie.
    pub edi: u32,
}

/// A way to call a hypervisor.
pub trait Port: fmt::Debug {
    /// Enters the hypervisor with these registers and returns the registers that it sets.
    fn call(&mut self, registers: Registers) -> Registers;
}

impl<P: Port + ?Sized> Port for &mut P {
    fn call(&mut self, registers: Registers) -> Registers {
        (**self).call(registers)
    }
}

/// The status of a step: bits 16 to 31 of `ecx` on return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    /// The step succeeded.
    pub const SUCCESS: u16 = 0x0001;
    /// A message is waiting.
    pub const DO_RECEIVE: u16 = 0x0002;
    /// The machine was suspended, resumed or moved, so the whole operation has to be
    /// repeated.
    pub const CHECKPOINT: u16 = 0x0010;

    /// Whether all these bits are set.
    #[must_use]
    pub const fn has(self, bits: u16) -> bool {
        self.0 & bits == bits
    }
}

impl Registers {
    /// The magic number, `VMXh`.
    pub const MAGIC: u32 = 0x564d_5868;
    /// The I/O port that the hypervisor intercepts.
    pub const PORT: u32 = 0x5658;
    /// The command that returns the version of the backdoor.
    pub const GET_VERSION: u32 = 10;
    /// The command of the message protocol.
    pub const MESSAGE: u32 = 30;

    /// Returns the status of a step.
    #[must_use]
    pub const fn status(&self) -> Status {
        Status((self.ecx >> 16) as u16)
    }
}
