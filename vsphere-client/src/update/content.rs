//! Applies updates of the server to the known state of an object.

use std::sync::Arc;

use vim25::types::{ObjectUpdate, ObjectUpdateKind, PropertyChange, PropertyChangeOp};
use vim25::{Any, difference};

use super::slot::Content;
use crate::property::ObjectProperties;

/// The maximum number of precise paths reported for one property; more count as one change of
/// the whole property.
const MAX_FINE: usize = 64;

/// The error that an update changes only part of a watched property, so the whole object has
/// to be read again.
#[derive(Debug)]
pub(super) struct Partial;

/// Returns the content after an update, and the paths that changed. The paths are as precise
/// as the values allow: `config.extraConfig["guestinfo.ip"].value`.
pub(super) fn apply(
    before: Option<&Content>,
    update: ObjectUpdate,
    watched: &[String],
) -> Result<(Content, Vec<String>), Partial> {
    let mut after = match before {
        Some(before) if update.kind != ObjectUpdateKind::Enter => ObjectProperties::clone(before),
        _ => ObjectProperties::empty(update.obj),
    };
    for change in update.change_set {
        if !watched.contains(&change.name) {
            return Err(Partial);
        }
        let value = match change.op {
            PropertyChangeOp::Remove | PropertyChangeOp::IndirectRemove => None,
            _ => change.val,
        };
        after.assign(&change.name, value);
    }
    for missing in update.missing_set {
        after.miss(&missing.path, missing.fault.into());
    }
    let paths = before.map_or_else(Vec::new, |before| changed(before, &after, watched));
    Ok((Arc::new(after), paths))
}

/// Returns the properties of an object that entered. The values share the memory of the response.
pub(super) fn entered(update: ObjectUpdate, watched: &[String]) -> Result<Content, Partial> {
    let is_watched = |change: &PropertyChange| watched.contains(&change.name);
    if !update.change_set.iter().all(is_watched) {
        return Err(Partial);
    }
    let is_removed = |op: &PropertyChangeOp| {
        matches!(
            op,
            PropertyChangeOp::Remove | PropertyChangeOp::IndirectRemove
        )
    };
    let changes = update.change_set.into_iter();
    let values = changes
        .filter(|change| !is_removed(&change.op))
        .filter_map(|change| Some((change.name, change.val?)));
    let missing = update.missing_set.into_iter();
    let missing = missing.map(|missing| (missing.path, missing.fault.into()));
    let content = ObjectProperties::from_parts(update.obj, values.collect(), missing.collect());
    Ok(Arc::new(content))
}

/// Returns the properties that an update contains, and their paths.
pub(super) fn delta(
    update: ObjectUpdate,
    watched: &[String],
) -> Result<(Content, Vec<String>), Partial> {
    let changed = update.change_set.iter().map(|change| &change.name);
    let missing = update.missing_set.iter().map(|missing| &missing.path);
    let paths = changed.chain(missing).cloned().collect();
    let (content, _) = apply(None, update, watched)?;
    Ok((content, paths))
}

/// Returns the paths at which two states of an object differ.
pub(super) fn changed(
    before: &Content,
    after: &ObjectProperties<vim25::mo::ManagedObject>,
    watched: &[String],
) -> Vec<String> {
    let value = |content: &ObjectProperties<vim25::mo::ManagedObject>, path: &str| -> Option<Any> {
        let mut values = content.values();
        values
            .find(|(name, _)| *name == path)
            .map(|(_, value)| value.clone())
    };
    let mut paths = Vec::new();
    for path in watched {
        match (value(before, path), value(after, path)) {
            (None, None) => {
                let missing =
                    |content: &ObjectProperties<_>| content.missing().any(|(name, _)| name == path);
                if missing(before) != missing(after) {
                    paths.push(path.clone());
                }
            }
            (Some(old), Some(new)) => {
                let fine = difference(path, old.node(), new.node());
                if fine.len() > MAX_FINE {
                    paths.push(path.clone());
                } else {
                    paths.extend(fine.into_iter().map(|difference| difference.path));
                }
            }
            _ => paths.push(path.clone()),
        }
    }
    paths
}
