//! A data object of a type or of any type derived from it.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use crate::any::Any;
use crate::builder::Builder;
use crate::error::{ConvertError, EncodeError};
use crate::node::Node;
use crate::object::{self, DataObject, IsA};
use crate::slot::{Loading, Slot};
use crate::table::{self, FieldKind};

/// An object of type `B` or of a type derived from it.
///
/// The object is kept as the server sent it until it is converted: fields and
/// even types that the schema does not know are sent back with it. To change one,
/// use [`modify`](Self::modify), which keeps all of that;
/// [`get`](Self::get) followed by [`new`](Self::new) drops what the struct cannot
/// hold.
///
/// ```
/// use vim25::{Poly, types::{VirtualDevice, VirtualDisk, VirtualEthernetCard, VirtualVmxnet3}};
///
/// let mut nic = VirtualVmxnet3::default();
/// nic.key = 4000;
/// let mut device: Poly<VirtualDevice> = Poly::new(nic);
/// assert!(device.is::<VirtualEthernetCard>());
/// assert!(device.get::<VirtualDisk>()?.is_none());
/// device.modify::<VirtualEthernetCard>(|card| card.mac_address = Some("00:50:56:00:00:01".into()))?;
/// let nic = device.get::<VirtualVmxnet3>()?.expect("still a vmxnet3");
/// assert_eq!(nic.mac_address.as_deref(), Some("00:50:56:00:00:01"));
/// # Ok::<(), vim25::ConvertError>(())
/// ```
pub struct Poly<B> {
    value: Any,
    marker: PhantomData<fn() -> B>,
}

impl<B> Poly<B> {
    /// Wraps a typed value.
    ///
    /// A value that cannot be sent makes encoding fail with its path; see
    /// [`check`](Self::check).
    #[must_use]
    pub fn new<T: DataObject + IsA<B>>(value: T) -> Self {
        Self::from_any(Any::new(&value))
    }

    fn from_any(value: Any) -> Self {
        Self {
            value,
            marker: PhantomData,
        }
    }

    /// Returns the value as an [`Any`].
    #[must_use]
    pub const fn as_any(&self) -> &Any {
        &self.value
    }

    /// Returns a view of the object.
    #[must_use]
    pub fn node(&self) -> Node<'_> {
        self.value.node()
    }

    /// Returns the wire name of the actual type.
    #[must_use]
    pub fn type_name(&self) -> String {
        self.value.type_name()
    }

    /// Returns whether the object is a `T` or of a type derived from it.
    #[must_use]
    pub fn is<T: DataObject + IsA<B>>(&self) -> bool {
        match self.node().object_type() {
            Some(ty) => table::is_a(ty.table(), T::TYPE),
            None => false,
        }
    }

    /// Converts to a `T` if that is exactly the object's type.
    ///
    /// Each call converts again: convert once and keep the result.
    ///
    /// # Errors
    /// [`ConvertError`] when the object is a `T` but incomplete or malformed.
    pub fn get<T: DataObject + IsA<B>>(&self) -> Result<Option<T>, ConvertError> {
        match self.node().object_type() {
            Some(object_type) if object_type == crate::document::ObjectType::Known(T::TYPE) => {
                self.node().to().map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Returns the `T` part of the object, read-only, if its type is `T` or derived from it.
    ///
    /// # Errors
    /// [`ConvertError`] when that part is incomplete or malformed.
    pub fn base<T: DataObject + IsA<B>>(&self) -> Result<Option<Base<T>>, ConvertError> {
        if self.is::<T>() {
            self.node().to().map(|value| Some(Base(value)))
        } else {
            Ok(None)
        }
    }

    /// Returns the part of the object that is a `T`, for reading; `None` if the object is
    /// not a `T` or cannot be read, which [`base`](Self::base) distinguishes. Incomplete
    /// values inside are left out; see [`Any::get_lenient`].
    ///
    /// ```
    /// use vim25::{Poly, types::{VirtualDevice, VirtualDisk, VirtualEthernetCard, VirtualVmxnet3}};
    ///
    /// let device: Poly<VirtualDevice> = VirtualVmxnet3::default().into();
    /// assert!(device.view::<VirtualEthernetCard>().is_some());
    /// assert!(device.view::<VirtualDisk>().is_none());
    /// ```
    #[must_use]
    pub fn view<T: DataObject + IsA<B>>(&self) -> Option<Base<T>> {
        let value = self.is::<T>().then(|| self.node().to_lenient())?;
        value.ok().map(|lenient| Base(lenient.value))
    }

    /// Changes the `T` part of the object; everything else in it is kept.
    ///
    /// Works when the object's type is `T`, derived from it, or unknown to the
    /// schema but allowed for this value (the caller then knows that it is derived from
    /// `T`, such as an unknown type of network card). Returns `false`, without calling
    /// `change`, when the object is of another type.
    ///
    /// # Errors
    /// [`ConvertError`] when that part is incomplete or malformed; the object
    /// is then unchanged.
    pub fn modify<T: DataObject + IsA<B>>(
        &mut self,
        change: impl FnOnce(&mut T),
    ) -> Result<bool, ConvertError> {
        let Some(object) = crate::splice::as_type(self.node(), T::TYPE) else {
            return Ok(false);
        };
        let mut loading = Loading::default();
        let mut value = T::default();
        if loading.enter(object.node(), T::TYPE) {
            for field in object.node().children() {
                value.set(field, &mut loading);
            }
        }
        let mut value = loading.finish(value)?;
        let before = object::document(&value);
        change(&mut value);
        let after = object::document(&value);
        self.value = crate::splice::splice(object.node(), before.root(), after.root());
        Ok(true)
    }

    /// Checks whether the object can be sent.
    ///
    /// # Errors
    /// [`EncodeError`] with the path of the field that cannot be sent.
    pub fn check(&self) -> Result<(), EncodeError> {
        self.value.check()
    }

    /// Returns whether there is no object.
    #[must_use]
    pub fn is_unset(&self) -> bool {
        self.value.is_unset()
    }

    /// Returns a copy that holds only this object and releases the message it came from.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self::from_any(self.value.detach())
    }

    /// Converts to a `Poly` of a base type.
    #[must_use]
    pub fn upcast<C>(&self) -> Poly<C>
    where
        B: IsA<C>,
    {
        Poly::from_any(self.value.clone())
    }
}

impl<B> Clone for Poly<B> {
    fn clone(&self) -> Self {
        Self::from_any(self.value.clone())
    }
}

impl<B> Default for Poly<B> {
    /// Returns the unset object; sending it is an error.
    fn default() -> Self {
        Self::from_any(Any::default())
    }
}

impl<B> PartialEq for Poly<B> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<B> fmt::Debug for Poly<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: DataObject + IsA<B>, B> From<T> for Poly<B> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<B: DataObject> Slot for Poly<B> {
    const KIND: FieldKind = FieldKind::Object;
    const TYPE: u16 = B::TYPE;

    fn load(&mut self, node: Node<'_>, cx: &mut Loading) {
        match node.object_type() {
            Some(ty) if table::is_a(ty.table(), B::TYPE) => self.value = Any::of(node),
            _ => cx.fail(node.wrong_type(table::type_name(B::TYPE))),
        }
    }

    #[inline]
    fn store(&self, field: u16, out: &mut Builder) {
        self.value.store(field, out);
    }
}

/// The `T` part of an object, read from an object of a derived type.
///
/// It can be read but not sent: sending it would lose the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Base<T>(T);

impl<T> Deref for Base<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
