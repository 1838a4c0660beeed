//! A method call in progress.

use vim25::soap::Request;
use vim25::{Any, AnyRef, Fault, Slot};

use crate::fault;
use crate::object::{Object, Retype, SessionKey};
use crate::world::Transaction;

/// The result of a method: a value or a fault. The value is unset if the method returns
/// nothing.
pub(crate) type Answer = Result<Any, Fault>;

/// A call: its transaction, caller and arguments.
#[derive(Debug)]
pub(crate) struct Invocation<'a, 'c> {
    pub(crate) tx: &'a mut Transaction<'c>,
    pub(crate) request: &'a Request,
    pub(crate) this: AnyRef,
    pub(crate) caller: &'a Caller,
}

/// The client that makes a call.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) session: Option<SessionKey>,
    pub(crate) address: std::net::IpAddr,
    pub(crate) agent: String,
    /// The cookie of the session that the call opened, if any.
    pub(crate) cookie: std::sync::Arc<std::sync::Mutex<Option<String>>>,
}

impl Caller {
    /// Returns the caller's session. Methods that require one are not called without it.
    pub(crate) fn session(&self) -> Result<&SessionKey, Fault> {
        self.session
            .as_ref()
            .ok_or_else(|| fault::not_authenticated(None))
    }
}

impl Invocation<'_, '_> {
    /// Returns an argument. Request an optional argument as an `Option` or a `Vec`.
    pub(crate) fn arg<T: Slot>(&self, name: &'static str) -> Result<T, Fault> {
        self.request.argument(name).map_err(|error| {
            tracing::debug!(method = self.request.method, name, %error, "argument refused");
            fault::invalid_argument(name)
        })
    }

    /// Returns an argument that refers to an object which is visible to the caller.
    pub(crate) fn object_arg<T: vim25::ManagedObject>(
        &self,
        name: &'static str,
    ) -> Result<vim25::Ref<T>, Fault> {
        let reference: AnyRef = self.arg(name)?;
        let object = self.tx.visible(&reference, self.caller.session.as_ref())?;
        if object.is_a(T::NAME) {
            Ok(object.reference().retype())
        } else {
            Err(fault::invalid_argument(name))
        }
    }

    /// Returns the name of the caller's user.
    pub(crate) fn user(&mut self) -> String {
        let session = self.caller.session.as_ref();
        let user = session.and_then(|session| self.tx.sessions().user(session));
        user.map_or_else(|| "root".to_owned(), |user| user.user_name)
    }

    /// Returns the object that the method is called on.
    pub(crate) fn this(&self) -> Result<&Object, Fault> {
        self.tx.object(&self.this).map(|object| &**object)
    }

    /// Returns the object that the method is called on, for modification.
    pub(crate) fn edit_this(&mut self) -> Result<&mut Object, Fault> {
        let this = self.this.clone();
        self.tx.edit(&this)
    }
}

/// Returns the response of a method without a result.
pub(crate) fn nothing() -> Answer {
    Ok(Any::default())
}

/// Returns the response of a method with a result.
pub(crate) fn value<T: Slot>(value: &T) -> Answer {
    Ok(Any::new(value))
}
