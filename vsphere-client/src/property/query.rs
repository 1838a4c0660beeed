//! Reading many objects, page by page.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use vim25::types::{
    ManagedObjectNotFound, ObjectSpec, PropertyFilterSpec, PropertySpec, RetrieveOptions,
    RetrieveResult,
};
use vim25::{AnyRef, IsA, ManagedObject, Property, Ref, mo};

use super::ObjectProperties;
use super::source::Source;
use crate::client::Client;
use crate::error::Result;
use crate::update::Changes;

/// How many objects are named in one request.
const BATCH: usize = 1_000;

impl Client {
    /// Begins to say what is to be read of many objects of type `T`.
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
        T: ManagedObject + IsA<mo::ManagedObject>,
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

/// What is to be read of which objects; by [`Client::retrieve`].
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
    T: ManagedObject + IsA<mo::ManagedObject>,
{
    /// Reads this property; repeatable.
    pub fn property<M, V>(self, property: Property<M, V>) -> Self
    where
        T: IsA<M>,
    {
        self.path(property.path())
    }

    /// Reads what stands at this path, such as `config.extraConfig["guestinfo.ip"]`; repeatable.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.paths.push(path.into());
        self
    }

    /// Of these objects.
    pub fn objects(mut self, objects: impl IntoIterator<Item = Ref<T>>) -> Self {
        let objects = objects.into_iter().map(|object| object.upcast());
        self.source = Source::Objects(objects.collect());
        self
    }

    /// Of all objects of the type anywhere below this folder, datacenter,
    /// compute resource, resource pool or host.
    pub fn within<C>(mut self, container: &Ref<C>) -> Self
    where
        C: IsA<mo::ManagedEntity> + IsA<mo::ManagedObject>,
    {
        self.source = Source::Within(container.upcast());
        self
    }

    /// Of the objects that a property of another object names, such as the
    /// virtual machines of a resource pool.
    pub fn along<O, M, X>(mut self, start: &Ref<O>, property: Property<M, Vec<Ref<X>>>) -> Self
    where
        O: IsA<M> + IsA<mo::ManagedObject>,
        T: IsA<X>,
    {
        self.source = Source::Along(start.upcast(), vec![property.path()]);
        self
    }

    /// Of the objects that several properties of another object name.
    pub(crate) fn along_all(mut self, start: AnyRef, paths: Vec<&'static str>) -> Self {
        self.source = Source::Along(start, paths);
        self
    }

    /// At most this many objects in one answer; the server may give fewer.
    /// Default: as the server likes.
    pub fn page_size(mut self, objects: u16) -> Self {
        self.page_size = Some(i32::from(objects.max(1)));
        self
    }

    /// Reads page by page, as the stream is polled. Dropping the stream early
    /// frees what it holds on the server.
    #[must_use]
    pub fn stream(self) -> Items<T> {
        let objects = match &self.source {
            Source::Objects(objects) => objects.clone(),
            _ => Vec::new(),
        };
        let cursor = Cursor {
            client: self.client,
            paths: self.paths,
            page_size: self.page_size,
            source: Some(self.source),
            rest: objects.into(),
            batch: Vec::new(),
            seen: HashSet::new(),
            token: None,
            view: None,
            ready: VecDeque::new(),
            type_name: T::NAME,
        };
        let items = futures_util::stream::try_unfold(cursor, |mut cursor| async move {
            Ok(cursor.next().await?.map(|item| (item, cursor)))
        });
        Items {
            items: items.map_ok(AnyItem::typed).boxed(),
        }
    }

    /// Reads everything, and then every change of it, until the stream is dropped.
    #[must_use]
    pub fn watch(self) -> Changes<T> {
        Changes::new(self.client, T::NAME, self.paths, self.source)
    }

    /// Reads everything. Objects that vanished are left out.
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

/// One object of a retrieval.
#[derive(Clone, Debug)]
pub enum Item<T> {
    /// It is there, with these properties.
    Object(ObjectProperties<T>),
    /// It was asked for, and is not there (any more).
    Vanished(Ref<T>),
}

/// The objects of a retrieval, as they come in.
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
    fn typed<T: ManagedObject + IsA<mo::ManagedObject>>(self) -> Item<T> {
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

/// Where a retrieval stands; dropping it frees what it holds on the server.
#[derive(Debug)]
struct Cursor {
    client: Client,
    type_name: &'static str,
    paths: Vec<String>,
    page_size: Option<i32>,
    /// Until the first request.
    source: Option<Source>,
    /// Objects that no request named yet.
    rest: VecDeque<AnyRef>,
    /// Objects that the current request names.
    batch: Vec<AnyRef>,
    /// Those of them that were answered.
    seen: HashSet<AnyRef>,
    token: Option<String>,
    view: Option<Ref<mo::ContainerView>>,
    ready: VecDeque<AnyItem>,
}

impl Cursor {
    async fn next(&mut self) -> Result<Option<AnyItem>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(item));
            }
            if let Some(token) = self.token.take() {
                // Until it is used up, the token is freed when this is dropped.
                let guard = TokenGuard::new(&self.client, token);
                let call = self
                    .client
                    .property_collector()
                    .continue_retrieve_properties_ex(&guard.token);
                let answer = self.client.call(call).await;
                guard.used();
                self.take_page(answer.map(Some)).await?;
            } else if let Some(source) = self.source.take() {
                if !matches!(source, Source::Objects(_)) {
                    let objects = source
                        .open(&self.client, self.type_name, &mut self.view)
                        .await?;
                    self.request(objects).await?;
                }
            } else if !self.batch.is_empty() {
                let named = std::mem::take(&mut self.batch);
                for object in named {
                    if !self.seen.contains(&object) {
                        self.ready.push_back(AnyItem::Vanished(object));
                    }
                }
                self.seen.clear();
            } else if !self.rest.is_empty() {
                let count = self.rest.len().min(BATCH);
                self.batch = self.rest.drain(..count).collect();
                self.request_batch().await?;
            } else {
                if let Some(view) = self.view.clone() {
                    let _ = self.client.call(view.destroy_view()).await;
                    self.view = None;
                }
                return Ok(None);
            }
        }
    }

    async fn request_batch(&mut self) -> Result<()> {
        let named = self
            .batch
            .iter()
            .filter(|object| !self.seen.contains(object));
        let objects: Vec<_> = named
            .map(|object| ObjectSpec {
                obj: object.clone(),
                ..ObjectSpec::default()
            })
            .collect();
        if objects.is_empty() {
            return Ok(());
        }
        self.request(objects).await
    }

    async fn request(&mut self, objects: Vec<ObjectSpec>) -> Result<()> {
        let spec = PropertyFilterSpec {
            prop_set: vec![PropertySpec {
                type_: self.type_name.to_owned(),
                all: Some(false),
                path_set: self.paths.clone(),
            }],
            object_set: objects,
            ..PropertyFilterSpec::default()
        };
        let options = RetrieveOptions {
            max_objects: self.page_size,
        };
        let call = self
            .client
            .property_collector()
            .retrieve_properties_ex(&[spec], &options);
        let answer = self.client.call(call).await;
        self.take_page(answer).await
    }

    async fn take_page(&mut self, answer: Result<Option<RetrieveResult>>) -> Result<()> {
        let page = match answer {
            Ok(page) => page.unwrap_or_default(),
            Err(error) => {
                // One of many objects was deleted meanwhile: go on without it.
                let gone = error
                    .fault::<ManagedObjectNotFound>()
                    .map(|fault| fault.obj);
                let Some(gone) =
                    gone.filter(|gone| self.batch.contains(gone) && !self.seen.contains(gone))
                else {
                    return Err(error);
                };
                self.seen.insert(gone.clone());
                self.ready.push_back(AnyItem::Vanished(gone));
                return Box::pin(self.request_batch()).await;
            }
        };
        self.token = page.token.filter(|token| !token.is_empty());
        for content in page.objects {
            self.seen.insert(content.obj.clone());
            self.ready
                .push_back(AnyItem::Object(ObjectProperties::new(content)));
        }
        Ok(())
    }
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

/// A token that is being used: freed if its use is given up.
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
