//! Tuples: structs whose fields have the keys `0`, `1` and so on.

use crate::codec::{Decoder, Describer, Encoder, Field, GuestInfo};
use crate::dialect::Dialect;

macro_rules! tuples {
    ($(($($type:ident $at:tt),+))*) => {$(
        impl<$($type: GuestInfo),+> GuestInfo for ($($type,)+) {
            fn encode(&self, encoder: &mut Encoder) {
                $(encoder.field(&Field::new(stringify!($at), None), &self.$at);)+
            }

            fn encode_some(&self, encoder: &mut Encoder) {
                encoder.some(
                    |encoder| self.encode(encoder),
                    &[$(&|encoder| {
                        encoder.field_with(&Field::new(stringify!($at), None), |encoder| {
                            self.$at.encode_some(encoder);
                        });
                    }),+],
                );
            }

            fn decode(decoder: &mut Decoder<'_>) -> Option<Self> {
                let checkpoint = decoder.checkpoint();
                let fields = ($(
                    decoder.field_with(
                        &Field::new(stringify!($at), None),
                        false,
                        |decoder| decoder.value().map(Some),
                        || None::<$type>,
                    ),
                )+);
                if !decoder.found_since(checkpoint) {
                    return None;
                }
                Some(($(fields.$at?,)+))
            }

            fn describe(describer: &mut Describer) {
                $(describer.field::<$type>(&Field::new(stringify!($at), None));)+
            }

            fn absent(dialect: Dialect) -> Option<Self> {
                Some(($($type::absent(dialect)?,)+))
            }
        }
    )*};
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}
