//! Values as JSON, in the format of the server's own JSON protocol.
//!
//! An object contains its type name in `_typeName`. A scalar or list whose declared
//! type is any type or unknown is wrapped in an object with `_typeName` and `_value`.
//! A reference is an object with `type` and `value`.
//! Everything else is plain JSON: dates are RFC 3339 text, binary data is base64
//! text. Fields and types that the schema does not know are kept in both directions.
//!
//! The JSON contains the whole value, **secrets included**; `Debug` redacts them.

#[cfg(feature = "json")]
mod read;
mod write;

#[cfg(feature = "json")]
pub use read::JsonError;

/// The member that names the type of an object.
const TYPE_NAME: &str = "_typeName";
/// The member that holds a scalar or list whose type must be named.
const VALUE: &str = "_value";
