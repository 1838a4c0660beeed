//! Boxed values, which are stored as their content.

use super::map::MapKey;
use crate::codec::{Decoder, Describer, Encoder, GuestInfo, Shape};
use crate::dialect::Dialect;

impl<T: GuestInfo> GuestInfo for Box<T> {
    const SHAPE: Shape = T::SHAPE;

    fn encode(&self, encoder: &mut Encoder) {
        T::encode(self, encoder);
    }

    fn encode_some(&self, encoder: &mut Encoder) {
        T::encode_some(self, encoder);
    }

    fn decode(decoder: &mut Decoder<'_>) -> Option<Self> {
        T::decode(decoder).map(Self::new)
    }

    fn describe(describer: &mut Describer) {
        T::describe(describer);
    }

    fn absent(dialect: Dialect) -> Option<Self> {
        T::absent(dialect).map(Self::new)
    }

    fn push_text(&self, text: &mut String) -> Result<(), &'static str> {
        T::push_text(self, text)
    }

    fn parse_text(text: &str) -> Option<Self> {
        T::parse_text(text).map(Self::new)
    }

    fn to_byte(&self) -> u8 {
        T::to_byte(self)
    }

    fn from_byte(byte: u8) -> Option<Self> {
        T::from_byte(byte).map(Self::new)
    }
}

impl<T: MapKey> MapKey for Box<T> {}
