//! Small static programs for Linux, assembled by hand: the images of examples and tests need no
//! compiler, no library and no network.
//!
//! ```
//! use guest_programs::{Machine, prints};
//!
//! let hello = prints(Machine::X86_64, "Hello\n", 0).unwrap();
//! assert!(hello.starts_with(b"\x7fELF"));
//! ```

mod elf;
mod prints;
pub mod x86_64;

pub use prints::prints;

/// The processor of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Machine {
    /// x86-64.
    X86_64,
    /// AArch64.
    Aarch64,
}

impl Machine {
    /// Returns the processor of this system; `None` if there are no programs for it.
    #[must_use]
    pub const fn here() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::X86_64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Aarch64)
        } else {
            None
        }
    }

    /// Returns the name of the processor in images.
    #[must_use]
    pub const fn architecture(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }
}
