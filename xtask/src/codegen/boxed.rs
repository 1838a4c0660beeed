//! Finds fields that must be boxed.

use std::collections::{BTreeSet, HashMap};

use anyhow::Result;

use super::declared::Kind;
use super::model::Model;

impl<'s> Model<'s> {
    /// Returns the fields that must be boxed, as (type, field): without the box, the type
    /// would contain itself.
    pub(crate) fn boxed(&self) -> Result<BTreeSet<(&'s str, &'s str)>> {
        // What each type stores inline: its base and its required, non-list objects.
        let mut holds: HashMap<&str, Vec<(&'s str, Option<&'s str>)>> = HashMap::new();
        for data in &self.namespace.data {
            let mut parts = Vec::new();
            if let Some(base) = self.ancestors(data)?.first() {
                parts.push((base.item.name.as_str(), None));
            }
            for field in &data.fields {
                let ty = self.member(field)?;
                let plain = ty.kind == Kind::Object && !ty.poly && !ty.array && !ty.optional;
                if plain {
                    parts.push((field.ty.name.name.as_str(), Some(field.name.as_str())));
                }
            }
            holds.insert(&data.name, parts);
        }
        let mut boxed = BTreeSet::new();
        for data in &self.namespace.data {
            for &(part, field) in holds.get(data.name.as_str()).into_iter().flatten() {
                let Some(field) = field else { continue };
                if reaches(&holds, part, &data.name) {
                    boxed.insert((data.name.as_str(), field));
                }
            }
        }
        Ok(boxed)
    }
}

/// Returns whether `from` is `to` or stores it inline, at any depth.
fn reaches(holds: &HashMap<&str, Vec<(&str, Option<&str>)>>, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        if at == to {
            return true;
        }
        if seen.insert(at) {
            open.extend(holds.get(at).into_iter().flatten().map(|&(part, _)| part));
        }
    }
    false
}
