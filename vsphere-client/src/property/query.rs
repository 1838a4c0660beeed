//! Reads properties of many objects, page by page.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use vim25::types::{
    InvalidProperty, ManagedObjectNotFound, ObjectContent, ObjectSpec, PropertyFilterSpec,
    PropertySpec, RetrieveOptions, RetrieveResult,
};
use vim25::{AnyRef, Fault, IsA, ManagedObject, Property, Ref, mo};

use super::ObjectProperties;
use super::source::Source;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::update::Changes;

/// The maximum number of objects in one request.
const BATCH: usize = 1_000;

impl Client {
    /// Starts a query over many objects of type `T`.
    ///
    /// ```no_run
    /// # use vim25::{Ref, mo, props};
    /// # async fn example(client: &vsphere_client::Client, pool: &Ref<mo::ResourcePool>) -> vsphere_client::Result<()> {
    /// let machines = client
    ///     .retrieve::<mo::VirtualMachine>()
    ///     .property(props::virtual_machine::NAME)
    ///     .along(pool, props::resource_pool::VM)
    ///     .collect()
    ///     .await?;
    /// for machine in &machines {
    ///     println!("{:?}", machine.value(props::virtual_machine::NAME));
    /// }
    /// # Ok(()) }
    /// ```
    pub fn retrieve<T>(&self) -> Query<T>
    where
        T: ManagedObject,
    {
        Query {
            client: self.clone(),
            paths: Vec::new(),
            source: Source::Objects(Vec::new()),
            page_size: None,
            result: std::marker::PhantomData,
        }
    }
}

/// A query for properties of many objects; created by [`Client::retrieve`].
///
/// The compiler warns about one that reads nothing:
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// fn names(client: &vsphere_client::Client) {
///     client.retrieve::<vim25::mo::VirtualMachine>();
/// }
/// ```
#[must_use = "nothing is read before `stream` or `collect`"]
#[derive(Debug)]
pub struct Query<T> {
    client: Client,
    paths: Vec<String>,
    source: Source,
    page_size: Option<i32>,
    result: std::marker::PhantomData<fn() -> T>,
}

impl<T> Query<T>
where
    T: ManagedObject,
{
    /// Adds a property to read; repeatable.
    pub fn property<M, V>(self, property: Property<M, V>) -> Self
    where
        T: IsA<M>,
    {
        self.path(property.path())
    }

    /// Adds a path to read, such as `config.extraConfig["guestinfo.ip"]`; repeatable.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.paths.push(path.into());
        self
    }

    /// Selects these objects.
    pub fn objects(mut self, objects: impl IntoIterator<Item = Ref<T>>) -> Self {
        let objects = objects.into_iter().map(|object| object.upcast());
        self.source = Source::Objects(objects.collect());
        self
    }

    /// Selects all objects of the type anywhere below this folder, datacenter,
    /// compute resource, resource pool or host.
    pub fn within<C>(mut self, container: &Ref<C>) -> Self
    where
        C: ManagedObject + IsA<mo::ManagedEntity>,
    {
        self.source = Source::Within(container.upcast());
        self
    }

    /// Selects the objects that a property of another object refers to, such as the
    /// virtual machines of a resource pool.
    pub fn along<O, M, X>(mut self, start: &Ref<O>, property: Property<M, Vec<Ref<X>>>) -> Self
    where
        O: ManagedObject + IsA<M>,
        T: IsA<X>,
    {
        self.source = Source::Along(vec![(start.upcast(), vec![property.path()])]);
        self
    }

    /// Selects the objects that a property of another object refers to in addition to those of
    /// [`along`](Self::along). An object that several properties refer to is one object of the
    /// set, and leaves the set when none of them refers to it any more.
    pub fn and_along<O, M, X>(mut self, start: &Ref<O>, property: Property<M, Vec<Ref<X>>>) -> Self
    where
        O: ManagedObject + IsA<M>,
        T: IsA<X>,
    {
        let start = (start.upcast(), vec![property.path()]);
        match &mut self.source {
            Source::Along(starts) => starts.push(start),
            Source::Objects(_) | Source::Within(_) => self.source = Source::Along(vec![start]),
        }
        self
    }

    /// Selects the objects that several properties of another object refer to.
    pub(crate) fn along_all(mut self, start: AnyRef, paths: Vec<&'static str>) -> Self {
        self.source = Source::Along(vec![(start, paths)]);
        self
    }

    pub(crate) fn into_source(self) -> (Client, Source) {
        (self.client, self.source)
    }

    /// Sets the maximum number of objects per page; the server may return fewer.
    /// Default: the server decides.
    pub fn page_size(mut self, objects: u16) -> Self {
        self.page_size = Some(i32::from(objects.max(1)));
        self
    }

    /// Reads the objects as a stream, which requests page by page as it is polled. Dropping
    /// the stream early frees the resources it holds on the server.
    #[must_use]
    pub fn stream(self) -> Items<T> {
        let cursor = Cursor::new(
            self.client,
            T::NAME,
            self.paths,
            self.source,
            self.page_size,
        );
        let items = futures_util::stream::try_unfold(cursor, |mut cursor| async move {
            Ok(cursor.next().await?.map(|item| (item, cursor)))
        });
        Items {
            items: items.map_ok(AnyItem::typed).boxed(),
        }
    }

    /// Reads all objects, and then reports every change of them, until the stream is dropped.
    #[must_use]
    pub fn watch(self) -> Changes<T> {
        Changes::new(self.client, T::NAME, self.paths, self.source)
    }

    /// Reads all objects, and then reports the properties that change, for callers that keep what
    /// they need of many objects.
    ///
    /// Unlike with [`watch`](Self::watch), the client keeps no copy of the objects: after
    /// [`Change::Entered`](crate::Change::Entered) with all properties, each
    /// [`Change::Changed`](crate::Change::Changed) contains only the watched properties at
    /// `paths`, which are watched paths. A property at one of these paths that has no value was
    /// removed. The values of an object that entered share the memory of the whole response that
    /// contained them, so convert them and do not keep them.
    ///
    /// Objects that were selected by reference are reported as by `watch`.
    #[must_use]
    pub fn watch_changed(self) -> Changes<T> {
        Changes::only_changed(self.client, T::NAME, self.paths, self.source)
    }

    /// Reads all objects. Objects that were deleted in the meantime are skipped.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn collect(self) -> Result<Vec<ObjectProperties<T>>> {
        self.stream()
            .try_filter_map(|item| async move {
                Ok(match item {
                    Item::Object(object) => Some(object),
                    Item::Vanished(_) => None,
                })
            })
            .try_collect()
            .await
    }
}

/// An object in the result of a query.
#[derive(Clone, Debug)]
pub enum Item<T> {
    /// The object exists and has these properties.
    Object(ObjectProperties<T>),
    /// The object was requested, but does not exist (any more).
    Vanished(Ref<T>),
}

/// The objects of a query, as a stream.
pub struct Items<T> {
    items: BoxStream<'static, Result<Item<T>>>,
}

impl<T> Stream for Items<T> {
    type Item = Result<Item<T>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.items.poll_next_unpin(cx)
    }
}

impl<T> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum AnyItem {
    Object(ObjectProperties<mo::ManagedObject>),
    Vanished(AnyRef),
}

impl AnyItem {
    fn typed<T: ManagedObject>(self) -> Item<T> {
        match self {
            Self::Object(object) => Item::Object(object.typed()),
            Self::Vanished(object) => Item::Vanished(
                object
                    .downcast()
                    .unwrap_or_else(|| Ref::new(object.value())),
            ),
        }
    }
}

/// The maximum number of restarts of a query after its session was lost between two pages.
const RESTARTS: u32 = 3;

/// The maximum number of restarts of a query that came across an object that was being deleted.
const RACES: u32 = 10;

/// The state of a query; dropping it frees the resources it holds on the server.
#[derive(Debug)]
struct Cursor {
    client: Client,
    type_name: &'static str,
    paths: Vec<String>,
    page_size: Option<i32>,
    source: Source,
    /// Whether the source was opened. A list of objects is never opened.
    is_open: bool,
    /// Groups of objects that were not requested yet, in reverse order.
    groups: Vec<Vec<AnyRef>>,
    /// The objects of the current request.
    group: Vec<AnyRef>,
    /// The objects already returned: those of the current group or, for a traversal, all of
    /// them.
    seen: HashSet<AnyRef>,
    token: Option<String>,
    view: Option<Ref<mo::ContainerView>>,
    restarts: u32,
    races: u32,
    ready: VecDeque<AnyItem>,
}

impl Cursor {
    fn new(
        client: Client,
        type_name: &'static str,
        paths: Vec<String>,
        source: Source,
        page_size: Option<i32>,
    ) -> Self {
        let groups = match &source {
            Source::Objects(objects) => objects.chunks(BATCH).rev().map(<[_]>::to_vec).collect(),
            _ => Vec::new(),
        };
        Self {
            client,
            type_name,
            paths,
            page_size,
            is_open: matches!(source, Source::Objects(_)),
            source,
            groups,
            group: Vec::new(),
            seen: HashSet::new(),
            token: None,
            view: None,
            restarts: 0,
            races: 0,
            ready: VecDeque::new(),
        }
    }

    async fn next(&mut self) -> Result<Option<AnyItem>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(item));
            }
            if let Some(token) = self.token.take() {
                self.next_page(token).await?;
            } else if !self.is_open {
                let objects = self
                    .source
                    .open(&self.client, self.type_name, &mut self.view)
                    .await?;
                self.is_open = true;
                let answer = self.request(objects).await;
                match answer {
                    Ok(page) => self.take_page(page),
                    Err(error) if self.restart(&error) => {}
                    Err(error) => return Err(error),
                }
            } else if !self.group.is_empty() {
                for object in std::mem::take(&mut self.group) {
                    if !self.seen.contains(&object) {
                        self.ready.push_back(AnyItem::Vanished(object));
                    }
                }
                self.seen.clear();
            } else if let Some(group) = self.groups.pop() {
                self.request_group(group).await?;
            } else {
                if let Some(view) = self.view.clone() {
                    let _ = self.client.call(view.destroy_view()).await;
                    self.view = None;
                }
                return Ok(None);
            }
        }
    }

    async fn next_page(&mut self, token: String) -> Result<()> {
        match self.client.next_page(token).await {
            Ok(page) => self.take_page(page),
            Err(error) if self.restart(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Restarts the query after the session was lost, and with it the token and the view, or
    /// after an object was deleted while the server followed the traversal. Objects that were
    /// already returned are skipped. Returns `false` if the error has another reason.
    fn restart(&mut self, error: &Error) -> bool {
        let token = error.is_lost_token();
        let gone = error
            .fault::<ManagedObjectNotFound>()
            .map(|fault| fault.obj);
        let view = gone
            .as_ref()
            .zip(self.view.as_ref())
            .is_some_and(|(gone, view)| gone.value() == view.value());
        // vcsim fails the whole request if one of the selected objects is deleted concurrently.
        let race = !view && gone.is_some_and(|gone| self.source.finds(&gone));
        // The response, and with it the page, may have been lost.
        let lost = matches!(error, Error::OutcomeUnknown { .. });
        let (count, most) = if race {
            (&mut self.races, RACES)
        } else {
            (&mut self.restarts, RESTARTS)
        };
        if !(token || view || race || lost) || *count >= most {
            return false;
        }
        *count += 1;
        tracing::debug!(%error, "starting a query again");
        if matches!(self.source, Source::Objects(_)) {
            let mut rest = std::mem::take(&mut self.group);
            rest.retain(|object| !self.seen.contains(object));
            self.seen.clear();
            if !rest.is_empty() {
                self.groups.push(rest);
            }
        } else {
            self.is_open = false;
            let view = self.view.take();
            if let Some(view) = view.filter(|_| lost || race) {
                self.client.call_later(&view.destroy_view());
            }
        }
        true
    }

    async fn request_group(&mut self, group: Vec<AnyRef>) -> Result<()> {
        let objects = group.iter().map(|object| ObjectSpec {
            obj: object.clone(),
            ..ObjectSpec::default()
        });
        let objects = objects.collect();
        self.group = group;
        match self.request(objects).await {
            Ok(page) => self.take_page(page),
            Err(error) => {
                // Servers that do not skip missing objects fail because of a single one. There
                // may be many, so find them by bisection.
                let gone = error
                    .fault::<ManagedObjectNotFound>()
                    .map(|fault| fault.obj);
                if !gone.is_some_and(|gone| self.group.contains(&gone)) {
                    return Err(error);
                }
                let mut group = std::mem::take(&mut self.group);
                if group.len() == 1 {
                    self.ready.extend(group.pop().map(AnyItem::Vanished));
                } else {
                    let second = group.split_off(group.len() / 2);
                    self.groups.extend([second, group]);
                }
            }
        }
        Ok(())
    }

    async fn request(&self, objects: Vec<ObjectSpec>) -> Result<RetrieveResult> {
        let spec = PropertyFilterSpec {
            prop_set: vec![PropertySpec {
                type_: self.type_name.to_owned(),
                all: Some(false),
                path_set: self.paths.clone(),
            }],
            object_set: objects,
            // Ask the server to report missing objects instead of failing. A traversal has only
            // its start: if that is missing, such as a view that was lost with its session, the
            // result is not empty but unknown.
            report_missing_objects_in_results: Some(matches!(self.source, Source::Objects(_))),
        };
        let options = RetrieveOptions {
            max_objects: self.page_size,
        };
        let call = self
            .client
            .property_collector()
            .retrieve_properties_ex(&[spec], &options);
        Ok(self.client.call_strict(call).await?.unwrap_or_default())
    }

    fn take_page(&mut self, page: RetrieveResult) {
        self.token = page.token.filter(|token| !token.is_empty());
        for content in page.objects {
            if is_missing(&content) {
                continue;
            }
            if self.seen.insert(content.obj.clone()) {
                self.ready
                    .push_back(AnyItem::Object(ObjectProperties::new(content)));
            }
        }
    }
}

/// Returns whether the content only says that the object does not exist, as some servers
/// report it.
pub(crate) fn is_missing(content: &ObjectContent) -> bool {
    let mut missing = content.missing_set.iter();
    content.prop_set.is_empty()
        && missing.any(|missing| Fault::from(missing.fault.clone()).is::<ManagedObjectNotFound>())
}

impl Drop for Cursor {
    fn drop(&mut self) {
        if let Some(token) = self.token.take() {
            let collector = self.client.property_collector();
            self.client
                .call_later(&collector.cancel_retrieve_properties_ex(&token));
        }
        if let Some(view) = self.view.take() {
            self.client.call_later(&view.destroy_view());
        }
    }
}

impl Client {
    /// Requests the next page of a retrieval. Dropping the future frees the page's token on
    /// the server.
    pub(crate) async fn next_page(&self, token: String) -> Result<RetrieveResult> {
        let guard = TokenGuard::new(self, token);
        let call = self
            .property_collector()
            .continue_retrieve_properties_ex(&guard.token);
        let answer = self.call_strict(call).await;
        guard.used();
        answer
    }
}

impl Error {
    /// Returns whether the token of a page was lost with its session.
    pub(crate) fn is_lost_token(&self) -> bool {
        self.fault::<InvalidProperty>()
            .is_some_and(|fault| fault.name == "token")
    }
}

/// A page token in use, which is freed on the server if the request is cancelled.
struct TokenGuard<'c> {
    client: &'c Client,
    token: String,
    armed: bool,
}

impl<'c> TokenGuard<'c> {
    const fn new(client: &'c Client, token: String) -> Self {
        Self {
            client,
            token,
            armed: true,
        }
    }

    fn used(mut self) {
        self.armed = false;
    }
}

impl Drop for TokenGuard<'_> {
    fn drop(&mut self) {
        if self.armed {
            let collector = self.client.property_collector();
            self.client
                .call_later(&collector.cancel_retrieve_properties_ex(&self.token));
        }
    }
}
