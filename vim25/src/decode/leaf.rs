//! The text of one scalar element.

use std::borrow::Cow;

use crate::document::{Cell, Kind, ObjectType, tag};
use crate::table::{self, FieldKind, NONE};

use super::attributes::Attributes;

/// A scalar element that is being read.
#[derive(Debug)]
pub(crate) struct Leaf<'x> {
    pub(crate) active: bool,
    pub(crate) nil: bool,
    pub(crate) field: u16,
    pub(crate) kind: FieldKind,
    pub(crate) tag: u8,
    /// Its explicit type, where that must be kept next to the text.
    pub(crate) typed: Option<ObjectType>,
    /// The target of a reference.
    pub(crate) target: Target,
    /// The text, as long as it is one piece of the input.
    single: &'x str,
    /// The text once it is several pieces; reused for all leaves, so that it allocates once.
    joined: String,
    is_joined: bool,
}

/// The attributes of a reference.
#[derive(Debug)]
pub(crate) enum Target {
    /// A managed object type of the schema.
    Known(u16),
    /// Any other target: type name and server.
    Named(Box<(String, Option<String>)>),
}

impl Default for Leaf<'_> {
    fn default() -> Self {
        Self {
            active: false,
            nil: false,
            field: 0,
            kind: FieldKind::String,
            tag: tag::UNTYPED,
            typed: None,
            target: Target::Known(NONE),
            single: "",
            joined: String::new(),
            is_joined: false,
        }
    }
}

impl<'x> Leaf<'x> {
    #[inline]
    pub(crate) fn begin(&mut self, field: u16, kind: FieldKind, tag: u8) {
        self.active = true;
        self.field = field;
        self.kind = kind;
        self.tag = tag;
    }

    /// Copies the attributes of a reference.
    pub(crate) fn refer(&mut self, attributes: &Attributes<'_>) {
        let ty = attributes.reference_type.as_deref().unwrap_or("");
        self.target = match (table::managed_type(ty), &attributes.server_guid) {
            (Some(id), None) => Target::Known(id),
            (_, guid) => Target::Named(Box::new((
                ty.to_owned(),
                guid.as_deref().map(str::to_owned),
            ))),
        };
    }

    #[inline]
    pub(crate) fn finish(&mut self) {
        self.active = false;
        self.nil = false;
        self.typed = None;
        self.single = "";
        self.is_joined = false;
        self.joined.clear();
    }

    /// Appends a piece of the input: entities, comments and CDATA split text into several.
    #[inline]
    pub(crate) fn push(&mut self, piece: Cow<'x, str>) {
        match piece {
            Cow::Borrowed(piece) if !self.is_joined && self.single.is_empty() => {
                self.single = piece;
            }
            piece => self.push_str(&piece),
        }
    }

    /// Appends text that is not in the input verbatim.
    pub(crate) fn push_str(&mut self, piece: &str) {
        if !self.is_joined {
            self.is_joined = true;
            self.joined.push_str(self.single);
        }
        self.joined.push_str(piece);
    }

    #[inline]
    pub(crate) fn as_str(&self) -> &str {
        if self.is_joined {
            &self.joined
        } else {
            self.single
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.as_str().len()
    }

    pub(crate) fn is_blank(&self) -> bool {
        self.as_str().bytes().all(|b| b.is_ascii_whitespace())
    }

    /// Returns the cell of a number or boolean. `None` for text, and for a value that
    /// does not parse or fit, which is kept as text.
    #[inline]
    pub(crate) fn number(&self) -> Option<Cell> {
        let cell = |kind, (a, b)| Cell {
            field: 0,
            kind,
            tag: self.tag,
            a,
            b,
        };
        let text = || self.as_str().trim_ascii();
        match self.kind {
            FieldKind::Bool => match text() {
                "true" | "1" => Some(cell(Kind::Bool, (1, 0))),
                "false" | "0" => Some(cell(Kind::Bool, (0, 0))),
                _ => None,
            },
            FieldKind::Byte => text()
                .parse::<i8>()
                .ok()
                .map(|v| cell(Kind::Int, (v as u32, 0))),
            FieldKind::Short => text()
                .parse::<i16>()
                .ok()
                .map(|v| cell(Kind::Int, (v as u32, 0))),
            FieldKind::Int => text()
                .parse::<i32>()
                .ok()
                .map(|v| cell(Kind::Int, (v as u32, 0))),
            FieldKind::Long => text()
                .parse::<i64>()
                .ok()
                .map(|v| cell(Kind::Long, Cell::split(v as u64))),
            FieldKind::Float => {
                let value = real(text())? as f32;
                Some(cell(Kind::Float, (value.to_bits(), 0)))
            }
            FieldKind::Double => {
                let value = real(text())?;
                Some(cell(Kind::Double, Cell::split(value.to_bits())))
            }
            _ => None,
        }
    }
}

/// Parses a float as XML Schema spells it: `INF`, `-INF`, `NaN` or a decimal.
pub(crate) fn real(text: &str) -> Option<f64> {
    match text {
        "INF" | "+INF" => Some(f64::INFINITY),
        "-INF" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        // Rust's own parser also accepts "inf", "infinity" and "nan".
        _ if text
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) =>
        {
            text.parse().ok()
        }
        _ => None,
    }
}

/// Returns the tag of a scalar of this kind.
#[inline]
pub(crate) const fn tag_of(kind: FieldKind) -> u8 {
    match kind {
        FieldKind::String => tag::STRING,
        FieldKind::Bool => tag::BOOL,
        FieldKind::Byte => tag::BYTE,
        FieldKind::Short => tag::SHORT,
        FieldKind::Int => tag::INT,
        FieldKind::Long => tag::LONG,
        FieldKind::Float => tag::FLOAT,
        FieldKind::Double => tag::DOUBLE,
        FieldKind::DateTime => tag::DATE_TIME,
        FieldKind::Binary => tag::BINARY,
        FieldKind::Uri => tag::URI,
        FieldKind::Ref => tag::REF,
        FieldKind::Enum | FieldKind::Object | FieldKind::Any => tag::UNTYPED,
    }
}

/// Returns the scalar kind of an `xsi:type` without its prefix.
pub(crate) fn scalar(local: &str) -> Option<FieldKind> {
    Some(match local {
        "string" => FieldKind::String,
        "boolean" => FieldKind::Bool,
        "byte" => FieldKind::Byte,
        "short" => FieldKind::Short,
        "int" => FieldKind::Int,
        "long" => FieldKind::Long,
        "float" => FieldKind::Float,
        "double" => FieldKind::Double,
        "dateTime" => FieldKind::DateTime,
        "base64Binary" => FieldKind::Binary,
        "anyURI" => FieldKind::Uri,
        "ManagedObjectReference" => FieldKind::Ref,
        _ => return None,
    })
}
