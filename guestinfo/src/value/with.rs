//! Support for the functions named by the attribute `with`.
//!
//! `with = "path"` names a module with two functions:
//!
//! ```
//! mod hexadecimal {
//!     pub fn to_text(value: &u32) -> String {
//!         format!("{value:x}")
//!     }
//!
//!     pub fn from_text(text: &str) -> Option<u32> {
//!         u32::from_str_radix(text, 16).ok()
//!     }
//! }
//!
//! #[derive(guestinfo::GuestInfo)]
//! struct Machine {
//!     #[guestinfo(with = "hexadecimal")]
//!     mask: u32,
//! }
//! let keys = guestinfo::encode(&Machine { mask: 255 }, guestinfo::Dialect::Vic1)?;
//! assert_eq!(keys["mask"], "ff");
//! # Ok::<(), guestinfo::EncodeError>(())
//! ```
//!
//! `to_text` may return `Result<String, &'static str>` if some values have no stored form.

/// What a function `to_text` returns: the text, or why there is none.
#[diagnostic::on_unimplemented(
    message = "`to_text` returns `{Self}` instead of text",
    note = "the module of `with` has `to_text(&T) -> String`, or `-> Result<String, &'static str>`, and `from_text(&str) -> Option<T>`"
)]
pub trait StoredText {
    /// Returns the text, or why there is none.
    ///
    /// # Errors
    /// Fails if the value has no stored form.
    fn into_stored_text(self) -> Result<String, &'static str>;
}

impl StoredText for String {
    fn into_stored_text(self) -> Result<String, &'static str> {
        Ok(self)
    }
}

impl StoredText for Result<String, &'static str> {
    fn into_stored_text(self) -> Result<String, &'static str> {
        self
    }
}

/// What a function `from_text` returns: the value, or nothing if the text is not valid.
#[diagnostic::on_unimplemented(
    message = "`from_text` returns `{Self}` instead of `Option<{T}>`",
    note = "the module of `with` has `to_text(&T) -> String`, or `-> Result<String, &'static str>`, and `from_text(&str) -> Option<T>`"
)]
pub trait ReadText<T> {
    /// Returns the value, if the text is valid.
    fn into_read_value(self) -> Option<T>;
}

impl<T> ReadText<T> for Option<T> {
    fn into_read_value(self) -> Self {
        self
    }
}

/// Implements `with = "json"`: stores a `serde` type as JSON text.
#[cfg(feature = "json")]
pub mod json {
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    /// Returns a value as JSON text.
    ///
    /// # Errors
    /// Fails if the type has no JSON form, such as a map whose keys are not text.
    pub fn to_text<T: Serialize>(value: &T) -> Result<String, &'static str> {
        serde_json::to_string(value).map_err(|_| "the value has no JSON form")
    }

    /// Parses a value from JSON text.
    #[must_use]
    pub fn from_text<T: DeserializeOwned>(text: &str) -> Option<T> {
        serde_json::from_str(text).ok()
    }
}
