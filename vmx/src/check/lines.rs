//! Constructs of one line.

use crate::document::{Document, Entry, Line, LineKind};
use crate::encoding::Encoding;
use crate::escape::unescape;

use super::construct::Construct;

/// Passes the constructs of a well-formed line to `found`.
pub(super) fn constructs(document: &Document, line: Line<'_>, mut found: impl FnMut(Construct)) {
    match line.terminator() {
        b"\r\n" => found(Construct::Crlf),
        b"\r" => found(Construct::LoneCr),
        _ => {}
    }
    let content = line.content();
    if content.contains(&0) {
        found(Construct::Nul);
    }
    match line.kind() {
        LineKind::Comment if content.contains(&b'=') => found(match content.first() {
            Some(b'#') => Construct::CommentedEntry,
            _ => Construct::IndentedComment,
        }),
        LineKind::Entry(entry) => {
            spacing(entry, content, &mut found);
            name(entry, &mut found);
            value(document, entry, &mut found);
        }
        _ => {}
    }
}

fn spacing(entry: Entry<'_>, content: &[u8], found: &mut impl FnMut(Construct)) {
    let name = entry.name().as_bytes();
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = content.iter().take_while(|byte| is_blank(byte)).count();
    if start > 0 {
        found(Construct::LeadingBlank);
    }
    let equals = &content[start + name.len()..];
    let raw = entry.value().raw();
    if raw.is_empty() && !entry.is_quoted() {
        found(Construct::NoValue);
    } else {
        let spaced = equals.strip_prefix(b" = ");
        if spaced.is_none_or(|value| value.first().is_some_and(is_blank)) {
            found(Construct::OddSpacing);
        }
        let behind = equals
            .splitn(2, |&byte| byte == b'=')
            .nth(1)
            .unwrap_or_default();
        if behind.first() == Some(&b'\t') {
            found(Construct::TabBeforeValue);
        }
        if !entry.is_quoted() {
            let inner = raw
                .strip_prefix(b"'")
                .and_then(|rest| rest.strip_suffix(b"'"));
            found(if inner.is_some() {
                Construct::Apostrophes
            } else {
                Construct::BareValue
            });
        }
    }
    if entry.comment().is_some() {
        found(Construct::TrailingComment);
    } else if content.last().is_some_and(is_blank) && !raw.is_empty() {
        found(Construct::TrailingBlank);
    }
}

fn name(entry: Entry<'_>, found: &mut impl FnMut(Construct)) {
    let name = entry.name();
    let bytes = name.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(byte);
    let starts = bytes
        .first()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'.');
    if !starts || !bytes.iter().all(plain) {
        found(Construct::OddName);
    }
    if bytes.iter().any(|byte| b"/|".contains(byte)) {
        found(Construct::SlashInName);
    }
    if bytes.len() >= 1000 {
        found(Construct::LongName);
    }
    if name.is_metavariable() && !name.declares_encoding() {
        found(Construct::Metavariable);
    }
    if name == "memSize" && bytes != b"memSize" {
        found(Construct::OtherCase);
    }
}

fn value(document: &Document, entry: Entry<'_>, found: &mut impl FnMut(Construct)) {
    let (name, value) = (entry.name(), entry.value());
    let raw = value.raw();
    let unescaped = unescape(raw);
    let special = name == "displayName" || name == "annotation";
    if *unescaped != *raw {
        found(if special {
            Construct::EscapeOfText
        } else {
            Construct::Escape
        });
        if unescaped.contains(&0) {
            found(Construct::EscapedNul);
        }
    }
    if raw
        .windows(4)
        .any(|part| part[..2] == *b"||" && part[2..].iter().all(u8::is_ascii_hexdigit))
    {
        found(Construct::PipeBeforeEscape);
    }
    // In these two settings libvirt decodes `%XX`, then `|XX`, and refuses any other `%`
    // or `|`.
    if special && (raw.contains(&b'%') || unescaped.contains(&b'|') && *unescaped == *raw) {
        found(Construct::PercentOrPipe);
    }
    if raw.contains(&b'=') {
        found(Construct::EqualsInValue);
    }
    if raw.contains(&b'\\') && entry.is_quoted() {
        found(Construct::Backslash);
    }
    if !unescaped.is_ascii() && document.encoding() != Ok(Encoding::UTF_8) {
        found(Construct::ForeignText);
    }
    if name.starts_with("guestinfo.") && unescaped.len() > 64 * 1024 {
        found(Construct::LongValue);
    }
    let is_present = name.ends_with(".present");
    let plain = [&b"true"[..], b"false"]
        .iter()
        .any(|word| unescaped.eq_ignore_ascii_case(word));
    if is_present && !plain && value.boolean().is_ok() {
        found(Construct::OddBoolean);
    }
}
