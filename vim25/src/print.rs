//! Prints any value for people, with secrets redacted.

use std::fmt::{self, Write};

use crate::document::{Document, Kind, ObjectType, UNKNOWN_FIELD};
use crate::node::child_name;
use crate::table;

/// Prints a value like `Debug`, on one line, with wire names.
pub(crate) fn debug(doc: &Document, at: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    /// A value whose children are being printed.
    struct Open {
        at: u32,
        end: u32,
        children: usize,
    }
    let mut open: Vec<Open> = Vec::new();
    let end = at + doc.cell(at).span();
    let mut at = at;
    loop {
        while let Some(top) = open.last() {
            if at < top.end {
                break;
            }
            f.write_str(match (doc.cell(top.at).kind, top.children) {
                (Kind::Array, _) => "]",
                (_, 0) => "",
                _ => " }",
            })?;
            open.pop();
        }
        if at >= end {
            return Ok(());
        }
        let cell = doc.cell(at);
        let mut secret = false;
        if let Some(parent) = open.last_mut() {
            let parent_cell = doc.cell(parent.at);
            parent.children += 1;
            if parent_cell.kind == Kind::Array {
                f.write_str(if parent.children > 1 { ", " } else { "" })?;
            } else {
                f.write_str(if parent.children > 1 { ", " } else { " { " })?;
                f.write_str(child_name(doc, parent_cell, cell))?;
                f.write_str(": ")?;
                let ty = ObjectType::unpack(parent_cell.a).table();
                secret = cell.field & UNKNOWN_FIELD == 0
                    && table::field(ty, cell.field)
                        .is_some_and(|(row, _)| row.flags & table::SECRET != 0);
            }
        }
        if secret {
            f.write_str("(hidden)")?;
            at += cell.span().max(1);
            continue;
        }
        match cell.kind {
            Kind::Object => {
                f.write_str(match ObjectType::unpack(cell.a) {
                    ObjectType::Untyped => "(untyped)",
                    ty => doc.object_type_name(ty),
                })?;
                open.push(Open {
                    at,
                    end: at + cell.b,
                    children: 0,
                });
            }
            Kind::Array => {
                f.write_char('[')?;
                open.push(Open {
                    at,
                    end: at + cell.b,
                    children: 0,
                });
            }
            Kind::Typed => {}
            Kind::Text => write!(f, "{:?}", doc.text(cell.a, cell.b))?,
            Kind::Bool => write!(f, "{}", cell.a != 0)?,
            Kind::Int => write!(f, "{}", cell.a as i32)?,
            Kind::Long => write!(f, "{}", cell.long())?,
            Kind::Float => write!(f, "{}", f32::from_bits(cell.a))?,
            Kind::Double => write!(f, "{}", f64::from_bits(cell.long() as u64))?,
            Kind::Ref => {
                let value = doc.text(cell.a, cell.b >> 16);
                write!(f, "{}:{value}", table::type_name(cell.b as u16))?;
            }
            Kind::LongRef => match doc.references.get(cell.a as usize) {
                Some(reference) => write!(f, "{}:{}", reference.type_name, reference.value)?,
                None => f.write_str("(unset)")?,
            },
            Kind::Nil => f.write_str("(unset)")?,
        }
        at += 1;
    }
}
