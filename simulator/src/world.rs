//! The inventory: all managed objects, changed in transactions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use vim25::{AnyRef, Fault, Ref, mo};

use crate::core::{Core, Effect};
use crate::fault;
use crate::ids::Ids;
use crate::machine::Machine;
use crate::object::{Hidden, Object, SessionKey};
use crate::script::Reaction;
use crate::session::Sessions;

/// All objects and sessions.
#[derive(Debug)]
pub(crate) struct World {
    objects: BTreeMap<Box<str>, Arc<Object>>,
    pub(crate) sessions: Sessions,
    pub(crate) ids: Ids,
    version: u64,
    /// Set when the simulator has gone: nothing changes any more.
    closed: bool,
}

/// The world behind its lock, and the news of its changes.
#[derive(Debug)]
pub(crate) struct Registry {
    world: Mutex<World>,
    changes: watch::Sender<u64>,
}

impl Registry {
    pub(crate) fn new(ids: Ids, sessions: Sessions) -> Self {
        Self {
            world: Mutex::new(World {
                objects: BTreeMap::new(),
                sessions,
                ids,
                version: 0,
                closed: false,
            }),
            changes: watch::Sender::new(0),
        }
    }

    /// A panic inside a transaction leaves the world as it was: nothing of it was committed.
    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Versions of the inventory, as they come.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Refuses every transaction from now on.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changes.send_replace(u64::MAX);
    }
}

/// A transaction: a changeable view of the world, without effect unless it is committed.
///
/// Sessions are the exception: they change at once.
#[derive(Debug)]
pub(crate) struct Transaction<'c> {
    core: &'c Arc<Core>,
    world: MutexGuard<'c, World>,
    changed: BTreeMap<Box<str>, Option<Arc<Object>>>,
    effects: Vec<Effect>,
    touched: bool,
    scripted: Vec<Reaction>,
}

impl<'c> Transaction<'c> {
    /// Takes the lock. The world is never kept locked over an await: a transaction is not `Send`.
    ///
    /// # Errors
    /// A fault when the simulator has been shut down.
    pub(crate) fn begin(core: &'c Arc<Core>) -> Result<Self, Fault> {
        let world = core.registry.lock();
        if world.closed {
            return Err(fault::internal("the server is shutting down"));
        }
        Ok(Self {
            core,
            world,
            changed: BTreeMap::new(),
            effects: Vec::new(),
            touched: false,
            scripted: Vec::new(),
        })
    }

    /// Runs and commits a transaction on the blocking thread pool.
    pub(crate) async fn run<T: Send + 'static>(
        core: &Arc<Core>,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let core = Arc::clone(core);
        let ran = tokio::task::spawn_blocking(move || {
            let mut tx = Transaction::begin(&core)?;
            let result = work(&mut tx)?;
            tx.commit();
            Ok(result)
        });
        ran.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a transaction of the simulator panicked");
            Err(fault::internal("A general system error occurred"))
        })
    }

    pub(crate) const fn core(&self) -> &'c Arc<Core> {
        self.core
    }

    pub(crate) fn sessions(&mut self) -> &mut Sessions {
        &mut self.world.sessions
    }

    pub(crate) fn ids(&mut self) -> &mut Ids {
        &mut self.world.ids
    }

    pub(crate) fn get(&self, value: &str) -> Option<&Arc<Object>> {
        match self.changed.get(value) {
            Some(changed) => changed.as_ref(),
            None => self.world.objects.get(value),
        }
    }

    /// An object that a reference names.
    pub(crate) fn object<T>(&self, reference: &Ref<T>) -> Result<&Arc<Object>, Fault> {
        self.get(reference.value())
            .filter(|object| object.is_a(reference.type_name()))
            .ok_or_else(|| {
                fault::not_found(&AnyRef::from_wire(reference.type_name(), reference.value()))
            })
    }

    /// An object that a session may see.
    pub(crate) fn visible<T>(
        &self,
        reference: &Ref<T>,
        session: Option<&SessionKey>,
    ) -> Result<&Arc<Object>, Fault> {
        self.object(reference).and_then(|object| {
            if object.owner.is_none() || object.owner.as_ref() == session {
                Ok(object)
            } else {
                Err(fault::not_found(object.reference()))
            }
        })
    }

    /// An object, for change.
    pub(crate) fn edit<T>(&mut self, reference: &Ref<T>) -> Result<&mut Object, Fault> {
        let object = Arc::clone(self.object(reference)?);
        let slot = self
            .changed
            .entry(reference.value().into())
            .or_insert_with(|| Some(object));
        match slot {
            Some(object) => Ok(Arc::make_mut(object)),
            None => Err(fault::internal("an object was removed and changed")),
        }
    }

    pub(crate) fn insert(&mut self, object: Object) {
        self.changed
            .insert(object.value().into(), Some(Arc::new(object)));
    }

    pub(crate) fn remove<T>(&mut self, reference: &Ref<T>) {
        self.changed.insert(reference.value().into(), None);
    }

    /// All objects as they would be after this transaction.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        let unchanged = self
            .world
            .objects
            .iter()
            .filter(|(value, _)| !self.changed.contains_key(*value))
            .map(|(_, object)| object);
        unchanged.chain(self.changed.values().flatten())
    }

    /// All objects of a type, those of sessions left out.
    pub(crate) fn all(&self, type_name: &'static str) -> impl Iterator<Item = &Arc<Object>> {
        self.objects()
            .filter(move |object| object.owner.is_none() && object.is_a(type_name))
    }

    /// All machines, with what the API does not show of them.
    pub(crate) fn machines(&self) -> impl Iterator<Item = (&Arc<Object>, &Machine)> {
        self.objects().filter_map(|object| match &object.hidden {
            Hidden::Machine(machine) => Some((object, &**machine)),
            _ => None,
        })
    }

    /// Something to be done once the transaction is committed.
    pub(crate) fn after(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// The script's reaction to the call that this transaction carries out.
    pub(crate) fn script(&mut self, reactions: &[Reaction]) {
        self.scripted = reactions.to_vec();
    }

    pub(crate) fn scripted(&self) -> &[Reaction] {
        &self.scripted
    }

    /// Wakes those who wait for changes, although no object has changed.
    pub(crate) const fn touch(&mut self) {
        self.touched = true;
    }

    /// Forgets all changes.
    pub(crate) fn discard(&mut self) {
        self.changed.clear();
        self.effects.clear();
        self.touched = false;
    }

    /// Makes the changes those of the world.
    pub(crate) fn commit(self) {
        let Self {
            core,
            mut world,
            changed,
            effects,
            touched,
            scripted: _,
        } = self;
        if !changed.is_empty() || touched {
            world.version += 1;
            let version = world.version;
            for (value, object) in changed {
                if is_kept(world.objects.get(&value), object.as_ref()) {
                    core.saver.note();
                }
                match object {
                    Some(mut object) => {
                        Arc::make_mut(&mut object).version = version;
                        world.objects.insert(value, object);
                    }
                    None => {
                        world.objects.remove(&value);
                    }
                }
            }
            core.registry.changes.send_replace(version);
        }
        drop(world);
        for effect in effects {
            core.run(effect);
        }
    }
}

/// Whether a change affects what is persisted over a restart.
fn is_kept(before: Option<&Arc<Object>>, after: Option<&Arc<Object>>) -> bool {
    let Some(object) = after.or(before) else {
        return false;
    };
    match object.reference().type_name() {
        "ResourcePool" | "HostNetworkSystem" => true,
        "VirtualMachine" => match (before, after) {
            (Some(before), Some(after)) => {
                before.find("resourcePool") != after.find("resourcePool")
            }
            _ => true,
        },
        _ => false,
    }
}

/// References to the objects that every host has.
pub(crate) mod fixed {
    use super::{Ref, mo};

    pub(crate) fn root() -> Ref<mo::Folder> {
        Ref::new("ha-folder-root")
    }
    pub(crate) fn datacenter() -> Ref<mo::Datacenter> {
        Ref::new("ha-datacenter")
    }
    pub(crate) fn vm_folder() -> Ref<mo::Folder> {
        Ref::new("ha-folder-vm")
    }
    pub(crate) fn host_folder() -> Ref<mo::Folder> {
        Ref::new("ha-folder-host")
    }
    pub(crate) fn datastore_folder() -> Ref<mo::Folder> {
        Ref::new("ha-folder-datastore")
    }
    pub(crate) fn network_folder() -> Ref<mo::Folder> {
        Ref::new("ha-folder-network")
    }
    pub(crate) fn compute_resource() -> Ref<mo::ComputeResource> {
        Ref::new("ha-compute-res")
    }
    pub(crate) fn host() -> Ref<mo::HostSystem> {
        Ref::new("ha-host")
    }
    pub(crate) fn root_pool() -> Ref<mo::ResourcePool> {
        Ref::new("ha-root-pool")
    }
    pub(crate) fn network_system() -> Ref<mo::HostNetworkSystem> {
        Ref::new("networkSystem")
    }
    pub(crate) fn host_browser() -> Ref<mo::HostDatastoreBrowser> {
        Ref::new("ha-host-datastorebrowser")
    }
    pub(crate) fn environment_browser() -> Ref<mo::EnvironmentBrowser> {
        Ref::new("ha-env-browser")
    }
    pub(crate) fn task_manager() -> Ref<mo::TaskManager> {
        Ref::new("ha-taskmgr")
    }
}
