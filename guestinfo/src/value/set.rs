//! Sets: lists without duplicates, written in sorted order.

use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher, Hash};

use super::list;
use crate::codec::{Decoder, Describer, Encoder, GuestInfo, NoteKind};
use crate::dialect::Dialect;

impl<T: GuestInfo + Ord> GuestInfo for BTreeSet<T> {
    fn encode(&self, encoder: &mut Encoder) {
        list::encode::<T, &T>(encoder, &Vec::from_iter(self));
    }

    fn encode_some(&self, encoder: &mut Encoder) {
        list::encode_some::<T, &T>(encoder, &Vec::from_iter(self));
    }

    fn decode(decoder: &mut Decoder<'_>) -> Option<Self> {
        let elements = list::decode::<T>(decoder)?;
        let count = elements.len();
        let set = Self::from_iter(elements);
        if set.len() < count {
            decoder.note(NoteKind::RewriteList);
        }
        Some(set)
    }

    fn describe(describer: &mut Describer) {
        list::describe::<T>(describer);
    }

    fn absent(_: Dialect) -> Option<Self> {
        Some(Self::new())
    }
}

/// The elements are written in sorted order, so that equal sets have equal keys.
impl<T, S> GuestInfo for HashSet<T, S>
where
    T: GuestInfo + Ord + Hash,
    S: BuildHasher + Default,
{
    fn encode(&self, encoder: &mut Encoder) {
        list::encode::<T, &T>(encoder, &sorted(self));
    }

    fn encode_some(&self, encoder: &mut Encoder) {
        list::encode_some::<T, &T>(encoder, &sorted(self));
    }

    fn decode(decoder: &mut Decoder<'_>) -> Option<Self> {
        Some(BTreeSet::decode(decoder)?.into_iter().collect())
    }

    fn describe(describer: &mut Describer) {
        list::describe::<T>(describer);
    }

    fn absent(_: Dialect) -> Option<Self> {
        Some(Self::default())
    }
}

fn sorted<T: Ord, S>(set: &HashSet<T, S>) -> Vec<&T> {
    let mut elements = Vec::from_iter(set);
    elements.sort_unstable();
    elements
}
