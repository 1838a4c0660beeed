//! Codec between Rust values and guestinfo keys.
#![doc = ""]

// The derive macro names this crate by its public name.
extern crate self as guestinfo;

mod codec;
mod dialect;
mod error;
mod key;
pub mod rpc;
mod scope;
mod secret;
mod value;
pub mod vic;

pub use codec::{
    Change, Checkpoint, Decode, Decoded, Decoder, Describer, Encode, Encoder, Field, GuestInfo,
    Issue, IssueKind, MAX_ELEMENTS, MAX_VALUE_BYTES, Place, PowerState, Refusal, Refused, Report,
    Rounds, Shape, Update, View, decode, encode, update,
};
pub use dialect::Dialect;
pub use error::{DecodeError, EncodeError};
pub use guestinfo_derive::GuestInfo;
pub use key::{Key, KeyError, MAX_KEY_BYTES, Pattern, Step};
pub use scope::{Access, Scope};
pub use secret::{SECRET_KEY_KEY, SecretError, SecretKey};
pub use value::{GoUrl, MapKey, with};
