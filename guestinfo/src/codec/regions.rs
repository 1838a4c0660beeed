//! The keys that an update may change, where the stored form differs from the value read.

use std::collections::{HashMap, HashSet};

use super::encoder::Encoded;
use super::report::{Note, NoteKind};
use crate::key::{place_of, places_around};

/// How an update treats a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rule {
    /// Leaves it unchanged if its field did not change.
    Compare,
    /// Writes it if its text differs, even if its field did not change.
    Rewrite,
    /// Leaves it unchanged.
    Keep,
    /// Leaves it unchanged, and refuses a change of its field.
    Refuse,
}

/// The rules of keys, and of lists and maps with everything below them.
#[derive(Debug, Default)]
pub(super) struct Regions {
    keys: HashSet<String>,
    places: HashMap<String, Rule>,
}

impl Regions {
    pub(super) fn of(notes: &[Note]) -> Self {
        let mut regions = Self::default();
        for note in notes {
            let rule = match note.kind {
                NoteKind::RewriteKey => {
                    regions.keys.insert(note.key.to_ascii_lowercase());
                    continue;
                }
                NoteKind::RewriteList => Rule::Rewrite,
                NoteKind::Keep => Rule::Keep,
                NoteKind::TooMany => Rule::Refuse,
            };
            let place = regions.places.entry(place_of(&note.key)).or_insert(rule);
            *place = rule.max(*place);
        }
        regions
    }

    /// Decides the rules that depend on the values and on stored keys of the type that
    /// were not read.
    pub(super) fn settle<'k>(
        &mut self,
        old: &Encoded,
        new: &Encoded,
        unread: impl Iterator<Item = &'k str>,
    ) {
        if self.places.is_empty() {
            return;
        }
        // If everything was read, an update cannot destroy anything.
        let mut in_part = HashSet::new();
        for key in unread {
            let place = place_of(key);
            in_part.extend(self.around(&place).map(str::to_owned));
        }
        let (old_parts, new_parts) = (self.parts(old), self.parts(new));
        let changed: HashSet<String> = self
            .places
            .keys()
            .filter(|place| old_parts.get(*place) != new_parts.get(*place))
            .cloned()
            .collect();
        let faulty: HashSet<String> = new
            .entries
            .iter()
            .filter(|entry| entry.fault.is_some())
            .flat_map(|entry| {
                let place = place_of(&entry.key);
                self.around(&place).map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        for (place, rule) in &mut self.places {
            match rule {
                Rule::Refuse if !in_part.contains(place) => *rule = Rule::Rewrite,
                Rule::Keep if changed.contains(place) => *rule = Rule::Rewrite,
                _ => (),
            }
        }
        // The elements of a list cannot be moved if some of them must stay unchanged or
        // could not be written again.
        let pinned: HashSet<String> = self
            .places
            .iter()
            .filter(|(_, rule)| **rule > Rule::Rewrite)
            .flat_map(|(place, _)| self.around(place).map(str::to_owned).collect::<Vec<_>>())
            .collect();
        for (place, rule) in &mut self.places {
            if *rule == Rule::Rewrite
                && !changed.contains(place)
                && (faulty.contains(place) || pinned.contains(place))
            {
                *rule = Rule::Keep;
            }
        }
    }

    /// Returns the rule of a stored or new key.
    pub(super) fn rule(&self, key: &str, place: &str) -> Rule {
        let around = self
            .around(place)
            .filter_map(|place| self.places.get(place));
        let rule = around.copied().max().unwrap_or(Rule::Compare);
        if rule == Rule::Compare && self.keys.contains(&key.to_ascii_lowercase()) {
            return Rule::Rewrite;
        }
        rule
    }

    /// Returns the lists and maps with a rule that contain a place.
    fn around<'p>(&self, place: &'p str) -> impl Iterator<Item = &'p str> {
        let places = &self.places;
        let none = places.is_empty();
        places_around(place).filter(move |place| !none && places.contains_key(*place))
    }

    /// Returns the keys and texts of each list and map with a rule.
    fn parts<'e>(&self, encoded: &'e Encoded) -> HashMap<String, Vec<(&'e str, &'e str)>> {
        let mut parts: HashMap<String, Vec<_>> = HashMap::new();
        for entry in &encoded.entries {
            let place = place_of(&entry.key);
            for place in self.around(&place) {
                let part = parts.entry(place.to_owned()).or_default();
                part.push((entry.key.as_str(), entry.value.as_str()));
            }
        }
        parts
    }
}
