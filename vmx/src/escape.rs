//! The `|XX` escapes of values.
//!
//! Escapes stand for bytes: they are decoded before the charset is, and encoded after it.

use std::borrow::Cow;

use crate::line::find;

/// Decodes escapes: `|` and two hexadecimal digits, in either case, stand for one byte.
///
/// Everything else is literal. After a `|` that starts no escape, the scan resumes after
/// the first byte that is not a hexadecimal digit, so `||22` is kept unchanged.
pub(crate) fn unescape(raw: &[u8]) -> Cow<'_, [u8]> {
    let first = find(raw, b'|', b'|');
    if first == raw.len() {
        return Cow::Borrowed(raw);
    }
    let mut bytes = Vec::with_capacity(raw.len());
    bytes.extend_from_slice(&raw[..first]);
    let mut rest = &raw[first..];
    loop {
        rest = match rest {
            [] => return Cow::Owned(bytes),
            [b'|', high, low, tail @ ..] => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    tail
                }
                (Some(_), None) => {
                    bytes.extend_from_slice(&[b'|', *high, *low]);
                    tail
                }
                (None, _) => {
                    bytes.extend_from_slice(&[b'|', *high]);
                    &rest[2..]
                }
            },
            [byte, tail @ ..] => {
                bytes.push(*byte);
                tail
            }
        };
    }
}

/// Appends `value` as VMware writes it: control characters except tab, `"`, `|` and DEL
/// become `|XX` in upper case; all other bytes are copied.
pub(crate) fn escape_into(value: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in value {
        if must_escape(byte) {
            out.extend_from_slice(&[
                b'|',
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ]);
        } else {
            out.push(byte);
        }
    }
}

fn must_escape(byte: u8) -> bool {
    matches!(byte, 0..=0x08 | 0x0A..=0x1F | b'"' | b'|' | 0x7F)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading() {
        for (raw, value) in [
            ("plain", "plain"),
            ("b|22c", "b\"c"),
            ("x||22y", "x||22y"),
            ("50|", "50|"),
            ("50|2", "50|2"),
            ("a|0Ab|0ac", "a\nb\nc"),
            ("caf|C3|A9", "café"),
            ("|2|22", "|2|22"),
            ("|zz|41", "|zzA"),
            ("|7C7C", "|7C"),
        ] {
            assert_eq!(unescape(raw.as_bytes()), value.as_bytes(), "{raw}");
        }
    }

    #[test]
    fn every_byte_survives() {
        let all: Vec<u8> = (0..=255).collect();
        let mut escaped = Vec::new();
        escape_into(&all, &mut escaped);
        assert_eq!(unescape(&escaped), all);
        assert!(escaped.contains(&b'\t') && !escaped.contains(&b'\n') && !escaped.contains(&b'"'));
    }
}
