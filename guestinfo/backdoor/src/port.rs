//! The registers of a backdoor call.

use std::fmt;

/// The registers of a call, before and after it.
///
/// `eax` holds a magic number on the way in; bits 16 to 31 of `ecx` are the
/// step of the message protocol on the way in and its status on the way out,
/// those of `edx` the channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// Magic number, then result.
    pub eax: u32,
    /// First argument or result.
    pub ebx: u32,
    /// Command and step, then status.
    pub ecx: u32,
    /// Port and channel.
    pub edx: u32,
    /// First cookie.
    pub esi: u32,
    /// Second cookie.
    pub edi: u32,
}

/// One way into a hypervisor.
pub trait Port: fmt::Debug {
    /// Enters the hypervisor with these registers and comes back with its own.
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
    /// The step was done.
    pub const SUCCESS: u16 = 0x0001;
    /// A message is waiting.
    pub const DO_RECEIVE: u16 = 0x0002;
    /// The machine was suspended, resumed or moved: the whole operation has to
    /// be done again.
    pub const CHECKPOINT: u16 = 0x0010;

    /// Whether all these bits are set.
    #[must_use]
    pub const fn has(self, bits: u16) -> bool {
        self.0 & bits == bits
    }
}

impl Registers {
    /// `VMXh`.
    pub const MAGIC: u32 = 0x564d_5868;
    /// The port that hypervisors watch.
    pub const PORT: u32 = 0x5658;
    /// The command: the version of the backdoor.
    pub const GET_VERSION: u32 = 10;
    /// The command: the message protocol.
    pub const MESSAGE: u32 = 30;

    /// The status of a step.
    #[must_use]
    pub const fn status(&self) -> Status {
        Status((self.ecx >> 16) as u16)
    }
}
