//! The keys that an update may change, where the stored form differs from the value read.

use std::collections::{HashMap, HashSet};

use super::encoder::Encoded;
use super::report::{Note, NoteKind};
use crate::key::{containing_paths, path_of};

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
    paths: HashMap<String, Rule>,
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
            let path = regions.paths.entry(path_of(&note.key)).or_insert(rule);
            *path = rule.max(*path);
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
        if self.paths.is_empty() {
            return;
        }
        // If everything was read, an update cannot destroy anything.
        let mut in_part = HashSet::new();
        for key in unread {
            let path = path_of(key);
            in_part.extend(self.around(&path).map(str::to_owned));
        }
        let (old_parts, new_parts) = (self.parts(old), self.parts(new));
        let changed: HashSet<String> = self
            .paths
            .keys()
            .filter(|path| old_parts.get(*path) != new_parts.get(*path))
            .cloned()
            .collect();
        let faulty: HashSet<String> = new
            .entries
            .iter()
            .filter(|entry| entry.fault.is_some())
            .flat_map(|entry| {
                let path = path_of(&entry.key);
                self.around(&path).map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        for (path, rule) in &mut self.paths {
            match rule {
                Rule::Refuse if !in_part.contains(path) => *rule = Rule::Rewrite,
                Rule::Keep if changed.contains(path) => *rule = Rule::Rewrite,
                _ => (),
            }
        }
        // The elements of a list cannot be moved if some of them must stay unchanged or
        // could not be written again.
        let pinned: HashSet<String> = self
            .paths
            .iter()
            .filter(|(_, rule)| **rule > Rule::Rewrite)
            .flat_map(|(path, _)| self.around(path).map(str::to_owned).collect::<Vec<_>>())
            .collect();
        for (path, rule) in &mut self.paths {
            if *rule == Rule::Rewrite
                && !changed.contains(path)
                && (faulty.contains(path) || pinned.contains(path))
            {
                *rule = Rule::Keep;
            }
        }
    }

    /// Returns the rule of a stored or new key.
    pub(super) fn rule(&self, key: &str, path: &str) -> Rule {
        let around = self.around(path).filter_map(|path| self.paths.get(path));
        let rule = around.copied().max().unwrap_or(Rule::Compare);
        if rule == Rule::Compare && self.keys.contains(&key.to_ascii_lowercase()) {
            return Rule::Rewrite;
        }
        rule
    }

    /// Returns the paths of the lists and maps with a rule that contain a path.
    fn around<'p>(&self, path: &'p str) -> impl Iterator<Item = &'p str> {
        let paths = &self.paths;
        let none = paths.is_empty();
        containing_paths(path).filter(move |path| !none && paths.contains_key(*path))
    }

    /// Returns the keys and texts of each list and map with a rule.
    fn parts<'e>(&self, encoded: &'e Encoded) -> HashMap<String, Vec<(&'e str, &'e str)>> {
        let mut parts: HashMap<String, Vec<_>> = HashMap::new();
        for entry in &encoded.entries {
            let path = path_of(&entry.key);
            for path in self.around(&path) {
                let part = parts.entry(path.to_owned()).or_default();
                part.push((entry.key.as_str(), entry.value.as_str()));
            }
        }
        parts
    }
}
