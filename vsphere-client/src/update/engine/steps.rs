//! The engine's calls to the server other than polls, one step at a time.

use std::time::Duration;

use tokio::time::Instant;
use vim25::types::{
    ManagedObjectNotFound, ObjectContent, ObjectSpec, PropertyFilterSpec, PropertySpec,
    RetrieveOptions, TraversalSpec,
};
use vim25::{AnyRef, Poly, Ref, mo};

use super::{Engine, Garbage, PATIENCE, Pending, Set, selection};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::property::{ObjectProperties, is_missing};
use crate::update::content::changed;

/// Maximum number of objects per request.
const BATCH: usize = 1_000;

/// The number of additions from which on more are likely to follow, so that they are collected
/// for a moment.
const CROWD: usize = 8;
const HOLD: Duration = Duration::from_millis(50);

/// The number of lists up to which unused lists are kept.
const LISTS: usize = 16;

/// Maximum number of unwatched objects that stay in a view.
const IDLE: usize = 256;

/// The result of a step, and the era in which it started.
pub(super) struct Done {
    era: u64,
    what: What,
}

pub(super) enum What {
    Collector(Result<Ref<mo::PropertyCollector>>),
    ListOpened {
        list: u32,
        result: Result<Opened>,
    },
    ListChanged {
        list: u32,
        result: Result<Vec<AnyRef>>,
    },
    SelectionOpened {
        id: u64,
        result: Result<selection::Opened>,
    },
    /// The objects of a selection were read, because no response had reported any.
    SelectionRead {
        id: u64,
        result: Result<Vec<ObjectContent>>,
    },
    Read {
        set: Set,
        objects: Vec<AnyRef>,
        asked: u64,
        result: Result<Vec<ObjectContent>>,
    },
    Freed(Result<()>),
    Cancelled(Result<()>),
}

pub(super) struct Opened {
    view: Ref<mo::ListView>,
    filter: Ref<mo::PropertyFilter>,
    unresolved: Vec<AnyRef>,
}

impl Engine {
    /// Returns the next step, if there is something to do on the server.
    pub(super) fn next_step(&mut self) -> Option<Pending<Done>> {
        if self.trouble.is_pausing() {
            return None;
        }
        let era = self.era;
        let client = self.client.clone();
        if let Some(garbage) = self.garbage.pop() {
            return Some(Box::pin(async move {
                let what = What::Freed(free(&client, garbage).await);
                Done { era, what }
            }));
        }
        if self.subscribers.is_empty() {
            return None;
        }
        let Some(collector) = self.collector.clone() else {
            return Some(Box::pin(async move {
                let call = client.property_collector().create_property_collector();
                let what = What::Collector(client.call(call).await);
                Done { era, what }
            }));
        };
        self.steps += 1;
        let step = self
            .open_selection(&collector)
            .or_else(|| self.change_list(&collector))
            .or_else(|| self.read())
            .or_else(|| self.read_selection())
            .or_else(|| self.drop_list());
        if let Some(step) = step {
            return Some(Box::pin(async move {
                let what = step.await;
                Done { era, what }
            }));
        }
        if self.nudge_at().is_some_and(|at| at <= Instant::now()) {
            self.cancelled = true;
            return Some(Box::pin(async move {
                let what = What::Cancelled(client.call(collector.cancel_wait_for_updates()).await);
                Done { era, what }
            }));
        }
        self.steps -= 1;
        None
    }

    /// Adds the pending objects to a list, and removes idle ones in the same call.
    fn change_list(&mut self, collector: &Ref<mo::PropertyCollector>) -> Option<Pending<What>> {
        let now = Instant::now();
        if let Some(until) = self.hold_for_crowd() {
            self.hold = Some(until);
        }
        let held = self.hold.is_some_and(|until| until > now);
        let needs_fence = self.needs_fence();
        let (id, list) = self.lists.iter_mut().find(|(id, list)| {
            (!held && !list.absent.is_empty())
                || needs_fence == Some(**id)
                || (list.open.is_some() && (list.purge || list.idle.len() > IDLE))
        })?;
        let id = *id;
        self.clock += 1;
        list.purge = false;
        let (mut adds, mut removals) = list.take_changes(self.clock, BATCH);
        self.hold = (adds.len() >= CROWD).then(|| now + HOLD);
        self.crowd.added(adds.len());
        if !adds.is_empty() {
            self.expected = self.clock;
        }
        let client = self.client.clone();
        let Some((view, _)) = list.open.clone() else {
            let (target, collector) = (
                (list.type_name.to_string(), list.paths.to_vec()),
                collector.clone(),
            );
            let fence = list.fence.object.clone();
            self.opening = true;
            return Some(Box::pin(async move {
                let result = open_list(&client, &collector, target, adds, &fence).await;
                What::ListOpened { list: id, result }
            }));
        };
        if needs_fence == Some(id) && adds.is_empty() {
            list.fence.moved = Some(self.clock);
            self.expected = self.clock;
            if list.fence.is_inside {
                removals.push(list.fence.object.clone());
            } else {
                adds.push(list.fence.object.clone());
            }
            list.fence.is_inside = !list.fence.is_inside;
        }
        Some(Box::pin(async move {
            let result = client.call(view.modify_list_view(&adds, &removals)).await;
            What::ListChanged { list: id, result }
        }))
    }

    /// Returns a list with a subscriber that no pending response will notify, because the open
    /// poll was sent before it joined and no list has changed since.
    fn needs_fence(&self) -> Option<u32> {
        let polling = self.polling?;
        let waits = |(list, object): &&(u32, AnyRef)| {
            let member = self
                .lists
                .get(list)
                .filter(|list| list.open.is_some())
                .and_then(|list| list.members.get(object));
            member.is_some_and(|member| {
                member.in_view
                    && member.subscribers.iter().any(|joined| {
                        !joined.told && joined.since > polling && joined.since > self.expected
                    })
            })
        };
        self.joining.iter().find(waits).map(|(list, _)| *list)
    }

    /// Reads objects that the server did not report in time.
    fn read(&mut self) -> Option<Pending<What>> {
        let now = Instant::now();
        let lists = &self.lists;
        let paused = self.lull.is_some_and(|until| until > now);
        let joining = self.joining.iter().filter(|_| !paused);
        let overdue = joining.filter(|(list, object)| {
            let member = lists.get(list).and_then(|list| list.members.get(object));
            member.is_some_and(|member| {
                member.in_view
                    && member
                        .subscribers
                        .iter()
                        .any(|joined| !joined.told && joined.asked + PATIENCE <= now)
            })
        });
        let overdue: Vec<_> = overdue
            .map(|(list, object)| (Set::List(*list), object.clone()))
            .collect();
        self.reads.extend(overdue);
        let set = self.reads.iter().next().map(|(set, _)| *set)?;
        let mut objects = Vec::new();
        self.reads.retain(|(of, object)| {
            let taken = *of == set && objects.len() < BATCH;
            if taken {
                objects.push(object.clone());
            }
            !taken
        });
        let (type_name, paths) = match set {
            Set::List(id) => {
                let list = self.lists.get(&id)?;
                (list.type_name.to_string(), list.paths.to_vec())
            }
            Set::Selection(id) => {
                let target = &self.selections.get(&id)?.target;
                (target.type_name.to_string(), target.paths.to_vec())
            }
        };
        let asked = self.tick();
        let client = self.client.clone();
        Some(Box::pin(async move {
            let result = read(&client, type_name, paths, &objects).await;
            What::Read {
                set,
                objects,
                asked,
                result,
            }
        }))
    }

    /// Frees an unused list, when there are many.
    fn drop_list(&mut self) -> Option<Pending<What>> {
        if self.lists.len() <= LISTS {
            return None;
        }
        let unused = self.lists.iter().find(|(_, list)| list.is_unused());
        let id = unused.map(|(id, _)| *id)?;
        let (view, filter) = self.lists.remove(&id)?.open?;
        self.filters.remove(filter.value());
        self.garbage.push(Garbage::View(view.upcast()));
        let client = self.client.clone();
        Some(Box::pin(async move {
            What::Freed(free(&client, Garbage::Filter(filter)).await)
        }))
    }

    /// Processes the result of a step.
    pub(super) fn done(&mut self, done: Done) {
        self.opening = false;
        if done.era != self.era {
            // The engine's objects on the server were lost in the meantime; free what this
            // step created.
            match done.what {
                What::ListOpened {
                    result: Ok(opened), ..
                } => self.garbage.push(Garbage::View(opened.view.upcast())),
                What::SelectionOpened {
                    result: Ok(opened), ..
                } => self
                    .garbage
                    .extend(opened.view.map(|view| Garbage::View(view.upcast()))),
                What::Collector(Ok(collector)) => self.garbage.push(Garbage::Collector(collector)),
                _ => {}
            }
            return;
        }
        match done.what {
            What::Collector(Ok(collector)) => {
                self.trouble.step_worked();
                self.collector = Some(collector);
            }
            What::Collector(Err(error)) => self.stumble(error),
            What::ListOpened { list, result } => match result {
                Ok(opened) => {
                    self.pace.grant();
                    self.opened(Set::List(list), opened.filter.value());
                    if let Some(list) = self.lists.get_mut(&list) {
                        list.open = Some((opened.view, opened.filter));
                    }
                    self.unresolved(list, opened.unresolved);
                }
                Err(error) => self.list_failed(list, error),
            },
            What::ListChanged { list, result } => match result {
                Ok(unresolved) => {
                    self.pace.grant();
                    self.unresolved(list, unresolved);
                }
                Err(error) => self.list_failed(list, error),
            },
            What::SelectionOpened { id, result } => match result {
                Ok(opened) => {
                    self.pace.grant();
                    self.selection_opened(id, opened);
                }
                Err(error) => self.selection_failed(id, error),
            },
            What::SelectionRead { id, result } => match result {
                Ok(found) => self.have_read_selection(id, found),
                Err(error) => self.selection_unread(id, error),
            },
            What::Read {
                set,
                objects,
                asked,
                result,
            } => match result {
                Ok(found) => self.have_read(set, objects, asked, found),
                Err(error) => self.read_failed(set, objects, error),
            },
            // Errors are ignored: the objects end with the session.
            What::Freed(Ok(())) | What::Cancelled(Ok(())) => {}
            What::Freed(Err(error)) | What::Cancelled(Err(error)) => {
                tracing::debug!(%error, "tidying up on the server failed");
            }
        }
    }

    /// Registers a new filter. The server may already have reported updates of it.
    pub(super) fn opened(&mut self, set: Set, filter: &str) {
        self.trouble.step_worked();
        self.filters.insert(filter.to_owned(), set);
        let early = std::mem::take(&mut self.early);
        for update in early {
            self.route(update);
        }
    }

    /// Handles objects that could not be added to a view. They are read, and count as deleted
    /// if that fails.
    fn unresolved(&mut self, list: u32, objects: Vec<AnyRef>) {
        self.trouble.step_worked();
        for object in objects {
            self.reads.insert((Set::List(list), object));
        }
    }

    fn have_read(&mut self, set: Set, objects: Vec<AnyRef>, asked: u64, found: Vec<ObjectContent>) {
        let mut found: std::collections::HashMap<_, _> = found
            .into_iter()
            .map(|content| (content.obj.clone(), content))
            .collect();
        for object in objects {
            let read = found.remove(&object).map(ObjectProperties::new);
            match set {
                Set::List(list) => self.have_read_member(list, &object, asked, read),
                Set::Selection(id) => {
                    let (Some(selection), Some(read)) = (self.selections.get_mut(&id), read) else {
                        continue;
                    };
                    let content = std::sync::Arc::new(read.detached());
                    if let Some(subscriber) = self.subscribers.get(&id) {
                        selection.read(&content, subscriber.receiver.as_ref());
                    }
                }
            }
        }
    }

    fn have_read_member(
        &mut self,
        list_id: u32,
        object: &AnyRef,
        asked: u64,
        read: Option<ObjectProperties<mo::ManagedObject>>,
    ) {
        let Some(read) = read else {
            self.gone(list_id, object);
            return;
        };
        let Some(list) = self.lists.get_mut(&list_id) else {
            return;
        };
        let Some(member) = list.members.get_mut(object) else {
            return;
        };
        if !member.in_view {
            list.absent.insert(object.clone());
        }
        let content = std::sync::Arc::new(read.detached());
        let paths = match &member.content {
            Some(before) => changed(before, &content, &list.paths),
            // Without a previous state, all watched paths count as changed. Subscribers that
            // had one were notified that the object left, or see no difference.
            None => list.paths.to_vec(),
        };
        self.renew(list_id, content, &paths);
        self.release(list_id, object, asked);
    }

    fn read_failed(&mut self, set: Set, objects: Vec<AnyRef>, error: Error) {
        if self.is_passing(&error) || self.is_lost(&error) {
            self.reads
                .extend(objects.into_iter().map(|object| (set, object)));
            self.stumble(error);
            return;
        }
        match set {
            Set::List(list) => {
                let error = std::sync::Arc::new(error);
                for object in objects {
                    self.fail_object(list, &object, &error);
                }
            }
            Set::Selection(id) => self.selection_failed(id, error),
        }
    }

    /// Frees everything on the server, if the session still exists.
    pub(super) async fn free_all(&mut self) {
        if self.client.inner.session.is_closed() {
            return;
        }
        self.era += 1;
        if let Some(collector) = self.collector.take() {
            self.garbage.push(Garbage::Collector(collector));
        }
        for list in self.lists.values_mut() {
            let view = list.open.take().map(|(view, _)| view);
            self.garbage
                .extend(view.map(|view| Garbage::View(view.upcast())));
        }
        for selection in self.selections.values_mut() {
            let view = selection.view.take();
            self.garbage
                .extend(view.map(|view| Garbage::View(view.upcast())));
        }
        for garbage in std::mem::take(&mut self.garbage) {
            if let Err(error) = free(&self.client, garbage).await {
                tracing::debug!(%error, "tidying up on the server failed");
            }
        }
    }
}

pub(super) async fn free(client: &Client, garbage: Garbage) -> Result<()> {
    let freed = match &garbage {
        Garbage::Filter(filter) => client.call(filter.destroy_property_filter()).await,
        Garbage::View(view) => {
            // Every type of view has the method `DestroyView`.
            let view: Ref<mo::View> = view.downcast().unwrap_or_else(|| Ref::new(view.value()));
            client.call(view.destroy_view()).await
        }
        Garbage::Collector(collector) => client.call(collector.destroy_property_collector()).await,
    };
    match freed {
        Err(error) if error.is_fault::<ManagedObjectNotFound>() => Ok(()),
        other => other,
    }
}

/// Creates the view and the filter of a list, with its first objects.
async fn open_list(
    client: &Client,
    collector: &Ref<mo::PropertyCollector>,
    (type_name, paths): (String, Vec<String>),
    mut adds: Vec<AnyRef>,
    fence: &AnyRef,
) -> Result<Opened> {
    let manager = client.service_content().view_manager.as_ref();
    let manager = manager.ok_or_else(|| Error::unsupported("views", client.server()))?;
    let mut unresolved = Vec::new();
    let view = loop {
        match client.call(manager.create_list_view(&adds)).await {
            Ok(view) => break view,
            Err(error) => {
                let gone = error
                    .fault::<ManagedObjectNotFound>()
                    .map(|fault| fault.obj);
                let Some(at) = gone.and_then(|gone| adds.iter().position(|add| *add == gone))
                else {
                    return Err(error);
                };
                unresolved.push(adds.swap_remove(at));
                if unresolved.len() > 3 {
                    // There may be many more: leave the rest to the next addition, which
                    // reports them all together.
                    unresolved.append(&mut adds);
                }
            }
        }
    };
    if adds.is_empty() && !unresolved.is_empty() {
        let added = client.call(view.modify_list_view(&unresolved, &[])).await;
        match added {
            Ok(still) => unresolved = still,
            Err(error) => {
                let _ = free(client, Garbage::View(view.upcast())).await;
                return Err(error);
            }
        }
    }
    let mut prop_set = vec![PropertySpec {
        type_: type_name.clone(),
        all: Some(false),
        path_set: paths,
    }];
    if fence.type_name() != type_name {
        prop_set.push(PropertySpec {
            type_: fence.type_name().to_owned(),
            all: Some(false),
            path_set: vec![if fence.is::<mo::Folder>() {
                vim25::props::folder::NAME.path().to_owned()
            } else {
                vim25::props::service_instance::CAPABILITY.path().to_owned()
            }],
        });
    }
    let step = TraversalSpec {
        type_: "ListView".to_owned(),
        path: "view".to_owned(),
        skip: Some(false),
        ..TraversalSpec::default()
    };
    let spec = PropertyFilterSpec {
        prop_set,
        object_set: vec![ObjectSpec {
            obj: view.upcast(),
            skip: Some(true),
            select_set: vec![Poly::new(step)],
        }],
        ..PropertyFilterSpec::default()
    };
    match client.call(collector.create_filter(&spec, false)).await {
        Ok(filter) => Ok(Opened {
            view,
            filter,
            unresolved,
        }),
        Err(error) => {
            let _ = free(client, Garbage::View(view.upcast())).await;
            Err(error)
        }
    }
}

/// Reads objects; objects that do not exist are left out of the result.
async fn read(
    client: &Client,
    type_name: String,
    paths: Vec<String>,
    objects: &[AnyRef],
) -> Result<Vec<ObjectContent>> {
    let mut found = Vec::new();
    let mut pending = vec![objects.to_vec()];
    while let Some(objects) = pending.pop() {
        match read_once(client, &type_name, &paths, &objects).await {
            Ok(mut page) => found.append(&mut page),
            Err(error) if error.is_fault::<ManagedObjectNotFound>() => {
                // Some servers return a fault instead of leaving out objects that do not
                // exist.
                if objects.len() > 1 {
                    let (first, second) = objects.split_at(objects.len() / 2);
                    pending.extend([first.to_vec(), second.to_vec()]);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

async fn read_once(
    client: &Client,
    type_name: &str,
    paths: &[String],
    objects: &[AnyRef],
) -> Result<Vec<ObjectContent>> {
    let object_set = objects.iter().map(|object| ObjectSpec {
        obj: object.clone(),
        ..ObjectSpec::default()
    });
    let spec = PropertyFilterSpec {
        prop_set: vec![PropertySpec {
            type_: type_name.to_owned(),
            all: Some(false),
            path_set: paths.to_vec(),
        }],
        object_set: object_set.collect(),
        report_missing_objects_in_results: Some(true),
    };
    retrieve(client, spec).await
}

/// Reads everything that a filter selects, page by page; objects that do not exist are
/// left out.
pub(super) async fn retrieve(
    client: &Client,
    spec: PropertyFilterSpec,
) -> Result<Vec<ObjectContent>> {
    let collector = client.property_collector();
    let call = collector.retrieve_properties_ex(&[spec], &RetrieveOptions::default());
    let page = client.call(call).await?.unwrap_or_default();
    let mut found = page.objects;
    let mut token = page.token.filter(|token| !token.is_empty());
    while let Some(more) = token {
        let page = client
            .call(collector.continue_retrieve_properties_ex(&more))
            .await?;
        found.extend(page.objects);
        token = page.token.filter(|token| !token.is_empty());
    }
    found.retain(|content| !is_missing(content));
    Ok(found)
}
