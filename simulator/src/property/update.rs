//! Computes the changes since the last update that was sent to the client of a collector.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use vim25::types::{
    LocalizedMethodFault, MissingObject, MissingProperty, ObjectUpdate, ObjectUpdateKind,
    PropertyChange, PropertyChangeOp, PropertyFilterUpdate, UpdateSet,
};
use vim25::{Any, AnyRef, Fault, Ref, difference, mo};

use crate::fault;
use crate::interest::Dirty;
use crate::object::{Hidden, Object, SessionKey};
use crate::property::collector::{Collector, Filter};
use crate::property::graph::Graph;
use crate::property::select::{Content, content, select};
use crate::property::selection;
use crate::world::Transaction;

/// The number of previous versions that a client can resume from after it lost a reply.
const KEPT: usize = 3;

/// The state of one object as last reported to the client.
#[derive(Debug)]
pub(crate) struct Reported {
    object: AnyRef,
    values: Vec<(String, Any)>,
    missing: Vec<String>,
}

/// The state of one filter: the objects as last reported to the client, and those that may have
/// changed since.
#[derive(Debug, Default)]
pub(crate) struct ReportedState {
    known: BTreeMap<Box<str>, Arc<Reported>>,
    /// Objects that are currently selected.
    pub(super) selected: HashSet<Box<str>>,
    /// How the selected objects were found.
    pub(super) graph: Option<Graph>,
    /// Objects whose changes may change the selection, if that has no graph because it contains views.
    walked: HashSet<Box<str>>,
    /// Objects that may differ from their reported state.
    stale: BTreeSet<Box<str>>,
    /// Whether the filter has been evaluated.
    begun: bool,
    /// The version that reported missing objects, if one did.
    missing_reported_in: Option<u64>,
}

/// The changes that one version reported: filter, object, and the previously reported state.
pub(crate) type Step = Vec<(Box<str>, Box<str>, Option<Arc<Reported>>)>;

/// Returns the changes since `version`; `None` if there are none.
///
/// `entries` is the number of entries that the filters of this collector may select, see
/// [`selection`].
///
/// The reported state is exactly what was sent. Each version can be rolled back, so replies
/// can be truncated, and lost replies can be requested again. The cost is proportional to the
/// number of changed objects, not to the number of selected objects.
pub(super) fn since(
    tx: &mut Transaction<'_>,
    session: &SessionKey,
    collector: &mut Collector,
    version: &str,
    limit: usize,
    entries: usize,
) -> Result<Option<UpdateSet>, Fault> {
    if version.is_empty() {
        collector.history.clear();
        for filter in collector.filters.values_mut() {
            filter.reported.begin_again();
        }
    } else {
        let number: u64 = version
            .parse()
            .map_err(|_| fault::invalid_collector_version())?;
        if !collector.history.iter().any(|(v, _)| *v == number) {
            return Err(fault::invalid_collector_version());
        }
        take_back(collector, number);
    }
    let mut set = UpdateSet::default();
    let mut used = collector.entries();
    let mut room = limit;
    let mut steps = Step::new();
    let next = collector.version + 1;
    let platform = &tx.shared().settings.platform;
    let wait_for_a_change = platform.new_filters_wait_for_a_change && !version.is_empty();
    let (evaluated, new): (Vec<_>, Vec<_>) = collector
        .filters
        .iter_mut()
        .partition(|(_, filter)| filter.reported.begun || !wait_for_a_change);
    let evaluated_only = evaluated.len();
    for (n, (name, filter)) in evaluated.into_iter().chain(new).enumerate() {
        if n >= evaluated_only && set.filter_set.is_empty() {
            break;
        }
        used -= filter.entries();
        if let Err(fault) = filter.look(tx, session, entries.saturating_sub(used)) {
            if set.filter_set.is_empty() {
                return Err(fault);
            }
            // What the filters before it report is not lost; the next call fails.
            set.truncated = Some(true);
            break;
        }
        used += filter.entries();
        let (mut update, truncated) = of_filter(tx, session, name, filter, &mut room, &mut steps);
        if filter.reported.missing_reported_in.is_none() && filter.spec.report_missing {
            update.missing_set = missing(tx, session, filter)?;
            filter.reported.missing_reported_in = Some(next);
        }
        if !update.object_set.is_empty() || !update.missing_set.is_empty() {
            update.filter = Ref::<mo::PropertyFilter>::new(name);
            set.filter_set.push(update);
        }
        if truncated {
            set.truncated = Some(true);
            break;
        }
    }
    if set.filter_set.is_empty() {
        return Ok(None);
    }
    collector.version = next;
    set.version = next.to_string();
    collector.history.push_back((next, steps));
    while collector.history.len() > KEPT {
        collector.history.pop_front();
    }
    Ok(Some(set))
}

/// Rolls the reported state back to the version `number`.
fn take_back(collector: &mut Collector, number: u64) {
    while let Some((last, _)) = collector.history.back() {
        if *last == number {
            return;
        }
        let Some((_, steps)) = collector.history.pop_back() else {
            return;
        };
        for (filter, object, before) in steps.into_iter().rev() {
            let Some(filter) = collector.filters.get_mut(&filter) else {
                continue;
            };
            filter.reported.stale.insert(object.clone());
            match before {
                Some(before) => filter.reported.known.insert(object, before),
                None => filter.reported.known.remove(&object),
            };
        }
        for filter in collector.filters.values_mut() {
            filter.reported.missing_reported_in = filter
                .reported
                .missing_reported_in
                .filter(|at| *at <= number);
        }
    }
}

impl ReportedState {
    /// Resets the reported state, so that everything is reported again.
    fn begin_again(&mut self) {
        self.known.clear();
        self.stale.extend(self.selected.iter().cloned());
        self.missing_reported_in = None;
    }
}

impl Filter {
    /// Returns the number of entries that it selects, see [`selection`].
    pub(super) fn entries(&self) -> usize {
        let reported = &self.reported;
        let graph = reported.graph.as_ref().map_or(0, Graph::entries);
        let selected = reported.selected.len() * selection::of_object(&self.spec);
        graph + reported.walked.len() + selected
    }

    /// Updates the selection, and collects the objects that may have changed since the last
    /// call.
    ///
    /// # Errors
    /// Fails if the filter would select more than `room` entries. Its last selection is kept until it
    /// fits again.
    pub(super) fn look(
        &mut self,
        tx: &mut Transaction<'_>,
        session: &SessionKey,
        room: usize,
    ) -> Result<(), Fault> {
        let dirty = tx.interest().take_dirty(self.watch);
        let updated = if self.spec.reports_views() {
            self.select_again(tx, session, &dirty, room)
        } else {
            self.follow(tx, session, &dirty, room)
        };
        let reported = &mut self.reported;
        reported.begun |= updated.is_ok();
        let holders = dirty.members.into_iter().map(|((holder, _), _)| holder);
        let changed = dirty.objects.into_iter().chain(holders);
        let changed = changed.filter(|object| reported.selected.contains(object));
        reported.stale.extend(changed);
        updated
    }

    /// Updates the selection from what changed.
    fn follow(
        &mut self,
        tx: &mut Transaction<'_>,
        session: &SessionKey,
        dirty: &Dirty,
        room: usize,
    ) -> Result<(), Fault> {
        let each = selection::of_object(&self.spec);
        let reported = &mut self.reported;
        if let Some(graph) = &mut reported.graph
            && !graph.update(tx, session, dirty, room)
            && graph.entries() <= room
        {
            for (value, is_selected, is_of_interest) in graph.settle(tx, &self.spec) {
                if is_of_interest {
                    tx.interest().add(self.watch, &value);
                } else {
                    tx.interest().remove(self.watch, &value);
                }
                let has_moved = if is_selected {
                    reported.selected.insert(value.clone())
                } else {
                    reported.selected.remove(&value)
                };
                if has_moved {
                    reported.stale.insert(value);
                }
            }
            if graph.entries() + reported.selected.len() * each > room {
                return Err(selection::too_large(tx));
            }
            return Ok(());
        }
        // A graph beyond the limit is incomplete, and not kept.
        let old = reported.graph.take();
        let mut graph = Graph::new(tx, session, &self.spec, room);
        if graph.entries() > room {
            return Err(selection::too_large(tx));
        }
        #[cfg(test)]
        {
            graph.followed += old.as_ref().map_or(0, |old| old.followed);
        }
        drop(old);
        let mut all: HashSet<Box<str>> = graph.absent().map(Into::into).collect();
        let mut now = HashSet::new();
        for (value, is_selected, is_of_interest) in graph.settle(tx, &self.spec) {
            if is_selected {
                now.insert(value.clone());
            }
            if is_of_interest {
                all.insert(value);
            }
        }
        if graph.entries() + now.len() * each > room {
            return Err(selection::too_large(tx));
        }
        reported.graph = Some(graph);
        self.replace(tx, now, all);
        Ok(())
    }

    /// Updates the selection by evaluating the specification again, where a view is reported whose
    /// content may have changed.
    fn select_again(
        &mut self,
        tx: &mut Transaction<'_>,
        session: &SessionKey,
        dirty: &Dirty,
        room: usize,
    ) -> Result<(), Fault> {
        let reported = &mut self.reported;
        let is_walked = |object: &str| reported.walked.contains(object);
        let mut holders = dirty.members.iter().map(|((holder, _), _)| holder);
        let has_changed = dirty.overflow
            || dirty.objects.iter().any(|object| is_walked(object))
            || holders.any(|holder| is_walked(holder));
        if reported.begun && !has_changed {
            return Ok(());
        }
        // Until it succeeds, each call tries again.
        reported.begun = false;
        let selected = select(tx, Some(session), &self.spec, room)?;
        let mut walked = selected.walked;
        for object in &selected.objects {
            if let Hidden::View(view) = &object.hidden {
                reported.stale.insert(object.value().into());
                walked.extend(view.holders(tx));
            }
        }
        let now: HashSet<Box<str>> = selected.objects.iter().map(|o| o.value().into()).collect();
        let all = now.union(&walked).cloned().collect();
        reported.walked = walked;
        self.replace(tx, now, all);
        Ok(())
    }

    /// Replaces the selected objects, and all objects of interest.
    fn replace(
        &mut self,
        tx: &mut Transaction<'_>,
        now: HashSet<Box<str>>,
        all: HashSet<Box<str>>,
    ) {
        let reported = &mut self.reported;
        let moved = now.symmetric_difference(&reported.selected);
        reported.stale.extend(moved.cloned());
        tx.interest().set(self.watch, all);
        reported.selected = now;
    }
}

/// Returns the changes of one filter, and whether the limit of the reply left some of them
/// out.
fn of_filter(
    tx: &mut Transaction<'_>,
    session: &SessionKey,
    name: &str,
    filter: &mut Filter,
    room: &mut usize,
    steps: &mut Step,
) -> (PropertyFilterUpdate, bool) {
    let mut update = PropertyFilterUpdate::default();
    let state = &mut filter.reported;
    while let Some(value) = state.stale.first().cloned() {
        let object = if state.selected.contains(&value) {
            tx.get(&value).cloned()
        } else {
            None
        };
        let before = state.known.get(&value).cloned();
        let (change, now) = match (&object, &before) {
            (None, None) => (None, None),
            (None, Some(before)) => {
                let left = ObjectUpdate {
                    kind: ObjectUpdateKind::Leave,
                    obj: before.object.clone(),
                    ..Default::default()
                };
                (Some(left), None)
            }
            (Some(object), before) => {
                let content = content(tx, Some(session), &filter.spec, object);
                let change = match before {
                    None => Some(entered(object, &content)),
                    Some(before) => modified(object, before, &content, filter.partial),
                };
                let reported = Reported {
                    object: object.reference().clone(),
                    values: content.values,
                    missing: content.missing.into_iter().map(|(path, _)| path).collect(),
                };
                (change, Some(Arc::new(reported)))
            }
        };
        if let Some(change) = change {
            if *room == 0 {
                return (update, true);
            }
            *room -= 1;
            update.object_set.push(change);
            match now {
                Some(now) => state.known.insert(value.clone(), now),
                None => state.known.remove(&value),
            };
            steps.push((name.into(), value.clone(), before));
        }
        state.stale.remove(&value);
    }
    (update, false)
}

fn entered(object: &Object, content: &Content) -> ObjectUpdate {
    ObjectUpdate {
        kind: ObjectUpdateKind::Enter,
        obj: object.reference().clone(),
        change_set: content
            .values
            .iter()
            .map(|(path, value)| {
                change(path.clone(), PropertyChangeOp::Assign, Some(value.clone()))
            })
            .collect(),
        missing_set: content.missing.iter().map(missing_property).collect(),
    }
}

/// Returns the changes of an object that was reported before, if there are any.
fn modified(
    object: &Object,
    before: &Reported,
    content: &Content,
    partial: bool,
) -> Option<ObjectUpdate> {
    let mut update = ObjectUpdate {
        kind: ObjectUpdateKind::Modify,
        obj: object.reference().clone(),
        ..Default::default()
    };
    for (path, value) in &content.values {
        let old = before.values.iter().find(|(name, _)| name == path);
        match old {
            Some((_, old)) if old == value => {}
            Some((_, old)) if partial => {
                update.change_set.extend(partial_changes(path, old, value));
            }
            _ => update.change_set.push(change(
                path.clone(),
                PropertyChangeOp::Assign,
                Some(value.clone()),
            )),
        }
    }
    for (path, _) in &before.values {
        if !content.values.iter().any(|(name, _)| name == path) {
            let op = if path.ends_with(']') {
                PropertyChangeOp::Remove
            } else {
                PropertyChangeOp::Assign
            };
            update.change_set.push(change(path.clone(), op, None));
        }
    }
    for missing in &content.missing {
        if !before.missing.contains(&missing.0) {
            update.missing_set.push(missing_property(missing));
        }
    }
    (!update.change_set.is_empty() || !update.missing_set.is_empty()).then_some(update)
}

/// Returns only the differences inside a value.
fn partial_changes(path: &str, old: &Any, new: &Any) -> Vec<PropertyChange> {
    difference(path, old.node(), new.node())
        .into_iter()
        .map(|difference| {
            let op = match (&difference.before, &difference.after) {
                (None, _) if difference.path.ends_with(']') => PropertyChangeOp::Add,
                (_, None) if difference.path.ends_with(']') => PropertyChangeOp::Remove,
                _ => PropertyChangeOp::Assign,
            };
            // Read the value again by its path: without its declared type, that of an enum would
            // not be sent.
            let inside = difference.path.strip_prefix(path);
            let inside = inside.map(|inside| inside.trim_start_matches('.'));
            let typed = inside.and_then(|inside| new.at(inside));
            let value = difference.after.map(|value| typed.unwrap_or(value));
            change(difference.path, op, value)
        })
        .collect()
}

fn change(name: String, op: PropertyChangeOp, val: Option<Any>) -> PropertyChange {
    PropertyChange { name, op, val }
}

fn missing_property((path, fault): &(String, Fault)) -> MissingProperty {
    MissingProperty {
        path: path.clone(),
        fault: LocalizedMethodFault::from(fault),
    }
}

fn missing(
    tx: &mut Transaction<'_>,
    session: &SessionKey,
    filter: &Filter,
) -> Result<Vec<MissingObject>, Fault> {
    let limit = tx.shared().settings.selection;
    let missing = select(tx, Some(session), &filter.spec, limit)?.missing;
    let missing = missing.into_iter();
    Ok(missing
        .map(|obj| MissingObject {
            fault: LocalizedMethodFault::from(&fault::not_found(&obj)),
            obj,
        })
        .collect())
}
