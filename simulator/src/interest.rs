//! Maps each object to the property filters that have to be notified of its changes.
//!
//! A filter names the properties that it depends on, so that a change of others does not wake its
//! client.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::Notify;

use crate::index::List;
use crate::object::Change;

/// The number of changed members that a filter is notified of one by one, while its client does not
/// ask. Beyond it, the whole lists count as changed.
const MEMBERS_MAX: usize = 4096;

/// A map from objects to the filters that observe them. A change notifies only these filters.
#[derive(Debug, Default)]
pub(crate) struct Interest {
    filters: HashMap<u64, Watch>,
    /// The filters of each object, in ascending order.
    by_object: HashMap<Box<str>, Vec<u64>>,
    next: u64,
}

/// The properties that a filter depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    All,
    These(HashSet<Box<str>>),
}

impl Names {
    fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.contains(name),
        }
    }

    fn has_any(&self, change: &Change) -> bool {
        match change {
            Change::Whole => true,
            Change::Properties(names) => names.iter().any(|name| self.has(name)),
        }
    }
}

/// The objects of one filter, and which of them have changed.
#[derive(Debug)]
struct Watch {
    names: Names,
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
    /// Whether further members changed, so that the lists have to be read again.
    pub(crate) overflow: bool,
}

impl Interest {
    /// Adds a filter without objects. `news` is notified of changes to these properties of its
    /// objects.
    pub(crate) fn open(&mut self, news: Arc<Notify>, names: Names) -> u64 {
        self.next += 1;
        let watch = Watch {
            names,
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
            if let Ok(at) = filters.binary_search(&filter) {
                filters.remove(at);
            }
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
            note(&mut self.by_object, object, filter);
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
            note(&mut self.by_object, object, filter);
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

    /// Records a change of an object and notifies the filters that depend on a changed property.
    /// `change` is only called if there is a filter.
    pub(crate) fn changed(&mut self, object: &str, change: impl FnOnce() -> Change) {
        let Some(filters) = self.by_object.get(object) else {
            return;
        };
        let change = change();
        for filter in filters {
            if let Some(watch) = self.filters.get_mut(filter)
                && watch.names.has_any(&change)
            {
                watch.dirty.objects.insert(object.into());
                watch.news.notify_waiters();
            }
        }
    }

    /// Records that a member was added to, or removed from, a derived list, and notifies the
    /// filters of the list's object that depend on the list.
    pub(crate) fn member_changed(&mut self, list: &List, member: &str) {
        for filter in self.by_object.get(&list.0).into_iter().flatten() {
            let Some(watch) = self.filters.get_mut(filter) else {
                continue;
            };
            if !watch.names.has(list.1) {
                continue;
            }
            let dirty = &mut watch.dirty;
            dirty.members.insert((list.clone(), member.into()));
            if dirty.members.len() > MEMBERS_MAX {
                let holders = dirty.members.drain().map(|((holder, _), _)| holder);
                dirty.objects.extend(holders);
                dirty.overflow = true;
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

/// Adds a filter to those of an object.
fn note(by_object: &mut HashMap<Box<str>, Vec<u64>>, object: &str, filter: u64) {
    let filters = by_object.entry(object.into()).or_default();
    if let Err(at) = filters.binary_search(&filter) {
        filters.insert(at, filter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Change {
        Change::Whole
    }

    fn open(interest: &mut Interest) -> u64 {
        interest.open(Arc::new(Notify::new()), Names::All)
    }

    #[test]
    fn a_filter_is_notified_only_of_the_properties_that_it_depends_on() {
        let mut interest = Interest::default();
        let news = Arc::new(Notify::new());
        let names = Names::These(["name".into(), "vm".into()].into());
        let filter = interest.open(Arc::clone(&news), names);
        interest.set(filter, ["a".into()].into());
        let mut woken = std::pin::pin!(news.notified());
        woken.as_mut().enable();
        interest.changed("a", || Change::Properties(vec!["recentTask", "config"]));
        interest.member_changed(&("a".into(), "childEntity"), "b");
        assert!(!woken.as_mut().enable(), "nobody was notified");
        let dirty = interest.take_dirty(filter);
        assert!(dirty.objects.is_empty() && dirty.members.is_empty());
        interest.changed("a", || Change::Properties(vec!["config", "name"]));
        interest.member_changed(&("a".into(), "vm"), "b");
        assert!(woken.as_mut().enable());
        let dirty = interest.take_dirty(filter);
        assert_eq!((dirty.objects.len(), dirty.members.len()), (1, 1));
        interest.changed("a", whole);
        assert_eq!(interest.take_dirty(filter).objects.len(), 1);
        interest.changed("b", || panic!("nobody asks for it"));
    }

    #[test]
    fn a_change_is_heard_by_those_who_are_interested() {
        let mut interest = Interest::default();
        let one = open(&mut interest);
        let two = open(&mut interest);
        interest.set(one, ["a".into(), "b".into()].into());
        interest.set(two, ["b".into()].into());
        interest.changed("a", whole);
        interest.changed("c", whole);
        assert_eq!(interest.take_dirty(one).objects, ["a".into()].into());
        assert!(interest.take_dirty(one).objects.is_empty());
        assert!(interest.take_dirty(two).objects.is_empty());
        interest.set(one, ["c".into()].into());
        interest.changed("b", whole);
        assert!(interest.take_dirty(one).objects.is_empty());
        interest.close(two);
        interest.close(one);
        assert!(interest.by_object.is_empty() && interest.filters.is_empty());
    }
    #[test]
    fn objects_are_added_and_removed_one_by_one() {
        let mut interest = Interest::default();
        let filter = open(&mut interest);
        interest.set(filter, ["a".into()].into());
        interest.add(filter, "b");
        interest.add(filter, "b");
        interest.remove(filter, "a");
        interest.changed("a", whole);
        interest.changed("b", whole);
        assert_eq!(interest.take_dirty(filter).objects, ["b".into()].into());
        interest.remove(filter, "b");
        assert!(interest.by_object.is_empty());
    }

    #[test]
    fn too_many_changed_members_count_as_a_changed_list() {
        let mut interest = Interest::default();
        let filter = open(&mut interest);
        interest.set(filter, ["pool".into()].into());
        let list: List = ("pool".into(), "vm");
        for number in 0..MEMBERS_MAX {
            interest.member_changed(&list, &format!("vm-{number}"));
        }
        let dirty = interest.take_dirty(filter);
        assert_eq!((dirty.members.len(), dirty.overflow), (MEMBERS_MAX, false));
        for number in 0..=MEMBERS_MAX {
            interest.member_changed(&list, &format!("vm-{number}"));
        }
        assert!(interest.take_dirty(filter).overflow);
        assert!(!interest.take_dirty(filter).overflow);
    }
}
