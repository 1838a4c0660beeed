//! Stores the state of a virtual machine in the machine itself: Rust values as flat keys.
//!
//! A container that is a virtual machine carries its state in its own configuration, as
//! pairs of key and text. The form of a key determines whether the guest cannot see the
//! value, may read it, or may read and write it; the host may always do both. This crate
//! reads everything that VIC (vSphere Integrated Containers) stored there, in both of its
//! dialects, and writes what VIC's tools can read. It knows neither vSphere nor a
//! network: it converts values to maps of text and back.
//!
//! ```
//! use guestinfo::{Dialect, GuestInfo, decode, encode};
//!
//! #[derive(Debug, Default, PartialEq, GuestInfo)]
//! struct Machine {
//!     /// Only the host sees it.
//!     #[guestinfo(key = "notes", scope = "hidden")]
//!     notes: String,
//!     /// The guest reads it.
//!     #[guestinfo(key = "args", scope = "read-only")]
//!     args: Vec<String>,
//!     /// The guest writes it.
//!     #[guestinfo(key = "status", scope = "read-write")]
//!     status: i32,
//! }
//!
//! let machine = Machine {
//!     notes: "for us".into(),
//!     args: vec!["/hello".into(), "world".into()],
//!     status: 0,
//! };
//! let keys = encode(&machine, Dialect::Vic1)?;
//! let listing: Vec<_> = keys.iter().map(|(k, v)| format!("{k} = {v}")).collect();
//! assert_eq!(
//!     listing,
//!     [
//!         "guestinfo.vice..status = 0",
//!         "guestinfo.vice./args = 1",
//!         "guestinfo.vice./args~ = /hello|world",
//!         "notes = for us",
//!     ],
//! );
//! assert_eq!(decode::<Machine>(&keys).value, machine);
//! # Ok::<(), guestinfo::EncodeError>(())
//! ```
//!
//! # Where to start
//!
//! | you want | see |
//! | --- | --- |
//! | reading or writing the state of VIC's containers and appliances | [`vic`] |
//! | storing your own type | [`GuestInfo`], the trait and its derive macro |
//! | encoding | [`encode`], [`Encode`] |
//! | decoding, with a report of problems | [`decode`], [`Decode`], [`Report`] |
//! | changing stored values | [`update`], [`Update`] |
//! | reading in the guest, which cannot list keys | [`rpc::GuestStore`], [`Rounds`] |
//! | watching some keys | [`Key`], [`Pattern`] |
//! | the exact format | [`format`](mod@format) |
//!
//! # Untrusted keys
//!
//! Decoding and updating accept any keys: no panic, no overflow, bounded work. The fuzz
//! targets in `fuzz/` ran with overflow checks on 2026-11-26, on two busy cores and
//! without a finding: `key` for an hour with 5,109,384 executions, and `decode`, whose
//! executions read and write whole containers and hosts in every dialect, for 102 minutes
//! with 337,749 executions. Earlier runs of `decode` had found an empty struct in an
//! `Option` that was read back as `None`, and addresses whose parts formed no URL.
//!
//! # Features
//!
//! | feature | adds |
//! | --- | --- |
//! | `backdoor` | the transport of VMware guests on x86-64 Linux |
//! | `json` | `with = "json"` for `serde` types |
//! | `serde` | `Serialize` and `Deserialize` for keys and patterns |
//! | `url` | fields of type `url::Url` |

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
    Change, Checkpoint, Decode, Decoded, Decoder, Describer, Encode, Encoder, Field, FieldKey,
    GuestInfo, Issue, IssueKind, MAX_ELEMENTS, MAX_VALUE_BYTES, PowerState, Refusal, Refused,
    Report, Rounds, Shape, Update, View, decode, encode, update,
};
pub use dialect::Dialect;
pub use error::{DecodeError, EncodeError};
pub use guestinfo_derive::GuestInfo;
pub use key::{Key, KeyError, MAX_KEY_BYTES, Pattern, Step};
pub use scope::{Access, Scope};
pub use secret::{SECRET_KEY_KEY, SecretError, SecretKey};
pub use value::{GoUrl, MapKey, with};

/// For the derive macro only.
#[doc(hidden)]
pub mod __private {
    pub use crate::codec::{
        Codec, DefaultOf, FieldDefault, StoredField, WithDefault, WithoutDefault, WithoutForm,
        encode_some,
    };
}

#[doc = include_str!("../FORMAT.md")]
pub mod format {}
