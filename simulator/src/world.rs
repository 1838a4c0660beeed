//! The inventory: all managed objects, changed in transactions.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use vim25::schema::{self, TypeKind};
use vim25::{AnyRef, Fault, Ref};

use crate::datastore::site::Site;
use crate::fault;
use crate::ids::Ids;
use crate::index::{self, Index, List};
use crate::interest::Interest;
use crate::layout::Layout;
use crate::machine::Machine;
use crate::object::{Change, Hidden, Object, SessionKey};
use crate::script::Reaction;
use crate::session::Sessions;
use crate::shared::{Effect, Shared};
use crate::task::Job;

/// The inventory: all objects, indexes and sessions.
#[derive(Debug)]
pub(crate) struct World {
    objects: HashMap<Box<str>, Arc<Object>>,
    index: Index,
    interest: Interest,
    pub(crate) sessions: Sessions,
    pub(crate) ids: Ids,
    version: u64,
    /// Set at shutdown, after which every transaction is refused.
    closed: bool,
}

/// The inventory behind a lock, and the notifications for waiting clients.
#[derive(Debug)]
pub(crate) struct Registry {
    world: Mutex<World>,
    /// Counts the events that concern every waiting client.
    alarms: watch::Sender<u64>,
}

impl Registry {
    pub(crate) fn new(ids: Ids, sessions: Sessions) -> Self {
        Self {
            world: Mutex::new(World {
                objects: HashMap::new(),
                index: Index::default(),
                interest: Interest::default(),
                sessions,
                ids,
                version: 0,
                closed: false,
            }),
            alarms: watch::Sender::new(0),
        }
    }

    /// Locks the inventory. Poisoning is ignored, because a panic rolls back its transaction.
    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Subscribes to the events that concern every waiting client, such as the end of a
    /// session.
    pub(crate) fn alarms(&self) -> watch::Receiver<u64> {
        self.alarms.subscribe()
    }

    /// Refuses every transaction from now on.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.alarms.send_modify(|count| *count += 1);
    }
}

/// A copy of the inventory in which objects are created that are added to it later.
#[derive(Debug)]
pub(crate) struct Draft(Mutex<World>);

impl Draft {
    /// Copies the inventory as it is, without sessions and filters.
    pub(crate) fn of(shared: &Arc<Shared>) -> Self {
        let world = shared.registry.lock();
        Self(Mutex::new(World {
            objects: world.objects.clone(),
            index: world.index.clone(),
            interest: Interest::default(),
            sessions: Sessions::new(0, Duration::ZERO),
            ids: world.ids.clone(),
            version: world.version,
            closed: world.closed,
        }))
    }
}

/// The changes of a transaction that was not committed.
#[derive(Debug)]
pub(crate) struct Changes {
    objects: BTreeMap<Box<str>, Option<Arc<Object>>>,
    effects: Vec<Effect>,
}

impl Changes {
    /// Iterates over the objects that were added or changed.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.objects.values().flatten()
    }
}

/// A transaction: changes to the inventory that take effect together when they are committed.
///
/// Sessions are an exception: they change immediately.
#[derive(Debug)]
pub(crate) struct Transaction<'c> {
    shared: &'c Arc<Shared>,
    world: MutexGuard<'c, World>,
    changed: BTreeMap<Box<str>, Option<Arc<Object>>>,
    effects: Vec<Effect>,
    touched: bool,
    scripted: Vec<Reaction>,
}

impl<'c> Transaction<'c> {
    /// Begins a transaction, which locks the inventory. The lock cannot be held across an
    /// await, because a transaction is not `Send`.
    ///
    /// # Errors
    /// Fails if the simulator has been shut down.
    pub(crate) fn begin(shared: &'c Arc<Shared>) -> Result<Self, Fault> {
        let world = shared.registry.lock();
        if world.closed {
            return Err(fault::internal("the server is shutting down"));
        }
        Ok(Self {
            shared,
            world,
            changed: BTreeMap::new(),
            effects: Vec::new(),
            touched: false,
            scripted: Vec::new(),
        })
    }

    /// Begins a transaction in a copy of the inventory.
    pub(crate) fn in_draft(shared: &'c Arc<Shared>, draft: &'c Draft) -> Self {
        Self {
            shared,
            world: draft.0.lock().unwrap_or_else(PoisonError::into_inner),
            changed: BTreeMap::new(),
            effects: Vec::new(),
            touched: false,
            scripted: Vec::new(),
        }
    }

    /// Ends the transaction without a change of the inventory.
    pub(crate) fn into_changes(self) -> Changes {
        Changes {
            objects: self.changed,
            effects: self.effects,
        }
    }

    /// Adds the changes of another transaction.
    pub(crate) fn adopt(&mut self, changes: Changes) {
        self.changed.extend(changes.objects);
        self.effects.extend(changes.effects);
    }

    /// Runs and commits a transaction on the blocking thread pool.
    pub(crate) async fn run<T: Send + 'static>(
        shared: &Arc<Shared>,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let shared = Arc::clone(shared);
        let ran = tokio::task::spawn_blocking(move || {
            let mut tx = Transaction::begin(&shared)?;
            let result = work(&mut tx)?;
            tx.commit();
            Ok(result)
        });
        ran.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a transaction of the simulator panicked");
            Err(fault::internal("A general system error occurred"))
        })
    }

    pub(crate) const fn shared(&self) -> &'c Arc<Shared> {
        self.shared
    }

    /// Returns the references of the objects that exist once per server.
    pub(crate) fn layout(&self) -> &'c Layout {
        self.shared.settings.layout()
    }

    pub(crate) fn sessions(&mut self) -> &mut Sessions {
        &mut self.world.sessions
    }

    /// Returns the filters to notify of changes. Like sessions, they change immediately.
    pub(crate) fn interest(&mut self) -> &mut Interest {
        &mut self.world.interest
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

    /// Returns the object of a reference.
    pub(crate) fn object<T>(&self, reference: &Ref<T>) -> Result<&Arc<Object>, Fault> {
        self.get(reference.value())
            .filter(|object| object.is_a(reference.type_name()))
            .ok_or_else(|| {
                fault::not_found(&AnyRef::from_wire(reference.type_name(), reference.value()))
            })
    }

    /// Returns an object if it is visible to a session.
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

    /// Returns an object for modification.
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

    /// Iterates over the objects that belong to a session.
    pub(crate) fn owned(&self, key: &SessionKey) -> impl Iterator<Item = &Arc<Object>> {
        let changed = self.changed.values().flatten();
        self.unchanged(self.world.index.owned(key))
            .chain(changed.filter(move |object| object.owner.as_ref() == Some(key)))
    }

    /// Iterates over the objects whose property at a path has this text. The path must be one of
    /// those in [`index::texts`]. UUIDs are compared without regard to case.
    pub(crate) fn identified(
        &self,
        path: &'static str,
        text: &str,
    ) -> impl Iterator<Item = &Arc<Object>> {
        let text = index::text(path, text);
        let known: Vec<_> = self.unchanged(self.world.index.with_text(&text)).collect();
        let changed = self.changed.values().flatten();
        known
            .into_iter()
            .chain(changed.filter(move |object| index::texts(object).contains(&text)))
    }

    /// Looks up objects by the values of their references, without those that this transaction
    /// changes.
    fn unchanged<'s, V: Iterator<Item = &'s str>>(
        &'s self,
        values: V,
    ) -> impl Iterator<Item = &'s Arc<Object>> + use<'s, V> {
        values
            .filter(|value| !self.changed.contains_key(*value))
            .filter_map(|value| self.world.objects.get(value))
    }

    /// Iterates over all objects of a type that do not belong to a session.
    pub(crate) fn all(&self, type_name: &'static str) -> impl Iterator<Item = &Arc<Object>> {
        let base = schema::find(TypeKind::Managed, type_name);
        let index = &self.world.index;
        let values = base.into_iter().flat_map(|base| index.of_type(base));
        let changed = self.changed.values().flatten();
        self.unchanged(values)
            .chain(changed.filter(move |object| object.is_a(type_name)))
            .filter(|object| object.owner.is_none())
    }

    /// Returns the child of an object with a given name.
    pub(crate) fn named<T>(&self, parent: &Ref<T>, name: &str) -> Option<&Arc<Object>> {
        let parent = parent.value();
        let is_it = |object: &&Arc<Object>| {
            object.name() == name && object.parent().is_some_and(|own| own.value() == parent)
        };
        let changed = self.changed.values().flatten().find(is_it);
        changed.or_else(|| {
            let values = self.world.index.named(parent, name);
            self.unchanged(values).next()
        })
    }

    /// Returns the members of a derived list of an object, such as `vm` of a host.
    pub(crate) fn members(&self, holder: &str, property: &'static str) -> Vec<AnyRef> {
        let members = self.member_objects(holder, property);
        members.map(|object| object.reference().clone()).collect()
    }

    /// Iterates over the members of a derived list of an object.
    pub(crate) fn member_objects<'s>(
        &'s self,
        holder: &str,
        property: &'static str,
    ) -> impl Iterator<Item = &'s Arc<Object>> + use<'s> {
        let list: List = (holder.into(), property);
        let known = self.unchanged(self.world.index.members(&list));
        let changed = self.changed.values().flatten();
        known.chain(changed.filter(move |object| index::lists(object).contains(&list)))
    }

    /// Iterates over the members of a derived list that this transaction does not change.
    pub(crate) fn unchanged_members(
        &self,
        holder: &str,
        property: &'static str,
    ) -> impl Iterator<Item = &Arc<Object>> {
        let list: List = (holder.into(), property);
        self.unchanged(self.world.index.members(&list))
    }

    /// Returns the number of members of a derived list before this transaction.
    pub(crate) fn population(&self, holder: &str, property: &'static str) -> usize {
        self.world.index.count(&(holder.into(), property))
    }

    /// Iterates over the machines in a datacenter to which a file is attached as a disk, not only as its parent.
    pub(crate) fn disk_owners(
        &self,
        site: Site,
        file: &str,
    ) -> impl Iterator<Item = (&Arc<Object>, &Machine)> {
        let known = self.unchanged(self.world.index.disk_owners(site, file));
        self.machines(known).filter(move |(_, machine)| {
            if machine.vmx.site() != site {
                return false;
            }
            let mut own = machine.chains.iter().filter_map(|chain| chain.first());
            own.any(|own| own == file)
        })
    }

    /// Iterates over the machines in a datacenter that are on and have a disk whose chain contains a file.
    pub(crate) fn running_with_disk(
        &self,
        site: Site,
        file: &str,
    ) -> impl Iterator<Item = (&Arc<Object>, &Machine)> {
        let known = self.unchanged(self.world.index.running_with_disk(site, file));
        self.machines(known).filter(move |(_, machine)| {
            let mut files = machine.chains.iter().flatten();
            let is_on = machine.cycle.is_some() && machine.vmx.site() == site;
            is_on && files.any(|own| own == file)
        })
    }

    /// Iterates over the machines among known objects and those that this transaction changed.
    fn machines<'s>(
        &'s self,
        known: impl Iterator<Item = &'s Arc<Object>>,
    ) -> impl Iterator<Item = (&'s Arc<Object>, &'s Machine)> {
        let all = known.chain(self.changed.values().flatten());
        all.filter_map(|object| match &object.hidden {
            Hidden::Machine(machine) => Some((object, &**machine)),
            _ => None,
        })
    }

    /// Returns whether another machine in a datacenter has a disk whose chain contains a file, now or in a
    /// snapshot.
    pub(crate) fn is_used_by_others<T>(&self, site: Site, file: &str, own: &Ref<T>) -> bool {
        let known = self.unchanged(self.world.index.disk_users(site, file));
        self.machines(known).any(|(object, machine)| {
            let is_other = object.value() != own.value() && machine.vmx.site() == site;
            is_other && machine.disk_files().any(|other| other == file)
        })
    }

    /// Returns whether a snapshot of any machine in a datacenter contains a file, as a disk or as its parent.
    pub(crate) fn is_in_snapshots(&self, site: Site, file: &str) -> bool {
        let known = self.unchanged(self.world.index.disk_users(site, file));
        let mut all = self.machines(known);
        all.any(|(_, machine)| {
            let mut files = machine.snapshots.files();
            machine.vmx.site() == site && files.any(|other| other == file)
        })
    }

    /// Adds an action to be done after the transaction is committed.
    pub(crate) fn after(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Sets the script's reactions to the call that this transaction carries out.
    pub(crate) fn script(&mut self, reactions: &[Reaction]) {
        self.scripted = reactions.to_vec();
    }

    pub(crate) fn scripted(&self) -> &[Reaction] {
        &self.scripted
    }

    /// Wakes the clients that wait for changes, although no object has changed.
    pub(crate) const fn touch(&mut self) {
        self.touched = true;
    }

    /// Discards all changes.
    pub(crate) fn discard(&mut self) {
        self.changed.clear();
        self.effects.clear();
        self.touched = false;
    }

    /// Applies the changes to the inventory, and starts their effects.
    pub(crate) fn commit(self) {
        let shared = self.shared;
        for effect in self.apply() {
            shared.run(effect);
        }
    }

    /// Applies the changes like [`commit`](Self::commit), but returns the tasks that the caller can
    /// run itself with [`Job::run_now`].
    pub(crate) fn commit_keeping_tasks(self) -> Vec<Job> {
        let shared = self.shared;
        let mut jobs = Vec::new();
        for effect in self.apply() {
            match effect {
                Effect::Run(job) if job.is_immediate() => jobs.push(job),
                effect => shared.run(effect),
            }
        }
        jobs
    }

    /// Applies the changes, and returns what has to be done after them.
    fn apply(self) -> Vec<Effect> {
        let Self {
            shared,
            mut world,
            changed,
            effects,
            touched,
            scripted: _,
        } = self;
        if !changed.is_empty() {
            world.version += 1;
            let version = world.version;
            let mut members = Vec::new();
            for (value, object) in changed {
                if is_kept(world.objects.get(&value), object.as_ref()) {
                    shared.saver.note();
                }
                let World {
                    objects,
                    index,
                    interest,
                    ..
                } = &mut *world;
                let lists = index.update(&value, objects.get(&value), object.as_ref());
                members.extend(lists.into_iter().map(|list| (list, value.clone())));
                let before = objects.get(&value);
                interest.changed(&value, || {
                    Change::between(before.map(|o| &**o), object.as_deref())
                });
                match object {
                    Some(mut object) => {
                        Arc::make_mut(&mut object).version = version;
                        objects.insert(value, object);
                    }
                    None => {
                        objects.remove(&value);
                    }
                }
            }
            // Lists that are derived from their members change with them.
            for ((holder, list), member) in members {
                let list = (holder, list);
                world.interest.member_changed(&list, &member);
                let (holder, _) = list;
                if let Some(object) = world.objects.get_mut(&holder) {
                    Arc::make_mut(object).version = version;
                }
            }
        }
        if touched {
            shared.registry.alarms.send_modify(|count| *count += 1);
        }
        effects
    }
}

/// Returns whether a change affects something that is persisted.
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
