//! The schema at run time: all types, fields and methods.
//!
//! Generic tools (a printer, a simulator, a proxy) look up here what the typed
//! API knows at compile time. It is backed by the tables that the codec uses.
//!
//! ```
//! use vim25::schema::{self, TypeKind};
//!
//! let disk = schema::find(TypeKind::Data, "VirtualDisk").expect("in the schema");
//! assert_eq!(disk.base().map(|base| base.name()), Some("VirtualDevice"));
//! let field = disk.fields().find(|field| field.name() == "capacityInKB").expect("a field");
//! assert!(field.is_required());
//! ```

use std::fmt;

use crate::table::{self, FieldRow, OPTIONAL, SECRET};

pub use crate::table::{FieldKind, TypeKind};

/// A data object, enum or managed object type, or the arguments or result of a
/// method.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Type {
    id: u16,
}

/// A field of a data object, a property of a managed object, a parameter, or a
/// method's result.
#[derive(Clone, Copy)]
pub struct Field {
    name: &'static str,
    row: &'static FieldRow,
}

/// Iterates over all types of the compiled namespaces: vim25 first, then in the
/// order of [`TypeKind`], and by name within a kind.
pub fn types() -> impl Iterator<Item = Type> {
    table::NAMESPACES
        .iter()
        .flat_map(|ns| (ns.first_id..).take(ns.types.len()))
        .map(|id| Type { id })
}

/// Finds a type of a kind by wire name; for [`TypeKind::Request`] and
/// [`TypeKind::Response`] by the name of the method.
#[must_use]
pub fn find(kind: TypeKind, name: &str) -> Option<Type> {
    let id = match kind {
        TypeKind::Data | TypeKind::Enum => table::value_type(name)?,
        TypeKind::Managed => table::managed_type(name)?,
        TypeKind::Request => table::method(name)?.0,
        TypeKind::Response => table::method(name)?.1,
    };
    let found = Type { id };
    (found.kind() == kind).then_some(found)
}

/// Finds a data object or enum type by wire name in one namespace. Two of the other
/// namespaces have types with the same name as one in vim25.
#[must_use]
pub fn find_in(namespace: &str, name: &str) -> Option<Type> {
    table::value_type_in(namespace, name).map(|id| Type { id })
}

impl Type {
    /// Returns the wire name; for a request or response, that of the method.
    #[must_use]
    pub fn name(self) -> &'static str {
        table::type_name(self.id)
    }

    /// Returns the kind of the type.
    #[must_use]
    pub fn kind(self) -> TypeKind {
        table::type_row(self.id).map_or(TypeKind::Data, |row| row.kind)
    }

    /// Returns the namespace of the type, for example `urn:vim25`.
    #[must_use]
    pub fn namespace(self) -> &'static str {
        table::home_uri(self.id)
    }

    /// Returns the type it is derived from.
    #[must_use]
    pub fn base(self) -> Option<Self> {
        let base = table::type_row(self.id)?.base;
        (base != table::NONE).then_some(Self { id: base })
    }

    /// Returns whether it is `base` or derived from it.
    #[must_use]
    pub fn is_a(self, base: Self) -> bool {
        table::is_a(self.id, base.id)
    }

    /// Iterates over all fields in wire order, inherited ones first.
    pub fn fields(self) -> impl Iterator<Item = Field> {
        self.range(0)
    }

    /// Iterates over the fields that are not inherited.
    pub fn own_fields(self) -> impl Iterator<Item = Field> {
        self.range(table::type_row(self.id).map_or(0, |row| row.first()))
    }

    fn range(self, first: u16) -> impl Iterator<Item = Field> {
        (first..table::field_count(self.id))
            .filter_map(move |index| table::field(self.id, index))
            .map(|(row, name)| Field { name, row })
    }
}

impl Field {
    /// Returns the wire name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Returns the kind of its value or, for a list, of the items.
    #[must_use]
    pub fn kind(self) -> FieldKind {
        self.row.kind
    }

    /// Returns the declared type, when that is a data object, enum or managed object type
    /// of a compiled namespace.
    #[must_use]
    pub fn declared(self) -> Option<Type> {
        table::type_row(self.row.ty).map(|_| Type { id: self.row.ty })
    }

    /// Returns whether it is a list.
    #[must_use]
    pub fn is_list(self) -> bool {
        self.row.is_array()
    }

    /// Returns whether the schema marks it optional.
    #[must_use]
    pub fn is_optional(self) -> bool {
        self.row.flags & OPTIONAL != 0
    }

    /// Returns whether an object without it is incomplete. Lists may always be empty.
    #[must_use]
    pub fn is_required(self) -> bool {
        self.row.is_required()
    }

    /// Returns whether the value is a secret, which is never printed.
    #[must_use]
    pub fn is_secret(self) -> bool {
        self.row.flags & SECRET != 0
    }
}

impl fmt::Debug for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:{}", self.kind(), self.name())
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.name(), self.kind())
    }
}
