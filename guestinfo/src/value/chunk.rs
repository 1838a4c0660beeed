//! Values too long for one key, for fields marked `chunks`.
//!
//! ```text
//! k~ = 3|150000    k~|0 = ...    k~|1 = ...    k~|2 = ...
//! ```
//!
//! `k~` contains the number of chunks and the number of bytes. `k` itself is not written,
//! so that VIC sees no value instead of a part of one; if an older program writes `k`,
//! that is the value. A value that fits into one key is stored like any other.

use crate::codec::{Decoder, Encoder, IssueKind, NoteKind};

/// The maximum number of chunks, more than a virtual machine's file could hold.
const MAX_CHUNKS: usize = 64;

pub(crate) fn encode(encoder: &mut Encoder, text: &str) {
    let max = encoder.max_chunk();
    let mut chunks = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = rest.len().min(max);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (mut chunk, mut tail) = rest.split_at(end);
        // A chunk must not look like the encoding of empty text.
        if chunk == super::text::NIL {
            (chunk, tail) = rest.split_at(1);
        }
        chunks.push(chunk);
        rest = tail;
    }
    if chunks.len() > MAX_CHUNKS {
        return encoder
            .unstorable("the text is longer than a virtual machine's configuration can be");
    }
    encoder.joined(|encoder| {
        encoder.text(format!("{}|{}", chunks.len(), text.len()));
        for (at, chunk) in chunks.iter().enumerate() {
            encoder.entry_text(&at.to_string(), chunk);
        }
    });
}

pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Option<String> {
    let text = decode_chunks(decoder);
    if text.is_some() {
        // The chunks may have been split at different offsets than ours.
        decoder.note(NoteKind::Keep);
    }
    text
}

fn decode_chunks(decoder: &mut Decoder<'_>) -> Option<String> {
    decoder.joined(|decoder| {
        let header = decoder.stored_text()?;
        let sizes = header
            .split_once('|')
            .and_then(|(chunks, bytes)| Some((chunks.parse().ok()?, bytes.parse().ok()?)))
            .filter(|(chunks, _): &(usize, usize)| *chunks <= MAX_CHUNKS);
        let Some((chunks, bytes)) = sizes else {
            decoder.malformed("expected the number of chunks, a bar, and the number of bytes");
            return None;
        };
        let mut text = String::new();
        for at in 0..chunks {
            if let Some(chunk) = decoder.entry(&at.to_string(), Decoder::stored_text) {
                text.push_str(&chunk);
            }
        }
        if text.len() != bytes {
            decoder.report(
                IssueKind::Truncated,
                format!(
                    "the chunks have {} bytes where {bytes} are announced",
                    text.len()
                ),
            );
        }
        Some(text)
    })
}
