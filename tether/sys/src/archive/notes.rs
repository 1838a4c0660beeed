//! What was not preserved in an archive, in a bounded number of lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::quoted;

/// Counts the properties that were not preserved, by kind.
#[derive(Debug, Default)]
pub(super) struct Notes(BTreeMap<&'static str, (u64, String)>);

impl Notes {
    /// Counts a property of a file. `what` completes the sentence "not preserved: ".
    pub(super) fn add(&mut self, what: &'static str, name: &[u8]) {
        let (count, _) = self.0.entry(what).or_insert_with(|| (0, quoted(name)));
        *count += 1;
    }

    /// Returns one line for each kind, with the number and the first file.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (what, (count, first)) in &self.0 {
            let _ = match count {
                1 => writeln!(text, "not preserved: {what} of {first}"),
                _ => writeln!(
                    text,
                    "not preserved: {what} of {count} files, first of {first}"
                ),
            };
        }
        text
    }
}
