//! Values that need not be there.

use crate::codec::{Decoder, Describer, Encoder, GuestInfo};
use crate::dialect::Dialect;

/// `None` has no key. `Some` of an empty list is written with a length of -1
/// and `Some` of an empty map with an empty list of names, so both come back.
/// A struct of which no field is stored comes back as `None`.
impl<T: GuestInfo> GuestInfo for Option<T> {
    fn encode(&self, encoder: &mut Encoder) {
        if let Some(value) = self {
            value.encode_some(encoder);
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
