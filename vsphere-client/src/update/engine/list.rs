//! Objects that were requested by reference. All objects with the same type and paths are
//! watched through one list view.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::time::Instant;
use vim25::{AnyRef, Ref, mo};

use crate::update::slot::Content;

/// The objects of one type for which the same properties are watched.
#[derive(Debug)]
pub(super) struct List {
    pub(super) type_name: Arc<str>,
    pub(super) paths: Arc<[String]>,
    /// The view and the filter on the server, once they exist.
    pub(super) open: Option<(Ref<mo::ListView>, Ref<mo::PropertyFilter>)>,
    pub(super) members: HashMap<AnyRef, Member>,
    /// Members that have to be added to the view.
    pub(super) absent: HashSet<AnyRef>,
    /// Objects in the view that no subscriber watches. They are removed with the next
    /// addition.
    pub(super) idle: HashSet<AnyRef>,
    /// Whether idle objects must be removed now.
    pub(super) purge: bool,
    pub(super) fence: Fence,
}

/// An object that is added to the view or removed from it only to make the server respond. The
/// response reports this change, so everything in the response is at least as new as the
/// change.
#[derive(Debug)]
pub(super) struct Fence {
    pub(super) object: AnyRef,
    pub(super) is_inside: bool,
    /// The time when it was last added or removed; `None` once a response has reported that.
    pub(super) moved: Option<u64>,
}

/// One object of a list.
#[derive(Debug, Default)]
pub(super) struct Member {
    pub(super) content: Option<Content>,
    pub(super) in_view: bool,
    /// Whether the server has reported the object since it was added.
    pub(super) entered: bool,
    /// The time when the object was added to the view.
    pub(super) added: u64,
    pub(super) subscribers: Vec<Joined>,
}

/// A subscriber of one object.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) id: u64,
    /// The subscriber only receives a state that is newer than this.
    pub(super) since: u64,
    /// The time from which the server could have reported the object.
    pub(super) asked: Instant,
    /// Whether the subscriber has received the object's state.
    pub(super) told: bool,
}

impl List {
    pub(super) fn new(type_name: Arc<str>, paths: Arc<[String]>, fence: AnyRef) -> Self {
        Self {
            type_name,
            paths,
            open: None,
            members: HashMap::new(),
            absent: HashSet::new(),
            idle: HashSet::new(),
            purge: false,
            fence: Fence {
                object: fence,
                is_inside: false,
                moved: None,
            },
        }
    }

    pub(super) fn join(&mut self, object: &AnyRef, joined: Joined) {
        let member = self.members.entry(object.clone()).or_default();
        member.subscribers.push(joined);
        if member.in_view {
            self.idle.remove(object);
        } else {
            self.absent.insert(object.clone());
        }
    }

    pub(super) fn part(&mut self, object: &AnyRef, id: u64) {
        let Some(member) = self.members.get_mut(object) else {
            return;
        };
        member.subscribers.retain(|joined| joined.id != id);
        if !member.subscribers.is_empty() {
            return;
        }
        if member.in_view {
            self.idle.insert(object.clone());
        } else {
            self.members.remove(object);
            self.absent.remove(object);
        }
    }

    /// Returns whether no object of the list has a subscriber.
    pub(super) fn is_unused(&self) -> bool {
        self.members
            .values()
            .all(|member| member.subscribers.is_empty())
    }

    /// Returns the objects to add to the view and to remove from it, and records `now` as the
    /// time of the change.
    pub(super) fn take_changes(&mut self, now: u64, most: usize) -> (Vec<AnyRef>, Vec<AnyRef>) {
        // Do not add an object that still has to be removed: it is added with the next change.
        let ready = self
            .absent
            .iter()
            .filter(|object| !self.idle.contains(*object));
        let adds: Vec<_> = ready.take(most).cloned().collect();
        for object in &adds {
            self.absent.remove(object);
            if let Some(member) = self.members.get_mut(object) {
                member.in_view = true;
                member.entered = false;
                member.added = now;
                let untold = member.subscribers.iter_mut().filter(|joined| !joined.told);
                untold.for_each(|joined| joined.asked = Instant::now());
            }
        }
        let removals: Vec<_> = self.idle.drain().collect();
        for object in &removals {
            // If the object is watched again, it is a new member that is not in the view yet.
            if let Some(member) = self.members.get(object)
                && member.subscribers.is_empty()
            {
                self.members.remove(object);
            }
        }
        (adds, removals)
    }

    /// Forgets the state on the server; all objects have to be added and reported again.
    pub(super) fn reset(&mut self, now: u64) {
        self.open = None;
        self.idle.clear();
        self.fence.is_inside = false;
        self.fence.moved = None;
        self.members
            .retain(|_, member| !member.subscribers.is_empty());
        for (object, member) in &mut self.members {
            member.in_view = false;
            member.entered = false;
            member.content = None;
            for joined in &mut member.subscribers {
                joined.told = false;
                joined.since = now;
                joined.asked = Instant::now();
            }
            self.absent.insert(object.clone());
        }
    }
}
