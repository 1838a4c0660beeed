//! Settings whose names have a part that is not fixed: `answer.msg.<question>`.

use std::borrow::{Borrow, BorrowMut, Cow};
use std::collections::HashSet;
use std::marker::PhantomData;

use crate::document::{Change, Document};
use crate::error::EditError;

use super::typed_setting::{Setting, read};
use super::{SettingError, VirtualMachineFile};

/// Settings whose names differ in one part, which has no fixed list.
///
/// `T` is the type of their values, text or a boolean.
///
/// ```
/// use vmx::Document;
/// use vmx::view::VirtualMachineFile;
///
/// let bytes = b"isolation.tools.copy.disable = \"TRUE\"\n";
/// let mut machine = VirtualMachineFile::new(Document::parse(&bytes[..])?);
/// assert_eq!(machine.isolated_tools().get("copy")?, Some(true));
///
/// machine.answers_mut().set("disk.duplicateUUID", "Yes")?;
/// assert_eq!(machine.answers().parts(), ["disk.duplicateUUID"]);
/// assert!(machine.into_document().contains("answer.msg.disk.duplicateUUID"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Family<D, T> {
    document: D,
    before: Cow<'static, str>,
    behind: &'static str,
    values: PhantomData<T>,
}

impl<D, T> Family<D, T> {
    pub(super) fn of(
        document: D,
        before: impl Into<Cow<'static, str>>,
        behind: &'static str,
    ) -> Self {
        Self {
            document,
            before: before.into(),
            behind,
            values: PhantomData,
        }
    }

    fn name(&self, part: &str) -> String {
        format!("{}{part}{}", self.before, self.behind)
    }
}

impl<D: Borrow<Document>, T> Family<D, T> {
    /// The parts that the file has settings of, in its order and spelling.
    #[must_use]
    pub fn parts(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        let (before, behind) = (&*self.before, self.behind);
        self.document
            .borrow()
            .entries()
            .filter_map(|entry| {
                let name = entry.name();
                if !name.starts_with(before) || !name.ends_with(behind) {
                    return None;
                }
                let part = name.as_str()?.get(before.len()..)?;
                part.get(..part.len().checked_sub(behind.len())?)
            })
            .filter(|part| !part.is_empty() && seen.insert(part.to_ascii_lowercase()))
            .collect()
    }
}

impl<D: BorrowMut<Document>, T> Family<D, T> {
    /// Removes the setting of a part.
    pub fn remove(&mut self, part: &str) -> Change {
        let name = self.name(part);
        self.document.borrow_mut().remove(name)
    }
}

macro_rules! families_of {
    ($($type:ty, $argument:ty;)*) => {$(
        impl<D: Borrow<Document>> Family<D, $type> {
            /// The setting of a part, in any case.
            ///
            /// # Errors
            ///
            /// The value is not of this type.
            pub fn get(&self, part: &str) -> Result<Option<$type>, SettingError> {
                read(self.document.borrow(), &self.name(part))
            }

            pub(super) fn faults(&self) -> impl Iterator<Item = SettingError> {
                self.parts().into_iter().filter_map(|part| self.get(part).err())
            }
        }

        impl<D: BorrowMut<Document>> Family<D, $type> {
            /// Sets the setting of a part.
            ///
            /// # Errors
            ///
            /// As [`Document::set`], also if the part cannot stand in a name.
            pub fn set(&mut self, part: &str, value: $argument) -> Result<Change, EditError> {
                let (name, value) = (self.name(part), <$type>::from(value));
                self.document.borrow_mut().set(name, &value.write())
            }
        }
    )*};
}

families_of! {
    bool, bool;
    String, &str;
}

/// The families of a machine: of each how it is read and edited, and the name's parts.
macro_rules! families {
    ($($(#[$doc:meta])* $get:ident $edit:ident: $type:ty = $before:literal $behind:literal;)*) => {
        impl<D: Borrow<Document>> VirtualMachineFile<D> {
            $(
                $(#[$doc])*
                #[doc = concat!("\n\nKeys `", $before, "<part>", $behind, "`.")]
                pub fn $get(&self) -> Family<&Document, $type> {
                    Family::of(self.document.borrow(), $before, $behind)
                }
            )*

            /// Every member of a family that is not of its type.
            pub(super) fn family_faults(&self) -> Vec<SettingError> {
                let mut faults = Vec::new();
                $(faults.extend(self.$get().faults());)*
                faults
            }
        }

        impl<D: BorrowMut<Document>> VirtualMachineFile<D> {
            $(
                #[doc = concat!("[`", stringify!($get), "`](Self::", stringify!($get), "), to edit.")]
                pub fn $edit(&mut self) -> Family<&mut Document, $type> {
                    Family::of(self.document.borrow_mut(), $before, $behind)
                }
            )*
        }
    };
}

families! {
    /// Answers to questions of the product, by the question: `disk.duplicateUUID`,
    /// `serial.file.open`. Part of extraConfig.
    answers answers_mut: String = "answer.msg." "";
    /// Features of VMware Tools that are disabled in the guest: `copy`, `paste`, `dnd`, `setInfo`,
    /// `hgfs` and dozens more, on ESXi mostly TRUE. Part of extraConfig.
    isolated_tools isolated_tools_mut: bool = "isolation.tools." ".disable";
    /// Switches of the virtual machine monitor: `restrict_backdoor`. They are not
    /// documented and of mixed types, so they are text here. Part of extraConfig.
    monitor_controls monitor_controls_mut: String = "monitor_control." "";
    /// USB devices of the host to be connected at power-on, by numbers from 0, each
    /// described by pairs: `0x046d:0xc52b`, `path:1/2`. Hosted products; API: a
    /// `VirtualUSB` of which the product finds the device itself.
    usb_auto_connect usb_auto_connect_mut: String = "usb.autoConnect.device" "";
    /// Handling of the host's USB devices: `autoconnect`, `allowHID`. Hosted
    /// products; in the API part of extraConfig.
    usb_generic usb_generic_mut: String = "usb.generic." "";
    /// Folders that hosted products share with the guest: `mapRootShare`,
    /// `linkRootShare`. Not in the API. The folders themselves are
    /// [`shared_folders`](Self::shared_folders).
    shared_folder_options shared_folder_options_mut: bool = "hgfs." "";
}
