//! Mailboxes of subscribers. Changes that a subscriber has not seen yet are merged, so a
//! mailbox is bounded however slow the subscriber is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use vim25::{AnyRef, mo};

use super::receiver::Receiver;
use crate::error::{Error, Result};
use crate::property::ObjectProperties;

/// The properties of an object as the server last reported them.
pub(crate) type Content = Arc<ObjectProperties<mo::ManagedObject>>;

/// The maximum number of changed paths that are kept for one object; more are replaced by the
/// watched paths that contain them.
const MAX_PATHS: usize = 128;

/// One report for a subscriber.
#[derive(Debug)]
pub(crate) enum News {
    /// The object entered the set, with these properties.
    Entered(Content),
    /// These paths of the object changed.
    Changed(Content, Vec<String>),
    /// The object left the set.
    Left(AnyRef),
    /// Every object of the set has been reported.
    Complete,
    /// The session was lost: everything is reported again.
    Resync,
}

/// The mailbox of one subscriber.
///
/// It holds the last state of each object, and the paths that changed since the subscriber
/// last read it. It is not a queue of updates: a slow subscriber misses only intermediate
/// states.
#[derive(Debug)]
pub(crate) struct Slot {
    /// The paths that the subscriber requested.
    watched: Arc<[String]>,
    /// Whether the subscriber keeps the objects, and reads only the properties that changed.
    only_changed: bool,
    unseen: Mutex<Unseen>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct Unseen {
    resync: bool,
    objects: HashMap<AnyRef, (u64, Pending)>,
    /// The keys of `objects`, in the order of their first unseen change.
    order: BTreeMap<u64, AnyRef>,
    next: u64,
    /// The objects that the subscriber knows to be in the set.
    known: HashSet<AnyRef>,
    complete: bool,
    end: Option<Error>,
}

#[derive(Debug)]
enum Pending {
    Entered(Content),
    Changed(Content, Vec<String>),
    Left,
}

impl Slot {
    pub(crate) fn new(watched: Arc<[String]>, only_changed: bool) -> Self {
        Self {
            watched,
            only_changed,
            unseen: Mutex::default(),
            ready: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Unseen> {
        self.unseen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the next report. Cancel-safe: dropping the future loses no report.
    pub(crate) async fn next(&self) -> Result<News> {
        loop {
            let ready = self.ready.notified();
            if let Some(news) = self.lock().pop() {
                return news;
            }
            ready.await;
        }
    }
}

impl Receiver for Slot {
    fn keeps_objects(&self) -> bool {
        self.only_changed
    }

    fn shares_responses(&self) -> bool {
        self.only_changed
    }

    fn enter(&self, content: &Content) {
        self.lock()
            .put(content.object(), Pending::Entered(Arc::clone(content)));
        self.ready.notify_one();
    }

    fn change(&self, content: &Content, paths: Vec<String>) {
        let object = content.object();
        let mut unseen = self.lock();
        let before = unseen.take(object);
        let content = match &before {
            Some(Pending::Entered(before) | Pending::Changed(before, _)) if self.only_changed => {
                let mut merged = ObjectProperties::clone(before);
                merged.merge(content, &paths);
                Arc::new(merged)
            }
            _ => Arc::clone(content),
        };
        let pending = match before {
            None => Pending::Changed(content, paths),
            Some(Pending::Changed(_, before)) => {
                Pending::Changed(content, merge(before, paths, &self.watched))
            }
            Some(Pending::Entered(_) | Pending::Left) => Pending::Entered(content),
        };
        unseen.put(object, pending);
        drop(unseen);
        self.ready.notify_one();
    }

    fn leave(&self, object: &AnyRef) {
        let mut unseen = self.lock();
        if unseen.known.contains(object) {
            unseen.put(object, Pending::Left);
        } else {
            // The object entered and left before the subscriber saw it.
            unseen.take(object);
        }
        drop(unseen);
        self.ready.notify_one();
    }

    fn complete(&self) {
        self.lock().complete = true;
        self.ready.notify_one();
    }

    fn resync(&self) {
        let mut unseen = self.lock();
        unseen.resync = true;
        unseen.complete = false;
        drop(unseen);
        self.ready.notify_one();
    }

    /// Unseen reports are still delivered first.
    fn end(&self, error: Error) {
        self.lock().end.get_or_insert(error);
        self.ready.notify_one();
    }
}

impl Unseen {
    fn put(&mut self, object: &AnyRef, pending: Pending) {
        if let Some((_, before)) = self.objects.get_mut(object) {
            *before = pending;
            return;
        }
        self.next += 1;
        self.order.insert(self.next, object.clone());
        self.objects.insert(object.clone(), (self.next, pending));
    }

    fn take(&mut self, object: &AnyRef) -> Option<Pending> {
        let (number, pending) = self.objects.remove(object)?;
        self.order.remove(&number);
        Some(pending)
    }

    fn pop(&mut self) -> Option<Result<News>> {
        if std::mem::take(&mut self.resync) {
            return Some(Ok(News::Resync));
        }
        if let Some((_, object)) = self.order.pop_first()
            && let Some((_, pending)) = self.objects.remove(&object)
        {
            return Some(Ok(match pending {
                Pending::Entered(content) => {
                    self.known.insert(object);
                    News::Entered(content)
                }
                Pending::Changed(content, paths) => News::Changed(content, paths),
                Pending::Left => {
                    self.known.remove(&object);
                    News::Left(object)
                }
            }));
        }
        if std::mem::take(&mut self.complete) {
            return Some(Ok(News::Complete));
        }
        self.end.take().map(Err)
    }
}

/// Merges two sets of paths without duplicates; if there are too many, returns the watched
/// paths that contain them.
fn merge(mut paths: Vec<String>, more: Vec<String>, watched: &[String]) -> Vec<String> {
    for path in more {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    if paths.len() <= MAX_PATHS {
        return paths;
    }
    let changed = |root: &&String| paths.iter().any(|path| path.starts_with(root.as_str()));
    watched.iter().filter(changed).cloned().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use vim25::Ref;

    use super::*;

    fn content(name: &str) -> Content {
        let vm: Ref<mo::VirtualMachine> = Ref::new(name);
        Arc::new(ObjectProperties::empty(vm.upcast()))
    }

    fn slot() -> Slot {
        Slot::new(
            Arc::from(["config.extraConfig".to_owned(), "name".into()]),
            false,
        )
    }

    fn drain(slot: &Slot) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some(news) = slot.lock().pop() {
            seen.push(match news.unwrap() {
                News::Entered(content) => format!("entered {}", content.object().value()),
                News::Changed(content, paths) => {
                    format!("changed {} {}", content.object().value(), paths.join(" "))
                }
                News::Left(object) => format!("left {}", object.value()),
                News::Complete => "complete".into(),
                News::Resync => "resync".into(),
            });
        }
        seen
    }

    #[test]
    fn a_slow_subscriber_gets_the_last_state_and_every_changed_path_once() {
        let slot = slot();
        slot.enter(&content("a"));
        assert_eq!(drain(&slot), ["entered a"]);
        for path in ["name", "config.extraConfig[\"x\"]", "name"] {
            slot.change(&content("a"), vec![path.into()]);
        }
        slot.enter(&content("b"));
        slot.change(&content("b"), vec!["name".into()]);
        slot.complete();
        assert_eq!(
            drain(&slot),
            [
                "changed a name config.extraConfig[\"x\"]",
                "entered b",
                "complete"
            ]
        );
    }

    #[test]
    fn unseen_changes_of_single_properties_are_merged() {
        let slot = Slot::new(Arc::from(["name".to_owned(), "path".into()]), true);
        let with = |properties: &[(&str, &str)]| {
            let vm: Ref<mo::VirtualMachine> = Ref::new("a");
            let mut content = ObjectProperties::empty(vm.upcast());
            for (path, value) in properties {
                content.assign(path, Some(vim25::Any::new(&(*value).to_owned())));
            }
            Arc::new(content)
        };
        let change = |path: &str, value: &str| {
            slot.change(&with(&[(path, value)]), vec![path.to_owned()]);
        };
        let seen = || match slot.lock().pop().unwrap().unwrap() {
            News::Entered(content) => (content, Vec::new()),
            News::Changed(content, paths) => (content, paths),
            other => panic!("{other:?}"),
        };
        let text = |content: &Content, path: &str| content.at::<String>(path).value();

        slot.enter(&with(&[("name", "one"), ("path", "first")]));
        change("name", "two");
        let (content, paths) = seen();
        assert_eq!(paths, [""; 0]);
        assert_eq!(text(&content, "name").as_deref(), Some("two"));
        assert_eq!(text(&content, "path").as_deref(), Some("first"));

        change("path", "second");
        change("name", "three");
        change("path", "third");
        let (content, paths) = seen();
        assert_eq!(paths, ["path", "name"]);
        assert_eq!(text(&content, "name").as_deref(), Some("three"));
        assert_eq!(text(&content, "path").as_deref(), Some("third"));

        change("path", "fourth");
        let (content, paths) = seen();
        assert_eq!(paths, ["path"]);
        assert_eq!(text(&content, "name"), None);
    }

    #[test]
    fn what_came_and_went_unseen_is_not_reported() {
        let slot = slot();
        slot.enter(&content("a"));
        slot.leave(content("a").object());
        assert_eq!(drain(&slot), [""; 0]);
        slot.enter(&content("a"));
        assert_eq!(drain(&slot), ["entered a"]);
        slot.change(&content("a"), vec!["name".into()]);
        slot.leave(content("a").object());
        assert_eq!(drain(&slot), ["left a"]);
    }

    #[test]
    fn an_object_that_leaves_and_comes_back_enters_again() {
        let slot = slot();
        slot.enter(&content("a"));
        assert_eq!(drain(&slot), ["entered a"]);
        slot.leave(content("a").object());
        slot.change(&content("a"), vec!["name".into()]);
        assert_eq!(drain(&slot), ["entered a"]);
    }

    #[test]
    fn the_paths_of_a_flood_collapse_to_what_was_asked_for() {
        let slot = slot();
        slot.enter(&content("a"));
        drain(&slot);
        for number in 0..10_000 {
            let path = format!("config.extraConfig[\"{number}\"]");
            slot.change(&content("a"), vec![path]);
        }
        let seen = drain(&slot);
        assert!(seen[0].len() < 10_000, "{}", seen[0].len());
        assert!(seen[0].contains("config.extraConfig"));
    }

    #[test]
    fn a_resync_comes_before_what_is_reported_again() {
        let slot = slot();
        slot.enter(&content("a"));
        slot.complete();
        slot.resync();
        slot.enter(&content("a"));
        slot.complete();
        assert_eq!(drain(&slot), ["resync", "entered a", "complete"]);
    }
}
