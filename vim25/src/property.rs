//! Typed names of properties, and paths that are checked at compile time.

use std::fmt;
use std::marker::PhantomData;

use crate::reference::ManagedObject;
use crate::slot::Slot;
use crate::table::{self, FieldKind, FieldRow, Namespace};

/// A property of managed objects of type `M`, or a path into one, whose value is a `V`.
///
/// The constants in [`props`](crate::props) name every property of the API. For a
/// path into a property use [`path!`](crate::path!), which checks it against the schema,
/// or [`Property::new`], whose caller states the value's type.
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
    /// Names a property by its path, such as `config.hardware.device[2000]`. Path and
    /// type are not checked; [`path!`](crate::path!) checks them.
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

/// A path of fields into the properties of a managed object type, checked at compile
/// time: that every name is a field of what is before it, and that the last one holds
/// values of the type that is asked for.
///
/// The names are those on the wire. A field of a subtype, such as a disk's `backing`
/// below `VirtualDevice`, and a key in brackets have no declaration to check against:
/// [`Property::new`] takes these.
///
/// ```
/// use vim25::{Property, mo, path, types::VirtualMachinePowerState};
///
/// const POWER_STATE: Property<mo::VirtualMachine, VirtualMachinePowerState> =
///     path!(VirtualMachine, runtime.powerState);
/// assert_eq!(POWER_STATE.path(), "runtime.powerState");
/// ```
///
/// A wrong name does not compile:
///
/// ```compile_fail
/// use vim25::{Property, mo, path, types::VirtualMachinePowerState};
/// const POWER_STATE: Property<mo::VirtualMachine, VirtualMachinePowerState> =
///     path!(VirtualMachine, runtime.power_state);
/// ```
///
/// Nor does a wrong type:
///
/// ```compile_fail
/// use vim25::{Property, mo, path};
/// const POWER_STATE: Property<mo::VirtualMachine, bool> =
///     path!(VirtualMachine, runtime.powerState);
/// ```
///
/// Nor a list where the field has a single value:
///
/// ```compile_fail
/// use vim25::{Property, mo, path};
/// const NAME: Property<mo::VirtualMachine, Vec<String>> = path!(VirtualMachine, config.name);
/// ```
#[macro_export]
macro_rules! path {
    ($object:ident, $first:ident $(. $more:ident)*) => {
        const {
            $crate::Property::<$crate::mo::$object, _>::checked(
                concat!(stringify!($first) $(, ".", stringify!($more))*)
            )
        }
    };
}

impl<M: ManagedObject, V: Slot> Property<M, V> {
    /// Checks the path and its type against the schema; what [`path!`](crate::path!)
    /// expands to.
    ///
    /// # Panics
    /// When the check fails. Must be evaluated at compile time.
    #[doc(hidden)]
    #[must_use]
    pub const fn checked(path: &'static str) -> Self {
        let Some(row) = walk(M::TYPE, path.as_bytes()) else {
            panic!("a name in this path is not a field of what is before it");
        };
        assert!(
            row.is_array() == V::LIST,
            "this path leads to a list and the type is none, or the other way round"
        );
        let declared = match row.kind {
            FieldKind::Uri => FieldKind::String,
            kind => kind,
        };
        assert!(
            declared as u8 == V::KIND as u8,
            "this path leads to a value of another kind"
        );
        assert!(
            !matches!(declared, FieldKind::Object | FieldKind::Enum) || row.ty == V::TYPE,
            "this path leads to a value of another type"
        );
        Self::new(path)
    }
}

/// Returns the field at the end of a path.
const fn walk(mut ty: u16, path: &[u8]) -> Option<FieldRow> {
    let mut start = 0;
    loop {
        let mut end = start;
        while end < path.len() && path[end] != b'.' {
            end += 1;
        }
        let Some(row) = field_of(ty, path, start, end) else {
            return None;
        };
        if end == path.len() {
            return Some(row);
        }
        // A path through a list needs a key.
        if !matches!(row.kind, FieldKind::Object) || row.is_array() {
            return None;
        }
        ty = row.ty;
        start = end + 1;
    }
}

/// Returns the field of a type or of its bases that is named `path[start..end]`.
const fn field_of(mut ty: u16, path: &[u8], start: usize, end: usize) -> Option<FieldRow> {
    while let Some(namespace) = namespace_of(ty) {
        let row = namespace.types[(ty - namespace.first_id) as usize];
        let mut own = 0;
        while own < row.own() {
            let field = namespace.fields[(row.fields + own) as usize];
            if is_named(namespace, field.name, path, start, end) {
                return Some(field);
            }
            own += 1;
        }
        ty = row.base;
    }
    None
}

const fn namespace_of(ty: u16) -> Option<&'static Namespace> {
    let mut at = 0;
    while at < table::NAMESPACES.len() {
        let namespace = table::NAMESPACES[at];
        if ty >= namespace.first_id && ((ty - namespace.first_id) as usize) < namespace.types.len()
        {
            return Some(namespace);
        }
        at += 1;
    }
    None
}

const fn is_named(
    namespace: &Namespace,
    packed: u32,
    path: &[u8],
    start: usize,
    end: usize,
) -> bool {
    let (offset, len) = ((packed >> 8) as usize, (packed & 0xff) as usize);
    if len != end - start {
        return false;
    }
    let names = namespace.names.as_bytes();
    let mut at = 0;
    while at < len {
        if names[offset + at] != path[start + at] {
            return false;
        }
        at += 1;
    }
    true
}
