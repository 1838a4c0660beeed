//! Maps each object to the property filters that have to be notified of its changes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::Notify;

use crate::index::List;

/// The number of changed members that a filter is notified of one by one, while its client does not
/// ask. Beyond it, the whole lists count as changed.
const MEMBERS_MAX: usize = 4096;

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
    dirty: Dirty,
    news: Arc<Notify>,
}

/// What changed of the objects of a filter.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    /// Objects that changed themselves.
    pub(crate) objects: HashSet<Box<str>>,
    /// Members that were added to, or removed from, derived lists of objects.
    pub(crate) members: HashSet<(List, Box<str>)>,
}

impl Interest {
    /// Adds a filter without objects. `news` is notified of changes to its objects.
    pub(crate) fn open(&mut self, news: Arc<Notify>) -> u64 {
        self.next += 1;
        let watch = Watch {
            objects: HashSet::new(),
            dirty: Dirty::default(),
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

    /// Adds an object to those of a filter.
    pub(crate) fn add(&mut self, filter: u64, object: &str) {
        if let Some(watch) = self.filters.get_mut(&filter)
            && watch.objects.insert(object.into())
        {
            self.by_object
                .entry(object.into())
                .or_default()
                .push(filter);
        }
    }

    /// Removes an object from those of a filter.
    pub(crate) fn remove(&mut self, filter: u64, object: &str) {
        if let Some(watch) = self.filters.get_mut(&filter)
            && watch.objects.remove(object)
        {
            self.forget(filter, object);
        }
    }

    /// Records a change of an object and notifies its filters.
    pub(crate) fn changed(&mut self, object: &str) {
        for filter in self.by_object.get(object).into_iter().flatten() {
            if let Some(watch) = self.filters.get_mut(filter) {
                watch.dirty.objects.insert(object.into());
                watch.news.notify_waiters();
            }
        }
    }

    /// Records that a member was added to, or removed from, a derived list, and notifies the
    /// filters of the list's object.
    pub(crate) fn member_changed(&mut self, list: &List, member: &str) {
        for filter in self.by_object.get(&list.0).into_iter().flatten() {
            let Some(watch) = self.filters.get_mut(filter) else {
                continue;
            };
            let dirty = &mut watch.dirty;
            if !dirty.objects.contains(&list.0) {
                dirty.members.insert((list.clone(), member.into()));
            }
            if dirty.members.len() > MEMBERS_MAX {
                let holders = dirty.members.drain().map(|((holder, _), _)| holder);
                dirty.objects.extend(holders);
            }
            watch.news.notify_waiters();
        }
    }

    /// Returns what changed for a filter since the last call.
    pub(crate) fn take_dirty(&mut self, filter: u64) -> Dirty {
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
        assert_eq!(interest.take_dirty(one).objects, ["a".into()].into());
        assert!(interest.take_dirty(one).objects.is_empty());
        assert!(interest.take_dirty(two).objects.is_empty());
        interest.set(one, ["c".into()].into());
        interest.changed("b");
        assert!(interest.take_dirty(one).objects.is_empty());
        interest.close(two);
        interest.close(one);
        assert!(interest.by_object.is_empty() && interest.filters.is_empty());
    }
    #[test]
    fn objects_are_added_and_removed_one_by_one() {
        let mut interest = Interest::default();
        let filter = interest.open(Arc::new(Notify::new()));
        interest.set(filter, ["a".into()].into());
        interest.add(filter, "b");
        interest.add(filter, "b");
        interest.remove(filter, "a");
        interest.changed("a");
        interest.changed("b");
        assert_eq!(interest.take_dirty(filter).objects, ["b".into()].into());
        interest.remove(filter, "b");
        assert!(interest.by_object.is_empty());
    }

    #[test]
    fn too_many_changed_members_count_as_a_changed_list() {
        let mut interest = Interest::default();
        let filter = interest.open(Arc::new(Notify::new()));
        interest.set(filter, ["pool".into()].into());
        let list: List = ("pool".into(), "vm");
        for number in 0..MEMBERS_MAX {
            interest.member_changed(&list, &format!("vm-{number}"));
        }
        let dirty = interest.take_dirty(filter);
        assert_eq!((dirty.objects.len(), dirty.members.len()), (0, MEMBERS_MAX));
        for number in 0..=MEMBERS_MAX + 1 {
            interest.member_changed(&list, &format!("vm-{number}"));
        }
        let dirty = interest.take_dirty(filter);
        assert_eq!(dirty.objects, ["pool".into()].into());
        assert!(dirty.members.is_empty());
    }
}
