//! Lists.
//!
//! VIC stores a list of texts as `k` = last index and `k~` = the elements joined with
//! `|`, so a bar inside an element cannot be distinguished from a separator. We write the
//! same two keys, and if an element contains a bar, also each element at `k|N`:
//!
//! ```text
//! ["a|b", "c"]    k = 1    k~ = a|b|c    k|0 = a|b    k|1 = c
//! ```
//!
//! The indexed elements are read only if `k~` has more pieces than `k` announces, if
//! there are as many of them as `k` announces, and if joined they equal `k~` exactly. So
//! when an older program, which does not know the indexed elements, changes the list, its
//! change takes effect.

use std::borrow::Borrow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::codec::{Decoder, Describer, Encoder, GuestInfo, IssueKind, NoteKind, Shape};
use crate::dialect::Dialect;

impl<T: GuestInfo> GuestInfo for Vec<T> {
    fn encode(&self, encoder: &mut Encoder) {
        encode::<T, T>(encoder, self);
    }

    fn encode_some(&self, encoder: &mut Encoder) {
        encode_some::<T, T>(encoder, self);
    }

    fn decode(decoder: &mut Decoder<'_>) -> Option<Self> {
        decode(decoder)
    }

    fn describe(describer: &mut Describer) {
        describe::<T>(describer);
    }

    fn absent(_: Dialect) -> Option<Self> {
        Some(Self::new())
    }
}

impl<T: GuestInfo, const N: usize> GuestInfo for [T; N] {
    fn encode(&self, encoder: &mut Encoder) {
        encode::<T, T>(encoder, self);
    }

    fn encode_some(&self, encoder: &mut Encoder) {
        encode_some::<T, T>(encoder, self);
    }

    fn decode(decoder: &mut Decoder<'_>) -> Option<Self> {
        let elements: Vec<T> = decode(decoder)?;
        let array = Self::try_from(elements).ok();
        if array.is_none() {
            decoder.note(NoteKind::RewriteList);
            decoder.malformed("the number of elements does not match the array");
        }
        array
    }

    fn describe(describer: &mut Describer) {
        describe::<T>(describer);
    }

    fn absent(_: Dialect) -> Option<Self> {
        Self::try_from(Vec::new()).ok()
    }
}

pub(super) fn encode<T: GuestInfo, E: Borrow<T>>(encoder: &mut Encoder, elements: &[E]) {
    let Some(last) = elements.len().checked_sub(1) else {
        return;
    };
    match T::SHAPE {
        Shape::Byte => {
            let bytes: Vec<u8> = elements.iter().map(|e| e.borrow().to_byte()).collect();
            encoder.text(STANDARD.encode(bytes));
        }
        Shape::Text => {
            if encoder.count(elements.len()) {
                encoder.text(last.to_string());
                encode_joined::<T, E>(encoder, elements);
            }
        }
        Shape::Keyed => {
            if encoder.count(elements.len()) {
                encoder.text(last.to_string());
                encoder.members(|| (0..elements.len()).map(|at| at.to_string()).collect());
                encoder.collection(|encoder| {
                    for (at, element) in elements.iter().enumerate() {
                        encoder.entry(&at.to_string(), element.borrow());
                    }
                });
            }
        }
    }
}

/// Writes a list so that it has a key even when it is empty.
pub(super) fn encode_some<T: GuestInfo, E: Borrow<T>>(encoder: &mut Encoder, elements: &[E]) {
    if !elements.is_empty() {
        return encode::<T, E>(encoder, elements);
    }
    match T::SHAPE {
        Shape::Byte => encoder.text(""),
        // The last index, which is one less than the number of elements. VIC also reads
        // -1 as empty.
        Shape::Text | Shape::Keyed => encoder.text("-1"),
    }
}

fn encode_joined<T: GuestInfo, E: Borrow<T>>(encoder: &mut Encoder, elements: &[E]) {
    let mut joined = String::new();
    let mut bars = 0;
    for (at, element) in elements.iter().enumerate() {
        if at > 0 {
            joined.push('|');
        }
        let start = joined.len();
        if let Err(reason) = element.borrow().push_text(&mut joined) {
            return encoder.unstorable(reason);
        }
        bars += joined[start..].matches('|').count();
    }
    encoder.joined(|encoder| encoder.text(joined));
    if bars > 0 {
        for (at, element) in elements.iter().enumerate() {
            // The text of the element was joined above, so it exists.
            let mut text = String::new();
            let _ = element.borrow().push_text(&mut text);
            encoder.entry_text(&at.to_string(), &text);
        }
    }
}

pub(super) fn decode<T: GuestInfo>(decoder: &mut Decoder<'_>) -> Option<Vec<T>> {
    match T::SHAPE {
        Shape::Byte => {
            let text = decoder.text()?;
            let Ok(bytes) = STANDARD.decode(text.as_bytes()) else {
                decoder.malformed("expected bytes in base64");
                return None;
            };
            bytes.into_iter().map(T::from_byte).collect()
        }
        Shape::Text => decode_joined(decoder),
        Shape::Keyed => decode_keyed(decoder),
    }
}

/// The content of the key that announces a list's length.
enum Announced {
    Elements(usize),
    Malformed,
    Missing,
}

fn announced(decoder: &mut Decoder<'_>) -> Announced {
    let Some(text) = decoder.text() else {
        return Announced::Missing;
    };
    // The text is the last index, so add one for the number of elements.
    let elements = text
        .parse::<i64>()
        .ok()
        .and_then(|last| last.checked_add(1));
    match elements.and_then(|n| usize::try_from(n).ok()) {
        Some(elements) => Announced::Elements(elements),
        None => {
            decoder.malformed("expected the index of the list's last element");
            Announced::Malformed
        }
    }
}

fn decode_joined<T: GuestInfo>(decoder: &mut Decoder<'_>) -> Option<Vec<T>> {
    let unusable = decoder.unusable();
    let announced = announced(decoder);
    if let Announced::Elements(0) = announced {
        return Some(Vec::new());
    }
    let joined = decoder.joined(Decoder::text);
    let Some(joined) = joined else {
        return match announced {
            Announced::Elements(_) => {
                decoder.joined(|d| d.report(IssueKind::Missing, "the list's elements are missing"));
                Some(Vec::new())
            }
            Announced::Malformed => Some(Vec::new()),
            Announced::Missing => None,
        };
    };
    let pieces = joined.split('|');
    let count = pieces.clone().count();
    let mut wanted = count;
    match announced {
        Announced::Elements(n) if n > count => {
            decoder.note(NoteKind::RewriteKey);
            decoder.joined(|d| {
                d.report(
                    IssueKind::Truncated,
                    format!("{count} elements where {n} are announced"),
                );
            });
        }
        Announced::Elements(n) if n < count => {
            if let Some(exact) = decode_indexed(decoder, n, &joined) {
                return Some(parse_all(decoder, exact.iter().map(String::as_str)));
            }
            wanted = n;
            decoder.note(NoteKind::Keep);
            decoder.joined(|d| {
                d.report(
                    IssueKind::Surplus,
                    format!("{count} elements where {n} are announced"),
                );
            });
        }
        Announced::Elements(_) | Announced::Malformed => {
            report_stale(decoder);
        }
        Announced::Missing if decoder.unusable() == unusable => {
            // Without a length, VIC sees an empty list.
            decoder.note(NoteKind::Keep);
            decoder.report(IssueKind::Missing, "the list's length is missing");
            return Some(Vec::new());
        }
        Announced::Missing => return None,
    }
    Some(parse_all(decoder, pieces.take(wanted)))
}

fn parse_all<'t, T: GuestInfo>(
    decoder: &mut Decoder<'_>,
    pieces: impl Iterator<Item = &'t str>,
) -> Vec<T> {
    let mut elements = Vec::new();
    decoder.collection(|decoder| {
        for (at, piece) in pieces.enumerate() {
            if !decoder.take_element() {
                decoder.too_many();
                break;
            }
            match T::parse_text(piece) {
                Some(element) => elements.push(element),
                None => {
                    decoder.note(NoteKind::RewriteList);
                    decoder.joined(|d| {
                        d.report(
                            IssueKind::Malformed,
                            format!("element {at} is not of the list's type and was skipped"),
                        );
                    });
                }
            }
        }
    });
    elements
}

/// Reads the indexed elements, if they agree with the joined ones.
fn decode_indexed(decoder: &mut Decoder<'_>, count: usize, joined: &str) -> Option<Vec<String>> {
    let mut elements = Vec::new();
    let mut rest = joined;
    let mut agrees = true;
    // `count` is smaller than the number of pieces of `joined`, so it is bounded.
    for at in 0..count {
        let element = decoder.entry(&at.to_string(), Decoder::text);
        let Some(element) = element else {
            agrees = false;
            continue;
        };
        if at > 0 {
            match rest.strip_prefix('|') {
                Some(tail) => rest = tail,
                None => agrees = false,
            }
        }
        match rest.strip_prefix(&*element) {
            Some(tail) => rest = tail,
            None => agrees = false,
        }
        elements.push(element.into_owned());
    }
    if agrees && rest.is_empty() {
        return Some(elements);
    }
    if !elements.is_empty() {
        decoder.report(
            IssueKind::Stale,
            "the indexed elements differ from the joined ones, which take precedence",
        );
    }
    None
}

/// Reports indexed elements that the joined ones have made obsolete.
fn report_stale(decoder: &mut Decoder<'_>) {
    if !decoder.has_listing() {
        return;
    }
    let stale = decoder.entry("0", |d| d.is_stored());
    if stale {
        decoder.report(
            IssueKind::Stale,
            "there are indexed elements, but the joined ones take precedence",
        );
    }
}

fn decode_keyed<T: GuestInfo>(decoder: &mut Decoder<'_>) -> Option<Vec<T>> {
    let announced = match announced(decoder) {
        Announced::Elements(elements) => elements,
        Announced::Malformed | Announced::Missing => return None,
    };
    // Holes beyond the plausible elements are not reported individually.
    let needs_keys = T::absent(decoder.dialect()).is_none();
    let plausible = decoder.plausible_elements();
    let mut elements = Vec::new();
    let mut stopped = false;
    decoder.collection(|decoder| {
        for at in 0..announced {
            if !decoder.has_room() {
                stopped = true;
                break;
            }
            let element = decoder.entry(&at.to_string(), |d| {
                if needs_keys && at >= plausible {
                    T::decode(d)
                } else {
                    d.value()
                }
            });
            let counted = match element {
                Some(element) => {
                    let counted = decoder.take_element();
                    elements.extend(counted.then_some(element));
                    counted
                }
                None => decoder.take_absent(),
            };
            if !counted {
                stopped = true;
                break;
            }
        }
        if stopped {
            decoder.too_many();
        }
    });
    if !stopped && elements.len() < announced {
        decoder.note(NoteKind::RewriteList);
        if announced > plausible {
            decoder.report(
                IssueKind::Truncated,
                format!(
                    "{} elements where {announced} are announced",
                    elements.len()
                ),
            );
        }
    }
    Some(elements)
}

pub(super) fn describe<T: GuestInfo>(describer: &mut Describer) {
    describer.text();
    match T::SHAPE {
        Shape::Byte => (),
        Shape::Text => {
            describer.joined(Describer::text);
            describer.entry(Describer::text);
        }
        Shape::Keyed => describer.entry(T::describe),
    }
}
