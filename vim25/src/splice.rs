//! Replaces part of a value and keeps the rest, for [`Poly::modify`](crate::Poly::modify).

use std::sync::Arc;

use crate::any::Any;
use crate::builder::Builder;
use crate::document::{Kind, ObjectType, UNKNOWN_FIELD};
use crate::node::Node;
use crate::table::{self, FieldKind};

/// Returns the object in a form whose fields include those of `type_id`: itself if its type
/// is derived from `type_id`, decoded again if its type is unknown and `type_id` is allowed
/// for the value. Returns `None` for an object of another type.
pub(crate) fn as_type(node: Node<'_>, type_id: u16) -> Option<Any> {
    let ty = node.object_type()?;
    if table::is_a(ty.table(), type_id) {
        return Some(Any::of(node));
    }
    match ty {
        ObjectType::Unknown { declared, .. }
            if declared == table::NONE || table::is_a(type_id, declared) =>
        {
            let xml = crate::encode::element(node).ok()?;
            let document = crate::decode::element(&xml, type_id).ok()?;
            let read = Any::of(Arc::new(document).root());
            let table = read.node().object_type()?.table();
            table::is_a(table, type_id).then_some(read)
        }
        _ => None,
    }
}

/// Returns a copy of `object` with the fields of a base type replaced.
///
/// `before` and `after` are that base part as a struct writes it, before and
/// after a change. Unchanged fields are copied from `object`, including nested
/// unknown fields; changed ones are taken from `after`, and unknown fields of
/// nested objects are carried over.
pub(crate) fn splice(object: Node<'_>, before: Node<'_>, after: Node<'_>) -> Any {
    let Some(ty) = object.object_type() else {
        return Any::of(after);
    };
    let source = object.document();
    let mut out = Builder::with_capacity(object.cell().span() as usize + 8, 256);
    let ty = match ty {
        ObjectType::Unknown { name, declared } => {
            let name = out.name(source.name(name));
            ObjectType::Unknown { name, declared }
        }
        known => known,
    };
    let count = after
        .object_type()
        .map_or(0, |ty| table::field_count(ty.table()));
    out.open_object(object.field(), ty);
    for field in 0..count {
        let of = |node| children_of(node, field);
        if !of(before).chain(of(after)).any(|_| true) {
            continue;
        }
        let unchanged = of(before).count() == of(after).count()
            && of(before)
                .zip(of(after))
                .all(|(x, y)| crate::compare::same(x, y));
        if unchanged {
            of(object).for_each(|child| out.copy(field, child));
        } else if of(object).count() == of(after).count() {
            of(after)
                .zip(of(object))
                .for_each(|(new, old)| merge(field, new, old, &mut out));
        } else {
            of(after).for_each(|child| out.copy(field, child));
        }
    }
    for child in object.children() {
        if child.field() & UNKNOWN_FIELD != 0 {
            out.copy_unknown(object, child);
        } else if child.field() >= count {
            out.copy(child.field(), child);
        }
    }
    out.close();
    let mut document = out.finish();
    if let Some(problem) = &after.document().problem {
        document.problem.get_or_insert_with(|| problem.clone());
    }
    Any::of(Arc::new(document).root())
}

/// Iterates over the children of an object that belong to one of its fields.
fn children_of<'a>(node: Node<'a>, field: u16) -> impl Iterator<Item = Node<'a>> {
    node.children().filter(move |child| child.field() == field)
}

/// Writes `new`, adding the unknown fields that `old` had at the same places.
fn merge(field: u16, new: Node<'_>, old: Node<'_>, out: &mut Builder) {
    let same_type = match (new.object_type(), old.object_type()) {
        (Some(ObjectType::Known(x)), Some(ObjectType::Known(y))) => x == y,
        _ => false,
    };
    let Some(ty) = new.object_type().filter(|_| same_type) else {
        out.copy(field, new);
        return;
    };
    out.open_object(field, ty);
    for child in new.children() {
        let of = |node: Node<'_>| {
            node.children()
                .filter(|x| x.field() == child.field())
                .count()
        };
        let known = child.field() & UNKNOWN_FIELD == 0;
        if known && of(new) == of(old) {
            let position = new
                .children()
                .take_while(|x| x.index() != child.index())
                .filter(|x| x.field() == child.field())
                .count();
            let counterpart = old
                .children()
                .filter(|x| x.field() == child.field())
                .nth(position);
            match counterpart {
                Some(old_child) => merge(child.field(), child, old_child, out),
                None => out.copy(child.field(), child),
            }
        } else if known {
            out.copy(child.field(), child);
        } else {
            out.copy_unknown(new, child);
        }
    }
    for child in old
        .children()
        .filter(|child| child.field() & UNKNOWN_FIELD != 0)
    {
        out.copy_unknown(old, child);
    }
    out.close();
}

/// Returns the repeated elements of a list field as one list value.
pub(crate) fn list(parent: Node<'_>, name: &str) -> Any {
    let declared = parent
        .object_type()
        .and_then(|ty| table::find_field(ty.table(), name, &mut 0))
        .map(|(_, row)| (row.kind, row.ty));
    let (kind, ty) = declared.unwrap_or((FieldKind::Any, table::NONE));
    let mut out = Builder::default();
    out.open_array(0, kind, ty);
    for item in parent.all(name) {
        out.copy(0, item);
    }
    out.close();
    Any::of(Arc::new(out.finish()).root())
}

/// Returns a value as a property read would return it: a list field becomes one list
/// value, and an enum value carries its type name.
pub(crate) fn value_at(parent: Node<'_>, name: &str) -> Option<Any> {
    let ty = parent.object_type()?.table();
    let row = table::find_field(ty, name, &mut 0).map(|(_, row)| row);
    if row.is_some_and(|row| row.is_array()) {
        return Some(list(parent, name));
    }
    let node = parent.get(name).filter(|node| node.kind() != Kind::Nil)?;
    Some(match row {
        Some(row) => alone(node, row.kind, row.ty),
        None => Any::of(node),
    })
}

/// Returns a field's value as a value of its own. In the field, its type was declared;
/// the text of an enum does not contain it, and is wrapped with the type's name.
pub(crate) fn alone(node: Node<'_>, kind: FieldKind, ty: u16) -> Any {
    let bare = kind == FieldKind::Enum && node.kind() == Kind::Text;
    if !bare || node.document().problem.is_some() {
        return Any::of(node);
    }
    let mut out = Builder::with_capacity(2, 32);
    out.open_typed(0, ObjectType::Known(ty));
    out.copy(0, node);
    out.close();
    Any::of(Arc::new(out.finish()).root())
}
