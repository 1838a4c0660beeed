//! Text and numbers in XML's spelling.

/// Returns the first character of a text that XML 1.0 cannot carry.
pub(crate) fn forbidden_character(text: &str) -> Option<char> {
    // Bytes first: the usual text has no such byte.
    let suspicious = |b: &u8| (*b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r')) || *b == 0xEF;
    if !text.as_bytes().iter().any(suspicious) {
        return None;
    }
    text.chars().find(|c| {
        matches!(c, '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
    })
}

/// Returns whether a text is a valid local element name (XML 1.0, `NCName`; every
/// letter beyond ASCII is accepted).
pub(crate) fn is_element_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || is_letter_beyond_ascii(c);
    let mut chars = name.chars();
    chars.next().is_some_and(letter)
        && chars.all(|c| letter(c) || c.is_ascii_digit() || matches!(c, '-' | '.'))
}

fn is_letter_beyond_ascii(c: char) -> bool {
    c >= '\u{b7}'
        && !c.is_whitespace()
        && !matches!(c, '\u{2000}'..='\u{206f}' | '\u{fff0}'..='\u{ffff}')
}

/// Appends text with `&`, `<`, `>` and carriage returns escaped.
pub(crate) fn escape(out: &mut String, text: &str) {
    // One test over all bytes is vectorized; most texts need nothing more.
    if !text
        .bytes()
        .fold(false, |found, byte| found | is_special(byte))
    {
        out.push_str(text);
        return;
    }
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escaped = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'\r' => "&#xD;",
            _ => continue,
        };
        out.push_str(&text[from..at]);
        out.push_str(escaped);
        from = at + 1;
    }
    out.push_str(&text[from..]);
}

/// Returns whether a byte must be escaped in text, is not allowed in it, or is the first
/// byte of characters of which two are forbidden.
pub(super) const fn is_special(byte: u8) -> bool {
    byte < b' ' || byte == b'&' || byte == b'<' || byte == b'>' || byte == 0xef
}

/// Appends an attribute value, with quotes and white space escaped too.
pub(crate) fn escape_attribute(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            c => out.push(c),
        }
    }
}

/// Appends the decimal digits of a number.
pub(super) fn integer(out: &mut String, value: i64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push('-');
    }
    out.extend(digits[at..].iter().map(|digit| char::from(*digit)));
}

/// Appends a float; XML Schema spells the special values `INF`, `-INF` and `NaN`.
pub(super) fn float(out: &mut String, value: f64, shortest: std::fmt::Arguments<'_>) {
    match value {
        value if value.is_nan() => out.push_str("NaN"),
        f64::INFINITY => out.push_str("INF"),
        f64::NEG_INFINITY => out.push_str("-INF"),
        _ => {
            // Writing to a string cannot fail.
            let _ = std::fmt::Write::write_fmt(out, shortest);
        }
    }
}
