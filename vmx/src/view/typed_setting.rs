//! Typed settings: how values are read as Rust types and written.

use std::borrow::Cow;

use crate::document::Document;
use crate::error::ValueError;
use crate::value::{Tristate, Value};

/// A setting whose value is not of its type.
///
/// VMware logs such a value and uses FALSE, zero or the default instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("setting `{name}` cannot be read")]
pub struct SettingError {
    name: String,
    #[source]
    source: ValueError,
}

impl SettingError {
    /// Returns the name of the entry.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the reason why the value is invalid.
    #[must_use]
    pub fn reason(&self) -> &ValueError {
        &self.source
    }
}

/// A type as which values can be read.
pub(crate) trait Setting: Sized {
    fn read(value: Value<'_>) -> Result<Self, ValueError>;
    fn write(&self) -> Cow<'_, str>;
}

/// Reads the setting with that name. Returns `None` if there is no such entry.
pub(crate) fn read<T: Setting>(document: &Document, name: &str) -> Result<Option<T>, SettingError> {
    document
        .get(name)
        .map(|value| T::read(value))
        .transpose()
        .map_err(|source| SettingError {
            name: name.to_owned(),
            source,
        })
}

impl Setting for String {
    fn read(value: Value<'_>) -> Result<Self, ValueError> {
        value.text().map(Cow::into_owned)
    }

    fn write(&self) -> Cow<'_, str> {
        self.into()
    }
}

impl Setting for bool {
    fn read(value: Value<'_>) -> Result<Self, ValueError> {
        value.boolean()
    }

    fn write(&self) -> Cow<'_, str> {
        if *self { "TRUE" } else { "FALSE" }.into()
    }
}

impl Setting for Tristate {
    fn read(value: Value<'_>) -> Result<Self, ValueError> {
        value.tristate()
    }

    fn write(&self) -> Cow<'_, str> {
        match self {
            Self::True => "TRUE",
            Self::False => "FALSE",
            Self::Default => "DEFAULT",
        }
        .into()
    }
}

macro_rules! integers {
    ($($read:ident $type:ty;)*) => {$(
        impl Setting for $type {
            fn read(value: Value<'_>) -> Result<Self, ValueError> {
                value.$read()
            }

            fn write(&self) -> Cow<'_, str> {
                self.to_string().into()
            }
        }
    )*};
}

integers! {
    number u32;
    number i32;
    unsigned u64;
    integer i64;
}

/// Reads a value by parsing its text; `expected` describes the type in the error.
pub(super) fn read_as<T>(
    value: Value<'_>,
    expected: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, ValueError> {
    parse(&value.text()?).ok_or_else(|| value.unfit(expected))
}

/// Defines an enumeration of the words used in files, ignoring case; unknown words are
/// kept in `Other`.
macro_rules! words {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $($(#[$doc:meta])* $variant:ident = $word:literal,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $(
                $(#[$doc])*
                #[doc = concat!("\n\nWritten `", $word, "`.")]
                $variant,
            )*
            /// An unknown word, as spelled in the file.
            Other(String),
        }

        impl $name {
            /// Returns the word as used in files.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                $(if word.eq_ignore_ascii_case($word) {
                    return Self::$variant;
                })*
                Self::Other(word.to_owned())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl crate::view::typed_setting::Setting for $name {
            fn read(
                value: crate::value::Value<'_>,
            ) -> Result<Self, crate::error::ValueError> {
                value.text().map(|word| Self::from(&*word))
            }

            fn write(&self) -> std::borrow::Cow<'_, str> {
                self.as_str().into()
            }
        }
    };
}

/// Defines the reading and writing methods of a view, one pair for each setting:
/// `reader writer: Type = "key";` for a setting that may be absent,
/// `reader writer: Type = "key" or default;` for one with a default.
macro_rules! settings {
    ($view:ident { $($(#[$doc:meta])* $get:ident $set:ident: $type:tt = $key:literal $(or $default:expr)?;)* }) => {
        impl<D: std::borrow::Borrow<crate::document::Document>> $view<D> {
            $(settings! { @get [$(#[$doc])*] $get $type, $key $(, $default)? })*

            /// Returns an error for every setting of this view whose value is not of its
            /// type.
            pub(crate) fn setting_faults(&self) -> Vec<crate::view::SettingError> {
                [$(self.$get().err(),)*].into_iter().flatten().collect()
            }
        }

        impl<D: std::borrow::BorrowMut<crate::document::Document>> $view<D> {
            $(
                #[doc = concat!("Sets `", $key, "`, see [`", stringify!($get), "`](Self::", stringify!($get), ").\n\n# Errors\n\nFails like [`Document::set`](crate::Document::set).")]
                pub fn $set(
                    &mut self,
                    value: settings!(@argument $type),
                ) -> Result<crate::document::Change, crate::error::EditError> {
                    let name = self.entry_name($key);
                    let setting = settings!(@convert $type, value);
                    self.document
                        .borrow_mut()
                        .set(&*name, &crate::view::typed_setting::Setting::write(&setting))
                }
            )*
        }
    };
    (@get [$($doc:tt)*] $get:ident $type:tt, $key:literal) => {
        $($doc)*
        #[doc = concat!("\n\nKey `", $key, "`.\n\n# Errors\n\nFails if the value is not of this type.")]
        pub fn $get(&self) -> Result<Option<$type>, crate::view::SettingError> {
            crate::view::typed_setting::read(self.document.borrow(), &self.entry_name($key))
        }
    };
    (@get [$($doc:tt)*] $get:ident $type:tt, $key:literal, $default:expr) => {
        $($doc)*
        #[doc = concat!("\n\nKey `", $key, "`, absent: `", stringify!($default), "`.\n\n# Errors\n\nFails if the value is not of this type.")]
        pub fn $get(&self) -> Result<$type, crate::view::SettingError> {
            let found = crate::view::typed_setting::read(self.document.borrow(), &self.entry_name($key))?;
            Ok(found.unwrap_or_else(|| settings!(@convert $type, $default)))
        }
    };
    // Setters accept numbers and booleans by value, so that literals need no suffix, and
    // text and enumerations as `impl Into`.
    (@argument bool) => { bool };
    (@argument i32) => { i32 };
    (@argument i64) => { i64 };
    (@argument u32) => { u32 };
    (@argument u64) => { u64 };
    (@argument $type:tt) => { impl Into<$type> };
    (@convert bool, $value:expr) => { $value };
    (@convert i32, $value:expr) => { $value };
    (@convert i64, $value:expr) => { $value };
    (@convert u32, $value:expr) => { $value };
    (@convert u64, $value:expr) => { $value };
    (@convert $type:tt, $value:expr) => { Into::<$type>::into($value) };
}

/// Defines a view of the settings of one device: `scsi0:0.fileName` and related settings.
macro_rules! device {
    ($(#[$meta:meta])* $view:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        pub struct $view<D> {
            document: D,
            device: crate::view::DeviceName,
        }

        impl<D> $view<D> {
            pub(crate) fn at(document: D, device: crate::view::DeviceName) -> Self {
                Self { document, device }
            }

            /// Returns the name of the device.
            #[must_use]
            pub fn device_name(&self) -> crate::view::DeviceName {
                self.device
            }

            fn entry_name(&self, key: &str) -> String {
                format!("{}.{key}", self.device)
            }
        }

        impl<D: std::borrow::Borrow<crate::document::Document>> $view<D> {
            /// Whether the device is in effect: it and its controller are present.
            /// Settings of other devices are ignored by VMware, but can be read.
            #[must_use]
            pub fn presence(&self) -> crate::view::Presence {
                crate::view::Presence::of(self.document.borrow(), self.device)
            }
        }

        impl<D: std::borrow::BorrowMut<crate::document::Document>> $view<D> {
            /// Removes every entry of the device, including those without a method here.
            pub fn delete(&mut self) -> crate::document::Change {
                crate::view::delete_group(self.document.borrow_mut(), self.device)
            }
        }
    };
}

pub(super) use {device, settings, words};
