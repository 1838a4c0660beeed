//! The document: a flat arena that holds any vSphere value.

use std::fmt;
use std::sync::{Arc, LazyLock};

use crate::error::EncodeError;
use crate::node::Node;

/// The kind of value that a cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// `a` = text offset, `b` = length; `tag` = the declared scalar. Also used for the
    /// text of a number or boolean that did not parse.
    Text,
    /// `a` = 0 or 1
    Bool,
    /// `a` = the value; `tag` tells byte, short and int apart
    Int,
    /// `a`, `b` = low and high half
    Long,
    /// `a` = bits
    Float,
    /// `a`, `b` = low and high half of the bits
    Double,
    /// `a` = text offset of the value, `b` = length << 16 | managed type id
    Ref,
    /// `a` = index into `Document::references`
    LongRef,
    /// `a` = type, see [`ObjectType`]; `b` = number of cells of the subtree, itself included
    Object,
    /// `tag` = field kind of the items or [`tag::UNTYPED_LIST`], `a` = their type id;
    /// `b` as for `Object`
    Array,
    /// A scalar with an explicit type: an enum value where any type is accepted, or
    /// text of an unknown type. `a`, `b` as for `Object`; its only child is the text.
    Typed,
    /// `xsi:nil`, or an unset value.
    Nil,
}

/// The scalar type that a cell was declared or sent with.
pub(crate) mod tag {
    pub(crate) const UNTYPED: u8 = 0;
    pub(crate) const STRING: u8 = 1;
    pub(crate) const BOOL: u8 = 2;
    pub(crate) const BYTE: u8 = 3;
    pub(crate) const SHORT: u8 = 4;
    pub(crate) const INT: u8 = 5;
    pub(crate) const LONG: u8 = 6;
    pub(crate) const FLOAT: u8 = 7;
    pub(crate) const DOUBLE: u8 = 8;
    pub(crate) const DATE_TIME: u8 = 9;
    pub(crate) const BINARY: u8 = 10;
    pub(crate) const URI: u8 = 11;
    pub(crate) const REF: u8 = 12;
    /// The kind of the items of a list that the schema does not know: repeated elements with
    /// the name of the list.
    pub(crate) const UNTYPED_LIST: u8 = u8::MAX;

    /// The name in `xsi:type`, and in the type and element names of an `ArrayOf…`.
    pub(crate) const NAMES: [&str; 13] = [
        "",
        "string",
        "boolean",
        "byte",
        "short",
        "int",
        "long",
        "float",
        "double",
        "dateTime",
        "base64Binary",
        "anyURI",
        "ManagedObjectReference",
    ];
}

/// Set in [`Cell::field`] when the field is not in the schema: the rest is an
/// index into [`Document::names`].
pub(crate) const UNKNOWN_FIELD: u16 = 0x8000;

/// One cell of the arena. The cells of a subtree follow their root.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    /// Flattened index of the field in the parent's type, or [`UNKNOWN_FIELD`].
    pub(crate) field: u16,
    pub(crate) kind: Kind,
    pub(crate) tag: u8,
    pub(crate) a: u32,
    pub(crate) b: u32,
}

impl Cell {
    /// Returns the number of cells in the subtree, itself included.
    #[inline]
    pub(crate) const fn span(self) -> u32 {
        match self.kind {
            Kind::Object | Kind::Array | Kind::Typed => self.b,
            _ => 1,
        }
    }

    #[inline]
    pub(crate) const fn long(self) -> i64 {
        (self.a as u64 | (self.b as u64) << 32) as i64
    }

    #[inline]
    pub(crate) const fn split(value: u64) -> (u32, u32) {
        (value as u32, (value >> 32) as u32)
    }
}

/// The type of an object cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectType {
    /// A type of the schema.
    Known(u16),
    /// A type that is not in the schema; its name is `Document::names[name]`.
    /// `declared` is the type that the schema declares for the value, or `NONE`.
    Unknown { name: u16, declared: u16 },
    /// An element of an unknown field, without a type name.
    Untyped,
}

const UNTYPED_OBJECT: u32 = u32::MAX;
const UNKNOWN_TYPE: u32 = 0x8000_0000;

impl ObjectType {
    #[inline]
    pub(crate) const fn pack(self) -> u32 {
        match self {
            Self::Known(id) => id as u32,
            Self::Unknown { name, declared } => {
                UNKNOWN_TYPE | (name as u32 & 0x7fff) << 16 | declared as u32
            }
            Self::Untyped => UNTYPED_OBJECT,
        }
    }

    #[inline]
    pub(crate) const fn unpack(a: u32) -> Self {
        if a < UNKNOWN_TYPE {
            Self::Known(a as u16)
        } else if a == UNTYPED_OBJECT {
            Self::Untyped
        } else {
            Self::Unknown {
                name: (a >> 16) as u16 & 0x7fff,
                declared: a as u16,
            }
        }
    }

    /// Returns the type whose table lists the fields of the object.
    #[inline]
    pub(crate) const fn table(self) -> u16 {
        match self {
            Self::Known(id) => id,
            Self::Unknown { declared, .. } => declared,
            Self::Untyped => crate::table::NONE,
        }
    }
}

/// A reference that does not fit into a cell: its type is not in the schema, its
/// value is long, or it names a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LongRef {
    pub(crate) type_name: Box<str>,
    pub(crate) value: Box<str>,
    pub(crate) server_guid: Option<Box<str>>,
}

/// Any vSphere value, with everything below it: an object, a list or a scalar.
///
/// A document is a flat arena of small cells and one text buffer, both in
/// document order. It keeps fields, types and enum values that the schema does not
/// know (those of a newer server), so that a value can be sent back unchanged.
///
/// Documents are created by decoding XML ([`crate::soap`]) or from typed values
/// ([`Any::new`](crate::Any::new), [`Poly::new`](crate::Poly::new)); after that
/// they are immutable and shared.
#[derive(Clone, Default)]
pub struct Document {
    pub(crate) cells: Vec<Cell>,
    pub(crate) text: String,
    /// Names of fields and types that the schema does not know.
    pub(crate) names: Vec<Box<str>>,
    pub(crate) references: Vec<LongRef>,
    /// Why this value cannot be encoded, if it cannot.
    pub(crate) problem: Option<Box<EncodeError>>,
}

static UNSET: LazyLock<Arc<Document>> = LazyLock::new(|| {
    let cell = Cell {
        field: 0,
        kind: Kind::Nil,
        tag: tag::UNTYPED,
        a: 0,
        b: 0,
    };
    Arc::new(Document {
        cells: vec![cell],
        ..Document::default()
    })
});

impl Document {
    /// Returns the document without a value: that of an unset field.
    pub(crate) fn unset() -> Arc<Self> {
        Arc::clone(&UNSET)
    }

    /// Returns the value that the document holds.
    #[must_use]
    pub fn root(self: &Arc<Self>) -> Node<'_> {
        Node::new(self, 0)
    }

    /// Returns the memory that the document occupies, in bytes, for accounting.
    #[must_use]
    pub fn size(&self) -> usize {
        self.cells.capacity() * size_of::<Cell>()
            + self.text.capacity()
            + self
                .names
                .iter()
                .map(|name| name.len() + size_of::<Box<str>>())
                .sum::<usize>()
    }

    #[inline]
    pub(crate) fn cell(&self, at: u32) -> Cell {
        const OUTSIDE: Cell = Cell {
            field: 0,
            kind: Kind::Nil,
            tag: 0,
            a: 0,
            b: 0,
        };
        self.cells.get(at as usize).copied().unwrap_or(OUTSIDE)
    }

    #[inline]
    pub(crate) fn text(&self, offset: u32, len: u32) -> &str {
        let start = offset as usize;
        self.text.get(start..start + len as usize).unwrap_or("")
    }

    pub(crate) fn name(&self, index: u16) -> &str {
        self.names.get(usize::from(index)).map_or("", AsRef::as_ref)
    }

    /// Returns the wire name of an object cell's type; empty when it has none.
    pub(crate) fn object_type_name(&self, ty: ObjectType) -> &str {
        match ty {
            ObjectType::Known(id) => crate::table::type_name(id),
            ObjectType::Unknown { name, .. } => self.name(name),
            ObjectType::Untyped => "",
        }
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::print::debug(self, 0, f)
    }
}
