//! Limits what the requests and filters of one session select.
//!
//! A request of a few kilobytes may name thousands of traversals, and each may find every object. What
//! is counted in *entries* is what the server keeps and does for a selection: the start objects, the
//! objects at each step with their references to others, and the properties of the selected objects.

use vim25::Fault;

use crate::fault;
use crate::object::SessionKey;
use crate::property::collector::Collector;
use crate::property::spec::Spec;
use crate::world::Transaction;

/// Returns the number of entries for each selected object: itself, and its properties.
pub(super) fn of_object(spec: &Spec) -> usize {
    1 + spec.width()
}

/// Returns the number of entries that the filters of a session do not use.
pub(super) fn room(tx: &mut Transaction<'_>, session: &SessionKey) -> usize {
    let limit = tx.shared().settings.selection;
    let session = tx.sessions().get(session);
    let collectors = session.into_iter().flat_map(|s| s.collectors.values());
    limit.saturating_sub(collectors.map(Collector::entries).sum())
}

/// Returns the fault for a selection beyond the limit. The API defines none, so it is the
/// `RuntimeFault` of any method.
pub(super) fn too_large(tx: &Transaction<'_>) -> Fault {
    fault::runtime(format!(
        "The session selects more than its limit of {} objects, steps and properties: select fewer, \
         or destroy filters.",
        tx.shared().settings.selection
    ))
}
