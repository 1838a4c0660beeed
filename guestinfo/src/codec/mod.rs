//! Encoding values as keys, and decoding them.
//!
//! | file | content |
//! | --- | --- |
//! | `encode`, `encoder` | encoding: for callers, for types |
//! | `decode`, `decoder` | decoding: for callers, for types |
//! | `report` | what decoding could not use |
//! | `rounds` | decoding for a reader that cannot list keys |
//! | `schema` | which keys a type owns |
//! | `update` | the changes from one state to another |
//! | `regions` | what an update leaves unchanged or repairs |
//! | `field` | where a field is stored |
//! | `stored` | the functions of a field's type that the derive macro calls |
//! | `index` | key lookup as on the platform |

mod decode;
mod decoder;
mod encode;
mod encoder;
mod field;
mod index;
mod regions;
mod report;
mod rounds;
mod schema;
mod stored;
mod update;

pub use decode::{Decode, Decoded, View, decode};
pub use decoder::{Checkpoint, Decoder};
pub use encode::{Encode, encode};
pub(crate) use encoder::unwritable_name;
pub use encoder::{Encoder, MAX_VALUE_BYTES};
pub use field::{Field, FieldKey};
pub(crate) use report::NoteKind;
pub use report::{Issue, IssueKind, Report};
pub use rounds::Rounds;
pub use schema::Describer;
pub use stored::{
    Codec, DefaultOf, FieldDefault, StoredField, WithDefault, WithoutDefault, WithoutForm,
    encode_some,
};
pub use update::{Change, PowerState, Refusal, Refused, Update, update};

use crate::dialect::Dialect;

/// The maximum number of list elements and map entries in one value. Readers stop there,
/// whatever length a list announces; encoding more is an error.
pub const MAX_ELEMENTS: usize = 16_384;

/// How a type is stored as a list element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As text: elements are joined with `|`.
    Text,
    /// As a byte: all elements are stored together as base64.
    Byte,
    /// In any other way: each element has its own keys.
    Keyed,
}

/// A value that can be stored as keys. Implement it with the derive macro.
///
/// `#[derive(GuestInfo)]` works on structs with named fields, on structs of one unnamed
/// field (stored as that field), and on enums of names (stored as text). Fields accept
/// these attributes, `#[guestinfo(...)]`:
///
/// | attribute | meaning |
/// | --- | --- |
/// | `key = "id"` | the leaf of the key; default: the field's name |
/// | `scope = "read-only"` | `"hidden"`, `"read-only"` or `"read-write"`; default: as the parent, hidden at the top level |
/// | `secret` | sealed; without a `scope` of its own, read-only. Everything below a secret field is sealed, even where VIC would store it in the clear, because VIC seals only fields that are marked themselves |
/// | `non_persistent` | kept until the end of the power cycle |
/// | `skip` | not stored; has its default after decoding |
/// | `flatten` | the fields of the value are stored directly below the parent's key |
/// | `default`, `default = expr` | may be missing without being reported |
/// | `with = "json"` | a `serde` type, stored as JSON text (feature `json`) |
/// | `with = "path"` | a module with `to_text(&T) -> String` (or `Result<String, &'static str>`) and `from_text(&str) -> Option<T>`; see [`with`](crate::with) |
/// | `chunks` | may be longer than [`MAX_VALUE_BYTES`] |
/// | `vic04(...)`, `vic1(...)` | `key`, `scope`, `secret`, `non_persistent` in that dialect only; if only one dialect is given, the field does not exist in the other one |
///
/// Fields of these types need no `with`:
///
/// | types | stored as |
/// | --- | --- |
/// | `String`, `PathBuf`, `bool`, whole numbers, `NonZero*`, `f32`, `f64`, `SocketAddr`, `std::time::Duration`, `jiff::SignedDuration` | one text |
/// | `IpAddr`, `Ipv4Addr`, `Ipv6Addr` | one text, the bytes in base64 |
/// | `ipnet::IpNet`, `jiff::Timestamp`, [`GoUrl`](crate::GoUrl), `url::Url` (feature `url`) | as VIC stores them: [`format`](mod@crate::format) |
/// | `Vec`, arrays, `BTreeSet`, `HashSet` | the elements and their number |
/// | `BTreeMap`, `HashMap` | the entries and their names; for keys see [`MapKey`](crate::MapKey) |
/// | tuples of up to 6 | as a struct with the fields `0`, `1` and so on |
/// | `Option`, `Box` | as their content |
///
/// Enum variants accept `text = "..."`; by default a variant's text is its name. A
/// variant with one `String` accepts `other`, and is used for all other texts.
///
/// Make a field an `Option` if its keys are often missing. All other fields need a
/// default, from `Default` or the attribute, which is used when the keys are missing.
///
/// ```
/// use std::collections::BTreeMap;
/// use guestinfo::{Dialect, GuestInfo, decode, encode};
///
/// #[derive(Debug, Default, PartialEq, GuestInfo)]
/// struct Machine {
///     #[guestinfo(key = "name", vic04(scope = "read-only"), vic1(scope = "hidden"))]
///     name: String,
///     #[guestinfo(key = "mounts", scope = "read-only")]
///     mounts: BTreeMap<String, Mount>,
/// }
///
/// #[derive(Debug, Default, PartialEq, GuestInfo)]
/// struct Mount {
///     #[guestinfo(key = "dest")]
///     destination: String,
///     #[guestinfo(key = "mode")]
///     mode: Mode,
/// }
///
/// #[derive(Debug, Default, PartialEq, GuestInfo)]
/// enum Mode {
///     #[default]
///     #[guestinfo(text = "ro")]
///     ReadOnly,
///     #[guestinfo(text = "rw")]
///     ReadWrite,
/// }
///
/// let machine = Machine {
///     name: "jovial_ride".into(),
///     mounts: BTreeMap::from([(
///         "vol1".into(),
///         Mount { destination: "/data".into(), mode: Mode::ReadWrite },
///     )]),
/// };
/// let keys = encode(&machine, Dialect::Vic1)?;
/// assert_eq!(keys["name"], "jovial_ride");
/// assert_eq!(keys["guestinfo.vice./mounts"], "vol1");
/// assert_eq!(keys["guestinfo.vice./mounts|vol1/mode"], "rw");
/// assert_eq!(decode::<Machine>(&keys).value, machine);
/// # Ok::<(), guestinfo::EncodeError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored as guestinfo keys",
    label = "no stored form",
    note = "derive `GuestInfo` for it, or mark the field `with = \"json\"`, `with = \"<module>\"` or `skip`",
    note = "stored types are `String`, `bool`, numbers, `NonZero*`, `PathBuf`, addresses of `std::net` and `ipnet`, times of `jiff`, and `Option`, `Box`, `Vec`, arrays, sets, maps and tuples (up to 6) of stored types"
)]
pub trait GuestInfo: Sized {
    /// How the type is stored as a list element.
    const SHAPE: Shape = Shape::Keyed;

    /// Writes the value at the current key.
    fn encode(&self, encoder: &mut Encoder);

    /// Reads the value at the current key. Returns `None` if nothing is stored there, or
    /// only malformed text, which it reports.
    fn decode(decoder: &mut Decoder<'_>) -> Option<Self>;

    /// Describes the keys that a value of this type can have.
    fn describe(describer: &mut Describer);

    /// Returns the value that has no key at all, if there is one: for example an empty
    /// list.
    #[must_use]
    fn absent(dialect: Dialect) -> Option<Self> {
        let _ = dialect;
        None
    }

    /// Writes the value inside an `Option`, where even an empty list needs a key.
    fn encode_some(&self, encoder: &mut Encoder) {
        self.encode(encoder);
    }

    /// Appends the text of a value of [`Shape::Text`].
    ///
    /// # Errors
    /// Returns the reason if the value has no stored form.
    fn push_text(&self, text: &mut String) -> Result<(), &'static str> {
        let _ = text;
        Err("this type is not stored as one text")
    }

    /// Parses the text of a value of [`Shape::Text`].
    #[must_use]
    fn parse_text(text: &str) -> Option<Self> {
        let _ = text;
        None
    }

    /// Returns the byte of a value of [`Shape::Byte`].
    #[doc(hidden)]
    fn to_byte(&self) -> u8 {
        0
    }

    /// Creates a value of [`Shape::Byte`] from its byte.
    #[doc(hidden)]
    #[must_use]
    fn from_byte(byte: u8) -> Option<Self> {
        let _ = byte;
        None
    }
}
