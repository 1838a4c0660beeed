//! A cache of objects as structs, kept current by the update engine.

mod lookup;
mod state;

pub use lookup::CacheLookup;

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use vim25::{AnyRef, IsA, ManagedObject, Ref};

use super::engine::{Command, Target};
use crate::client::Client;
use crate::error::{Error, LoginProblem, Result};
use crate::property::{Properties, Query};
use state::State;

/// How long a call waits until the caches of the client include its effect.
const SETTLE: Duration = Duration::from_secs(10);

/// The state of a [`Cache`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheState {
    /// Not every initial object has been received yet.
    Loading,
    /// The cache has every object of its selection, and follows their changes.
    Current,
    /// The session was lost or the server was restarted. The objects are as they were before,
    /// and are being read again.
    Resyncing,
    /// The cache is no longer updated; [`Cache::ready`] and [`Cache::changed`] return the
    /// reason. The objects are as they were last.
    Ended,
}

/// The objects of a selection as structs, kept current by the client's update engine; created
/// by [`Query::cache`].
///
/// Reading never sends a request. The cache holds one struct per object and no other copy of
/// its properties, so its memory is that of the structs. All caches and watches of a client
/// share one connection.
///
/// ```no_run
/// use vim25::{mo, types::VirtualMachinePowerState};
/// use vsphere_client::{Cache, Properties};
///
/// #[derive(Clone, Debug, Properties)]
/// #[properties(VirtualMachine)]
/// struct Machine {
///     name: String,
///     #[property(runtime.powerState)]
///     power: VirtualMachinePowerState,
/// }
///
/// # async fn example(client: &vsphere_client::Client) -> vsphere_client::Result<()> {
/// let root = &client.service_content().root_folder;
/// let machines: Cache<Machine> = client.retrieve().within(root).cache();
/// let by_name = machines.lookup_by(|machine| machine.name.clone());
/// machines.ready().await?;
///
/// for (vm, machine) in by_name.get("web") {
///     println!("{vm} is {:?}", machine.power);
/// }
/// let mut seen = machines.generation();
/// loop {
///     seen = machines.changed(seen).await?;
///     println!("{} machines", machines.len());
/// }
/// # }
/// ```
///
/// **Own changes**: when [`Client::run`] returns, the caches of the client include everything
/// that the server had reported when it reported the end of the task, and with it the task's
/// effect. [`Client::call`] of a method that changes an object in a cache also waits for the
/// server's next report, for at most ten seconds. [`sync`](Self::sync) does so for any other
/// change.
///
/// **Bad objects**: an object with a property that cannot be read, lacks a value or has another
/// type than expected is not in the cache, but in [`quarantined`](Self::quarantined), until a
/// change heals it. All other objects are unaffected.
///
/// **Outages**: the cache survives lost sessions and restarts of the server like
/// [`Changes`](crate::Changes). In between, reads return the last known objects and
/// [`state`](Self::state) is [`Resyncing`](CacheState::Resyncing).
///
/// Cheap to clone. Dropping the last clone frees the resources on the server. The cache keeps
/// the session of its client open.
pub struct Cache<P: Properties> {
    state: Arc<State<P>>,
    lease: Arc<Lease>,
}

/// A subscription, which ends with the last clone of the cache.
#[derive(Debug)]
struct Lease {
    client: Client,
    id: u64,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let command = Command::Unsubscribe { id: self.id };
        self.client.inner.engine.tell(command);
    }
}

impl<T: ManagedObject> Query<T> {
    /// Reads all selected objects into structs, and keeps them current until the cache is
    /// dropped. Only the properties of the struct are read.
    ///
    /// Returns immediately; [`Cache::ready`] waits until all objects have been read. Must be
    /// called in a tokio runtime, otherwise the cache ends with an error.
    #[must_use]
    pub fn cache<P>(self) -> Cache<P>
    where
        P: Properties<Object = T> + Clone + Send + Sync + 'static,
    {
        let mut paths: Vec<String> = Vec::new();
        for path in P::PATHS {
            if !paths.iter().any(|other| other == path) {
                paths.push((*path).to_owned());
            }
        }
        let (client, source) = self.into_source();
        Cache::open(
            client,
            Target {
                type_name: T::NAME.into(),
                paths: paths.into(),
                source,
            },
        )
    }
}

impl<P> Cache<P>
where
    P: Properties + Clone + Send + Sync + 'static,
{
    fn open(client: Client, target: Target) -> Self {
        let state = Arc::new(State::new(Arc::clone(&target.paths)));
        let id = client.inner.engine.number();
        let receiver: Arc<State<P>> = Arc::clone(&state);
        client.inner.engine.register(&receiver);
        if client.inner.session.is_closed() {
            let operation = client.operation("filling a cache", None);
            state.stop(client.not_authenticated(&operation, LoginProblem::Closed, None));
        } else if !client.tell_engine(Command::Subscribe {
            id,
            target,
            receiver,
        }) {
            state.stop(Error::config(
                "a cache needs a tokio runtime: create it in a task of one",
            ));
        }
        Self {
            state,
            lease: Arc::new(Lease { client, id }),
        }
    }

    /// Creates a lookup of objects by a key, which is maintained together with the cache.
    /// Dropping the lookup ends that.
    ///
    /// `key` is called once per object and change. It should return quickly, and must not use
    /// this cache.
    pub fn lookup_by<K>(&self, key: impl Fn(&P) -> K + Send + Sync + 'static) -> CacheLookup<K, P>
    where
        K: Eq + Hash + Send + Sync + 'static,
    {
        CacheLookup::new(Arc::clone(&self.state), Box::new(key))
    }
}

impl<P: Properties + Send + Sync> Cache<P> {
    /// Returns an object; `None` if it is not in the selection, not received yet, or
    /// quarantined.
    #[must_use]
    pub fn get(&self, object: &Ref<impl ManagedObject + IsA<P::Object>>) -> Option<Arc<P>> {
        let object: AnyRef = object.upcast();
        self.state.get(&object)
    }

    /// Iterates over the objects as they are now, in no particular order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Ref<P::Object>, Arc<P>)> + use<P> {
        self.state.all().into_iter()
    }

    /// Returns the first object that satisfies a condition. Use [`lookup_by`](Self::lookup_by)
    /// to find objects often.
    pub fn find(&self, condition: impl Fn(&P) -> bool) -> Option<(Ref<P::Object>, Arc<P>)> {
        self.iter().find(|(_, value)| condition(value))
    }

    /// Returns the number of objects, without quarantined ones.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.len()
    }

    /// Returns whether the cache has no objects.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the objects that could not be converted, each with the error that names the
    /// property.
    #[must_use]
    pub fn quarantined(&self) -> Vec<(Ref<P::Object>, Arc<Error>)> {
        self.state.quarantined()
    }

    /// Returns the state of the cache.
    #[must_use]
    pub fn state(&self) -> CacheState {
        self.state.progress().state
    }

    /// Returns a number that grows with every change of the cache, for
    /// [`changed`](Self::changed).
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.state.progress().generation
    }

    /// Waits until the cache has all objects, for the first time or after a resync. There is
    /// no timeout. Cancel-safe.
    ///
    /// # Errors
    /// The reason why the cache ended.
    pub async fn ready(&self) -> Result<()> {
        self.state.ready().await
    }

    /// Waits for a change after the generation `seen`, and returns the new generation.
    /// Returns immediately if there was a change already. Changes in quick succession may be
    /// reported as one. There is no timeout. Cancel-safe.
    ///
    /// # Errors
    /// The reason why the cache ended.
    pub async fn changed(&self, seen: u64) -> Result<u64> {
        self.state.changed(seen).await
    }

    /// Waits until the cache includes everything that happened on the server before this call,
    /// for one round trip or two. There is no timeout. Cancel-safe.
    ///
    /// # Errors
    /// The reason why the cache ended.
    pub async fn sync(&self) -> Result<()> {
        self.ready().await?;
        self.lease.client.sync_engine().await;
        self.ready().await
    }
}

impl Client {
    /// Waits until subscribers have received everything that happened before this call, or the
    /// engine has ended.
    async fn sync_engine(&self) {
        let (done, synced) = tokio::sync::oneshot::channel();
        if self.inner.engine.tell(Command::Sync { done }) {
            let _ = synced.await;
        }
    }

    /// Waits until the caches of this client include the effect of a call that changed
    /// `object`, if one of them has the object.
    pub(crate) async fn settle(&self, object: &AnyRef) {
        if !self.inner.engine.is_cached(object) {
            return;
        }
        let synced = tokio::time::timeout(SETTLE, self.sync_engine()).await;
        if synced.is_err() {
            tracing::debug!(%object, "the change is not in the cache yet");
        }
    }
}

impl<P: Properties> Clone for Cache<P> {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
            lease: Arc::clone(&self.lease),
        }
    }
}

impl<P: Properties + Send + Sync> fmt::Debug for Cache<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("objects", &self.len())
            .field("state", &self.state())
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}
