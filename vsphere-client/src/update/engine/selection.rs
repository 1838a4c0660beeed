//! Selections: objects that a traversal or a container view finds. Each selection is watched
//! through its own filter.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::time::Instant;
use vim25::types::{ObjectContent, PropertyFilterSpec, PropertySpec};
use vim25::{AnyRef, Ref, mo};

use super::known::Known;
use super::steps::{What, free, retrieve};
use super::{Engine, Garbage, Pending, Set, Target};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::property::ObjectProperties;
use crate::update::content::changed;
use crate::update::receiver::Receiver;
use crate::update::slot::Content;

/// One subscriber's watch of the objects that a traversal finds.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) target: Target,
    pub(super) view: Option<Ref<mo::ContainerView>>,
    pub(super) filter: Option<Ref<mo::PropertyFilter>>,
    /// The time when the filter was requested.
    pub(super) asked: u64,
    pub(super) opened: Option<Instant>,
    pub(super) known: Known,
    /// Whether the subscriber keeps the properties of the objects.
    pub(super) is_kept: bool,
    /// After a resync, the known objects that have not been reported again yet.
    pub(super) unconfirmed: HashSet<AnyRef>,
    /// The specification of the filter.
    spec: PropertyFilterSpec,
    /// Whether the server has reported any object of the filter.
    pub(super) is_reported: bool,
    /// Whether the objects have to be read, because no response reported any, and whether the
    /// request was already sent.
    reading: Reading,
    /// Whether all initial objects have been reported.
    pub(super) is_complete: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    No,
    Due,
    Sent,
}

/// The objects that were created on the server for a selection.
pub(super) struct Opened {
    pub(super) view: Option<Ref<mo::ContainerView>>,
    pub(super) filter: Ref<mo::PropertyFilter>,
    spec: PropertyFilterSpec,
}

impl Selection {
    pub(super) fn new(target: Target, is_kept: bool) -> Self {
        Self {
            target,
            is_kept,
            view: None,
            filter: None,
            asked: 0,
            opened: None,
            known: Known::default(),
            unconfirmed: HashSet::new(),
            spec: PropertyFilterSpec::default(),
            is_reported: false,
            reading: Reading::No,
            is_complete: false,
        }
    }

    /// Stores all properties of an object that was read, and reports them.
    pub(super) fn read(&mut self, content: &Content, receiver: &dyn Receiver) {
        let object = content.object();
        if let Some(before) = self.known.get(object, &self.target.paths) {
            let paths = changed(&before, content, &self.target.paths);
            if !paths.is_empty() {
                receiver.change(content, paths);
            }
        } else if self.known.contains(object) {
            receiver.change(content, self.target.paths.to_vec());
        } else {
            receiver.enter(content);
        }
        self.keep(content);
    }

    /// Stores the state of an object.
    pub(super) fn keep(&mut self, content: &Content) {
        if self.is_kept {
            self.known.add(content.object().clone());
        } else {
            self.known.keep(content, &self.target.paths);
        }
    }

    /// Forgets the state on the server; all objects will be reported again.
    pub(super) fn reset(&mut self) {
        self.view = None;
        self.filter = None;
        self.opened = None;
        self.is_reported = false;
        self.reading = Reading::No;
        self.is_complete = false;
        self.unconfirmed.extend(self.known.objects().cloned());
    }
}

impl Engine {
    /// Creates the filter of a new selection.
    pub(super) fn open_selection(
        &mut self,
        collector: &Ref<mo::PropertyCollector>,
    ) -> Option<Pending<What>> {
        let now = self.clock + 1;
        let (id, selection) = self
            .selections
            .iter_mut()
            .find(|(_, selection)| selection.filter.is_none() && selection.opened.is_none())?;
        selection.asked = now;
        selection.opened = Some(Instant::now());
        self.clock = now;
        let (id, client, collector) = (*id, self.client.clone(), collector.clone());
        let target = selection.target.clone();
        self.opening = true;
        Some(Box::pin(async move {
            let result = open_selection(&client, &collector, &target).await;
            What::SelectionOpened { id, result }
        }))
    }

    pub(super) fn selection_opened(&mut self, id: u64, opened: Opened) {
        self.opened(Set::Selection(id), opened.filter.value());
        match self.selections.get_mut(&id) {
            Some(selection) => {
                selection.view = opened.view;
                selection.filter = Some(opened.filter);
                selection.spec = opened.spec;
            }
            // The subscriber was dropped in the meantime: free the objects.
            None => {
                self.filters.remove(opened.filter.value());
                self.garbage.push(Garbage::Filter(opened.filter));
                let view = opened.view.map(|view| Garbage::View(view.upcast()));
                self.garbage.extend(view);
            }
        }
    }

    /// Completes the selections whose initial objects are covered by a response that includes
    /// everything before `proven`.
    ///
    /// A response that does not mention a new filter proves nothing, because some servers
    /// evaluate it only when something changes. Such a selection is read before it counts as
    /// empty.
    pub(super) fn prove_selections(&mut self, proven: u64) {
        let mut complete = Vec::new();
        for (id, selection) in &mut self.selections {
            if selection.is_complete || selection.filter.is_none() || selection.asked >= proven {
                continue;
            }
            if selection.is_reported {
                complete.push(*id);
            } else if selection.reading == Reading::No {
                selection.reading = Reading::Due;
            }
        }
        for id in complete {
            self.complete_selection(id);
        }
    }

    fn complete_selection(&mut self, id: u64) {
        let Some(selection) = self.selections.get_mut(&id) else {
            return;
        };
        selection.is_complete = true;
        let left = std::mem::take(&mut selection.unconfirmed);
        for object in &left {
            selection.known.remove(object);
        }
        if let Some(subscriber) = self.subscribers.get(&id) {
            for object in &left {
                subscriber.receiver.leave(object);
            }
            subscriber.receiver.complete();
        }
    }

    /// Reads a selection that no response has reported.
    pub(super) fn read_selection(&mut self) -> Option<Pending<What>> {
        let mut due = self.selections.iter_mut();
        let (id, selection) = due.find(|(_, selection)| selection.reading == Reading::Due)?;
        selection.reading = Reading::Sent;
        let (id, spec, client) = (*id, selection.spec.clone(), self.client.clone());
        Some(Box::pin(async move {
            let result = retrieve(&client, spec).await;
            What::SelectionRead { id, result }
        }))
    }

    /// Handles a failed read of a selection: retries it, or ends the subscription.
    pub(super) fn selection_unread(&mut self, id: u64, error: Error) {
        if let Some(selection) = self.selections.get_mut(&id) {
            selection.reading = Reading::Due;
        }
        self.selection_failed(id, error);
    }

    pub(super) fn have_read_selection(&mut self, id: u64, found: Vec<ObjectContent>) {
        let (Some(selection), Some(subscriber)) =
            (self.selections.get_mut(&id), self.subscribers.get(&id))
        else {
            return;
        };
        selection.reading = Reading::No;
        if selection.is_complete || selection.is_reported {
            // The server has evaluated the filter in the meantime; its report is newer than
            // what was read.
            return;
        }
        selection.is_reported = true;
        for read in found {
            let read = ObjectProperties::<mo::ManagedObject>::new(read);
            let content = Arc::new(read.detached());
            let object = content.object();
            selection.unconfirmed.remove(object);
            selection.read(&content, subscriber.receiver.as_ref());
        }
        self.complete_selection(id);
    }
}

async fn open_selection(
    client: &Client,
    collector: &Ref<mo::PropertyCollector>,
    target: &Target,
) -> Result<Opened> {
    let mut view = None;
    let objects = target
        .source
        .open(client, &target.type_name, &mut view)
        .await?;
    let spec = PropertyFilterSpec {
        prop_set: vec![PropertySpec {
            type_: target.type_name.to_string(),
            all: Some(false),
            path_set: target.paths.to_vec(),
        }],
        object_set: objects,
        ..PropertyFilterSpec::default()
    };
    // Report the whole property if a part of it changes.
    match client.call(collector.create_filter(&spec, false)).await {
        Ok(filter) => Ok(Opened { view, filter, spec }),
        Err(error) => {
            if let Some(view) = view {
                let _ = free(client, Garbage::View(view.upcast())).await;
            }
            Err(error)
        }
    }
}
