//! Maps each object to the property filters that have to be notified of its changes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::Notify;

/// A map from objects to the filters that observe them. A change notifies only these filters.
#[derive(Debug, Default)]
pub(crate) struct Interest {
    filters: HashMap<u64, Watch>,
    by_object: HashMap<Box<str>, Vec<u64>>,
    next: u64,
}

/// The objects of one filter, and which of them have changed.
#[derive(Debug)]
struct Watch {
    objects: HashSet<Box<str>>,
    dirty: HashSet<Box<str>>,
    news: Arc<Notify>,
}

impl Interest {
    /// Adds a filter without objects. `news` is notified of changes to its objects.
    pub(crate) fn open(&mut self, news: Arc<Notify>) -> u64 {
        self.next += 1;
        let watch = Watch {
            objects: HashSet::new(),
            dirty: HashSet::new(),
            news,
        };
        self.filters.insert(self.next, watch);
        self.next
    }

    pub(crate) fn close(&mut self, filter: u64) {
        if let Some(watch) = self.filters.remove(&filter) {
            for object in &watch.objects {
                self.forget(filter, object);
            }
        }
    }

    fn forget(&mut self, filter: u64, object: &str) {
        if let Some(filters) = self.by_object.get_mut(object) {
            filters.retain(|other| *other != filter);
            if filters.is_empty() {
                self.by_object.remove(object);
            }
        }
    }

    /// Replaces the objects of a filter.
    pub(crate) fn set(&mut self, filter: u64, objects: HashSet<Box<str>>) {
        let Some(watch) = self.filters.get_mut(&filter) else {
            return;
        };
        let old = std::mem::take(&mut watch.objects);
        for object in objects.difference(&old) {
            self.by_object
                .entry(object.clone())
                .or_default()
                .push(filter);
        }
        for object in old.difference(&objects) {
            self.forget(filter, object);
        }
        if let Some(watch) = self.filters.get_mut(&filter) {
            watch.objects = objects;
        }
    }

    /// Records a change of an object and notifies its filters.
    pub(crate) fn changed(&mut self, object: &str) {
        for filter in self.by_object.get(object).into_iter().flatten() {
            if let Some(watch) = self.filters.get_mut(filter) {
                watch.dirty.insert(object.into());
                watch.news.notify_waiters();
            }
        }
    }

    /// Returns the objects of a filter that changed since the last call.
    pub(crate) fn take_dirty(&mut self, filter: u64) -> HashSet<Box<str>> {
        let watch = self.filters.get_mut(&filter);
        watch
            .map(|watch| std::mem::take(&mut watch.dirty))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_heard_by_those_who_are_interested() {
        let mut interest = Interest::default();
        let one = interest.open(Arc::new(Notify::new()));
        let two = interest.open(Arc::new(Notify::new()));
        interest.set(one, ["a".into(), "b".into()].into());
        interest.set(two, ["b".into()].into());
        interest.changed("a");
        interest.changed("c");
        assert_eq!(interest.take_dirty(one), ["a".into()].into());
        assert!(interest.take_dirty(one).is_empty());
        assert!(interest.take_dirty(two).is_empty());
        interest.set(one, ["c".into()].into());
        interest.changed("b");
        assert!(interest.take_dirty(one).is_empty());
        interest.close(two);
        interest.close(one);
        assert!(interest.by_object.is_empty() && interest.filters.is_empty());
    }
}
