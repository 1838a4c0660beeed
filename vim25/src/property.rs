//! Typed names of properties.

use std::fmt;
use std::marker::PhantomData;

/// A property of managed objects of type `M`, or a path into one, whose value is a `V`.
///
/// The constants in [`props`](crate::props) name every property of the API. For a
/// path into a property use [`Property::new`], whose caller states the value's type.
///
/// ```
/// use vim25::{Property, mo, props, types::VirtualMachinePowerState};
///
/// assert_eq!(props::virtual_machine::CONFIG.path(), "config");
/// const POWER_STATE: Property<mo::VirtualMachine, VirtualMachinePowerState> =
///     Property::new("runtime.powerState");
/// assert_eq!(POWER_STATE.path(), "runtime.powerState");
/// ```
pub struct Property<M, V> {
    path: &'static str,
    marker: PhantomData<fn() -> (M, V)>,
}

impl<M, V> Property<M, V> {
    /// Names a property by its path, such as `runtime.powerState`.
    #[must_use]
    pub const fn new(path: &'static str) -> Self {
        Self {
            path,
            marker: PhantomData,
        }
    }

    /// Returns the path as sent on the wire.
    #[must_use]
    pub const fn path(&self) -> &'static str {
        self.path
    }
}

impl<M, V> Clone for Property<M, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M, V> Copy for Property<M, V> {}

impl<M, V> fmt::Debug for Property<M, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path)
    }
}
