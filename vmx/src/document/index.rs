//! From a name to its first line, without regard to case.

use std::hash::{BuildHasher, RandomState};

use crate::line::{Parts, Physical};
use crate::name::Name;

/// An open hash table of line indexes. It holds no names: they are compared in the
/// document. Its hash is keyed, since names come from files nobody vouches for.
#[derive(Debug, Clone)]
pub(super) struct Index {
    /// Line index plus one; zero is free. The length is a power of two.
    slots: Vec<u32>,
    used: usize,
    hasher: RandomState,
    /// Lines whose name an earlier line has.
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

    /// The first line of that name.
    pub(super) fn find(&self, source: &[u8], lines: &[Physical], name: Name<'_>) -> Option<usize> {
        match self.probe(source, lines, name) {
            Probe::Line(line) => Some(line),
            Probe::Free(_) => None,
        }
    }

    /// Adds a line that comes behind all lines of the same name. `false` asks for
    /// a new index: this one is full.
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

/// The name of the entry on a line.
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
