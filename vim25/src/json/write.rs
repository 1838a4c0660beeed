//! Serializes a value as JSON.

use std::fmt::Write;

use crate::any::Any;
use crate::document::{Kind, ObjectType, UNKNOWN_FIELD, tag};
use crate::node::Node;
use crate::table::{self, FieldKind};

use super::{TYPE_NAME, VALUE};

impl Node<'_> {
    /// Serializes the value as JSON on one line; [`json`](crate::json) describes the format.
    ///
    /// **Secrets are included.** Use `Debug` for logs: it redacts them.
    ///
    /// ```
    /// use vim25::{Any, types::OptionValue};
    ///
    /// let option = Any::new(&OptionValue::new("a", "1"));
    /// assert_eq!(
    ///     option.node().to_json(),
    ///     r#"{"_typeName":"OptionValue","key":"a","value":{"_typeName":"string","_value":"1"}}"#
    /// );
    /// ```
    #[must_use]
    pub fn to_json(self) -> String {
        let mut out = String::new();
        value(self, FieldKind::Any, &mut out);
        out
    }
}

impl Any {
    /// Serializes the value as JSON; see [`Node::to_json`].
    #[must_use]
    pub fn to_json(&self) -> String {
        self.node().to_json()
    }
}

/// Writes a value whose declared type is `declared`.
fn value(node: Node<'_>, declared: FieldKind, out: &mut String) {
    let cell = node.cell();
    match cell.kind {
        Kind::Object => object(node, out),
        Kind::Array => {
            let typed = cell.tag != tag::UNTYPED_LIST;
            if typed {
                open_typed(&node.type_name(), out);
            }
            out.push('[');
            for (position, item) in node.children().enumerate() {
                separate(position, out);
                value(item, crate::encode::item_kind(cell), out);
            }
            out.push_str(if typed { "]}" } else { "]" });
        }
        Kind::Typed => {
            open_typed(&node.type_name(), out);
            scalar(node.scalar(), out);
            out.push('}');
        }
        Kind::Ref | Kind::LongRef => reference(node, out),
        Kind::Nil => out.push_str("null"),
        Kind::Text | Kind::Bool | Kind::Int | Kind::Long | Kind::Float | Kind::Double => {
            if declared == FieldKind::Any && cell.tag != tag::UNTYPED {
                open_typed(
                    tag::NAMES.get(usize::from(cell.tag)).copied().unwrap_or(""),
                    out,
                );
                scalar(node, out);
                out.push('}');
            } else {
                scalar(node, out);
            }
        }
    }
}

fn open_typed(name: &str, out: &mut String) {
    out.push('{');
    member(TYPE_NAME, out);
    string(name, out);
    out.push(',');
    member(VALUE, out);
}

fn object(node: Node<'_>, out: &mut String) {
    let ty = node.object_type().unwrap_or(ObjectType::Untyped);
    let table = ty.table();
    out.push('{');
    let mut members = 0;
    if ty != ObjectType::Untyped {
        member(TYPE_NAME, out);
        string(&node.type_name(), out);
        members += 1;
    }
    let mut written: Vec<u16> = Vec::new();
    for child in node.children() {
        let field = child.field();
        if written.contains(&field) {
            continue;
        }
        written.push(field);
        separate(members, out);
        members += 1;
        member(node.name_of(child), out);
        let row = (field & UNKNOWN_FIELD == 0)
            .then(|| table::field(table, field))
            .flatten();
        let declared = row.map_or(FieldKind::Any, |(row, _)| row.kind);
        let same: Vec<_> = node
            .children()
            .filter(|other| other.field() == field)
            .collect();
        if same.len() > 1 || row.is_some_and(|(row, _)| row.is_array()) {
            out.push('[');
            for (position, item) in same.into_iter().enumerate() {
                separate(position, out);
                value(item, declared, out);
            }
            out.push(']');
        } else {
            value(child, declared, out);
        }
    }
    out.push('}');
}

fn reference(node: Node<'_>, out: &mut String) {
    let (type_name, value) = node.as_reference().unwrap_or_default();
    out.push('{');
    member(TYPE_NAME, out);
    string(tag::NAMES[usize::from(tag::REF)], out);
    let guid = node.server_guid();
    let members = [
        ("type", Some(type_name)),
        ("value", Some(value)),
        ("serverGuid", guid),
    ];
    for (name, value) in members {
        if let Some(value) = value {
            out.push(',');
            member(name, out);
            string(value, out);
        }
    }
    out.push('}');
}

fn scalar(node: Node<'_>, out: &mut String) {
    if let Some(text) = node.as_str() {
        string(text, out);
    } else if let Some(number) = node.as_i64() {
        let _ = write!(out, "{number}");
    } else if let Some(flag) = node.as_bool() {
        out.push_str(if flag { "true" } else { "false" });
    } else if let Some(number) = node.as_f64() {
        // JSON has no numbers for these; XML Schema has words.
        match number {
            n if n.is_nan() => out.push_str("\"NaN\""),
            f64::INFINITY => out.push_str("\"INF\""),
            f64::NEG_INFINITY => out.push_str("\"-INF\""),
            _ if node.kind() == Kind::Float => {
                let _ = write!(out, "{:?}", number as f32);
            }
            n => {
                let _ = write!(out, "{n:?}");
            }
        }
    } else {
        out.push_str("null");
    }
}

fn separate(position: usize, out: &mut String) {
    if position > 0 {
        out.push(',');
    }
}

fn member(name: &str, out: &mut String) {
    string(name, out);
    out.push(':');
}

fn string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
