//! CPUID: recorded registers, and masks over them.

use std::borrow::{Borrow, BorrowMut, Cow};
use std::collections::BTreeSet;
use std::fmt;

use crate::document::{Change, Document};
use crate::error::{EditError, ValueError};
use crate::value::Value;

use super::typed_setting::{Setting, read, read_as};
use super::{SettingError, VirtualMachineFile};

/// Whose registers the product recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CpuidOwner {
    /// `hostCPUID`: the host where the machine last ran.
    Host,
    /// `guestCPUID`: what the guest saw.
    Guest,
    /// `userCPUID`: what programs in the guest saw.
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

/// The registers of a CPUID leaf, written as 32 hexadecimal digits: eax, ebx, ecx, edx.
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

/// A mask over one register: 32 letters, that of bit 31 first. `0` and `1` fix a bit,
/// `-` leaves it alone; `H`, `R`, `T` and `X` are rules of the product.
///
/// `Display` prints the letters as given, in groups of four between colons.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CpuidMask([char; 32]);

impl CpuidMask {
    /// Reads a mask; colons may stand anywhere.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let letters: Vec<char> = text.chars().filter(|letter| *letter != ':').collect();
        let known = |letter: &char| "01-hrtxHRTX".contains(*letter);
        let letters: [char; 32] = letters.try_into().ok()?;
        letters.iter().all(known).then_some(Self(letters))
    }

    /// The letter of a bit, 0 to 31.
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

/// A leaf as names have it: hexadecimal, no sign, no zeros ahead.
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
    /// The registers of a leaf that the product recorded; part of extraConfig.
    ///
    /// Key `hostCPUID.<leaf>` and so on, the leaf in hexadecimal.
    ///
    /// # Errors
    ///
    /// The value is not 32 hexadecimal digits.
    pub fn cpuid_registers(
        &self,
        owner: CpuidOwner,
        leaf: u32,
    ) -> Result<Option<CpuidRegisters>, SettingError> {
        let name = format!("{}.{leaf:x}", owner.as_str());
        read(self.document.borrow(), &name)
    }

    /// The mask over a register; API: `VirtualMachineConfigInfo.cpuFeatureMask`, of
    /// which `level` is the leaf.
    ///
    /// Key `cpuid.<leaf>.<register>`, the leaf in hexadecimal.
    ///
    /// # Errors
    ///
    /// The value is not a mask.
    pub fn cpuid_mask(
        &self,
        leaf: u32,
        register: CpuidRegister,
    ) -> Result<Option<CpuidMask>, SettingError> {
        read(self.document.borrow(), &mask_name(leaf, register))
    }

    /// The registers that have a mask, by leaf and register.
    pub fn cpuid_masks(&self) -> BTreeSet<(u32, CpuidRegister)> {
        let document: &Document = self.document.borrow();
        document
            .entries()
            .filter_map(|entry| entry.name().as_str().and_then(split_mask))
            .collect()
    }

    /// Every mask and every record that cannot be read.
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
    /// Sets the mask over a register, see [`cpuid_mask`](Self::cpuid_mask).
    ///
    /// # Errors
    ///
    /// As [`Document::set`].
    pub fn set_cpuid_mask(
        &mut self,
        leaf: u32,
        register: CpuidRegister,
        mask: &CpuidMask,
    ) -> Result<Change, EditError> {
        let name = mask_name(leaf, register);
        self.document.borrow_mut().set(name, &mask.write())
    }

    /// Sets what is recorded, see [`cpuid_registers`](Self::cpuid_registers).
    ///
    /// # Errors
    ///
    /// As [`Document::set`].
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
