//! From the stored state to a new one: the fewest sets and deletes.

use std::collections::HashSet;
use std::fmt;

use super::encoder::Entry;
use super::index::Index;
use super::report::IssueKind;
use super::schema::Describer;
use super::{Decode, Encode, GuestInfo};
use crate::dialect::Dialect;
use crate::error::EncodeError;
use crate::key::{guest_may_write, scope_of};
use crate::scope::{Access, Scope};

/// Finds what to write so that the stored keys become those of `new`, in the
/// dialect they are stored in.
///
/// * A key that stores the same value in another form is left alone, for
///   instance an address in 4 bytes instead of 16.
/// * A key that the type could have written but `new` does not have is deleted:
///   entries of maps that are gone, the elements of a list that became shorter,
///   overtaken exact forms.
/// * All other keys are left alone, for they are somebody else's.
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
/// When `new` has no stored form: see [`EncodeError`].
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
    /// As [`update`], in this dialect, below this path, with this secret key.
    ///
    /// Without a secret key, sealed values that `new` does not have are left
    /// alone: a decode without the key could not see them.
    ///
    /// # Errors
    /// As [`update`].
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
        let new = self.plain(new)?;

        let mut decode = Decode::new()
            .dialect(self.dialect)
            .under(self.root.as_ref());
        if let Some(key) = self.secret_key {
            decode = decode.secret_key(key);
        }
        let old = decode.run_on::<T>(stored, Vec::new());
        let unusable: HashSet<String> = old
            .report
            .issues()
            .iter()
            .filter(|issue| {
                matches!(
                    issue.kind,
                    IssueKind::Malformed | IssueKind::Truncated | IssueKind::Sealed
                )
            })
            .map(|issue| issue.key.to_ascii_lowercase())
            .collect();
        // What is stored may be such that it could not be written again.
        let old = self.plain(&old.value).unwrap_or_default();

        let mut changes = Vec::new();
        let mut kept = HashSet::new();
        for entry in &new {
            let found = stored.get(&entry.key);
            if let Some((spelling, value)) = found {
                kept.insert(spelling);
                let same = (!entry.secret && value == entry.value)
                    || (is_same(&old, entry)
                        && !unusable.contains(&entry.key.to_ascii_lowercase()));
                if same {
                    continue;
                }
            }
            let value = self.seal(&entry.key, entry.value.clone(), entry.secret)?;
            let key = found.map_or(entry.key.as_str(), |(spelling, _)| spelling);
            changes.push(Change::new(key, Some(value)));
        }

        let schema = Describer::of::<T>(self.dialect, &self.root);
        for key in stored.keys() {
            if kept.contains(key) || !schema.owns(key) {
                continue;
            }
            if self.secret_key.is_none() && scope_of(key).secret {
                continue;
            }
            changes.push(Change::new(key, None));
        }
        changes.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Update {
            changes,
            refused: Vec::new(),
        })
    }
}

/// Whether the same text would be stored for the old value.
fn is_same(old: &[Entry], entry: &Entry) -> bool {
    old.binary_search_by(|old| old.key.cmp(&entry.key))
        .is_ok_and(|at| old[at].value == entry.value)
}

/// Whether the machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PowerState {
    /// What the host writes persists, except values for one power cycle.
    Off,
    /// What the host writes does not persist, so only values for this power
    /// cycle and hidden ones are written.
    On,
}

/// The changes that lead from one stored state to another.
#[derive(Clone, Debug, Default)]
#[must_use = "an update does nothing until its changes are written"]
pub struct Update {
    changes: Vec<Change>,
    refused: Vec<Refused>,
}

impl Update {
    /// What is to be written, sorted by key.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The keys to set, with their texts.
    pub fn sets(&self) -> impl Iterator<Item = (&str, &str)> {
        self.changes
            .iter()
            .filter_map(|change| Some((change.key(), change.value()?)))
    }

    /// The keys to delete.
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

    /// What may not be written, and why.
    #[must_use]
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// Keeps only changes of scopes that `mask` allows.
    pub fn masked(self, mask: impl Fn(Scope) -> bool) -> Self {
        self.keep(|change| {
            if mask(change.scope()) {
                Ok(())
            } else {
                Err(Refusal::Masked)
            }
        })
    }

    /// Keeps only what the host may write in this power state.
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

    /// Keeps only what the guest can write: visible keys without a `/`, and no
    /// deletes, because a guest has no way to delete.
    pub fn for_guest(self) -> Self {
        self.keep(|change| match change.value {
            _ if !guest_may_write(&change.key) => Err(Refusal::NotGuestWritable),
            None => Err(Refusal::GuestCannotDelete),
            Some(_) => Ok(()),
        })
    }

    fn keep(mut self, allow: impl Fn(&Change) -> Result<(), Refusal>) -> Self {
        for change in std::mem::take(&mut self.changes) {
            match allow(&change) {
                Ok(()) => self.changes.push(change),
                Err(reason) => self.refused.push(Refused { change, reason }),
            }
        }
        self
    }
}

/// One key to set or to delete.
///
/// `Debug` does not show the text, which may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    key: String,
    value: Option<String>,
}

impl Change {
    fn new(key: &str, value: Option<String>) -> Self {
        Self {
            key: key.into(),
            value,
        }
    }

    /// The key, in the spelling that is stored already.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The text to set; `None` deletes the key. It is never empty, so an empty
    /// text can stand for a deletion, as it does in the vSphere API.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// What the form of the key says.
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

/// A change that may not be written now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The change.
    pub change: Change,
    /// Why not.
    pub reason: Refusal,
}

/// Why a change may not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The caller's mask leaves its scope out.
    #[error("the mask leaves its scope out")]
    Masked,
    /// It would not persist while the machine is on.
    #[error("it would be lost, because the machine is on")]
    PoweredOn,
    /// It is for a power cycle, and the machine is off.
    #[error("it is for one power cycle, and the machine is off")]
    PoweredOff,
    /// The platform lets no guest write the key.
    #[error("no guest can write this key")]
    NotGuestWritable,
    /// A guest has no way to delete a key.
    #[error("a guest cannot delete a key")]
    GuestCannotDelete,
}
