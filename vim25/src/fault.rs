//! Faults: errors that a server reports.

use std::error::Error;
use std::fmt;

use crate::error::ConvertError;
use crate::object::{DataObject, IsA};
use crate::poly::Poly;
use crate::types::{LocalizedMethodFault, MethodFault};

/// A fault that a server returned, or that a task or property ended with.
///
/// ```
/// use vim25::{Fault, types::{InvalidPowerState, InvalidState, VirtualMachinePowerState}};
///
/// let mut detail = InvalidPowerState::default();
/// detail.existing_state = VirtualMachinePowerState::PoweredOn;
/// let fault = Fault::new("The attempted operation cannot be performed", detail);
/// assert!(fault.is::<InvalidState>());
/// let detail = fault.get::<InvalidPowerState>()?.expect("is one");
/// assert_eq!(detail.existing_state, VirtualMachinePowerState::PoweredOn);
/// # Ok::<(), vim25::ConvertError>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Fault {
    code: String,
    message: String,
    detail: Poly<MethodFault>,
}

impl Fault {
    /// Creates a fault with a typed detail, as a server does.
    #[must_use]
    pub fn new<T: DataObject + IsA<MethodFault>>(message: impl Into<String>, detail: T) -> Self {
        Self::from_parts("ServerFaultCode".into(), message.into(), Poly::new(detail))
    }

    pub(crate) const fn from_parts(
        code: String,
        message: String,
        detail: Poly<MethodFault>,
    ) -> Self {
        Self {
            code,
            message,
            detail,
        }
    }

    /// Returns the SOAP fault code, such as `ServerFaultCode`; empty for a task or property.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Returns the message of the server.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the typed detail; unset when the server sent none.
    #[must_use]
    pub const fn detail(&self) -> &Poly<MethodFault> {
        &self.detail
    }

    /// Returns the wire name of the detail's type, such as `InvalidPowerState`; may be empty.
    #[must_use]
    pub fn type_name(&self) -> String {
        if self.detail.is_unset() {
            String::new()
        } else {
            self.detail.type_name()
        }
    }

    /// Returns whether the detail is a `T` or of a type derived from it.
    #[must_use]
    pub fn is<T: DataObject + IsA<MethodFault>>(&self) -> bool {
        self.detail.is::<T>()
    }

    /// Returns the detail as a `T`, if that is exactly its type.
    ///
    /// # Errors
    /// [`ConvertError`] when the detail is a `T` but incomplete.
    pub fn get<T: DataObject + IsA<MethodFault>>(&self) -> Result<Option<T>, ConvertError> {
        self.detail.get()
    }

    /// Returns the fault that caused this one, if the server included it.
    #[must_use]
    pub fn cause(&self) -> Option<Self> {
        let cause = self.detail.node().get("faultCause")?;
        cause.to::<LocalizedMethodFault>().ok().map(Self::from)
    }
}

impl From<LocalizedMethodFault> for Fault {
    fn from(fault: LocalizedMethodFault) -> Self {
        let message = fault.localized_message.unwrap_or_default();
        Self::from_parts(String::new(), message, fault.fault)
    }
}

impl From<&Fault> for LocalizedMethodFault {
    fn from(fault: &Fault) -> Self {
        Self {
            fault: fault.detail.clone(),
            localized_message: (!fault.message.is_empty()).then(|| fault.message.clone()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.type_name();
        match (name.is_empty(), self.message.is_empty()) {
            (false, false) => write!(f, "{} ({name})", self.message),
            (false, true) => f.write_str(&name),
            (true, false) => f.write_str(&self.message),
            (true, true) => f.write_str("the server gave no reason"),
        }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("code", &self.code)
            .field("message", &self.message)
            .field("detail", &self.detail)
            .finish()
    }
}

impl Error for Fault {}
