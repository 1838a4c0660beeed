//! Writing a document as XML.

use std::sync::Arc;

use crate::document::{Cell, Document, Kind, ObjectType, tag};
use crate::error::{EncodeError, EncodeProblem};
use crate::node::{Node, child_name};
use crate::table::{self, FieldKind};

/// Names of scalar items, by [`FieldKind`]: in `ArrayOf…` and as element.
const ITEMS: [(&str, &str); 15] = [
    ("String", "string"),
    ("Boolean", "boolean"),
    ("Byte", "byte"),
    ("Short", "short"),
    ("Int", "int"),
    ("Long", "long"),
    ("Float", "float"),
    ("Double", "double"),
    ("DateTime", "dateTime"),
    ("Base64Binary", "base64Binary"),
    ("AnyURI", "anyURI"),
    ("ManagedObjectReference", "ManagedObjectReference"),
    ("", ""),
    ("", ""),
    ("AnyType", "anyType"),
];

/// The field kind that a list cell holds, from its tag.
pub(crate) fn item_kind(cell: Cell) -> FieldKind {
    const KINDS: [FieldKind; 15] = [
        FieldKind::String,
        FieldKind::Bool,
        FieldKind::Byte,
        FieldKind::Short,
        FieldKind::Int,
        FieldKind::Long,
        FieldKind::Float,
        FieldKind::Double,
        FieldKind::DateTime,
        FieldKind::Binary,
        FieldKind::Uri,
        FieldKind::Ref,
        FieldKind::Enum,
        FieldKind::Object,
        FieldKind::Any,
    ];
    KINDS
        .get(usize::from(cell.tag))
        .copied()
        .unwrap_or(FieldKind::Any)
}

/// `X` of the type name `ArrayOfX`.
pub(crate) fn array_type_suffix(cell: Cell) -> &'static str {
    match item_kind(cell) {
        FieldKind::Object | FieldKind::Enum => table::type_name(cell.a as u16),
        kind => ITEMS[kind as usize].0,
    }
}

/// The element name of the items of a list.
pub(crate) fn array_item_name(cell: Cell) -> &'static str {
    match item_kind(cell) {
        FieldKind::Object | FieldKind::Enum => table::type_name(cell.a as u16),
        kind => ITEMS[kind as usize].1,
    }
}

/// The item kind and type of `ArrayOf<suffix>`.
pub(crate) fn array_items(suffix: &str) -> Option<(FieldKind, u16)> {
    const KINDS: [FieldKind; 13] = [
        FieldKind::String,
        FieldKind::Bool,
        FieldKind::Byte,
        FieldKind::Short,
        FieldKind::Int,
        FieldKind::Long,
        FieldKind::Float,
        FieldKind::Double,
        FieldKind::DateTime,
        FieldKind::Binary,
        FieldKind::Uri,
        FieldKind::Ref,
        FieldKind::Any,
    ];
    if let Some(kind) = KINDS.iter().find(|kind| ITEMS[**kind as usize].0 == suffix) {
        return Some((*kind, table::NONE));
    }
    let id = table::value_type(suffix)?;
    let enumeration = table::type_row(id).is_some_and(|row| row.kind == table::TypeKind::Enum);
    Some((
        if enumeration {
            FieldKind::Enum
        } else {
            FieldKind::Object
        },
        id,
    ))
}

/// The first character of a text that XML 1.0 cannot carry.
pub(crate) fn forbidden_character(text: &str) -> Option<char> {
    // Bytes first: the common case has none of them.
    let suspicious = |b: &u8| (*b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r')) || *b == 0xEF;
    if !text.as_bytes().iter().any(suspicious) {
        return None;
    }
    text.chars().find(|c| {
        matches!(c, '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
    })
}

/// Appends text with `&`, `<`, `>` and carriage returns escaped.
pub(crate) fn escape(out: &mut String, text: &str) {
    // A question about all bytes is answered many at a time; most texts need no more.
    if !text
        .bytes()
        .fold(false, |found, byte| found | is_special(byte))
    {
        out.push_str(text);
        return;
    }
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escaped = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'\r' => "&#xD;",
            _ => continue,
        };
        out.push_str(&text[from..at]);
        out.push_str(escaped);
        from = at + 1;
    }
    out.push_str(&text[from..]);
}

/// Bytes that text can hold only escaped, or not at all; and the first byte of
/// characters of which two are forbidden.
const fn is_special(byte: u8) -> bool {
    byte < b' ' || byte == b'&' || byte == b'<' || byte == b'>' || byte == 0xef
}

/// Appends the text of a cell, unless XML cannot carry it: what was read may
/// hold raw control characters.
fn text_of(doc: &Arc<Document>, at: u32, out: &mut String) -> Result<(), EncodeError> {
    let cell = doc.cell(at);
    let text = doc.text(cell.a, cell.b);
    if text
        .bytes()
        .fold(false, |found, byte| found | is_special(byte))
    {
        if let Some(c) = forbidden_character(text) {
            let path = crate::path::path_to(Node::new(doc, at));
            return Err(EncodeError::new(path, EncodeProblem::ForbiddenCharacter(c)));
        }
        escape(out, text);
    } else {
        out.push_str(text);
    }
    Ok(())
}

/// Appends an attribute value, quotes and white space escaped too.
pub(crate) fn escape_attribute(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            c => out.push(c),
        }
    }
}

/// Whether a scalar cell, in a place that is declared as `kind`, must name its type.
fn scalar_type(cell: Cell, kind: FieldKind) -> Option<&'static str> {
    (kind == FieldKind::Any && cell.tag != tag::UNTYPED)
        .then(|| tag::NAMES.get(usize::from(cell.tag)).copied())
        .flatten()
}

fn open_tag(out: &mut String, name: &str, xsi_type: Option<(&str, &str)>) {
    out.push('<');
    out.push_str(name);
    if let Some((prefix, ty)) = xsi_type {
        out.push_str(" xsi:type=\"");
        out.push_str(prefix);
        escape_attribute(out, ty);
        out.push('"');
    }
    out.push('>');
}

fn close_tag(out: &mut String, name: &str) {
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

/// An element that is open on the output.
struct Open<'d> {
    end: u32,
    name: &'d str,
    cell: Cell,
}

/// Writes the children of an object or list, in document order.
///
/// # Errors
/// The reason why the value that the document was made from cannot be sent.
pub(crate) fn children(node: Node<'_>, out: &mut String) -> Result<(), EncodeError> {
    let doc = node.document();
    if let Some(problem) = &doc.problem {
        return Err((**problem).clone());
    }
    let root = node.cell();
    let last = node.index() + root.span();
    let mut open = vec![Open {
        end: last,
        name: "",
        cell: root,
    }];
    let mut at = node.index() + 1;
    loop {
        while let Some(top) = open.last() {
            if at < top.end {
                break;
            }
            if open.len() == 1 {
                return Ok(());
            }
            close_tag(out, top.name);
            open.pop();
        }
        let Some(parent) = open.last() else {
            return Ok(());
        };
        let cell = doc.cell(at);
        let name = child_name(doc, parent.cell, cell);
        let declared = declaration(parent.cell, cell);
        if let Some(opened) = element_at(doc, at, name, declared, out)? {
            open.push(opened);
        }
        at += 1;
    }
}

/// What the schema declares at the place of a child: kind and type.
fn declaration(parent: Cell, child: Cell) -> (FieldKind, u16) {
    match parent.kind {
        Kind::Array => (item_kind(parent), parent.a as u16),
        Kind::Object if child.field & crate::document::UNKNOWN_FIELD == 0 => {
            let table = ObjectType::unpack(parent.a).table();
            table::field(table, child.field)
                .map_or((FieldKind::Any, table::NONE), |(row, _)| (row.kind, row.ty))
        }
        _ => (FieldKind::Any, table::NONE),
    }
}

/// Writes one element, or the start of one that has children.
fn element_at<'d>(
    doc: &'d Arc<Document>,
    at: u32,
    name: &'d str,
    (kind, ty): (FieldKind, u16),
    out: &mut String,
) -> Result<Option<Open<'d>>, EncodeError> {
    let cell = doc.cell(at);
    let scalar_prefix = |cell: Cell| {
        scalar_type(cell, kind).map(|name| (if cell.tag == tag::REF { "" } else { "xsd:" }, name))
    };
    match cell.kind {
        Kind::Object => {
            let actual = ObjectType::unpack(cell.a);
            let named = match actual {
                ObjectType::Known(id) if id == ty && kind == FieldKind::Object => None,
                ObjectType::Untyped => None,
                other => Some(("", doc.object_type_name(other))),
            };
            open_tag(out, name, named);
            return Ok(Some(Open {
                end: at + cell.b,
                name,
                cell,
            }));
        }
        Kind::Array => {
            out.push('<');
            out.push_str(name);
            out.push_str(" xsi:type=\"ArrayOf");
            out.push_str(array_type_suffix(cell));
            out.push_str("\">");
            return Ok(Some(Open {
                end: at + cell.b,
                name,
                cell,
            }));
        }
        Kind::Typed => {
            let named = doc.object_type_name(ObjectType::unpack(cell.a));
            let shown = match (kind, ObjectType::unpack(cell.a)) {
                (FieldKind::Enum, ObjectType::Known(id)) if id == ty => None,
                _ => Some(("", named)),
            };
            open_tag(out, name, shown);
            return Ok(Some(Open {
                end: at + cell.b,
                name,
                cell,
            }));
        }
        Kind::Text if name.is_empty() => {
            // The text inside a wrapper that has written the element already.
            text_of(doc, at, out)?;
            return Ok(None);
        }
        Kind::Text => {
            open_tag(out, name, scalar_prefix(cell));
            text_of(doc, at, out)?;
        }
        Kind::Bool => {
            open_tag(out, name, scalar_prefix(cell));
            out.push_str(if cell.a != 0 { "true" } else { "false" });
        }
        Kind::Int => {
            open_tag(out, name, scalar_prefix(cell));
            integer(out, i64::from(cell.a as i32));
        }
        Kind::Long => {
            open_tag(out, name, scalar_prefix(cell));
            integer(out, cell.long());
        }
        Kind::Float => {
            open_tag(out, name, scalar_prefix(cell));
            let value = f32::from_bits(cell.a);
            float(out, f64::from(value), format_args!("{value:?}"));
        }
        Kind::Double => {
            open_tag(out, name, scalar_prefix(cell));
            let value = f64::from_bits(cell.long() as u64);
            float(out, value, format_args!("{value:?}"));
        }
        Kind::Ref => {
            let value = doc.text(cell.a, cell.b >> 16);
            let ty = table::type_name(cell.b as u16);
            reference(out, name, ty, value, None, scalar_prefix(cell).is_some());
        }
        Kind::LongRef => {
            let Some(r) = doc.references.get(cell.a as usize) else {
                return Err(EncodeError::new(
                    name.to_owned(),
                    EncodeProblem::EmptyReference,
                ));
            };
            let guid = r.server_guid.as_deref();
            reference(
                out,
                name,
                &r.type_name,
                &r.value,
                guid,
                scalar_prefix(cell).is_some(),
            );
        }
        Kind::Nil => {
            out.push('<');
            out.push_str(name);
            out.push_str(" xsi:nil=\"true\">");
        }
    }
    close_tag(out, name);
    Ok(None)
}

fn reference(
    out: &mut String,
    name: &str,
    ty: &str,
    value: &str,
    server_guid: Option<&str>,
    typed: bool,
) {
    out.push('<');
    out.push_str(name);
    out.push_str(" type=\"");
    escape_attribute(out, ty);
    out.push('"');
    if let Some(guid) = server_guid {
        out.push_str(" serverGuid=\"");
        escape_attribute(out, guid);
        out.push('"');
    }
    if typed {
        out.push_str(" xsi:type=\"ManagedObjectReference\"");
    }
    out.push('>');
    escape(out, value);
}

fn integer(out: &mut String, value: i64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push('-');
    }
    out.extend(digits[at..].iter().map(|digit| char::from(*digit)));
}

/// XML Schema spells the special values `INF`, `-INF` and `NaN`.
fn float(out: &mut String, value: f64, shortest: std::fmt::Arguments<'_>) {
    match value {
        value if value.is_nan() => out.push_str("NaN"),
        f64::INFINITY => out.push_str("INF"),
        f64::NEG_INFINITY => out.push_str("-INF"),
        _ => {
            // Writing to a string cannot fail.
            let _ = std::fmt::Write::write_fmt(out, shortest);
        }
    }
}

/// One value as an element `<value>` that names its type and the prefixes it uses.
///
/// # Errors
/// [`EncodeError`] when the value cannot be sent.
pub(crate) fn element(node: Node<'_>) -> Result<String, EncodeError> {
    let mut out = String::new();
    let doc = node.document();
    if let Some(problem) = &doc.problem {
        return Err((**problem).clone());
    }
    named(node, "value", (FieldKind::Any, table::NONE), &mut out)?;
    // The namespaces belong on the element that was written.
    let declarations = format!(
        " xmlns:xsd=\"{}\" xmlns:xsi=\"{}\"",
        crate::soap::XSD_NAMESPACE,
        crate::soap::XSI_NAMESPACE
    );
    out.insert_str("<value".len(), &declarations);
    Ok(out)
}

/// One value under a name, in a place with this declaration.
pub(crate) fn named(
    node: Node<'_>,
    name: &str,
    declared: (FieldKind, u16),
    out: &mut String,
) -> Result<(), EncodeError> {
    let doc = node.document();
    if let Some(opened) = element_at(doc, node.index(), name, declared, out)? {
        if node.kind() == Kind::Typed {
            text_of(doc, node.index() + 1, out)?;
        } else {
            children(node, out)?;
        }
        close_tag(out, opened.name);
    }
    Ok(())
}
