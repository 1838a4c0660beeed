//! Collectors and their filters.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::Notify;
use vim25::types::PropertyFilterSpec;
use vim25::{Fault, Ref, mo};

use crate::fault;
use crate::invocation::{Answer, Invocation, nothing, value};
use crate::object::{Object, SessionKey};
use crate::property::select::select;
use crate::property::selection;
use crate::property::spec::Spec;
use crate::property::update::{ReportedState, Step};
use crate::shared::Effect;
use crate::world::Transaction;

/// A collector of one session: its filters, and the state that the client has received.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    pub(super) filters: BTreeMap<Box<str>, Filter>,
    /// The changes that the last versions reported, oldest first.
    pub(super) history: VecDeque<(u64, Step)>,
    /// Notified when an object of one of the filters changes.
    pub(super) news: Arc<Notify>,
    pub(super) version: u64,
    /// The number of `CancelWaitForUpdates` calls so far.
    pub(super) cancelled: u64,
    pub(crate) waiting: usize,
}

/// A property filter of a collector.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(super) spec: Arc<Spec>,
    pub(super) partial: bool,
    /// The number of the filter in [`interest`](crate::interest).
    pub(super) watch: u64,
    pub(super) reported: ReportedState,
}

impl Collector {
    /// Iterates over the numbers of the filters in [`interest`](crate::interest).
    pub(crate) fn watches(&self) -> impl Iterator<Item = u64> {
        self.filters.values().map(|filter| filter.watch)
    }

    /// Returns the number of entries that its filters select, see [`selection`].
    pub(super) fn entries(&self) -> usize {
        self.filters.values().map(Filter::entries).sum()
    }

    /// Returns whether a client is waiting for updates.
    pub(crate) const fn is_waiting(&self) -> bool {
        self.waiting > 0
    }
}

/// Returns a collector of a session.
pub(super) fn collector<'t>(
    tx: &'t mut Transaction<'_>,
    session: &SessionKey,
    value: &str,
) -> Result<&'t mut Collector, Fault> {
    // The default collector exists in every session, each with its own state.
    let common = tx.layout().collector;
    let session = tx
        .sessions()
        .get(session)
        .ok_or_else(|| fault::not_authenticated(None))?;
    if value == common {
        return Ok(session.collectors.entry(value.into()).or_default());
    }
    session
        .collectors
        .get_mut(value)
        .ok_or_else(|| fault::not_found(&vim25::AnyRef::from_wire("PropertyCollector", value)))
}

pub(super) fn create(inv: &mut Invocation<'_, '_>) -> Answer {
    let key = inv.caller.session()?.clone();
    let reference: Ref<mo::PropertyCollector> = Ref::new(&name(inv, &key));
    let limit = inv.tx.shared().settings.filters;
    let session = inv.tx.sessions().get(&key);
    let session = session.ok_or_else(|| fault::not_authenticated(None))?;
    if session.collectors.len() >= limit {
        return Err(too_many("property collectors", limit));
    }
    session
        .collectors
        .insert(reference.value().into(), Collector::default());
    let mut object = Object::new::<mo::PropertyCollector>(reference.value());
    object.owner = Some(key);
    inv.tx.insert(object);
    value(&reference)
}

pub(super) fn destroy(inv: &mut Invocation<'_, '_>) -> Answer {
    if inv.this.value() == inv.tx.layout().collector {
        return Err(fault::not_supported());
    }
    let key = inv.caller.session()?.clone();
    let this = inv.this.clone();
    if let Some(session) = inv.tx.sessions().get(&key)
        && let Some(collector) = session.collectors.remove(this.value())
    {
        for (name, filter) in collector.filters {
            inv.tx.interest().close(filter.watch);
            inv.tx.remove(&Ref::<mo::PropertyFilter>::new(&name));
        }
        inv.tx.after(Effect::Wake(collector.news));
    }
    inv.tx.remove(&this);
    nothing()
}

pub(super) fn create_filter(inv: &mut Invocation<'_, '_>) -> Answer {
    let spec: PropertyFilterSpec = inv.arg("spec")?;
    let partial: bool = inv.arg("partialUpdates")?;
    let key = inv.caller.session()?.clone();
    let spec = Spec::new(spec)?;
    let room = selection::room(inv.tx, &key);
    let selected = select(inv.tx, Some(&key), &spec, room)?;
    if let Some(object) = selected.missing.first().filter(|_| !spec.report_missing) {
        return Err(fault::not_found(object));
    }
    let reference: Ref<mo::PropertyFilter> = Ref::new(&name(inv, &key));
    let mut object = Object::new::<mo::PropertyFilter>(reference.value());
    object.owner = Some(key.clone());
    object.put("spec", &spec.original);
    object.put("partialUpdates", &partial);
    let limit = inv.tx.shared().settings.filters;
    let this = inv.this.value().to_owned();
    let session = inv.tx.sessions().get(&key);
    let filters: usize = session
        .map(|session| session.collectors.values().map(|c| c.filters.len()).sum())
        .unwrap_or_default();
    if filters >= limit {
        return Err(too_many("property filters", limit));
    }
    let news = Arc::clone(&collector(inv.tx, &key, &this)?.news);
    let watch = inv.tx.interest().open(Arc::clone(&news), spec.names());
    let filter = Filter {
        spec: Arc::new(spec),
        partial,
        watch,
        reported: ReportedState::default(),
    };
    collector(inv.tx, &key, &this)?
        .filters
        .insert(reference.value().into(), filter);
    // Wake the waiters, so that they report the objects of the new filter.
    inv.tx.after(Effect::Wake(news));
    inv.tx.insert(object);
    value(&reference)
}

pub(super) fn destroy_filter(inv: &mut Invocation<'_, '_>) -> Answer {
    let key = inv.caller.session()?.clone();
    let this = inv.this.clone();
    if let Some(session) = inv.tx.sessions().get(&key) {
        let collectors = session.collectors.values_mut();
        let removed: Vec<Filter> = collectors
            .filter_map(|collector| collector.filters.remove(this.value()))
            .collect();
        for filter in removed {
            inv.tx.interest().close(filter.watch);
        }
    }
    inv.tx.remove(&this);
    nothing()
}

pub(super) fn cancel_wait(inv: &mut Invocation<'_, '_>) -> Answer {
    let key = inv.caller.session()?.clone();
    let this = inv.this.value().to_owned();
    let collector = collector(inv.tx, &key, &this)?;
    collector.cancelled += 1;
    let news = Arc::clone(&collector.news);
    inv.tx.after(Effect::Wake(news));
    nothing()
}

/// Returns the id of an object that belongs to a session, in the form real servers use.
fn name(inv: &mut Invocation<'_, '_>, key: &SessionKey) -> String {
    format!("session[{key}]{}", inv.tx.ids().uuid())
}

fn too_many(what: &str, limit: usize) -> Fault {
    fault::runtime(format!(
        "The session has reached its limit of {limit} {what}."
    ))
}
