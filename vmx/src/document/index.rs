//! Index from names, ignoring case, to the first line of each.

use std::hash::{BuildHasher, RandomState};

use crate::line::{Parts, Physical};
use crate::name::Name;

/// An open-addressing hash table of line indexes. It does not store names; they are
/// compared in the document. The hash is keyed, because names come from untrusted files.
#[derive(Debug, Clone)]
pub(super) struct Index {
    /// Line index plus one; zero marks a free slot. The length is a power of two.
    slots: Vec<u32>,
    used: usize,
    hasher: RandomState,
    /// Lines whose name already occurs on an earlier line.
    duplicates: Vec<u32>,
}

impl Index {
    pub(super) fn of(source: &[u8], lines: &[Physical]) -> Self {
        let mut index = Self {
            slots: vec![0; (lines.len() * 2).next_power_of_two().max(16)],
            used: 0,
            hasher: RandomState::new(),
            duplicates: Vec::new(),
        };
        for at in 0..lines.len() {
            if let Some(name) = name_at(source, lines, at) {
                index.insert(source, lines, name, at);
            }
        }
        index
    }

    /// Returns the index of the first line with that name.
    pub(super) fn find(&self, source: &[u8], lines: &[Physical], name: Name<'_>) -> Option<usize> {
        match self.probe(source, lines, name) {
            Probe::Line(line) => Some(line),
            Probe::Free(_) => None,
        }
    }

    /// Adds a line, which must come after all indexed lines with the same name. Returns
    /// `false` if the index is full and must be rebuilt.
    pub(super) fn insert(
        &mut self,
        source: &[u8],
        lines: &[Physical],
        name: Name<'_>,
        line: usize,
    ) -> bool {
        let Ok(number) = u32::try_from(line + 1) else {
            return false;
        };
        match self.probe(source, lines, name) {
            Probe::Line(_) => self.duplicates.push(number - 1),
            Probe::Free(_) if (self.used + 1) * 4 > self.slots.len() * 3 => return false,
            Probe::Free(slot) => {
                self.slots[slot] = number;
                self.used += 1;
            }
        }
        true
    }

    pub(super) fn duplicates(&self) -> &[u32] {
        &self.duplicates
    }

    fn probe(&self, source: &[u8], lines: &[Physical], name: Name<'_>) -> Probe {
        let mask = self.slots.len() - 1;
        let mut slot = self.hasher.hash_one(name) as usize & mask;
        loop {
            let Some(line) = self.slots[slot].checked_sub(1) else {
                return Probe::Free(slot);
            };
            let line = line as usize;
            if name_at(source, lines, line).is_some_and(|found| found == name) {
                return Probe::Line(line);
            }
            slot = (slot + 1) & mask;
        }
    }
}

enum Probe {
    Line(usize),
    Free(usize),
}

/// Returns the name of the entry on a line.
pub(super) fn name_at<'a>(
    source: &'a [u8],
    lines: &'a [Physical],
    line: usize,
) -> Option<Name<'a>> {
    let line = lines.get(line)?;
    match &line.parts {
        Parts::Entry(parts) => Some(Name::found(parts.name(line.text(source)))),
        _ => None,
    }
}
