//! Updates: the minimal changes from the stored state to a new one.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::encoder::Encoded;
use super::index::Index;
use super::regions::{Regions, Rule};
use super::report::IssueKind;
use super::schema::Describer;
use super::{Decode, Encode, GuestInfo};
use crate::dialect::Dialect;
use crate::error::EncodeError;
use crate::key::{containing_paths, guest_may_write, path_of, path_of_name, scope_of};
use crate::scope::{Access, Scope};

/// Computes what to write so that the stored keys become those of `new`, in the dialect
/// in which they are stored.
///
/// * A field that did not change is not written: its value may be stored in a different
///   form, such as an address in 4 bytes instead of 16, or in one that could not be
///   written again.
/// * Damage is repaired: malformed texts, wrong lengths, lists with holes, maps that name
///   entries that do not exist, and missing required keys. After one update, the stored
///   keys decode as `new` without such findings. Damage around a name or text that was
///   read but cannot be written stays.
/// * A key that the type could have written but `new` does not have is deleted: removed
///   entries of maps, the elements of a list that became shorter, and obsolete exact
///   forms.
/// * Data that was not read in full is neither changed nor deleted. Sealed values that
///   could not be opened and lists that contain more than they announce are kept until
///   their value changes. Lists and maps that exceed
///   [`MAX_ELEMENTS`](crate::MAX_ELEMENTS) are kept, and changing them is
///   [refused](Update::refused).
/// * All other keys are left unchanged, because they belong to someone else.
///
/// ```
/// use std::collections::BTreeMap;
/// use guestinfo::vic::{ExecutorConfig, MountSpec};
/// use guestinfo::{Dialect, PowerState, decode, encode, update};
///
/// let mut container = ExecutorConfig::default();
/// container.mounts.insert("vol1".into(), MountSpec::default());
/// let mut stored = encode(&container, Dialect::Vic1)?;
/// stored.insert("svga.present".into(), "TRUE".into());
///
/// let mut new = decode::<ExecutorConfig>(&stored).value;
/// new.mounts.clear();
/// new.repo_name = "busybox".into();
/// let changes = update(&stored, &new)?;
/// let set: Vec<_> = changes.sets().collect();
/// assert_eq!(set, [("guestinfo.vice./repo", "busybox")]);
/// assert!(changes.deletes().any(|key| key == "guestinfo.vice./mounts"));
/// assert!(changes.deletes().all(|key| key.starts_with("guestinfo.vice./mounts")));
///
/// // While the machine is on, none of these would persist.
/// let changes = changes.for_power(PowerState::On);
/// assert!(changes.is_empty() && !changes.refused().is_empty());
/// # Ok::<(), guestinfo::EncodeError>(())
/// ```
///
/// # Errors
/// Fails if a changed field has no stored form, see [`EncodeError`].
pub fn update<'k, T: GuestInfo + Default>(
    stored: impl IntoIterator<
        Item = (
            &'k (impl AsRef<str> + ?Sized + 'k),
            &'k (impl AsRef<str> + ?Sized + 'k),
        ),
    >,
    new: &T,
) -> Result<Update, EncodeError> {
    let index = Index::of(stored).0;
    let dialect = Dialect::detect(index.keys()).unwrap_or_default();
    Encode::new(dialect).update_index(&index, new)
}

impl Encode<'_> {
    /// Computes an update like [`update`], with the dialect, path and secret key of these
    /// options.
    ///
    /// Without a secret key, sealed values that `new` does not have are left unchanged,
    /// because a decode without the key could not see them.
    ///
    /// # Errors
    /// Fails like [`update`].
    pub fn update<'k, T: GuestInfo + Default>(
        &self,
        stored: impl IntoIterator<
            Item = (
                &'k (impl AsRef<str> + ?Sized + 'k),
                &'k (impl AsRef<str> + ?Sized + 'k),
            ),
        >,
        new: &T,
    ) -> Result<Update, EncodeError> {
        self.update_index(&Index::of(stored).0, new)
    }

    fn update_index<T: GuestInfo + Default>(
        &self,
        stored: &Index<'_>,
        new: &T,
    ) -> Result<Update, EncodeError> {
        let new = self.plain(new, true);
        if let Some(fault) = new.incomplete {
            return Err(fault_of(new, fault));
        }

        let mut decode = Decode::new()
            .dialect(self.dialect)
            .under(self.root.as_ref());
        if let Some(key) = self.secret_key {
            decode = decode.secret_key(key);
        }
        let old = decode.run_on::<T>(stored, Vec::new());
        let schema = Describer::of::<T>(self.dialect, &self.root);
        let report = old.report;
        let old = self.plain(&old.value, true);
        let mut regions = Regions::of(report.notes());
        regions.settle(&old, &new, stored.unread().filter(|key| schema.owns(key)));
        let missing: HashSet<String> = report
            .of(IssueKind::Missing)
            .map(|issue| path_of(&issue.key))
            .collect();
        let is_missing = |path: &str| {
            missing.contains("") || containing_paths(path).any(|p| missing.contains(p))
        };
        let moved = Moved::between(&old, &new);

        let mut update = Update::default();
        let mut kept = HashSet::new();
        let mut absent = Vec::new();
        let old_runs = runs(&old);
        let mut position = 0;
        for (at, entry) in new.entries.iter().enumerate() {
            position = match at.checked_sub(1) {
                Some(before) if new.entries[before].key == entry.key => position + 1,
                _ => 0,
            };
            let unchanged = old_runs
                .get(entry.key.as_str())
                .and_then(|run| old.entries.get(run + position))
                .is_some_and(|old| old.key == entry.key && old.value == entry.value);
            let path = path_of(&entry.key);
            let rule = regions.rule(&entry.key, &path);
            let found = stored.get(&entry.key);
            if let Some((spelling, value)) = found {
                kept.insert(spelling);
                let same = !entry.secret && entry.fault.is_none() && value == entry.value;
                if same || (unchanged && rule != Rule::Rewrite) {
                    continue;
                }
            } else if unchanged
                && rule != Rule::Rewrite
                && (entry.fault.is_some() || !is_missing(&path))
            {
                absent.push((entry, path));
                continue;
            }
            if rule == Rule::Keep {
                continue;
            }
            if let Some(fault) = entry.fault {
                // A value that cannot be written again cannot be repaired, and is not changed.
                if unchanged {
                    continue;
                }
                return Err(fault_of(new, fault));
            }
            let value = self.seal(&entry.key, entry.value.clone(), entry.secret)?;
            let key = found.map_or(entry.key.as_str(), |(spelling, _)| spelling);
            let change = Change::new(key, Some(value), moved.around(&path));
            if rule == Rule::Refuse {
                update.refuse(change, Refusal::ReadInPart);
            } else {
                update.changes.push(change);
            }
        }

        let old_keys: HashSet<String> = old
            .entries
            .iter()
            .map(|entry| entry.key.to_ascii_lowercase())
            .collect();
        for key in stored.keys() {
            if kept.contains(key) || !schema.owns(key) {
                continue;
            }
            if self.secret_key.is_none() && scope_of(key).secret {
                continue;
            }
            let path = path_of(key);
            let change = Change::new(key, None, moved.around(&path));
            match regions.rule(key, &path) {
                Rule::Keep => (),
                Rule::Refuse if old_keys.contains(&key.to_ascii_lowercase()) => {
                    update.refuse(change, Refusal::ReadInPart);
                }
                Rule::Refuse => (),
                Rule::Rewrite | Rule::Compare => update.changes.push(change),
            }
        }
        let emptied = emptied(stored.keys().filter(|key| schema.owns(key)), &update);
        for (entry, path) in absent {
            let is_evidence = emptied.contains(parent_of(&path))
                && entry.fault.is_none()
                && regions.rule(&entry.key, &path) == Rule::Compare;
            if is_evidence {
                let value = self.seal(&entry.key, entry.value.clone(), entry.secret)?;
                let change = Change::new(&entry.key, Some(value), moved.around(&path));
                update.changes.push(change);
            }
        }
        update.changes.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(update)
    }
}

/// Returns the paths below which an update deletes all stored keys and sets none. Unless an
/// unchanged default is written below such a path, an optional struct at it would no longer be
/// read. Costs nothing when the update deletes nothing.
fn emptied<'k>(stored: impl Iterator<Item = &'k str>, update: &'k Update) -> HashSet<String> {
    let deleted: HashSet<&str> = update.deletes().collect();
    if deleted.is_empty() {
        return HashSet::new();
    }
    let around = |keys: &mut dyn Iterator<Item = &str>| {
        let mut paths = HashSet::new();
        for key in keys {
            paths.extend(containing_paths(&path_of(key)).map(str::to_owned));
        }
        paths
    };
    let mut remaining = stored
        .filter(|key| !deleted.contains(key))
        .chain(update.sets().map(|(key, _)| key));
    let remaining = around(&mut remaining);
    let mut emptied = around(&mut deleted.iter().copied());
    emptied.retain(|path| !remaining.contains(path));
    emptied
}

/// Returns the path of the struct, list or map that directly contains a path.
fn parent_of(path: &str) -> &str {
    path.rfind(['/', '|', '~']).map_or("", |at| &path[..at])
}

fn fault_of(encoded: Encoded, fault: usize) -> EncodeError {
    let mut faults = encoded.faults;
    faults.swap_remove(fault)
}

/// Returns where the entries of each key begin; only colliding keys have several entries.
fn runs(encoded: &Encoded) -> HashMap<&str, usize> {
    let mut runs = HashMap::with_capacity(encoded.entries.len());
    for (at, entry) in encoded.entries.iter().enumerate() {
        runs.entry(entry.key.as_str()).or_insert(at);
    }
    runs
}

/// The map entries and list elements that only one of two values has, each with the key
/// that lists or counts it.
struct Moved(HashMap<String, String>);

impl Moved {
    fn between(old: &Encoded, new: &Encoded) -> Self {
        let mut lists: HashMap<&str, [&[String]; 2]> = HashMap::new();
        for (side, encoded) in [old, new].into_iter().enumerate() {
            for entry in &encoded.entries {
                if !entry.members.is_empty() {
                    lists.entry(&entry.key).or_default()[side] = &entry.members;
                }
            }
        }
        let mut moved = HashMap::new();
        for (key, [old, new]) in lists {
            if old == new {
                continue;
            }
            let path = path_of(key);
            let [old, new] = [old, new].map(|names| names.iter().collect::<HashSet<_>>());
            for name in old.symmetric_difference(&new) {
                let path = format!("{path}|{}", path_of_name(name));
                moved.insert(path, key.to_owned());
            }
        }
        Self(moved)
    }

    /// Returns the keys that list or count those added or removed entries and elements that
    /// contain a path.
    fn around(&self, path: &str) -> Vec<String> {
        if self.0.is_empty() {
            return Vec::new();
        }
        containing_paths(path)
            .filter_map(|path| self.0.get(path))
            .cloned()
            .collect()
    }
}

/// Whether the machine is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PowerState {
    /// The machine is off: what the host writes persists, except for non-persistent
    /// values.
    Off,
    /// The machine is on: what the host writes does not persist, so only non-persistent
    /// and hidden values are written.
    On,
}

/// The changes from one stored state to another.
#[derive(Clone, Debug, Default)]
#[must_use = "an update does nothing until its changes are written"]
pub struct Update {
    changes: Vec<Change>,
    refused: Vec<Refused>,
}

impl Update {
    /// Returns the changes, sorted by key.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Returns the keys to set, with their texts.
    pub fn sets(&self) -> impl Iterator<Item = (&str, &str)> {
        self.changes
            .iter()
            .filter_map(|change| Some((change.key(), change.value()?)))
    }

    /// Returns the keys to delete.
    pub fn deletes(&self) -> impl Iterator<Item = &str> {
        self.changes
            .iter()
            .filter(|change| change.value.is_none())
            .map(Change::key)
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Returns the refused changes, with the reasons.
    #[must_use]
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    fn refuse(&mut self, change: Change, reason: Refusal) {
        self.refused.push(Refused { change, reason });
    }

    /// Keeps only changes whose scope `mask` allows, and refuses the others.
    pub fn masked(self, mask: impl Fn(Scope) -> bool) -> Self {
        self.keep(|change| {
            if mask(change.scope()) {
                Ok(())
            } else {
                Err(Refusal::Masked)
            }
        })
    }

    /// Keeps only the changes that the host may write in this power state, and refuses
    /// the others.
    pub fn for_power(self, power: PowerState) -> Self {
        self.keep(|change| {
            let scope = change.scope();
            match power {
                PowerState::Off if scope.non_persistent => Err(Refusal::PoweredOff),
                PowerState::On if !scope.non_persistent && scope.access != Access::Hidden => {
                    Err(Refusal::PoweredOn)
                }
                _ => Ok(()),
            }
        })
    }

    /// Keeps only the changes that the guest can write: visible keys without a `/`, and
    /// no deletions, because a guest cannot delete keys. The others are refused.
    pub fn for_guest(self) -> Self {
        self.keep(|change| match change.value {
            _ if !guest_may_write(&change.key) => Err(Refusal::NotGuestWritable),
            None => Err(Refusal::GuestCannotDelete),
            Some(_) => Ok(()),
        })
    }

    /// Keeps the allowed changes. If the key that lists an entry or counts an element is
    /// refused, everything in that entry or element is refused too, because no reader
    /// would find it.
    fn keep(mut self, allow: impl Fn(&Change) -> Result<(), Refusal>) -> Self {
        for change in std::mem::take(&mut self.changes) {
            match allow(&change) {
                Ok(()) => self.changes.push(change),
                Err(reason) => self.refuse(change, reason),
            }
        }
        let refused: HashMap<String, Refusal> = self
            .refused
            .iter()
            .map(|refused| (refused.change.key.to_ascii_lowercase(), refused.reason))
            .collect();
        for change in std::mem::take(&mut self.changes) {
            let reason = change
                .listed_at
                .iter()
                .find_map(|key| refused.get(&key.to_ascii_lowercase()));
            match reason {
                None => self.changes.push(change),
                Some(reason) => self.refuse(change, *reason),
            }
        }
        self
    }
}

/// A key to set or to delete.
///
/// The `Debug` output omits the text, which may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    key: String,
    value: Option<String>,
    /// The keys that list the added or removed map entries to which this change belongs, or
    /// count such list elements.
    listed_at: Vec<String>,
}

impl Change {
    fn new(key: &str, value: Option<String>, listed_at: Vec<String>) -> Self {
        Self {
            key: key.into(),
            value,
            listed_at,
        }
    }

    /// Returns the key, in the same case as the stored key if there is one.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the text to set, or `None` to delete the key. The text is never empty, so
    /// an empty text can represent a deletion, as in the vSphere API.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// Returns the scope that the form of the key declares.
    #[must_use]
    pub fn scope(&self) -> Scope {
        scope_of(&self.key)
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = if self.value.is_some() {
            "Set"
        } else {
            "Delete"
        };
        f.debug_tuple(action).field(&self.key).finish()
    }
}

/// A change that may not be written at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The change.
    pub change: Change,
    /// Why the change was refused.
    pub reason: Refusal,
}

/// The reason why a change may not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The caller's mask excludes the scope of the change.
    #[error("the mask excludes its scope")]
    Masked,
    /// The change would be lost, because the machine is on.
    #[error("the change would be lost, because the machine is on")]
    PoweredOn,
    /// The change is for one power cycle, and the machine is off.
    #[error("the change is for one power cycle, and the machine is off")]
    PoweredOff,
    /// The platform does not let guests write the key.
    #[error("no guest can write this key")]
    NotGuestWritable,
    /// A guest cannot delete a key.
    #[error("a guest cannot delete a key")]
    GuestCannotDelete,
    /// The list or map was not read to the end, so a change could delete unknown elements.
    #[error("the list or map has more elements than were read")]
    ReadInPart,
}
