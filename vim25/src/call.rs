//! A method call as a value, without I/O.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use crate::any::Any;
use crate::builder::Builder;
use crate::document::{Document, ObjectType, tag};
use crate::error::{ConvertError, EncodeError};
use crate::mo;
use crate::node::Node;
use crate::reference::{AnyRef, Ref};
use crate::service::Service;
use crate::slot::{Lenient, Loading, Slot};
use crate::table::{self, FieldKind};

/// A call whose arguments are being written, in wire order.
pub(crate) struct Arguments {
    this: AnyRef,
    request: u16,
    out: Builder,
}

impl Arguments {
    /// Starts a call of the method whose request has this type id.
    #[inline]
    pub(crate) fn new<T>(this: &Ref<T>, request: u16) -> Self {
        begin(this.type_name(), this.value(), this.server_guid(), request)
    }

    /// Writes one argument.
    #[inline]
    pub(crate) fn arg<T: Slot>(&mut self, field: u16, value: &T) {
        value.store(field, &mut self.out);
    }

    /// Writes an optional argument.
    #[inline]
    pub(crate) fn opt<T: Slot>(&mut self, field: u16, value: Option<&T>) {
        if let Some(value) = value {
            value.store(field, &mut self.out);
        }
    }

    /// Writes a list argument, one element per item.
    #[inline]
    pub(crate) fn list<T: Slot>(&mut self, field: u16, items: &[T]) {
        for item in items {
            item.store(field, &mut self.out);
        }
    }

    /// Writes an optional text argument.
    #[inline]
    pub(crate) fn text<'t>(&mut self, field: u16, text: impl Into<Option<&'t str>>) {
        if let Some(text) = text.into() {
            self.out.text(field, tag::STRING, text);
        }
    }

    /// Writes a reference to an object of the declared type or any type derived from it.
    #[inline]
    pub(crate) fn reference<T>(&mut self, field: u16, value: &Ref<T>) {
        value.store(field, &mut self.out);
    }

    /// Finishes the call, once all arguments are written. The method's signature fixes
    /// the result type.
    pub(crate) fn end<R>(self) -> Call<R> {
        Call {
            this: self.this,
            request: self.request,
            at: None,
            arguments: Arc::new(self.out.finish()),
            result: PhantomData,
        }
    }
}

/// A call of a method on a managed object: receiver, method and encoded arguments.
///
/// `R` is the type of its result. The methods of [`Ref`] create calls; a client sends them.
///
/// ```
/// use vim25::{Ref, mo};
///
/// let vm: Ref<mo::VirtualMachine> = Ref::new("vm-42");
/// let call = vm.power_on_vm(None);
/// assert_eq!(call.method(), "PowerOnVM_Task");
/// assert_eq!(call.this().to_string(), "VirtualMachine:vm-42");
/// ```
///
/// The compiler warns about one that nobody sends:
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// use vim25::{Ref, mo};
///
/// let vm: Ref<mo::VirtualMachine> = Ref::new("vm-42");
/// vm.power_on_vm(None);
/// ```
#[must_use = "a call does nothing until a client sends it"]
pub struct Call<R> {
    this: AnyRef,
    request: u16,
    /// The service to send it to, when not that of its namespace.
    at: Option<Service>,
    arguments: Arc<Document>,
    result: PhantomData<fn() -> R>,
}

impl<R> Call<R> {
    /// Returns the wire name of the method, such as `PowerOnVM_Task`.
    #[must_use]
    pub fn method(&self) -> &'static str {
        table::type_name(self.request)
    }

    /// Returns the object that the method is called on.
    #[must_use]
    pub const fn this(&self) -> &AnyRef {
        &self.this
    }

    /// Returns the WSDL namespace of the method, such as `urn:vim25`.
    #[must_use]
    pub fn namespace(&self) -> &'static str {
        #[cfg(feature = "internal")]
        if table::home_uri(self.request) == table::INTERNAL {
            return crate::internal::namespace_of(self.method());
        }
        table::namespace_uri(self.request)
    }

    /// Returns the service that the call is sent to: that of its namespace, or the one set
    /// with [`at`](Self::at).
    #[must_use]
    pub fn service(&self) -> Service {
        self.at.unwrap_or_else(|| Service::of(self.namespace()))
    }

    /// Redirects the call to another service, for objects that are served elsewhere than
    /// their namespace is, such as those of vSAN.
    pub fn at(mut self, service: Service) -> Self {
        self.at = Some(service);
        self
    }

    /// Returns the receiver (`_this`) and the arguments, by their wire names.
    #[must_use]
    pub fn arguments(&self) -> Node<'_> {
        self.arguments.root()
    }

    /// Checks whether the arguments can be sent.
    ///
    /// # Errors
    /// [`EncodeError`] with the path of the argument that cannot be sent.
    pub fn check(&self) -> Result<(), EncodeError> {
        Any::of(self.arguments.root()).check()
    }

    /// Returns the same call with its result left unconverted.
    pub fn untyped(&self) -> Call<Option<Any>> {
        Call {
            this: self.this.clone(),
            request: self.request,
            at: self.at,
            arguments: Arc::clone(&self.arguments),
            result: PhantomData,
        }
    }

    pub(crate) const fn request_type(&self) -> u16 {
        self.request
    }
}

/// The part of [`Arguments::new`] that does not depend on the receiver's type.
fn begin(type_name: &str, value: &str, guid: Option<&str>, request: u16) -> Arguments {
    let this = AnyRef::from_parts(type_name, value, guid);
    let mut out = Builder::default();
    out.open_object(0, ObjectType::Known(request));
    this.store(0, &mut out);
    Arguments { this, request, out }
}

impl<R> Clone for Call<R> {
    fn clone(&self) -> Self {
        Self {
            this: self.this.clone(),
            request: self.request,
            at: self.at,
            arguments: Arc::clone(&self.arguments),
            result: PhantomData,
        }
    }
}

impl<R> fmt::Debug for Call<R> {
    /// Prints receiver and method. Arguments are omitted: they may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.this, self.method())
    }
}

/// A task whose result is of type `R`; `…_Task` methods return one.
///
/// The compiler warns about one that nobody waits for:
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// fn started(task: fn() -> vim25::TaskOf<()>) {
///     task();
/// }
/// ```
#[must_use = "the task may still fail: wait for it, or discard it with `let _`"]
pub struct TaskOf<R> {
    task: Ref<mo::Task>,
    result: PhantomData<fn() -> R>,
}

impl<R> TaskOf<R> {
    /// Returns the reference of the task.
    #[must_use]
    pub const fn task(&self) -> &Ref<mo::Task> {
        &self.task
    }
}

impl<R> From<Ref<mo::Task>> for TaskOf<R> {
    fn from(task: Ref<mo::Task>) -> Self {
        Self {
            task,
            result: PhantomData,
        }
    }
}

impl<R> Default for TaskOf<R> {
    fn default() -> Self {
        Self::from(Ref::default())
    }
}

impl<R> Deref for TaskOf<R> {
    type Target = Ref<mo::Task>;

    fn deref(&self) -> &Ref<mo::Task> {
        &self.task
    }
}

impl<R> Clone for TaskOf<R> {
    fn clone(&self) -> Self {
        Self::from(self.task.clone())
    }
}

impl<R> fmt::Debug for TaskOf<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.task, f)
    }
}

impl<R> Slot for TaskOf<R> {
    const KIND: FieldKind = FieldKind::Ref;

    fn load(&mut self, node: Node<'_>, cx: &mut Loading) {
        self.task.load(node, cx);
    }

    fn store(&self, field: u16, out: &mut Builder) {
        self.task.store(field, out);
    }
}

/// The result of a method or task: nothing, or a value.
pub trait Outcome: Sized {
    /// Converts the returned value; it is unset when the method returned none. All of
    /// it must be complete.
    ///
    /// # Errors
    /// [`ConvertError`] when it is of another type, incomplete, or absent although
    /// required.
    fn from_value(value: &Any) -> Result<Self, ConvertError>;

    /// Converts the value that came back, leaving out what is incomplete inside of
    /// it; see [`Any::get_lenient`].
    ///
    /// # Errors
    /// [`ConvertError`] when it is of another type, incomplete itself, or absent
    /// although required.
    fn from_value_lenient(value: &Any) -> Result<Lenient<Self>, ConvertError>;
}

impl Outcome for () {
    fn from_value(_: &Any) -> Result<Self, ConvertError> {
        Ok(())
    }

    fn from_value_lenient(_: &Any) -> Result<Lenient<Self>, ConvertError> {
        Ok(Lenient::complete(()))
    }
}

impl<T: Slot> Outcome for T {
    fn from_value(value: &Any) -> Result<Self, ConvertError> {
        if value.is_unset() {
            T::absent()
        } else {
            value.get()
        }
    }

    fn from_value_lenient(value: &Any) -> Result<Lenient<Self>, ConvertError> {
        if value.is_unset() {
            T::absent().map(Lenient::complete)
        } else {
            value.get_lenient()
        }
    }
}
