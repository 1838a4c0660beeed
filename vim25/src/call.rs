//! A method call as a value, without I/O.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use crate::any::Any;
use crate::builder::Builder;
use crate::document::{Document, ObjectType};
use crate::error::{ConvertError, ConvertProblem, EncodeError};
use crate::mo;
use crate::node::Node;
use crate::reference::{AnyRef, Ref};
use crate::slot::{Loading, Slot, Store};
use crate::table::{self, FieldKind};

/// The arguments of a call, written in wire order.
#[derive(Debug)]
pub struct Arguments(Builder);

impl Arguments {
    /// Writes one argument.
    #[inline]
    pub fn arg<T: Store + ?Sized>(&mut self, field: u16, value: &T) {
        value.store(field, &mut self.0);
    }

    /// Writes a reference to an object of any type derived from the declared one.
    #[inline]
    pub fn reference<T>(&mut self, field: u16, value: &Ref<T>) {
        value.store(field, &mut self.0);
    }
}

/// A call of a method on a managed object: receiver, method and encoded arguments.
///
/// `R` is the type of its result. Made by the methods of [`Ref`]; sent by a client.
///
/// ```
/// use vim25::{Ref, mo};
///
/// let vm: Ref<mo::VirtualMachine> = Ref::new("vm-42");
/// let call = vm.power_on_vm(None);
/// assert_eq!(call.method(), "PowerOnVM_Task");
/// assert_eq!(call.this().to_string(), "VirtualMachine:vm-42");
/// ```
pub struct Call<R> {
    this: AnyRef,
    request: u16,
    arguments: Arc<Document>,
    result: PhantomData<fn() -> R>,
}

impl<R> Call<R> {
    /// Builds a call; `request` is the type id of the request.
    #[inline]
    pub(crate) fn new<T>(this: &Ref<T>, request: u16, write: impl FnOnce(&mut Arguments)) -> Self {
        let (this, mut arguments) =
            begin(this.type_name(), this.value(), this.server_guid(), request);
        write(&mut arguments);
        Self {
            this,
            request,
            arguments: Arc::new(arguments.0.finish()),
            result: PhantomData,
        }
    }

    /// The wire name of the method, such as `PowerOnVM_Task`.
    #[must_use]
    pub fn method(&self) -> &'static str {
        table::type_name(self.request)
    }

    /// The object that the method is called on.
    #[must_use]
    pub const fn this(&self) -> &AnyRef {
        &self.this
    }

    /// The WSDL namespace of the method, such as `urn:vim25`.
    #[must_use]
    pub fn namespace(&self) -> &'static str {
        table::namespace_uri(self.request)
    }

    /// The receiver (`_this`) and the arguments, by their wire names.
    #[must_use]
    pub fn arguments(&self) -> Node<'_> {
        self.arguments.root()
    }

    /// Whether the arguments can be sent.
    ///
    /// # Errors
    /// [`EncodeError`] with the path of the argument that cannot.
    pub fn check(&self) -> Result<(), EncodeError> {
        Any::of(self.arguments.root()).check()
    }

    /// The same call with its result left as it stands on the wire.
    #[must_use]
    pub fn untyped(&self) -> Call<Option<Any>> {
        Call {
            this: self.this.clone(),
            request: self.request,
            arguments: Arc::clone(&self.arguments),
            result: PhantomData,
        }
    }

    pub(crate) const fn request_type(&self) -> u16 {
        self.request
    }
}

/// The part of [`Call::new`] that is the same for all calls.
fn begin(type_name: &str, value: &str, guid: Option<&str>, request: u16) -> (AnyRef, Arguments) {
    let this = AnyRef::from_parts(type_name, value, guid);
    let mut out = Builder::default();
    out.open_object(0, ObjectType::Known(request));
    this.store(0, &mut out);
    (this, Arguments(out))
}

impl<R> Clone for Call<R> {
    fn clone(&self) -> Self {
        Self {
            this: self.this.clone(),
            request: self.request,
            arguments: Arc::clone(&self.arguments),
            result: PhantomData,
        }
    }
}

impl<R> fmt::Debug for Call<R> {
    /// Receiver and method. Arguments are left out: they may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.this, self.method())
    }
}

/// A task that ends with a result of type `R`: what `…_Task` methods give.
pub struct TaskOf<R> {
    task: Ref<mo::Task>,
    result: PhantomData<fn() -> R>,
}

impl<R> TaskOf<R> {
    /// The task.
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
}

impl<R> Store for TaskOf<R> {
    fn store(&self, field: u16, out: &mut Builder) {
        self.task.store(field, out);
    }
}

/// The result of a method or task: nothing, or a value.
pub trait Outcome: Sized {
    /// Converts the value that came back; the unset value when none did.
    ///
    /// # Errors
    /// [`ConvertError`] when it is of another type, or absent although required.
    fn from_value(value: &Any) -> Result<Self, ConvertError>;
}

impl Outcome for () {
    fn from_value(_: &Any) -> Result<Self, ConvertError> {
        Ok(())
    }
}

impl<T: Slot + Absent> Outcome for T {
    fn from_value(value: &Any) -> Result<Self, ConvertError> {
        if value.is_unset() {
            T::absent()
        } else {
            value.get()
        }
    }
}

/// What a result is when nothing came back.
pub trait Absent: Sized {
    /// The value, or an error where one is required.
    ///
    /// # Errors
    /// [`ConvertError`] unless the result may be absent.
    fn absent() -> Result<Self, ConvertError> {
        Err(ConvertError::new(
            String::new(),
            ConvertProblem::Missing { field: "returnval" },
        ))
    }
}

impl<T> Absent for Option<T> {
    fn absent() -> Result<Self, ConvertError> {
        Ok(None)
    }
}

impl<T> Absent for Vec<T> {
    fn absent() -> Result<Self, ConvertError> {
        Ok(Self::new())
    }
}

macro_rules! required {
    ($($ty:ty),*) => { $( impl Absent for $ty {} )* };
}
required!(
    bool,
    i8,
    i16,
    i32,
    i64,
    f32,
    f64,
    String,
    crate::Timestamp,
    crate::Binary,
    Any
);
impl<T> Absent for Ref<T> {}
impl<T> Absent for TaskOf<T> {}
impl<B> Absent for crate::Poly<B> {}
