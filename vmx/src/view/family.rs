//! Settings with a variable part in their names, such as `answer.msg.<question>`.

use std::borrow::{Borrow, BorrowMut, Cow};
use std::collections::HashSet;
use std::marker::PhantomData;

use crate::document::{Change, Document};
use crate::error::EditError;

use super::typed_setting::{Setting, read};
use super::{SettingError, VirtualMachineFile};

/// A group of settings whose names differ in one variable part.
///
/// `T` is the type of the values, text or a boolean.
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
    /// Returns the variable parts of the settings in the file, in file order and
    /// spelling.
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
    /// Removes the setting with that variable part.
    pub fn remove(&mut self, part: &str) -> Change {
        let name = self.name(part);
        self.document.borrow_mut().remove(name)
    }
}

macro_rules! families_of {
    ($($type:ty, $argument:ty;)*) => {$(
        impl<D: Borrow<Document>> Family<D, $type> {
            /// Returns the setting with that variable part, ignoring case.
            ///
            /// # Errors
            ///
            /// Fails if the value is not of this type.
            pub fn get(&self, part: &str) -> Result<Option<$type>, SettingError> {
                read(self.document.borrow(), &self.name(part))
            }

            pub(super) fn faults(&self) -> impl Iterator<Item = SettingError> {
                self.parts().into_iter().filter_map(|part| self.get(part).err())
            }
        }

        impl<D: BorrowMut<Document>> Family<D, $type> {
            /// Sets the setting with that variable part.
            ///
            /// # Errors
            ///
            /// Fails like [`Document::set`], and if `part` cannot be part of a name.
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

/// The families of a machine: for each, its accessors and the fixed parts of its names.
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

            /// Returns an error for every setting of a family whose value is not of its
            /// type.
            pub(super) fn family_faults(&self) -> Vec<SettingError> {
                let mut faults = Vec::new();
                $(faults.extend(self.$get().faults());)*
                faults
            }
        }

        impl<D: BorrowMut<Document>> VirtualMachineFile<D> {
            $(
                #[doc = concat!("Like [`", stringify!($get), "`](Self::", stringify!($get), "), for editing.")]
                pub fn $edit(&mut self) -> Family<&mut Document, $type> {
                    Family::of(self.document.borrow_mut(), $before, $behind)
                }
            )*
        }
    };
}

families! {
    /// Answers to questions that the product asks, by question: `disk.duplicateUUID`,
    /// `serial.file.open`. Part of extraConfig.
    answers answers_mut: String = "answer.msg." "";
    /// Features of VMware Tools that are disabled in the guest: `copy`, `paste`, `dnd`,
    /// `setInfo`, `hgfs` and dozens more, most of them TRUE on ESXi. Part of extraConfig.
    isolated_tools isolated_tools_mut: bool = "isolation.tools." ".disable";
    /// Switches of the virtual machine monitor, such as `restrict_backdoor`. They are
    /// undocumented and have various types, so they are returned as text. Part of
    /// extraConfig.
    monitor_controls monitor_controls_mut: String = "monitor_control." "";
    /// USB devices of the host that are connected at power-on. The variable part is a
    /// number from 0; each value describes a device by pairs such as `0x046d:0xc52b` or
    /// `path:1/2`. Hosted products only. In the API this is a `VirtualUSB` whose device
    /// the product finds by itself.
    usb_auto_connect usb_auto_connect_mut: String = "usb.autoConnect.device" "";
    /// Treatment of the host's USB devices: `autoconnect`, `allowHID`. Hosted products
    /// only; part of extraConfig in the API.
    usb_generic usb_generic_mut: String = "usb.generic." "";
    /// Options for the folders that hosted products share with the guest: `mapRootShare`,
    /// `linkRootShare`. Not in the API. For the folders themselves see
    /// [`shared_folders`](Self::shared_folders).
    shared_folder_options shared_folder_options_mut: bool = "hgfs." "";
}
