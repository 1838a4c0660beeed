//! The objects of a cache. Only the engine changes them.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, Weak};

use tokio::sync::watch;
use vim25::{AnyRef, ManagedObject, Ref, mo};

use super::CacheState;
use super::lookup::Indexed;
use crate::error::{Error, Result};
use crate::property::{ObjectProperties, Properties};
use crate::update::receiver::Receiver;
use crate::update::slot::Content;

/// The state of a cache, shared by its clones, its lookups and the engine.
pub(super) struct State<P> {
    watched: Arc<[String]>,
    objects: RwLock<HashMap<AnyRef, Entry<P>>>,
    /// Locked during every change of the objects, and before `objects`.
    lookups: Mutex<Vec<Weak<dyn Indexed<P>>>>,
    progress: watch::Sender<Progress>,
    /// Why the cache ended.
    end: Mutex<Option<Arc<Error>>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    pub(super) generation: u64,
    pub(super) state: CacheState,
}

enum Entry<P> {
    Good(Arc<P>),
    Bad(Box<Bad<P>>),
}

/// An object whose properties cannot be converted.
struct Bad<P> {
    /// The struct before the changes that could not be converted.
    last: Option<Arc<P>>,
    /// The properties that changed since `last`; all, if there is none.
    unread: ObjectProperties<mo::ManagedObject>,
    /// Their paths.
    paths: Vec<String>,
    error: Arc<Error>,
}

impl<P> Entry<P> {
    fn good(&self) -> Option<&Arc<P>> {
        match self {
            Self::Good(value) => Some(value),
            Self::Bad(_) => None,
        }
    }
}

impl<P> State<P> {
    pub(super) fn new(watched: Arc<[String]>) -> Self {
        let progress = Progress {
            generation: 0,
            state: CacheState::Loading,
        };
        Self {
            watched,
            objects: RwLock::default(),
            lookups: Mutex::default(),
            progress: watch::Sender::new(progress),
            end: Mutex::default(),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<AnyRef, Entry<P>>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, object: &AnyRef) -> Option<Arc<P>> {
        self.read().get(object).and_then(Entry::good).cloned()
    }

    pub(super) fn len(&self) -> usize {
        let objects = self.read();
        objects.values().filter_map(Entry::good).count()
    }

    pub(super) fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// Ends the cache, if it has not ended yet.
    pub(super) fn stop(&self, error: Error) {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        end.get_or_insert_with(|| Arc::new(error));
        drop(end);
        self.step(Some(CacheState::Ended));
    }

    /// Notifies everybody who waits.
    fn step(&self, state: Option<CacheState>) {
        self.progress.send_modify(|progress| {
            progress.generation += 1;
            if progress.state != CacheState::Ended {
                progress.state = state.unwrap_or(progress.state);
            }
        });
    }

    fn ended(&self) -> Error {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        match &*end {
            Some(error) => Error::shared(error),
            None => Error::config("the cache has ended"),
        }
    }
}

impl<P: Send + Sync> State<P> {
    pub(super) async fn ready(&self) -> Result<()> {
        let mut progress = self.progress.subscribe();
        let settled =
            |progress: &Progress| matches!(progress.state, CacheState::Current | CacheState::Ended);
        let state = progress.wait_for(settled).await.map(|now| now.state);
        match state {
            Ok(CacheState::Current) => Ok(()),
            _ => Err(self.ended()),
        }
    }

    pub(super) async fn changed(&self, seen: u64) -> Result<u64> {
        let mut progress = self.progress.subscribe();
        let newer =
            |progress: &Progress| progress.generation > seen || progress.state == CacheState::Ended;
        let generation = progress.wait_for(newer).await.map(|now| now.generation);
        match generation {
            Ok(generation) if generation > seen => Ok(generation),
            _ => Err(self.ended()),
        }
    }
}

impl<P> State<P> {
    /// Adds a lookup, with all present objects.
    pub(super) fn register(&self, lookup: Weak<impl Indexed<P> + 'static>) {
        let mut lookups = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lookup) = lookup.upgrade() {
            let present: Vec<_> = {
                let objects = self.read();
                let good = |(object, entry): (&AnyRef, &Entry<P>)| {
                    Some((object.clone(), Arc::clone(entry.good()?)))
                };
                objects.iter().filter_map(good).collect()
            };
            for (object, value) in present {
                lookup.replace(&object, None, Some(&value));
            }
        }
        lookups.push(lookup);
    }

    /// Replaces or removes an object, and updates the lookups.
    fn replace(&self, object: &AnyRef, entry: Option<Entry<P>>) {
        let mut lookups = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
        let after = entry.as_ref().and_then(Entry::good).cloned();
        let before = {
            let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
            match entry {
                Some(entry) => objects.insert(object.clone(), entry),
                None => objects.remove(object),
            }
        };
        let before = before.as_ref().and_then(Entry::good);
        lookups.retain(|lookup| match lookup.upgrade() {
            Some(lookup) => {
                lookup.replace(object, before.map(AsRef::as_ref), after.as_deref());
                true
            }
            None => false,
        });
    }

    /// Runs code of the user. If it panics, this cache ends, but not the engine, which serves
    /// others too.
    fn guarded(&self, work: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            self.stop(Error::config(
                "a conversion or the key of a lookup of this cache panicked",
            ));
        }
    }
}

impl<P: Properties> State<P> {
    pub(super) fn all(&self) -> Vec<(Ref<P::Object>, Arc<P>)> {
        let objects = self.read();
        let good = |(object, entry): (&AnyRef, &Entry<P>)| {
            Some((typed(object), Arc::clone(entry.good()?)))
        };
        objects.iter().filter_map(good).collect()
    }

    pub(super) fn quarantined(&self) -> Vec<(Ref<P::Object>, Arc<Error>)> {
        let objects = self.read();
        let bad = |(object, entry): (&AnyRef, &Entry<P>)| match entry {
            Entry::Good(_) => None,
            Entry::Bad(bad) => Some((typed(object), Arc::clone(&bad.error))),
        };
        objects.iter().filter_map(bad).collect()
    }
}

impl<P: Properties + Clone> State<P> {
    /// Converts changes since `last`; all properties, if there is none.
    fn convert(
        last: Option<Arc<P>>,
        unread: ObjectProperties<mo::ManagedObject>,
        paths: Vec<String>,
    ) -> Entry<P> {
        let properties = unread.typed();
        let converted = match &last {
            Some(last) => {
                let mut value = P::clone(last);
                value.update(&properties, &paths).map(|()| value)
            }
            None => P::from_properties(&properties),
        };
        match converted {
            Ok(value) => Entry::Good(Arc::new(value)),
            Err(error) => {
                tracing::debug!(object = %properties.object(), %error, "an object is quarantined");
                Entry::Bad(Box::new(Bad {
                    last,
                    unread: properties.untyped(),
                    paths,
                    error: Arc::new(error),
                }))
            }
        }
    }

    /// Returns the entry after a change.
    fn changed_entry(&self, content: &Content, paths: &[String]) -> Entry<P> {
        let mut changed = self.watched.to_vec();
        changed.retain(|root| paths.iter().any(|path| is_within(path, root)));
        let objects = self.read();
        match objects.get(content.object()) {
            Some(Entry::Good(value)) => {
                let last = Arc::clone(value);
                drop(objects);
                Self::convert(Some(last), ObjectProperties::clone(content), changed)
            }
            Some(Entry::Bad(bad)) => {
                let (last, mut unread, mut paths) =
                    (bad.last.clone(), bad.unread.clone(), bad.paths.clone());
                drop(objects);
                unread.merge(content, &changed);
                changed.retain(|path| !paths.contains(path));
                paths.append(&mut changed);
                Self::convert(last, unread, paths)
            }
            None => {
                drop(objects);
                Self::convert(
                    None,
                    ObjectProperties::clone(content),
                    self.watched.to_vec(),
                )
            }
        }
    }
}

impl<P> Receiver for State<P>
where
    P: Properties + Clone + Send + Sync,
{
    fn keeps_objects(&self) -> bool {
        true
    }

    fn holds(&self, object: &AnyRef) -> bool {
        self.read().contains_key(object)
    }

    fn enter(&self, content: &Content) {
        self.guarded(|| {
            let all = self.watched.to_vec();
            let entry = Self::convert(None, ObjectProperties::clone(content), all);
            self.replace(content.object(), Some(entry));
        });
        self.step(None);
    }

    fn change(&self, content: &Content, paths: Vec<String>) {
        self.guarded(|| {
            let entry = self.changed_entry(content, &paths);
            self.replace(content.object(), Some(entry));
        });
        self.step(None);
    }

    fn leave(&self, object: &AnyRef) {
        self.guarded(|| self.replace(object, None));
        self.step(None);
    }

    fn complete(&self) {
        self.step(Some(CacheState::Current));
    }

    fn resync(&self) {
        self.step(Some(CacheState::Resyncing));
    }

    fn end(&self, error: Error) {
        self.stop(error);
    }
}

impl<P> fmt::Debug for State<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("progress", &self.progress())
            .finish_non_exhaustive()
    }
}

/// Returns a reference of the selected type. An object of a type that our schema does not know
/// counts as one.
pub(super) fn typed<T: ManagedObject>(object: &AnyRef) -> Ref<T> {
    object
        .downcast()
        .unwrap_or_else(|| Ref::new(object.value()))
}

/// Returns whether a path is a watched path, or leads to a part of its value.
fn is_within(path: &str, watched: &str) -> bool {
    path.strip_prefix(watched)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
