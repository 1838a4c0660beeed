//! The backdoor port of the machine on which this code runs.

use crate::error::Error;
use crate::port::{Port, Registers};

/// The backdoor of the machine on which this code runs.
///
/// It can only be obtained from [`probe`](Self::probe), which checks that the hypervisor
/// is VMware's: on other hypervisors, reading the port ends the process with a signal.
/// The same happens on VMware if the machine's configuration forbids processes to use the
/// backdoor (`monitor_control.restrict_backdoor`).
#[derive(Debug)]
pub struct Hardware {
    // Only `probe` creates this type, so owning one proves that the port may be read.
    _proof: (),
}

impl Hardware {
    /// Checks for the backdoor.
    ///
    /// # Errors
    /// Fails if the processor, the operating system or the hypervisor is not supported.
    pub fn probe() -> Result<Self, Error> {
        detect::vendor()?;
        let mut hardware = Self { _proof: () };
        let version = hardware.call(Registers {
            eax: Registers::MAGIC,
            ebx: !Registers::MAGIC,
            ecx: Registers::GET_VERSION,
            edx: Registers::PORT,
            ..Registers::default()
        });
        if version.ebx != Registers::MAGIC {
            return Err(Error::NoBackdoor {
                reason: "the port does not answer as VMware's does",
            });
        }
        Ok(hardware)
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod detect {
    use core::arch::x86_64::__cpuid;

    use crate::error::Error;

    const HYPERVISOR_PRESENT: u32 = 1 << 31;
    const HYPERVISOR_LEAF: u32 = 0x4000_0000;

    /// Checks that the hypervisor identifies itself as VMware's.
    pub(super) fn vendor() -> Result<(), Error> {
        if __cpuid(1).ecx & HYPERVISOR_PRESENT == 0 {
            return Err(Error::NoBackdoor {
                reason: "no hypervisor is present",
            });
        }
        let leaf = __cpuid(HYPERVISOR_LEAF);
        let mut vendor = [0; 12];
        for (at, word) in [leaf.ebx, leaf.ecx, leaf.edx].into_iter().enumerate() {
            vendor[at * 4..][..4].copy_from_slice(&word.to_le_bytes());
        }
        if &vendor != b"VMwareVMware" {
            return Err(Error::NoBackdoor {
                reason: "the hypervisor is not VMware's",
            });
        }
        Ok(())
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
mod detect {
    use crate::error::Error;

    pub(super) fn vendor() -> Result<(), Error> {
        Err(Error::NoBackdoor {
            reason: "only x86-64 Linux guests are supported",
        })
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
impl Port for Hardware {
    fn call(&mut self, registers: Registers) -> Registers {
        let mut out = Registers::default();
        // The compiler reserves rbx, so it is swapped in and out by hand. If the compiler
        // chooses rbx itself for `rbx_value`, the swaps have no effect and the value is
        // already in place.
        let mut rbx_value = u64::from(registers.ebx);
        #[expect(
            unsafe_code,
            reason = "entering the hypervisor takes the `in` instruction"
        )]
        // SAFETY: a `Hardware` exists only after `probe` found VMware's hypervisor, which
        // intercepts the `in` instruction and answers in these six registers.
        // Low-bandwidth commands read and write only registers, not our memory; rbx is
        // restored; the stack is not used.
        unsafe {
            core::arch::asm!(
                "xchg {rbx_value}, rbx",
                "in eax, dx",
                "xchg {rbx_value}, rbx",
                rbx_value = inout(reg) rbx_value,
                inout("eax") registers.eax => out.eax,
                inout("ecx") registers.ecx => out.ecx,
                inout("edx") registers.edx => out.edx,
                inout("esi") registers.esi => out.esi,
                inout("edi") registers.edi => out.edi,
                options(nomem, nostack, preserves_flags),
            );
        }
        out.ebx = rbx_value as u32;
        out
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
impl Port for Hardware {
    fn call(&mut self, registers: Registers) -> Registers {
        // `probe` never creates a `Hardware` on this architecture.
        registers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On any machine, probing does not end the process with a signal, and a missing
    /// backdoor is detected.
    #[test]
    fn probing_is_safe_anywhere() {
        match Hardware::probe() {
            Ok(mut hardware) => {
                let channel = crate::Channel::open(&mut hardware);
                assert!(channel.is_ok(), "{channel:?}");
            }
            Err(error) => assert!(matches!(error, Error::NoBackdoor { .. }), "{error}"),
        }
    }
}
