//! Optional values.

use crate::codec::{Decoder, Describer, Encoder, GuestInfo};
use crate::dialect::Dialect;

/// `None` has no key. `Some` of an empty list is written with a length of -1 and `Some`
/// of an empty map with an empty list of names, so that both are read back as `Some`. In
/// `Some` of a struct whose lists and maps are all empty, one of them is written that
/// way. Writing `Some(None)`, or `Some` of a struct whose fields are all `None`, is an
/// error.
impl<T: GuestInfo> GuestInfo for Option<T> {
    fn encode(&self, encoder: &mut Encoder) {
        if let Some(value) = self {
            value.encode_some(encoder);
        }
    }

    fn encode_some(&self, encoder: &mut Encoder) {
        match self {
            Some(value) => value.encode_some(encoder),
            None => encoder.unstorable("`Some(None)` would be read back as `None`"),
        }
    }

    fn decode(decoder: &mut Decoder<'_>) -> Option<Self> {
        T::decode(decoder).map(Some)
    }

    fn describe(describer: &mut Describer) {
        T::describe(describer);
    }

    fn absent(_: Dialect) -> Option<Self> {
        Some(None)
    }
}
