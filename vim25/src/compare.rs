//! Equality of any two values, and their differences.

use std::collections::{HashMap, HashSet};

use crate::any::Any;
use crate::document::{Kind, ObjectType, UNKNOWN_FIELD};
use crate::node::Node;
use crate::table::FieldKind;

/// Returns whether two values are equal: same types and same content.
///
/// The order of fields does not matter, the order of list items does. Scalars of
/// different widths are equal if their values are.
pub(crate) fn same(a: Node<'_>, b: Node<'_>) -> bool {
    let mut pending = vec![(a, b)];
    while let Some((a, b)) = pending.pop() {
        // One value of one document, as in two states of an object of which another part changed.
        if std::ptr::eq(a.document().as_ref(), b.document().as_ref()) && a.index() == b.index() {
            continue;
        }
        if !same_here(a, b) {
            return false;
        }
        let length = pending.len();
        let (mut children_a, mut children_b) = (a.children(), b.children());
        loop {
            match (children_a.next(), children_b.next()) {
                (Some(x), Some(y)) if same_field(a, x, b, y) => pending.push((x, y)),
                (None, None) => break,
                (Some(_), Some(_)) => {
                    pending.truncate(length);
                    match pairs(a, b) {
                        Some(pairs) => pending.extend(pairs),
                        None => return false,
                    }
                    break;
                }
                _ => return false,
            }
        }
    }
    true
}

/// Pairs the fields of two objects whose fields are in different orders; `None` if they do not have
/// the same fields.
fn pairs<'a>(a: Node<'a>, b: Node<'a>) -> Option<Vec<(Node<'a>, Node<'a>)>> {
    let mut left: Vec<_> = b.children().collect();
    let mut pairs = Vec::with_capacity(left.len());
    for x in a.children() {
        let at = left.iter().position(|y| same_field(a, x, b, *y))?;
        pairs.push((x, left.remove(at)));
    }
    left.is_empty().then_some(pairs)
}

fn same_field(a: Node<'_>, x: Node<'_>, b: Node<'_>, y: Node<'_>) -> bool {
    if (x.field() | y.field()) & UNKNOWN_FIELD == 0 && a.object_type() == b.object_type() {
        x.field() == y.field()
    } else {
        a.name_of(x) == b.name_of(y)
    }
}

/// Compares type and scalar content, but not children.
fn same_here(a: Node<'_>, b: Node<'_>) -> bool {
    let (x, y) = (a.cell(), b.cell());
    match (x.kind, y.kind) {
        (Kind::Object, Kind::Object) | (Kind::Typed, Kind::Typed) => {
            let (s, t) = (ObjectType::unpack(x.a), ObjectType::unpack(y.a));
            let same_type = match (s, t) {
                (ObjectType::Known(s), ObjectType::Known(t)) => s == t,
                _ => a.type_name() == b.type_name(),
            };
            same_type && (x.kind == Kind::Object || a.as_str() == b.as_str())
        }
        (Kind::Array, Kind::Array) => {
            // Only items that are data objects or enums have a type id.
            let typed = matches!(
                crate::encode::item_kind(x),
                FieldKind::Object | FieldKind::Enum
            );
            x.tag == y.tag && (x.a == y.a || !typed)
        }
        (Kind::Nil, Kind::Nil) => true,
        (Kind::Text, Kind::Text) => a.as_str() == b.as_str(),
        (Kind::Bool, Kind::Bool) => x.a == y.a,
        (Kind::Ref | Kind::LongRef, Kind::Ref | Kind::LongRef) => {
            a.as_reference() == b.as_reference()
        }
        (Kind::Int | Kind::Long, Kind::Int | Kind::Long) => a.as_i64() == b.as_i64(),
        (Kind::Float | Kind::Double, Kind::Float | Kind::Double) => {
            match (a.as_f64(), b.as_f64()) {
                (Some(s), Some(t)) => s == t || (s.is_nan() && t.is_nan()),
                _ => false,
            }
        }
        _ => false,
    }
}

/// One difference between two values.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Difference {
    /// Property path, such as `config.hardware.device[2000].capacityInKB`.
    pub path: String,
    /// The value in the first; `None` where it has none.
    pub before: Option<Any>,
    /// The value in the second; `None` where it has none.
    pub after: Option<Any>,
}

/// Returns the differences between two values, in the order of the second.
///
/// Objects of the same type are compared field by field. A list whose items
/// have distinct keys (a `key` field) is compared item by item, with paths like
/// `field[key]`; any other list, and values of different types, are one
/// difference as a whole. Every path is prefixed with `path`.
#[must_use]
pub fn difference(path: &str, before: Node<'_>, after: Node<'_>) -> Vec<Difference> {
    let mut found = Vec::new();
    differ(path, before, after, &mut found);
    found
}

fn differ(path: &str, before: Node<'_>, after: Node<'_>, found: &mut Vec<Difference>) {
    if same(before, after) {
        return;
    }
    let both_objects = before.object_type().is_some()
        && before.object_type().map(ObjectType::table)
            == after.object_type().map(ObjectType::table)
        && before.type_name() == after.type_name();
    let both_lists = before.kind() == Kind::Array && after.kind() == Kind::Array;
    if both_lists && differ_items(path, &items(before), &items(after), found) {
        return;
    }
    if !both_objects {
        found.push(Difference {
            path: path.to_owned(),
            before: Some(Any::of(before)),
            after: Some(Any::of(after)),
        });
        return;
    }
    let mut names: Vec<&str> = Vec::new();
    for child in after.children() {
        let name = after.name_of(child);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for child in before.children() {
        let name = before.name_of(child);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for name in names {
        let inner = if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        };
        let old: Vec<_> = before.all(name).collect();
        let new: Vec<_> = after.all(name).collect();
        if crate::table::is_list(
            after.object_type().map_or(u16::MAX, ObjectType::table),
            name,
        ) {
            if old.len() == new.len() && old.iter().zip(&new).all(|(x, y)| same(*x, *y)) {
                continue;
            }
            if !differ_items(&inner, &old, &new, found) {
                let whole = |parent: Node<'_>, items: &[Node<'_>]| {
                    (!items.is_empty()).then(|| crate::splice::list(parent, name))
                };
                found.push(Difference {
                    path: inner,
                    before: whole(before, &old),
                    after: whole(after, &new),
                });
            }
            continue;
        }
        match (old.first(), new.first()) {
            (Some(x), Some(y)) => differ(&inner, *x, *y, found),
            (x, y) => found.push(Difference {
                path: inner,
                before: x.map(|node| Any::of(*node)),
                after: y.map(|node| Any::of(*node)),
            }),
        }
    }
}

fn items(list: Node<'_>) -> Vec<Node<'_>> {
    list.children().collect()
}

/// Returns the distinct keys of the items, as written between brackets.
fn keys(items: &[Node<'_>]) -> Option<Vec<String>> {
    let mut keys = Vec::with_capacity(items.len());
    for item in items {
        let key = item.get("key")?;
        let key = match key.as_i64() {
            Some(number) => number.to_string(),
            None => format!("{:?}", key.as_str()?),
        };
        keys.push(key);
    }
    let mut sorted: Vec<_> = keys.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    (sorted.len() == keys.len()).then_some(keys)
}

/// Compares two keyed lists; `false` when their items have no distinct keys.
fn differ_items(
    path: &str,
    before: &[Node<'_>],
    after: &[Node<'_>],
    found: &mut Vec<Difference>,
) -> bool {
    let (Some(old_keys), Some(new_keys)) = (keys(before), keys(after)) else {
        return false;
    };
    let old: HashMap<_, _> = old_keys.iter().zip(before).collect();
    for (item, key) in after.iter().zip(&new_keys) {
        match old.get(key) {
            Some(old) if same(**old, *item) => {}
            Some(old) => differ(&format!("{path}[{key}]"), **old, *item, found),
            None => {
                let inner = format!("{path}[{key}]");
                found.push(Difference {
                    path: inner,
                    before: None,
                    after: Some(Any::of(*item)),
                });
            }
        }
    }
    let new: HashSet<_> = new_keys.iter().collect();
    for (item, key) in before.iter().zip(&old_keys) {
        if !new.contains(key) {
            let inner = format!("{path}[{key}]");
            found.push(Difference {
                path: inner,
                before: Some(Any::of(*item)),
                after: None,
            });
        }
    }
    true
}
