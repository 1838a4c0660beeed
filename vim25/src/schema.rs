//! The schema at run time: which types and methods there are, and of what.
//!
//! A generic tool (a printer, a simulator, a proxy) finds here what the typed
//! API knows at compile time. All of it reads the tables that the codec uses.
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

/// A data object, enum or managed object type, or the arguments or the result
/// of a method.
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

/// All types of the namespaces that were compiled in, vim25's first, in the
/// order of [`TypeKind`] and by name within a kind.
pub fn types() -> impl Iterator<Item = Type> {
    table::NAMESPACES
        .iter()
        .flat_map(|ns| (ns.first_id..).take(ns.types.len()))
        .map(|id| Type { id })
}

/// The type of a kind with a wire name; for [`TypeKind::Request`] and
/// [`TypeKind::Response`] the name of the method.
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

/// The data object or enum type with a wire name in one namespace: two namespaces
/// besides vim25 have types of the same name.
#[must_use]
pub fn find_in(namespace: &str, name: &str) -> Option<Type> {
    table::value_type_in(namespace, name).map(|id| Type { id })
}

impl Type {
    /// The wire name; of a request or response, the method's.
    #[must_use]
    pub fn name(self) -> &'static str {
        table::type_name(self.id)
    }

    /// What it is.
    #[must_use]
    pub fn kind(self) -> TypeKind {
        table::type_row(self.id).map_or(TypeKind::Data, |row| row.kind)
    }

    /// The namespace it belongs to, for example `urn:vim25`.
    #[must_use]
    pub fn namespace(self) -> &'static str {
        table::namespace_uri(self.id)
    }

    /// The type it is derived from.
    #[must_use]
    pub fn base(self) -> Option<Self> {
        let base = table::type_row(self.id)?.base;
        (base != table::NONE).then_some(Self { id: base })
    }

    /// Whether it is `base` or derived from it.
    #[must_use]
    pub fn is_a(self, base: Self) -> bool {
        table::is_a(self.id, base.id)
    }

    /// All fields in wire order, inherited ones first.
    pub fn fields(self) -> impl Iterator<Item = Field> {
        self.range(0)
    }

    /// The fields that its bases do not have.
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
    /// The wire name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// What it holds, or what the items of its list are.
    #[must_use]
    pub fn kind(self) -> FieldKind {
        self.row.kind
    }

    /// The declared type, when that is a data object, enum or managed object type
    /// of a namespace that was compiled in.
    #[must_use]
    pub fn declared(self) -> Option<Type> {
        table::type_row(self.row.ty).map(|_| Type { id: self.row.ty })
    }

    /// Whether it is a list.
    #[must_use]
    pub fn is_list(self) -> bool {
        self.row.is_array()
    }

    /// Whether the schema calls it optional.
    #[must_use]
    pub fn is_optional(self) -> bool {
        self.row.flags & OPTIONAL != 0
    }

    /// Whether an object without it is incomplete. Lists may always be empty.
    #[must_use]
    pub fn is_required(self) -> bool {
        self.row.is_required()
    }

    /// Whether the value is a secret and is never printed.
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
