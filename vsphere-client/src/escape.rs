//! Percent-encoding in URLs and in the names of inventory objects.

use std::borrow::Cow;

/// Decodes percent escapes to bytes; other characters are kept.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%'
            && let Some(value) = bytes.get(at + 1..at + 3).and_then(hex)
        {
            out.push(value);
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    out
}

/// Escapes every byte that is not unreserved in a URL (RFC 3986
/// section 2.3), so that the result is one segment, or one value, for every parser.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from(*HEX.get(usize::from(digit)).unwrap_or(&b'0')));
            }
        }
    }
    out
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value = digit(*digits.first()?)? * 16 + digit(*digits.get(1)?)?;
    u8::try_from(value).ok()
}

/// Unescapes a name: servers write `/`, `\` and `%` in the names of
/// inventory objects as `%2f`, `%5c` and `%25`.
pub(crate) fn unescape_name(name: &str) -> Cow<'_, str> {
    if !name.contains('%') {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let escape = rest
            .get(at..at + 3)
            .unwrap_or_default()
            .to_ascii_lowercase();
        match escape.as_str() {
            "%2f" => out.push('/'),
            "%5c" => out.push('\\'),
            "%25" => out.push('%'),
            _ => {
                out.push('%');
                rest = &rest[at + 1..];
                continue;
            }
        }
        rest = &rest[at + 3..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Escapes a name in the way of inventory paths and of the `name` property.
pub(crate) fn escape_name(name: &str) -> Cow<'_, str> {
    if !name.contains(['/', '\\', '%']) {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len() + 8);
    for letter in name.chars() {
        match letter {
            '/' => out.push_str("%2f"),
            '\\' => out.push_str("%5c"),
            '%' => out.push_str("%25"),
            other => out.push(other),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_three_escapes_of_names_are_undone() {
        assert_eq!(unescape_name("a%2Fb%5cc%25d%20e%"), "a/b\\c%d%20e%");
        assert_eq!(decode("a%20b%zz%4"), b"a b%zz%4");
    }

    #[test]
    fn everything_that_some_reader_takes_for_something_else_is_escaped() {
        assert_eq!(encode("a+b c&d=~é"), "a%2Bb%20c%26d%3D~%C3%A9");
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(text in "\\PC*") {
            prop_assert_eq!(decode(&encode(&text)), text.as_bytes());
        }

        #[test]
        fn names_survive_escaping(name in "\\PC*") {
            let escaped = escape_name(&name);
            prop_assert!(!escaped.contains('/'));
            let back = unescape_name(&escaped).into_owned();
            prop_assert_eq!(back, name);
        }
    }
}
