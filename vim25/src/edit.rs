//! Changes a value at a path: returns a copy with one part replaced.

use std::sync::Arc;

use crate::any::Any;
use crate::builder::Builder;
use crate::document::{Kind, ObjectType, UNKNOWN_FIELD};
use crate::error::{ConvertError, ConvertProblem};
use crate::node::Node;
use crate::path::{Step, has_key, steps};
use crate::table::{self, NONE};

impl Any {
    /// Returns a copy with the part at a property path replaced or added, or removed when
    /// `value` is unset. Everything else is kept.
    ///
    /// The path has the syntax of [`Node::path`]: `device[2000].connectable`,
    /// `extraConfig["guestinfo.a"]`. A list field takes a whole list value; a key in
    /// brackets names one item, which is appended when no item has that key.
    ///
    /// # Errors
    /// [`ConvertError`] when a step of the path does not exist or is not an object.
    ///
    /// ```
    /// use vim25::{Any, types::VirtualHardware};
    ///
    /// let hardware = Any::new(&VirtualHardware { num_cpu: 1, memory_mb: 64, ..Default::default() });
    /// let more = hardware.with("memoryMB", &Any::new(&128i32))?;
    /// assert_eq!(more.node().get("memoryMB").and_then(|n| n.as_i64()), Some(128));
    /// assert_eq!(hardware.node().get("memoryMB").and_then(|n| n.as_i64()), Some(64));
    /// # Ok::<(), vim25::ConvertError>(())
    /// ```
    pub fn with(&self, path: &str, value: &Self) -> Result<Self, ConvertError> {
        let Some(steps) = steps(path) else {
            return Err(missing(self.node(), path));
        };
        if steps.is_empty() {
            return Ok(value.clone());
        }
        let mut out = Builder::with_capacity(self.node().cell().span() as usize + 16, 256);
        replace(self.node(), 0, &steps, value, &mut out)?;
        Ok(Self::of(Arc::new(out.finish()).root()))
    }
}

#[cold]
fn missing(node: Node<'_>, what: &str) -> ConvertError {
    node.error(ConvertProblem::WrongType {
        expected: format!("something with `{what}`").into(),
        found: node.type_name(),
    })
}

/// Writes `node` as field `field`, with the value at `path` replaced.
fn replace(
    node: Node<'_>,
    field: u16,
    path: &[Step<'_>],
    value: &Any,
    out: &mut Builder,
) -> Result<(), ConvertError> {
    let cell = node.cell();
    match (path, cell.kind) {
        ([Step::Field(name), rest @ ..], Kind::Object) => {
            let ty = match ObjectType::unpack(cell.a) {
                ObjectType::Unknown { name, declared } => {
                    let name = out.name(node.document().name(name));
                    ObjectType::Unknown { name, declared }
                }
                known => known,
            };
            out.open_object(field, ty);
            let result = replace_field(node, ty.table(), name, rest, value, out);
            out.close();
            result
        }
        ([Step::Key(key), rest @ ..], Kind::Array) => {
            out.open_array(field, crate::encode::item_kind(cell), cell.a as u16);
            let items: Vec<_> = node.children().collect();
            let result = replace_item(node, 0, &items, key, rest, value, out);
            out.close();
            result
        }
        ([Step::Field(step) | Step::Key(step), ..], _) => Err(missing(node, step)),
        ([], _) => {
            if !value.is_unset() {
                out.copy(field, value.node());
            }
            Ok(())
        }
    }
}

fn replace_field(
    node: Node<'_>,
    ty: u16,
    name: &str,
    rest: &[Step<'_>],
    value: &Any,
    out: &mut Builder,
) -> Result<(), ConvertError> {
    let (index, row) = match table::find_field(ty, name, &mut 0) {
        Some((index, row)) => (index, Some(row)),
        None if ty == NONE => (UNKNOWN_FIELD | out.name(name), None),
        None => return Err(missing(node, name)),
    };
    let copy = |child: Node<'_>, out: &mut Builder| {
        if child.field() & UNKNOWN_FIELD != 0 {
            out.copy_unknown(node, child);
        } else {
            out.copy(child.field(), child);
        }
    };
    let is_it = |child: &Node<'_>| node.name_of(*child) == name;
    // Fields before the changed one, the changed one, fields after it: schema order is kept.
    for child in node
        .children()
        .filter(|child| !is_it(child) && child.field() < index)
    {
        copy(child, out);
    }
    let current: Vec<_> = node.children().filter(is_it).collect();
    match rest {
        [] if value.node().kind() == Kind::Array && row.is_some_and(|row| row.is_array()) => {
            value
                .node()
                .children()
                .for_each(|item| out.copy(index, item));
        }
        [] if value.is_unset() => {}
        [] => out.copy(index, value.node()),
        [Step::Key(key), deeper @ ..] if row.is_some_and(|row| row.is_array()) => {
            replace_item(node, index, &current, key, deeper, value, out)?;
        }
        deeper => match current.first() {
            Some(child) => replace(*child, index, deeper, value, out)?,
            None => return Err(missing(node, name)),
        },
    }
    for child in node
        .children()
        .filter(|child| !is_it(child) && child.field() > index)
    {
        copy(child, out);
    }
    Ok(())
}

fn replace_item(
    list: Node<'_>,
    field: u16,
    items: &[Node<'_>],
    key: &str,
    rest: &[Step<'_>],
    value: &Any,
    out: &mut Builder,
) -> Result<(), ConvertError> {
    let mut found = false;
    for item in items {
        if !found && has_key(*item, key) {
            found = true;
            replace(*item, field, rest, value, out)?;
        } else {
            out.copy(field, *item);
        }
    }
    if found {
        return Ok(());
    }
    match rest {
        [] if value.is_unset() => Ok(()),
        [] => {
            out.copy(field, value.node());
            Ok(())
        }
        _ => Err(missing(list, key)),
    }
}
