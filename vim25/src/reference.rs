//! Typed references to managed objects.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use crate::builder::Builder;
use crate::error::EncodeProblem;
use crate::mo;
use crate::node::Node;
use crate::object::IsA;
use crate::slot::{Loading, Slot};
use crate::table::{self, FieldKind};

/// A managed object type; implemented by the marker types in [`mo`].
pub trait ManagedObject: IsA<mo::ManagedObject> + 'static {
    /// The wire name of the type.
    const NAME: &'static str;
    /// The type id in the schema tables.
    const TYPE: u16;
}

/// A reference to a managed object on a server, such as `VirtualMachine:vm-42`.
///
/// `T` is the type known at compile time; the object may be of a type derived
/// from it, which [`type_name`](Self::type_name) returns. The methods of a managed
/// object are methods of its reference and return a [`Call`](crate::Call), which a
/// client sends: a reference itself does no I/O.
///
/// Two references are equal when type name and value are equal; the optional GUID
/// of the server is ignored, because servers send it inconsistently.
///
/// ```
/// use vim25::{Ref, mo};
///
/// let vm: Ref<mo::VirtualMachine> = Ref::new("vm-42");
/// assert_eq!(vm.to_string(), "VirtualMachine:vm-42");
/// let entity: Ref<mo::ManagedEntity> = vm.upcast();
/// assert_eq!(entity.type_name(), "VirtualMachine");
/// assert_eq!(entity.downcast::<mo::VirtualMachine>(), Some(vm));
/// assert_eq!(entity.downcast::<mo::Folder>(), None);
/// ```
pub struct Ref<T> {
    /// `Type:value`; empty for an unset reference.
    text: Arc<str>,
    type_len: u16,
    server_guid: Option<Arc<str>>,
    marker: PhantomData<fn() -> T>,
}

impl<T> Ref<T> {
    /// Creates a reference to an object of exactly type `T`, by the id that the server assigned.
    #[must_use]
    pub fn new(value: &str) -> Self
    where
        T: ManagedObject,
    {
        Self::from_parts(T::NAME, value, None)
    }

    pub(crate) fn from_parts(type_name: &str, value: &str, server_guid: Option<&str>) -> Self {
        if value.is_empty() {
            return Self::default();
        }
        let type_len = u16::try_from(type_name.len()).unwrap_or(0);
        Self {
            text: joined(&type_name[..usize::from(type_len)], value),
            type_len,
            server_guid: server_guid.map(Into::into),
            marker: PhantomData,
        }
    }

    /// Returns the id of the object on its server, such as `vm-42`.
    #[must_use]
    pub fn value(&self) -> &str {
        self.text
            .get(usize::from(self.type_len) + 1..)
            .unwrap_or("")
    }

    /// Returns the wire name of the object's actual type.
    #[must_use]
    pub fn type_name(&self) -> &str {
        self.text.get(..usize::from(self.type_len)).unwrap_or("")
    }

    /// Returns the GUID of the vCenter server, when the reference carries one.
    #[must_use]
    pub fn server_guid(&self) -> Option<&str> {
        self.server_guid.as_deref()
    }

    /// Returns whether this reference was never set.
    #[must_use]
    pub fn is_unset(&self) -> bool {
        self.text.is_empty()
    }

    /// Returns whether the object is of type `D` or of one derived from it.
    #[must_use]
    pub fn is<D: ManagedObject>(&self) -> bool {
        self.type_name() == D::NAME
            || table::managed_type(self.type_name()).is_some_and(|id| table::is_a(id, D::TYPE))
    }

    /// Converts to a reference to a base type.
    #[must_use]
    pub fn upcast<B>(&self) -> Ref<B>
    where
        T: IsA<B>,
    {
        self.retyped()
    }

    /// Converts to a reference to a derived type, if the object is of that type.
    #[must_use]
    pub fn downcast<D: ManagedObject + IsA<T>>(&self) -> Option<Ref<D>> {
        self.is::<D>().then(|| self.retyped())
    }

    fn retyped<U>(&self) -> Ref<U> {
        Ref {
            text: Arc::clone(&self.text),
            type_len: self.type_len,
            server_guid: self.server_guid.clone(),
            marker: PhantomData,
        }
    }
}

/// Joins type and value into `Type:value` in one allocation: references are many, and short.
fn joined(type_name: &str, value: &str) -> Arc<str> {
    let mut space = [0; 96];
    let (name, end) = (type_name.len(), type_name.len() + 1 + value.len());
    if let Some(text) = space.get_mut(..end) {
        text[..name].copy_from_slice(type_name.as_bytes());
        text[name] = b':';
        text[name + 1..].copy_from_slice(value.as_bytes());
        if let Ok(text) = std::str::from_utf8(text) {
            return text.into();
        }
    }
    format!("{type_name}:{value}").into()
}

impl<T> Clone for Ref<T> {
    fn clone(&self) -> Self {
        self.retyped()
    }
}

impl<T> Default for Ref<T> {
    /// Returns the unset reference; sending it is an error.
    fn default() -> Self {
        Self {
            text: "".into(),
            type_len: 0,
            server_guid: None,
            marker: PhantomData,
        }
    }
}

impl<T> PartialEq for Ref<T> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<T> Eq for Ref<T> {}

impl<T> Hash for Ref<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl<T> PartialOrd for Ref<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Ref<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl<T> fmt::Display for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_unset() {
            "(unset)"
        } else {
            &self.text
        })
    }
}

impl<T> fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A reference whose type is known only at run time.
pub type AnyRef = Ref<mo::ManagedObject>;

impl AnyRef {
    /// Creates a reference from type name and value, as they appear on the wire.
    #[must_use]
    pub fn from_wire(type_name: &str, value: &str) -> Self {
        Self::from_parts(type_name, value, None)
    }
}

impl<T> Slot for Ref<T> {
    const KIND: FieldKind = FieldKind::Ref;

    fn load(&mut self, node: Node<'_>, cx: &mut Loading) {
        match node.as_reference() {
            Some((type_name, value)) => {
                *self = Self::from_parts(type_name, value, node.server_guid());
            }
            None => cx.fail(node.wrong_type("ManagedObjectReference")),
        }
    }

    fn store(&self, field: u16, out: &mut Builder) {
        if self.is_unset() {
            out.fail(field, EncodeProblem::EmptyReference);
        } else {
            out.reference(field, self.type_name(), self.value(), self.server_guid());
        }
    }
}
