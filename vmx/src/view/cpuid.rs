//! CPUID: recorded registers, and masks for registers.

use std::borrow::{Borrow, BorrowMut, Cow};
use std::collections::BTreeSet;
use std::fmt;

use crate::document::{Change, Document};
use crate::error::{EditError, ValueError};
use crate::value::Value;

use super::typed_setting::{Setting, read, read_as};
use super::{SettingError, VirtualMachineFile};

/// Identifies whose registers the product recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CpuidOwner {
    /// `hostCPUID`: the host on which the machine last ran.
    Host,
    /// `guestCPUID`: the registers that the guest saw.
    Guest,
    /// `userCPUID`: the registers that programs in the guest saw.
    User,
}

/// A register of a CPUID leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CpuidRegister {
    /// `eax`
    Eax,
    /// `ebx`
    Ebx,
    /// `ecx`
    Ecx,
    /// `edx`
    Edx,
}

/// The registers of a CPUID leaf, stored as 32 hexadecimal digits: eax, ebx, ecx, edx.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CpuidRegisters {
    /// `eax`
    pub eax: u32,
    /// `ebx`
    pub ebx: u32,
    /// `ecx`
    pub ecx: u32,
    /// `edx`
    pub edx: u32,
}

/// A mask for one register: 32 letters, starting with bit 31. `0` and `1` force a bit,
/// `-` leaves it unchanged; `H`, `R`, `T` and `X` are rules of the product.
///
/// `Display` prints the letters as read, in groups of four separated by colons.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CpuidMask([char; 32]);

impl CpuidMask {
    /// Parses a mask; colons are allowed anywhere.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let letters: Vec<char> = text.chars().filter(|letter| *letter != ':').collect();
        let known = |letter: &char| "01-hrtxHRTX".contains(*letter);
        let letters: [char; 32] = letters.try_into().ok()?;
        letters.iter().all(known).then_some(Self(letters))
    }

    /// Returns the letter for a bit, 0 to 31.
    #[must_use]
    pub fn bit(&self, bit: u32) -> Option<char> {
        let bit = usize::try_from(bit).ok()?;
        self.0.iter().rev().nth(bit).copied()
    }
}

impl fmt::Display for CpuidMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, group) in self.0.chunks(4).enumerate() {
            if at > 0 {
                f.write_str(":")?;
            }
            f.write_str(&group.iter().collect::<String>())?;
        }
        Ok(())
    }
}

impl Setting for CpuidMask {
    fn read(value: Value<'_>) -> Result<Self, ValueError> {
        read_as(value, "32 of the letters 0 1 - H R T X", Self::parse)
    }

    fn write(&self) -> Cow<'_, str> {
        self.to_string().into()
    }
}

impl Setting for CpuidRegisters {
    fn read(value: Value<'_>) -> Result<Self, ValueError> {
        read_as(value, "32 hexadecimal digits", |text| {
            if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return None;
            }
            let register = |at: usize| u32::from_str_radix(text.get(at..at + 8)?, 16).ok();
            Some(Self {
                eax: register(0)?,
                ebx: register(8)?,
                ecx: register(16)?,
                edx: register(24)?,
            })
        })
    }

    fn write(&self) -> Cow<'_, str> {
        format!(
            "{:08x}{:08x}{:08x}{:08x}",
            self.eax, self.ebx, self.ecx, self.edx
        )
        .into()
    }
}

impl CpuidOwner {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "hostCPUID",
            Self::Guest => "guestCPUID",
            Self::User => "userCPUID",
        }
    }

    fn of(word: &str) -> Option<Self> {
        [Self::Host, Self::Guest, Self::User]
            .into_iter()
            .find(|owner| word.eq_ignore_ascii_case(owner.as_str()))
    }
}

impl CpuidRegister {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Eax => "eax",
            Self::Ebx => "ebx",
            Self::Ecx => "ecx",
            Self::Edx => "edx",
        }
    }

    fn of(word: &str) -> Option<Self> {
        [Self::Eax, Self::Ebx, Self::Ecx, Self::Edx]
            .into_iter()
            .find(|register| word.eq_ignore_ascii_case(register.as_str()))
    }
}

fn mask_name(leaf: u32, register: CpuidRegister) -> String {
    format!("cpuid.{leaf:x}.{}", register.as_str())
}

/// Parses a leaf as spelled in names: hexadecimal, without sign or leading zeros.
fn leaf_of(digits: &str) -> Option<u32> {
    let leaf = u32::from_str_radix(digits, 16).ok()?;
    format!("{leaf:x}")
        .eq_ignore_ascii_case(digits)
        .then_some(leaf)
}

fn split_mask(name: &str) -> Option<(u32, CpuidRegister)> {
    let (group, rest) = name.split_once('.')?;
    let (leaf, register) = rest.split_once('.')?;
    let found = (leaf_of(leaf)?, CpuidRegister::of(register)?);
    group.eq_ignore_ascii_case("cpuid").then_some(found)
}

impl<D: Borrow<Document>> VirtualMachineFile<D> {
    /// Returns the registers that the product recorded for a leaf. Part of extraConfig.
    ///
    /// The key is `hostCPUID.<leaf>`, `guestCPUID.<leaf>` or `userCPUID.<leaf>`, with the
    /// leaf in hexadecimal.
    ///
    /// # Errors
    ///
    /// Fails if the value is not 32 hexadecimal digits.
    pub fn cpuid_registers(
        &self,
        owner: CpuidOwner,
        leaf: u32,
    ) -> Result<Option<CpuidRegisters>, SettingError> {
        let name = format!("{}.{leaf:x}", owner.as_str());
        read(self.document.borrow(), &name)
    }

    /// Returns the mask for a register; API: `VirtualMachineConfigInfo.cpuFeatureMask`,
    /// where `level` is the leaf.
    ///
    /// The key is `cpuid.<leaf>.<register>`, with the leaf in hexadecimal.
    ///
    /// # Errors
    ///
    /// Fails if the value is not a mask.
    pub fn cpuid_mask(
        &self,
        leaf: u32,
        register: CpuidRegister,
    ) -> Result<Option<CpuidMask>, SettingError> {
        read(self.document.borrow(), &mask_name(leaf, register))
    }

    /// Returns the registers that have a mask, ordered by leaf and register.
    pub fn cpuid_masks(&self) -> BTreeSet<(u32, CpuidRegister)> {
        let document: &Document = self.document.borrow();
        document
            .entries()
            .filter_map(|entry| entry.name().as_str().and_then(split_mask))
            .collect()
    }

    /// Returns an error for every mask and every recorded register that cannot be read.
    pub(super) fn cpuid_faults(&self) -> Vec<SettingError> {
        let document: &Document = self.document.borrow();
        document
            .entries()
            .filter_map(|entry| {
                let name = entry.name();
                let name = name.as_str()?;
                let recorded = name.split_once('.').is_some_and(|(owner, leaf)| {
                    CpuidOwner::of(owner).is_some() && leaf_of(leaf).is_some()
                });
                if recorded {
                    read::<CpuidRegisters>(document, name).err()
                } else {
                    split_mask(name).and_then(|_| read::<CpuidMask>(document, name).err())
                }
            })
            .collect()
    }
}

impl<D: BorrowMut<Document>> VirtualMachineFile<D> {
    /// Sets the mask for a register, see [`cpuid_mask`](Self::cpuid_mask).
    ///
    /// # Errors
    ///
    /// Fails like [`Document::set`].
    pub fn set_cpuid_mask(
        &mut self,
        leaf: u32,
        register: CpuidRegister,
        mask: &CpuidMask,
    ) -> Result<Change, EditError> {
        let name = mask_name(leaf, register);
        self.document.borrow_mut().set(name, &mask.write())
    }

    /// Sets the recorded registers, see [`cpuid_registers`](Self::cpuid_registers).
    ///
    /// # Errors
    ///
    /// Fails like [`Document::set`].
    pub fn set_cpuid_registers(
        &mut self,
        owner: CpuidOwner,
        leaf: u32,
        registers: CpuidRegisters,
    ) -> Result<Change, EditError> {
        let name = format!("{}.{leaf:x}", owner.as_str());
        self.document.borrow_mut().set(name, &registers.write())
    }
}
