//! Everything in a document that VMware refuses.

use std::collections::HashSet;

use crate::encoding::{Encoding, EncodingError};
use crate::error::{ParseError, ParseErrorKind, ValueError};
use crate::line::{Malformed, Parts};
use crate::name::{BYTE_ORDER_MARK, Name};
use crate::value::Value;

use super::{Document, declared_label, declares_encoding};

impl Document {
    /// Returns everything that VMware would refuse in this document in its current state,
    /// edits included, in line order. Empty for a strictly parsed document without edits.
    #[must_use]
    pub fn problems(&self) -> Vec<ParseError> {
        self.first_problems(usize::MAX)
    }

    /// Returns the first problems, stopping after the line that reaches `limit`.
    pub(super) fn first_problems(&self, limit: usize) -> Vec<ParseError> {
        let duplicates: HashSet<u32> = self
            .index()
            .duplicates()
            .iter()
            .copied()
            .filter(|&line| !self.is_metavariable(line as usize))
            .collect();
        let declared = self.declared();
        let is_declared = self.byte_order_mark || self.declares_encoding();
        let mut first_declaration = true;
        let mut problems = Vec::new();
        let mut number = 0;
        // The printed line number of each line so far.
        let mut numbers = Vec::with_capacity(self.lines.len());
        let mut offset = if self.byte_order_mark {
            BYTE_ORDER_MARK.len()
        } else {
            0
        };

        for (at, line) in self.lines.iter().enumerate() {
            if problems.len() >= limit {
                break;
            }
            numbers.push(number + 1);
            if line.parts == Parts::Removed {
                continue;
            }
            number += 1;
            let content = line.content(&self.source);
            let mut report = |kind, span, secret| {
                problems.push(ParseError::new(kind, number, offset, content, span, secret));
            };
            match &line.parts {
                Parts::Malformed { reason, at } => {
                    let at = *at as usize;
                    let end = content
                        .iter()
                        .position(|&b| b == 0)
                        .unwrap_or(content.len());
                    report(
                        kind_of(*reason),
                        (at, end.saturating_sub(at)),
                        secret_in(content),
                    );
                }
                Parts::Entry(parts) => {
                    let name = Name::found(parts.name(content));
                    let secret = || name.is_sensitive().then(|| parts.value_range());
                    if duplicates.contains(&(at as u32)) {
                        let (start, end) = parts.name_range();
                        let kind = ParseErrorKind::Duplicate {
                            name: name.to_string(),
                            first: self.find(name).map_or(0, |first| numbers[first]),
                        };
                        report(kind, (start, end - start), secret());
                    }
                    let (start, end) = parts.value_range();
                    if declares_encoding(line, &self.source) {
                        let found = Encoding::for_label(&declared_label(line, &self.source));
                        let fault = match (found, declared) {
                            (Err(error), _) => Some(error),
                            (Ok(second), Ok(first)) if !first_declaration && second != *first => {
                                Some(EncodingError::Conflict {
                                    first: *first,
                                    second,
                                })
                            }
                            _ => None,
                        };
                        first_declaration = false;
                        if let Some(error) = fault {
                            let span = (start, end - start);
                            report(ParseErrorKind::Encoding(error), span, None);
                        }
                    } else if let Ok(encoding) = declared
                        && let Some(kind) =
                            undecodable(parts.value(content), *encoding, is_declared)
                    {
                        report(kind, (start, end - start), secret());
                    }
                }
                Parts::Blank | Parts::Comment | Parts::Removed => {}
            }
            offset += line.text(&self.source).len();
        }
        problems
    }

    /// Returns the name of the first entry whose value is not valid in the charset.
    pub(super) fn first_undecodable(&self) -> Option<String> {
        let entry = self
            .entries()
            .find(|entry| matches!(entry.value().text(), Err(ValueError::Undecodable { .. })))?;
        Some(entry.name().to_string())
    }

    fn is_metavariable(&self, line: usize) -> bool {
        super::index::name_at(&self.source, &self.lines, line).is_some_and(Name::is_metavariable)
    }
}

fn kind_of(reason: Malformed) -> ParseErrorKind {
    match reason {
        Malformed::NameMissing => ParseErrorKind::NameMissing,
        Malformed::EqualsMissing => ParseErrorKind::EqualsMissing,
        Malformed::QuoteUnclosed => ParseErrorKind::QuoteUnclosed,
        Malformed::TextAfterValue => ParseErrorKind::TextAfterValue,
        Malformed::TextAfterQuote => ParseErrorKind::TextAfterQuote,
    }
}

fn undecodable(raw: &[u8], encoding: Encoding, declared: bool) -> Option<ParseErrorKind> {
    // An escape can produce a non-ASCII byte; most values have neither escapes nor such
    // bytes.
    if raw.is_ascii() && !raw.contains(&b'|') {
        return None;
    }
    match Value::new(raw, Some(encoding)).text() {
        Err(ValueError::Undecodable { bytes, .. }) => Some(ParseErrorKind::Undecodable {
            encoding,
            declared,
            bytes,
        }),
        _ => None,
    }
}

/// Returns the range of a malformed line that may be a secret value: everything after
/// text that looks like a sensitive name.
fn secret_in(content: &[u8]) -> Option<(usize, usize)> {
    let start = content.iter().position(|b| !matches!(b, b' ' | b'\t'))?;
    let end = content[start..]
        .iter()
        .position(|b| matches!(b, b' ' | b'\t' | b'='))?
        + start;
    Name::found(&content[start..end])
        .is_sensitive()
        .then_some((end, content.len()))
}
