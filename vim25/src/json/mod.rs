//! JSON, in the shape that the server's JSON protocol uses.
//!
//! An object carries its type in `_typeName`; a scalar or list that stands
//! where anything may, or whose type is unknown, is an object of `_typeName`
//! and `_value`. A reference is an object with `type` and `value`. Everything
//! else is plain JSON: dates as RFC 3339 text, binary data as base64 text.
//! What the schema does not know is kept, in and out.
//!
//! JSON holds the whole value, **secrets included**; `Debug` hides them.

#[cfg(feature = "json")]
mod read;
mod write;

#[cfg(feature = "json")]
pub use read::JsonError;

/// The member that names the type of an object.
const TYPE_NAME: &str = "_typeName";
/// The member that holds a scalar or list whose type has to be named.
const VALUE: &str = "_value";
