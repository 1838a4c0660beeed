//! The differences between two documents.

use crate::document::{Document, Entry};
use crate::name::Name;

/// An entry that differs between two documents.
#[derive(Debug, Clone, Copy)]
pub enum Difference<'a> {
    /// Only the old document has the entry.
    Removed(Entry<'a>),
    /// Only the new document has the entry.
    Added(Entry<'a>),
    /// Both documents have the entry, with different values: old, new.
    Changed(Entry<'a>, Entry<'a>),
}

impl<'a> Difference<'a> {
    /// Returns the name of the entry, spelled as in the new document if it has the entry,
    /// otherwise as in the old one.
    #[must_use]
    pub fn name(&self) -> Name<'a> {
        match self {
            Self::Removed(entry) | Self::Added(entry) | Self::Changed(_, entry) => entry.name(),
        }
    }
}

impl Document {
    /// Returns the differences between this document (old) and `new`: removed and changed
    /// entries in the order of this document, then added entries in the order of `new`.
    ///
    /// Values are compared as text, each decoded with the charset of its file. What
    /// VMware does not distinguish is not a difference: order, spacing, comments, the
    /// case of names, the spelling of escapes, and later entries with the same name.
    ///
    /// ```
    /// use vmx::{Difference, Document};
    ///
    /// let old = Document::parse(&b"memsize=64\nnote = \"|41\"\n"[..])?;
    /// let new = Document::parse(&b"note = \"A\"\nmemSize = \"128\"\n"[..])?;
    /// let differences = old.diff(&new);
    /// assert!(matches!(differences[..], [Difference::Changed(was, is)]
    ///     if was.value().raw() == b"64" && is.value().raw() == b"128"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn diff<'a>(&'a self, new: &'a Self) -> Vec<Difference<'a>> {
        let mut differences = Vec::new();
        for was in self.entries().filter(Entry::is_first) {
            match new.entry(was.name().as_bytes()) {
                None => differences.push(Difference::Removed(was)),
                Some(is) if !same(was, is) => differences.push(Difference::Changed(was, is)),
                Some(_) => {}
            }
        }
        let added = new
            .entries()
            .filter(|entry| entry.is_first() && !self.contains(entry.name().as_bytes()));
        differences.extend(added.map(Difference::Added));
        differences
    }
}

fn same(one: Entry<'_>, other: Entry<'_>) -> bool {
    match (one.value().text(), other.value().text()) {
        (Ok(one), Ok(other)) => one == other,
        // Bytes that are not valid text are compared as bytes.
        (Err(one), Err(other)) => one == other,
        _ => false,
    }
}
