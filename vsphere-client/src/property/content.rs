//! The properties of one object, as the server returned them.

use std::fmt;

use vim25::types::ObjectContent;
use vim25::{Any, AnyRef, ConvertError, Fault, IsA, ManagedObject, Property, Ref, Slot, mo};

/// The state of one property of one object.
#[derive(Clone, Debug, PartialEq)]
pub enum PropertyState<V> {
    /// The property has this value.
    Value(V),
    /// The property has no value, or was not requested.
    Unset,
    /// The server refused to return the property, for this reason: a missing permission, a
    /// property that the object does not have, …
    Missing(Fault),
    /// The value cannot be converted to the property's type, or lacks a required field. If
    /// only a value inside it is incomplete, that value is left out instead; see
    /// [`Any::get_lenient`].
    Invalid(ConvertError),
}

impl<V> PropertyState<V> {
    /// Returns the value, if there is one.
    #[must_use]
    pub fn value(self) -> Option<V> {
        match self {
            Self::Value(value) => Some(value),
            _ => None,
        }
    }
}

/// The properties of one object, as the server returned them.
pub struct ObjectProperties<T> {
    object: Ref<T>,
    values: Vec<(String, Any)>,
    missing: Vec<(String, Fault)>,
}

impl ObjectProperties<mo::ManagedObject> {
    pub(crate) fn new(content: ObjectContent) -> Self {
        Self {
            object: content.obj,
            values: content
                .prop_set
                .into_iter()
                .map(|property| (property.name, property.val))
                .collect(),
            missing: content
                .missing_set
                .into_iter()
                .map(|missing| (missing.path, missing.fault.into()))
                .collect(),
        }
    }

    pub(crate) const fn from_parts(
        object: AnyRef,
        values: Vec<(String, Any)>,
        missing: Vec<(String, Fault)>,
    ) -> Self {
        Self {
            object,
            values,
            missing,
        }
    }

    pub(crate) const fn empty(object: AnyRef) -> Self {
        Self {
            object,
            values: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// Replaces or removes a value.
    pub(crate) fn assign(&mut self, path: &str, value: Option<Any>) {
        self.values.retain(|(name, _)| name != path);
        self.missing.retain(|(name, _)| name != path);
        if let Some(value) = value {
            // Detach the value, so that the message that contained it can be freed.
            self.values.push((path.to_owned(), value.detach()));
        }
    }

    /// Detaches the values from the message that contained them, so that it can be freed.
    pub(crate) fn detached(mut self) -> Self {
        for (_, value) in &mut self.values {
            *value = value.detach();
        }
        self
    }

    pub(crate) fn miss(&mut self, path: &str, fault: Fault) {
        self.assign(path, None);
        self.missing.push((path.to_owned(), fault));
    }

    /// Replaces the properties with these paths by those of a newer report.
    pub(crate) fn merge(&mut self, newer: &Self, paths: &[String]) {
        for path in paths {
            let value = newer.values.iter().find(|(name, _)| name == path);
            self.assign(path, value.map(|(_, value)| value.clone()));
            let missing = newer.missing.iter().find(|(name, _)| name == path);
            if let Some((_, fault)) = missing {
                self.miss(path, fault.clone());
            }
        }
    }

    pub(crate) fn typed<T>(self) -> ObjectProperties<T>
    where
        T: ManagedObject,
    {
        ObjectProperties {
            // An object of a type that our schema does not know counts as the requested type.
            object: self
                .object
                .downcast()
                .unwrap_or_else(|| Ref::new(self.object.value())),
            values: self.values,
            missing: self.missing,
        }
    }
}

impl<T: ManagedObject> ObjectProperties<T> {
    pub(crate) fn untyped(self) -> ObjectProperties<mo::ManagedObject> {
        ObjectProperties {
            object: self.object.upcast(),
            values: self.values,
            missing: self.missing,
        }
    }
}

impl<T> ObjectProperties<T> {
    /// Returns the object.
    #[must_use]
    pub const fn object(&self) -> &Ref<T> {
        &self.object
    }

    /// Returns the state of a property.
    #[must_use]
    pub fn state<M, V: Slot>(&self, property: Property<M, V>) -> PropertyState<V>
    where
        T: IsA<M>,
    {
        self.at(property.path())
    }

    /// Returns the value of a property, if it has one that can be converted.
    #[must_use]
    pub fn value<M, V: Slot>(&self, property: Property<M, V>) -> Option<V>
    where
        T: IsA<M>,
    {
        self.state(property).value()
    }

    /// Returns the state of a property that was requested by its path, such as
    /// `config.extraConfig["guestinfo.ip"]`.
    #[must_use]
    pub fn at<V: Slot>(&self, path: &str) -> PropertyState<V> {
        if let Some((_, value)) = self.values.iter().find(|(name, _)| name == path) {
            return match value.get_lenient() {
                Ok(read) => {
                    for error in &read.left_out {
                        tracing::debug!(object = %self.object, path, %error, "an incomplete value is left out");
                    }
                    PropertyState::Value(read.value)
                }
                Err(error) => PropertyState::Invalid(error),
            };
        }
        match self.missing.iter().find(|(name, _)| name == path) {
            Some((_, fault)) => PropertyState::Missing(fault.clone()),
            None => PropertyState::Unset,
        }
    }

    /// Iterates over all unconverted values, with their paths. Convert a value strictly with
    /// [`Any::get`], which fails if any part of it is incomplete.
    pub fn values(&self) -> impl Iterator<Item = (&str, &Any)> {
        self.values
            .iter()
            .map(|(path, value)| (path.as_str(), value))
    }

    /// Iterates over the properties that the server did not return, with the reasons.
    pub fn missing(&self) -> impl Iterator<Item = (&str, &Fault)> {
        self.missing
            .iter()
            .map(|(path, fault)| (path.as_str(), fault))
    }
}

impl<T> Clone for ObjectProperties<T> {
    fn clone(&self) -> Self {
        Self {
            object: self.object.clone(),
            values: self.values.clone(),
            missing: self.missing.clone(),
        }
    }
}

impl<T> fmt::Debug for ObjectProperties<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectProperties")
            .field("object", &self.object)
            .field("values", &self.values)
            .field("missing", &self.missing)
            .finish()
    }
}
