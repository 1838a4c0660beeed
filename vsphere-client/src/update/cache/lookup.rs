//! Lookups of cached objects by a key.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use vim25::{AnyRef, Ref};

use super::state::{State, typed};
use crate::property::Properties;

/// Finds objects of a cache by a key; created by [`Cache::lookup_by`](crate::Cache::lookup_by).
///
/// It is always as current as the cache, and reading it never sends a request. Several objects
/// may have the same key.
pub struct CacheLookup<K, P: Properties> {
    state: Arc<State<P>>,
    keys: Arc<Keys<K, P>>,
}

type Key<K, P> = Box<dyn Fn(&P) -> K + Send + Sync>;

struct Keys<K, P> {
    key: Key<K, P>,
    objects: RwLock<HashMap<K, HashSet<AnyRef>>>,
}

/// A lookup, whatever its key. Called by the cache after it has changed.
pub(super) trait Indexed<P>: Send + Sync {
    fn replace(&self, object: &AnyRef, before: Option<&P>, after: Option<&P>);
}

impl<K, P> CacheLookup<K, P>
where
    K: Eq + Hash + Send + Sync + 'static,
    P: Properties + Send + Sync + 'static,
{
    pub(super) fn new(state: Arc<State<P>>, key: Key<K, P>) -> Self {
        let keys = Arc::new(Keys {
            key,
            objects: RwLock::default(),
        });
        let indexed: Weak<Keys<K, P>> = Arc::downgrade(&keys);
        state.register(indexed);
        Self { state, keys }
    }
}

impl<K: Eq + Hash, P: Properties> CacheLookup<K, P> {
    /// Returns the objects that have this key now.
    #[must_use]
    pub fn get<Q>(&self, key: &Q) -> Vec<(Ref<P::Object>, Arc<P>)>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let objects: Vec<AnyRef> = {
            let known = self.keys.objects.read();
            let known = known.unwrap_or_else(PoisonError::into_inner);
            known.get(key).into_iter().flatten().cloned().collect()
        };
        let found = objects.into_iter().filter_map(|object| {
            let value = self.state.get(&object)?;
            // The object may have changed in the meantime.
            ((self.keys.key)(&value).borrow() == key).then(|| (typed(&object), value))
        });
        found.collect()
    }

    /// Returns the object that has this key now; `None` if there are several.
    #[must_use]
    pub fn get_only<Q>(&self, key: &Q) -> Option<(Ref<P::Object>, Arc<P>)>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let mut found = self.get(key);
        let first = found.pop()?;
        found.is_empty().then_some(first)
    }
}

impl<K, P> Indexed<P> for Keys<K, P>
where
    K: Eq + Hash + Send + Sync,
{
    fn replace(&self, object: &AnyRef, before: Option<&P>, after: Option<&P>) {
        let (before, after) = (before.map(&self.key), after.map(&self.key));
        if before == after {
            return;
        }
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = before
            && let Some(known) = objects.get_mut(&before)
        {
            known.remove(object);
            if known.is_empty() {
                objects.remove(&before);
            }
        }
        if let Some(after) = after {
            objects.entry(after).or_default().insert(object.clone());
        }
    }
}

impl<K, P: Properties> fmt::Debug for CacheLookup<K, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheLookup").finish_non_exhaustive()
    }
}
