//! Property paths: resolving one, and finding the path of a value.

use std::fmt::Write;

use crate::any::Any;
use crate::document::Kind;
use crate::node::{Node, child_name};
use crate::table::{self, FieldKind, NONE};

/// One step of a path: a field name, or a key in brackets.
pub(crate) enum Step<'p> {
    /// A field, by its wire name.
    Field(&'p str),
    /// An item of a list, by the value of its `key`.
    Key(&'p str),
}

/// Splits `a.b[2000].c["x.y"]` into steps. `None` if a bracket or quote is not closed.
pub(crate) fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (key, after) = match inner.strip_prefix('"') {
                Some(quoted) => {
                    let close = quoted.find("\"]")?;
                    (&quoted[..close], &quoted[close + 2..])
                }
                None => {
                    let close = inner.find(']')?;
                    (&inner[..close], &inner[close + 1..])
                }
            };
            steps.push(Step::Key(key));
            rest = after;
        } else {
            let body = rest.strip_prefix('.').unwrap_or(rest);
            let end = body.find(['.', '[']).unwrap_or(body.len());
            if end == 0 {
                return None;
            }
            steps.push(Step::Field(&body[..end]));
            rest = &body[end..];
        }
    }
    Some(steps)
}

/// Returns whether a list item has this key: the value of its field `key`,
/// or of the item itself when it is a reference.
pub(crate) fn has_key(item: Node<'_>, key: &str) -> bool {
    match item.get("key") {
        Some(value) => match value.as_i64() {
            Some(number) => key.parse() == Ok(number),
            None => value.as_str() == Some(key),
        },
        None => item.as_reference().is_some_and(|(_, value)| value == key),
    }
}

/// Picks an item of a list by key, or by position when the items have no key.
fn pick<'a>(items: impl Iterator<Item = Node<'a>> + Clone, key: &str) -> Option<Node<'a>> {
    if let Some(found) = items.clone().find(|item| has_key(*item, key)) {
        return Some(found);
    }
    let keyed = items.clone().any(|item| item.get("key").is_some());
    let position: usize = key.parse().ok().filter(|_| !keyed)?;
    items.into_iter().nth(position)
}

pub(crate) fn follow<'a>(from: Node<'a>, path: &str) -> Option<Node<'a>> {
    walk(from, &steps(path)?)
}

/// Returns the value at a path as a value of its own: a list field is one list value.
pub(crate) fn value(from: Node<'_>, path: &str) -> Option<Any> {
    let steps = steps(path)?;
    match steps.split_last() {
        Some((Step::Field(name), before)) => crate::splice::value_at(walk(from, before)?, name),
        _ => {
            let item = walk(from, &steps)?;
            let (kind, ty) = item_type(from, &steps).unwrap_or((FieldKind::Any, NONE));
            Some(crate::splice::alone(item, kind, ty))
        }
    }
}

/// Returns the declared type of the items of the list that the last step, a key, selects from.
fn item_type(from: Node<'_>, steps: &[Step<'_>]) -> Option<(FieldKind, u16)> {
    let (_, to_list) = steps.split_last()?;
    if let Some((Step::Field(name), before)) = to_list.split_last()
        && let Some(ty) = walk(from, before)?.object_type()
    {
        let (_, row) = table::find_field(ty.table(), name, &mut 0)?;
        if row.is_array() {
            return Some((row.kind, row.ty));
        }
    }
    let list = walk(from, to_list).filter(|list| list.kind() == Kind::Array)?;
    let cell = list.cell();
    Some((crate::encode::item_kind(cell), cell.a as u16))
}

fn walk<'a>(from: Node<'a>, steps: &[Step<'_>]) -> Option<Node<'a>> {
    let mut at = from;
    // The list field that a key applies to: all its repeated elements.
    let mut list: Option<(Node<'a>, &str)> = None;
    for step in steps {
        match *step {
            Step::Field(name) => {
                list = Some((at, name));
                at = at.get(name)?;
            }
            Step::Key(key) => {
                at = if at.kind() == Kind::Array {
                    pick(at.children(), key)?
                } else {
                    let (parent, name) = list?;
                    let items: Vec<_> = parent.all(name).collect();
                    pick(items.into_iter(), key)?
                };
                list = None;
            }
        }
    }
    Some(at)
}

/// Returns the path from the root of the document to a value. Repeated fields get a position.
pub(crate) fn path_to(target: Node<'_>) -> String {
    let doc = target.document();
    let mut path = String::new();
    let mut at = 0;
    while at != target.index() {
        let parent = doc.cell(at);
        let end = at + parent.span();
        let mut child = at + 1;
        let mut same_before = Vec::new();
        let found = loop {
            if child >= end {
                return path;
            }
            let cell = doc.cell(child);
            if (child..child + cell.span()).contains(&target.index()) {
                break cell;
            }
            same_before.push(cell.field);
            child += cell.span();
        };
        let position = same_before
            .iter()
            .filter(|field| **field == found.field)
            .count();
        let next = doc.cell(child + found.span());
        let repeated = child + found.span() < end && next.field == found.field;
        if parent.kind == Kind::Array {
            let _ = write!(path, "[{position}]");
        } else if parent.kind == Kind::Object {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(child_name(doc, parent, found));
            if position > 0 || repeated {
                let _ = write!(path, "[{position}]");
            }
        }
        at = child;
    }
    path
}
