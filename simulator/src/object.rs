//! Managed objects, whose property values are stored as documents.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;
use vim25::schema::{self, Type, TypeKind};
use vim25::{Any, AnyRef, Fault, ManagedObject, Ref, Slot};

use crate::fault;
use crate::lease::Lease;
use crate::machine::Machine;
use crate::model::DisabledMethod;
use crate::property::path;
use crate::view::View;

/// The key of a session.
pub(crate) type SessionKey = std::sync::Arc<str>;

/// A managed object. Cloning shares the property values.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    reference: AnyRef,
    ty: Type,
    properties: BTreeMap<&'static str, Any>,
    /// The inventory version of its last change.
    pub(crate) version: u64,
    /// The session that owns the object, if any. Other sessions do not see the object, and it
    /// is removed when the session ends.
    pub(crate) owner: Option<SessionKey>,
    /// Internal state that the API does not show.
    pub(crate) hidden: Hidden,
}

/// Internal state of an object besides its properties.
#[derive(Clone, Debug, Default)]
pub(crate) enum Hidden {
    #[default]
    Nothing,
    View(View),
    Machine(std::sync::Arc<Machine>),
    Lease(std::sync::Arc<Lease>),
    Task(TaskState),
    Disabled(std::sync::Arc<[DisabledMethod]>),
}

/// What a transaction changes of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The object was added or removed, or internal state changed that properties show.
    Whole,
    /// The values of these properties.
    Properties(Vec<&'static str>),
}

impl Change {
    /// Compares two states of an object. Values that both states share are not read.
    pub(crate) fn between(before: Option<&Object>, after: Option<&Object>) -> Self {
        let (Some(before), Some(after)) = (before, after) else {
            return Self::Whole;
        };
        if matches!(after.hidden, Hidden::View(_)) {
            return Self::Whole;
        }
        let removed = before.properties.keys();
        let removed = removed.filter(|name| !after.properties.contains_key(*name));
        let changed = after.properties.iter();
        let changed = changed.filter(|(name, value)| before.properties.get(*name) != Some(value));
        let changed = changed.map(|(name, _)| name);
        Self::Properties(removed.chain(changed).copied().collect())
    }
}

/// Internal state of a task.
#[derive(Clone, Debug)]
pub(crate) struct TaskState {
    /// The task manager whose `recentTask` has the task.
    pub(crate) manager: &'static str,
    /// Cancelled by `CancelTask`, if the task can be cancelled.
    pub(crate) cancel: Option<CancellationToken>,
}

/// The target of a property path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found {
    Value(Any),
    Unset,
    /// The type has no such property.
    Invalid,
}

impl Object {
    pub(crate) fn new<T: ManagedObject>(value: &str) -> Self {
        Self::of(Ref::<T>::new(value).retype())
    }

    /// Creates an object without property values. If its type is unknown, it has no properties.
    ///
    /// # Panics
    /// Never, because the schema has `ManagedObject`.
    pub(crate) fn of(reference: AnyRef) -> Self {
        let ty = schema::find(TypeKind::Managed, reference.type_name())
            .or_else(|| schema::find(TypeKind::Managed, "ManagedObject"))
            .unwrap_or_else(|| unreachable!("the schema has ManagedObject"));
        Self {
            reference,
            ty,
            properties: BTreeMap::new(),
            version: 0,
            owner: None,
            hidden: Hidden::Nothing,
        }
    }

    pub(crate) const fn reference(&self) -> &AnyRef {
        &self.reference
    }

    pub(crate) fn value(&self) -> &str {
        self.reference.value()
    }

    pub(crate) const fn ty(&self) -> Type {
        self.ty
    }

    /// Returns whether the object's type is the one with this wire name, or a subtype of it.
    pub(crate) fn is_a(&self, type_name: &str) -> bool {
        // Most references name the exact type: compare that before the schema is searched.
        type_name == self.ty.name()
            || type_name == "ManagedObject"
            || schema::find(TypeKind::Managed, type_name).is_some_and(|base| self.ty.is_a(base))
    }

    /// Iterates over the names of the properties that are set.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.properties.keys().copied()
    }

    /// Returns the type of the object.
    pub(crate) fn schema(&self) -> Type {
        self.ty
    }

    /// Returns the value at a property path.
    pub(crate) fn find(&self, path: &str) -> Found {
        let (name, rest) = path::split(path);
        match self.properties.get(name).and_then(|value| value.at(rest)) {
            Some(value) if !value.is_unset() => Found::Value(value),
            _ if path::is_valid(self.ty, path) => Found::Unset,
            _ => Found::Invalid,
        }
    }

    /// Returns a value that the simulator itself has stored. A missing or invalid value is an
    /// internal fault.
    pub(crate) fn read<T: Slot>(&self, path: &str) -> Result<T, Fault> {
        let value = match self.find(path) {
            Found::Value(value) => value,
            _ => return Err(fault::internal(format!("{} has no {path}", self.reference))),
        };
        value
            .get()
            .map_err(|error| fault::internal(format!("{} {path}: {error}", self.reference)))
    }

    /// Returns a property that is a list of references; empty if it is not set.
    pub(crate) fn list<T: Slot>(&self, path: &str) -> Result<Vec<T>, Fault> {
        match self.find(path) {
            Found::Value(value) => value
                .get()
                .map_err(|error| fault::internal(format!("{} {path}: {error}", self.reference))),
            _ => Ok(Vec::new()),
        }
    }

    /// Returns the entity's name.
    pub(crate) fn name(&self) -> &str {
        self.properties
            .get("name")
            .and_then(|name| name.node().as_str())
            .unwrap_or("")
    }

    /// Returns the parent of an entity. A machine in a vApp has no parent, but a vApp.
    pub(crate) fn parent(&self) -> Option<AnyRef> {
        let parent = self.properties.get("parent");
        let parent = parent.or_else(|| self.properties.get("parentVApp"));
        parent?.get().ok()
    }

    pub(crate) fn put<T: Slot>(&mut self, name: &'static str, value: &T) {
        let mut value = Any::new(value);
        value.shrink_to_fit();
        self.put_any(name, value);
    }

    pub(crate) fn put_any(&mut self, name: &'static str, value: Any) {
        debug_assert!(
            self.ty.fields().any(|field| field.name() == name),
            "{} has no property {name}",
            self.reference
        );
        debug_assert_eq!(value.check(), Ok(()), "{}.{name}", self.reference);
        self.properties.insert(name, value);
    }

    /// Removes a property.
    pub(crate) fn clear(&mut self, name: &str) {
        self.properties.remove(name);
    }

    /// Sets the value at a path inside a property; an unset value removes it.
    pub(crate) fn set<T: Slot>(&mut self, path: &str, value: &T) -> Result<(), Fault> {
        self.set_any(path, &Any::new(value))
    }

    /// Sets the value at a path inside a property, or the whole property.
    pub(crate) fn set_any(&mut self, path: &str, value: &Any) -> Result<(), Fault> {
        let (name, rest) = path::split(path);
        let mut fields = self.ty.fields();
        let field = fields.find(|field| field.name() == name);
        let name = field.map(|field| field.name());
        let missing = || fault::internal(format!("{} has no {path}", self.reference));
        let name = name.ok_or_else(missing)?;
        if rest.is_empty() {
            self.put_any(name, value.clone());
            return Ok(());
        }
        let old = self.properties.get(name).ok_or_else(missing)?;
        let new = old
            .with(rest, value)
            .map_err(|error| fault::internal(format!("{} {path}: {error}", self.reference)))?;
        self.put_any(name, new);
        Ok(())
    }

    /// Changes the value of a whole property.
    pub(crate) fn modify<T: Slot>(
        &mut self,
        name: &'static str,
        change: impl FnOnce(&mut T),
    ) -> Result<(), Fault> {
        let mut value: T = self.read(name)?;
        change(&mut value);
        self.put(name, &value);
        Ok(())
    }

    /// Adds an item to, or removes one from, a property that is a list of references.
    pub(crate) fn edit_list(
        &mut self,
        name: &'static str,
        change: impl FnOnce(&mut Vec<AnyRef>),
    ) -> Result<(), Fault> {
        let mut list: Vec<AnyRef> = self.list(name)?;
        change(&mut list);
        self.put(name, &list);
        Ok(())
    }
}

/// Erases the compile-time type of a reference.
pub(crate) trait Retype {
    fn retype<T: ManagedObject>(&self) -> Ref<T>;
}

impl<F> Retype for Ref<F> {
    fn retype<T: ManagedObject>(&self) -> Ref<T> {
        Any::new(self).get().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use vim25::mo;

    use super::*;

    #[test]
    fn a_change_names_the_properties_whose_values_differ() {
        let mut before = Object::new::<mo::VirtualMachine>("vm-1");
        before.put("name", &"a".to_owned());
        before.put("parent", &Ref::<mo::Folder>::new("folder"));
        let mut after = before.clone();
        assert_eq!(
            Change::between(Some(&before), Some(&after)),
            Change::Properties(Vec::new())
        );
        after.put("parent", &Ref::<mo::Folder>::new("folder"));
        after.put("name", &"b".to_owned());
        after.put("overallStatus", &vim25::types::ManagedEntityStatus::Green);
        assert_eq!(
            Change::between(Some(&before), Some(&after)),
            Change::Properties(vec!["name", "overallStatus"])
        );
        after.clear("parent");
        assert_eq!(
            Change::between(Some(&after), Some(&before)),
            Change::Properties(vec!["overallStatus", "name", "parent"])
        );
        assert_eq!(Change::between(None, Some(&after)), Change::Whole);
        assert_eq!(Change::between(Some(&after), None), Change::Whole);
    }
}
