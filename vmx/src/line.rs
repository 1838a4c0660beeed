//! The grammar of one line.
//!
//! Source: open-vm-tools lib/dict/dictll.c. White space is space and tab.

/// One line: where its bytes are and how they are parsed.
#[derive(Debug, Clone)]
pub(crate) struct Physical {
    pub(crate) text: Text,
    pub(crate) parts: Parts,
    /// Length of the line terminator at the end of the text: 0, 1 or 2.
    pub(crate) terminator: u8,
}

/// The location of the bytes of a line, including its terminator.
#[derive(Debug, Clone)]
pub(crate) enum Text {
    /// An unedited line: a range of the file.
    Source { start: u32, end: u32 },
    /// A line written by an edit.
    Owned(Box<[u8]>),
}

/// The parts of a line. Offsets are relative to the start of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parts {
    Blank,
    Comment,
    Entry(EntryParts),
    Malformed {
        reason: Malformed,
        at: u32,
    },
    /// A line removed by an edit; its slot is kept so that other lines keep their index.
    Removed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryParts {
    name_start: u32,
    name_end: u32,
    value_start: u32,
    value_end: u32,
    pub(crate) quoted: bool,
}

/// Why a line is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    NameMissing,
    EqualsMissing,
    QuoteUnclosed,
    TextAfterValue,
    TextAfterQuote,
}

impl EntryParts {
    pub(crate) fn name<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        &line[self.name_start as usize..self.name_end as usize]
    }

    pub(crate) fn value<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        &line[self.value_start as usize..self.value_end as usize]
    }

    pub(crate) fn name_range(&self) -> (usize, usize) {
        (self.name_start as usize, self.name_end as usize)
    }

    pub(crate) fn value_range(&self) -> (usize, usize) {
        (self.value_start as usize, self.value_end as usize)
    }

    /// Returns everything after the value and its closing quote, including a NUL and what
    /// follows it.
    pub(crate) fn behind<'a>(&self, content: &'a [u8]) -> &'a [u8] {
        &content[(self.value_end as usize + usize::from(self.quoted)).min(content.len())..]
    }
}

impl Physical {
    /// Returns the bytes of the line, including its terminator.
    pub(crate) fn text<'a>(&'a self, source: &'a [u8]) -> &'a [u8] {
        match &self.text {
            Text::Source { start, end } => &source[*start as usize..*end as usize],
            Text::Owned(bytes) => bytes,
        }
    }

    /// Returns the bytes of the line without its terminator.
    pub(crate) fn content<'a>(&'a self, source: &'a [u8]) -> &'a [u8] {
        let text = self.text(source);
        &text[..text.len() - usize::from(self.terminator)]
    }

    /// Returns the line terminator, which is empty if the last line of a file has none.
    pub(crate) fn terminator<'a>(&'a self, source: &'a [u8]) -> &'a [u8] {
        let text = self.text(source);
        &text[text.len() - usize::from(self.terminator)..]
    }

    /// Creates the line `name = "value"`, as VMware writes it; `value` is in the charset
    /// of the file.
    pub(crate) fn entry(name: &[u8], value: &[u8], terminator: &[u8]) -> Option<Self> {
        let mut text = Vec::with_capacity(name.len() + value.len() + 8);
        text.extend_from_slice(name);
        text.extend_from_slice(b" = \"");
        crate::escape::escape_into(value, &mut text);
        text.push(b'"');
        let content = text.len();
        text.extend_from_slice(terminator);
        let parts = EntryParts {
            name_start: 0,
            name_end: u32::try_from(name.len()).ok()?,
            value_start: u32::try_from(name.len() + 4).ok()?,
            value_end: u32::try_from(content - 1).ok()?,
            quoted: true,
        };
        Some(Self {
            text: Text::Owned(text.into()),
            parts: Parts::Entry(parts),
            terminator: u8::try_from(terminator.len()).ok()?,
        })
    }

    pub(crate) fn blank(terminator: &[u8]) -> Self {
        Self {
            text: Text::Owned(terminator.into()),
            parts: Parts::Blank,
            terminator: u8::try_from(terminator.len()).unwrap_or_default(),
        }
    }

    pub(crate) fn removed() -> Self {
        Self {
            text: Text::Source { start: 0, end: 0 },
            parts: Parts::Removed,
            terminator: 0,
        }
    }
}

/// Which line terminators are recognized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// LF, CRLF, lone CR.
    File,
    /// LF, CRLF.
    Buffer,
}

/// Returns the length of the line at the start of `bytes` without its terminator, and the
/// length of the terminator.
pub(crate) fn measure(bytes: &[u8], ends: Ends) -> (usize, u8) {
    let at = find_end(bytes, ends);
    match bytes[at..] {
        [] => (at, 0),
        [b'\r', b'\n', ..] => (at, 2),
        [b'\r', ..] => (at, 1),
        // In a buffer only LF is searched for.
        _ if ends == Ends::Buffer && at > 0 && bytes[at - 1] == b'\r' => (at - 1, 2),
        _ => (at, 1),
    }
}

/// Returns the position of the first line end.
fn find_end(bytes: &[u8], ends: Ends) -> usize {
    match ends {
        Ends::File => find(bytes, b'\n', b'\r'),
        Ends::Buffer => find(bytes, b'\n', b'\n'),
    }
}

/// Returns the position of the first of two bytes, or the length if there is none.
/// Searches eight bytes at a time.
pub(crate) fn find(bytes: &[u8], one: u8, other: u8) -> usize {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The lowest set bit of the result marks the lowest zero byte of `word`; bits above
    // it can be false hits.
    let zeros = |word: u64| word.wrapping_sub(LOW) & !word & HIGH;
    let (one_each, other_each) = (LOW * u64::from(one), LOW * u64::from(other));

    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let hits = zeros(word ^ one_each) | zeros(word ^ other_each);
        if hits != 0 {
            return index * 8 + (hits.trailing_zeros() / 8) as usize;
        }
    }
    let tail = rest.iter().position(|&byte| byte == one || byte == other);
    bytes.len() - rest.len() + tail.unwrap_or(rest.len())
}

/// Parses a line without its terminator, of at most `u32::MAX` bytes.
///
/// NUL ends the line, because VMware stores lines as C strings.
pub(crate) fn scan(line: &[u8]) -> Parts {
    let at = |index: usize| line.get(index).copied().unwrap_or(0);
    let skip_blanks = |mut index: usize| {
        while matches!(at(index), b' ' | b'\t') {
            index += 1;
        }
        index
    };
    let malformed = |reason, at: usize| Parts::Malformed {
        reason,
        at: at as u32,
    };

    let name_start = skip_blanks(0);
    match at(name_start) {
        0 => return Parts::Blank,
        b'#' => return Parts::Comment,
        b'=' => return malformed(Malformed::NameMissing, name_start),
        _ => {}
    }
    let mut name_end = name_start;
    while !matches!(at(name_end), 0 | b' ' | b'\t' | b'#' | b'=') {
        name_end += 1;
    }
    let equals = skip_blanks(name_end);
    if at(equals) != b'=' {
        return malformed(Malformed::EqualsMissing, equals);
    }
    let start = skip_blanks(equals + 1);
    let quoted = at(start) == b'"';
    let (value_start, value_end) = if quoted {
        let value_start = start + 1;
        let value_end = value_start + find(&line[value_start..], b'"', 0);
        if at(value_end) != b'"' {
            return malformed(Malformed::QuoteUnclosed, start);
        }
        (value_start, value_end)
    } else {
        let mut end = start;
        while !matches!(at(end), 0 | b' ' | b'\t' | b'#') {
            end += 1;
        }
        (start, end)
    };
    let behind = skip_blanks(value_end + usize::from(quoted));
    if !matches!(at(behind), 0 | b'#') {
        let reason = if quoted {
            Malformed::TextAfterQuote
        } else {
            Malformed::TextAfterValue
        };
        return malformed(reason, behind);
    }
    Parts::Entry(EntryParts {
        name_start: name_start as u32,
        name_end: name_end as u32,
        value_start: value_start as u32,
        value_end: value_end as u32,
        quoted,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn read(line: &str) -> Result<(&str, &str), Malformed> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        match scan(line.as_bytes()) {
            Parts::Entry(parts) => Ok((
                text(parts.name(line.as_bytes())),
                text(parts.value(line.as_bytes())),
            )),
            Parts::Malformed { reason, .. } => Err(reason),
            Parts::Blank => Ok(("", "blank")),
            Parts::Comment => Ok(("", "comment")),
            Parts::Removed => unreachable!("a line that was read is not removed"),
        }
    }

    #[test]
    fn entries() {
        for (line, name, value) in [
            ("a = \"x\"", "a", "x"),
            ("a=x", "a", "x"),
            (" \ta\t=\t\"x\"\t ", "a", "x"),
            ("a =", "a", ""),
            ("a = # note", "a", ""),
            ("a = \"\"", "a", ""),
            ("a = \"x # y\" # z", "a", "x # y"),
            ("a = x#y", "a", "x"),
            ("a = x=y", "a", "x=y"),
            ("a = a\"b", "a", "a\"b"),
            ("a = 'x'", "a", "'x'"),
            ("a = \"x\"#", "a", "x"),
            ("\"a\" = \"x\"", "\"a\"", "x"),
            ("a/b|c~@d:é = \"x\"", "a/b|c~@d:é", "x"),
            ("a = \"x\"\0junk \"", "a", "x"),
            ("a = x\0junk junk", "a", "x"),
            ("// = x", "//", "x"),
            ("", "", "blank"),
            (" \t ", "", "blank"),
            ("\0junk", "", "blank"),
            (" # a = b", "", "comment"),
        ] {
            assert_eq!(read(line), Ok((name, value)), "{line:?}");
        }
    }

    #[test]
    fn malformed_lines() {
        use Malformed::{
            EqualsMissing, NameMissing, QuoteUnclosed, TextAfterQuote, TextAfterValue,
        };
        for (line, reason) in [
            ("= x", NameMissing),
            ("a", EqualsMissing),
            ("a # = x", EqualsMissing),
            ("a b = \"x\"", EqualsMissing),
            ("// note", EqualsMissing),
            ("; note", EqualsMissing),
            ("a\0= x", EqualsMissing),
            ("a = \"x", QuoteUnclosed),
            ("a = \"x\0\"", QuoteUnclosed),
            ("a = two words", TextAfterValue),
            ("a = \"x\"y\"", TextAfterQuote),
            ("a = \"x\";b = \"y\"", TextAfterQuote),
            ("a = \"x\" junk", TextAfterQuote),
        ] {
            assert_eq!(read(line), Err(reason), "{line:?}");
        }
    }

    #[test]
    fn a_line_is_small() {
        assert!(size_of::<Physical>() <= 40, "{}", size_of::<Physical>());
    }

    #[test]
    fn line_ends() {
        for (bytes, file, buffer) in [
            (&b"ab\ncd"[..], (2, 1), (2, 1)),
            (b"ab\r\ncd", (2, 2), (2, 2)),
            (b"ab\rcd\n", (2, 1), (5, 1)),
            (b"\n", (0, 1), (0, 1)),
            (b"\r", (0, 1), (1, 0)),
            (b"\r\n", (0, 2), (0, 2)),
            (b"0123456789abcdef\r", (16, 1), (17, 0)),
            (b"0123456789\x8Abcd\n", (14, 1), (14, 1)),
            (b"abc", (3, 0), (3, 0)),
        ] {
            assert_eq!(measure(bytes, Ends::File), file, "{bytes:?}");
            assert_eq!(measure(bytes, Ends::Buffer), buffer, "{bytes:?}");
        }
    }
}
