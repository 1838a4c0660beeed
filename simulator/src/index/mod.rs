//! Indexes of the inventory by type, name, parent, disk, session and identifying text, so that no
//! look-up scans all objects.

mod disks;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use vim25::AnyRef;
use vim25::schema::Type;

use self::disks::Disks;
use crate::datastore::site::Site;
use crate::machine::Machine;
use crate::object::{Found, Hidden, Object, SessionKey};

/// The value of a reference, and what it is sorted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(usize, Box<str>);

impl Key {
    /// Tasks are sorted by their numbers, at the end of their values. Of others, shorter values come
    /// first, so that `vm-9` precedes `vm-10`.
    fn of(list: &List, value: &str) -> Self {
        let number = value.rsplit('-').next().filter(|_| list.1 == TASKS);
        let number = number.and_then(|number| number.parse().ok());
        Self(number.unwrap_or(value.len()), value.into())
    }
}

/// The derived list of a task manager.
pub(crate) const TASKS: &str = "recentTask";

/// A list property that is derived from its members, such as `vm` of a host.
pub(crate) type List = (Box<str>, &'static str);

/// A set of values of references.
type Values = BTreeSet<Box<str>>;

/// The indexes, kept up to date by every commit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    kinds: BTreeMap<&'static str, (Type, Values)>,
    /// The values of objects by parent and name.
    names: HashMap<Box<str>, HashMap<Box<str>, Values>>,
    members: HashMap<List, BTreeSet<Key>>,
    /// The disks of each datacenter.
    disks: BTreeMap<Site, Disks>,
    /// The values of objects by their identifying texts.
    texts: HashMap<Text, Values>,
    /// The values of objects that belong to a session.
    owned: HashMap<SessionKey, Values>,
}

/// An identifying text of an object: the path of the property, and the text, in lower case if it
/// is a UUID.
pub(crate) type Text = (&'static str, Box<str>);

/// Adds or removes a value in a table of sets; empty sets are removed.
fn mark<K: Eq + Hash>(table: &mut HashMap<K, Values>, key: K, value: &str, present: bool) {
    if present {
        table.entry(key).or_default().insert(value.into());
    } else if let Entry::Occupied(mut values) = table.entry(key) {
        values.get_mut().remove(value);
        if values.get().is_empty() {
            values.remove();
        }
    }
}

impl Index {
    /// Applies the change of one object; returns the lists of other objects that change with
    /// it.
    pub(crate) fn update(
        &mut self,
        value: &str,
        before: Option<&Arc<Object>>,
        after: Option<&Arc<Object>>,
    ) -> Vec<List> {
        if let (Some(object), None) | (None, Some(object)) = (before, after) {
            let ty = object.ty();
            let kind = self.kinds.entry(ty.name());
            let (_, values) = kind.or_insert_with(|| (ty, Values::new()));
            if after.is_some() {
                values.insert(value.into());
            } else {
                values.remove(value);
            }
        }
        self.update_name(value, before, after);
        self.update_disks(value, before, after);
        self.update_texts(value, before, after);
        self.update_owner(value, before, after);
        let old = before.map(|object| lists(object)).unwrap_or_default();
        let new = after.map(|object| lists(object)).unwrap_or_default();
        let mut changed = Vec::new();
        for list in &old {
            if !new.contains(list) {
                if let Some(members) = self.members.get_mut(list) {
                    members.remove(&Key::of(list, value));
                }
                changed.push(list.clone());
            }
        }
        for list in new {
            if !old.contains(&list) {
                let members = self.members.entry(list.clone()).or_default();
                members.insert(Key::of(&list, value));
                changed.push(list);
            }
        }
        changed
    }

    fn update_disks(
        &mut self,
        value: &str,
        before: Option<&Arc<Object>>,
        after: Option<&Arc<Object>>,
    ) {
        let (old, new) = (before.and_then(machine), after.and_then(machine));
        let site = |machine: Option<&Machine>| machine.map(|machine| machine.vmx.site());
        let (from, to) = (site(old), site(new));
        if let Some(site) = from.filter(|_| from != to) {
            self.disks.entry(site).or_default().update(value, old, None);
        }
        if let Some(site) = to {
            let old = old.filter(|_| from == to);
            self.disks.entry(site).or_default().update(value, old, new);
        }
    }

    fn update_name(
        &mut self,
        value: &str,
        before: Option<&Arc<Object>>,
        after: Option<&Arc<Object>>,
    ) {
        let place = |object: &Arc<Object>| {
            let parent = object.parent()?;
            Some((
                Box::<str>::from(parent.value()),
                Box::<str>::from(object.name()),
            ))
        };
        let (old, new) = (before.and_then(place), after.and_then(place));
        if old == new {
            return;
        }
        if let Some((parent, name)) = old
            && let Some(names) = self.names.get_mut(&parent)
        {
            if let Some(values) = names.get_mut(&name) {
                values.remove(value);
                if values.is_empty() {
                    names.remove(&name);
                }
            }
            if names.is_empty() {
                self.names.remove(&parent);
            }
        }
        if let Some((parent, name)) = new {
            let names = self.names.entry(parent).or_default();
            names.entry(name).or_default().insert(value.into());
        }
    }

    fn update_texts(
        &mut self,
        value: &str,
        before: Option<&Arc<Object>>,
        after: Option<&Arc<Object>>,
    ) {
        let old = before.map(|object| texts(object)).unwrap_or_default();
        let new = after.map(|object| texts(object)).unwrap_or_default();
        if old == new {
            return;
        }
        for text in old {
            mark(&mut self.texts, text, value, false);
        }
        for text in new {
            mark(&mut self.texts, text, value, true);
        }
    }

    fn update_owner(
        &mut self,
        value: &str,
        before: Option<&Arc<Object>>,
        after: Option<&Arc<Object>>,
    ) {
        let owner = |object: Option<&Arc<Object>>| object.and_then(|object| object.owner.clone());
        let (old, new) = (owner(before), owner(after));
        if old == new {
            return;
        }
        if let Some(key) = old {
            mark(&mut self.owned, key, value, false);
        }
        if let Some(key) = new {
            mark(&mut self.owned, key, value, true);
        }
    }

    /// Iterates over the values of all objects of a type, including its subtypes.
    pub(crate) fn of_type(&self, base: Type) -> impl Iterator<Item = &str> {
        let kinds = self.kinds.values();
        let kinds = kinds.filter(move |(ty, _)| ty.is_a(base));
        kinds.flat_map(|(_, values)| values.iter().map(|value| &**value))
    }

    /// Iterates over the values of the children of an object that have a given name.
    pub(crate) fn named(&self, parent: &str, name: &str) -> impl Iterator<Item = &str> {
        let values = self.names.get(parent).and_then(|names| names.get(name));
        values.into_iter().flatten().map(|value| &**value)
    }

    /// Iterates over the values of the members of a list.
    pub(crate) fn members<'s>(&'s self, list: &List) -> impl Iterator<Item = &'s str> + use<'s> {
        self.members
            .get(list)
            .into_iter()
            .flatten()
            .map(|key| &*key.1)
    }

    /// Returns the number of members of a list.
    pub(crate) fn count(&self, list: &List) -> usize {
        self.members.get(list).map_or(0, BTreeSet::len)
    }

    /// Iterates over the values of the objects with an identifying text.
    pub(crate) fn with_text(&self, text: &Text) -> impl Iterator<Item = &str> {
        let values = self.texts.get(text).into_iter().flatten();
        values.map(|value| &**value)
    }

    /// Iterates over the values of the objects that belong to a session.
    pub(crate) fn owned(&self, key: &SessionKey) -> impl Iterator<Item = &str> {
        let values = self.owned.get(key).into_iter().flatten();
        values.map(|value| &**value)
    }

    /// Iterates over the values of the machines with a disk whose chain contains a file, now or in
    /// a snapshot.
    pub(crate) fn disk_users(&self, site: Site, file: &str) -> impl Iterator<Item = &str> {
        let disks = self.disks.get(&site).into_iter();
        disks.flat_map(move |disks| disks.users(file))
    }

    /// Iterates over the values of the machines to which a file is attached, not only as a parent.
    pub(crate) fn disk_owners(&self, site: Site, file: &str) -> impl Iterator<Item = &str> {
        let disks = self.disks.get(&site).into_iter();
        disks.flat_map(move |disks| disks.owners(file))
    }

    /// Iterates over the values of the machines that are on and have a disk whose chain contains a
    /// file.
    pub(crate) fn running_with_disk(&self, site: Site, file: &str) -> impl Iterator<Item = &str> {
        let disks = self.disks.get(&site).into_iter();
        disks.flat_map(move |disks| disks.running(file))
    }
}

fn machine(object: &Arc<Object>) -> Option<&Machine> {
    match &object.hidden {
        Hidden::Machine(machine) => Some(machine),
        _ => None,
    }
}

/// Returns the identifying texts of a machine or host; other objects have none.
pub(crate) fn texts(object: &Object) -> Vec<Text> {
    let paths: &[&'static str] = match object.reference().type_name() {
        "VirtualMachine" => &[
            "config.uuid",
            "config.instanceUuid",
            "config.files.vmPathName",
        ],
        "HostSystem" => &["hardware.systemInfo.uuid"],
        _ => &[],
    };
    let text_at = |path: &'static str| match object.find(path) {
        Found::Value(found) => found.node().as_str().map(|found| text(path, found)),
        _ => None,
    };
    paths.iter().filter_map(|path| text_at(path)).collect()
}

/// Returns the form of an identifying text under which the index has it.
pub(crate) fn text(path: &'static str, found: &str) -> Text {
    if path.to_ascii_lowercase().ends_with("uuid") {
        (path, found.to_ascii_lowercase().into())
    } else {
        (path, found.into())
    }
}

/// Returns the derived lists that an object is in. Only machines and tasks are in such lists.
pub(crate) fn lists(object: &Object) -> Vec<List> {
    match &object.hidden {
        Hidden::Machine(_) => {}
        Hidden::Task(task) => return vec![(task.manager.into(), TASKS)],
        _ => return Vec::new(),
    }
    let mut lists = Vec::new();
    let single = [
        ("parent", "childEntity"),
        ("resourcePool", "vm"),
        ("runtime.host", "vm"),
    ];
    for (path, list) in single {
        if let Ok(holder) = object.read::<AnyRef>(path) {
            lists.push((holder.value().into(), list));
        }
    }
    for path in ["datastore", "network"] {
        if let Found::Value(value) = object.find(path) {
            let holders = value.node().children();
            let holders = holders.filter_map(|holder| holder.as_reference());
            lists.extend(holders.map(|(_, value)| (value.into(), "vm")));
        }
    }
    lists
}
