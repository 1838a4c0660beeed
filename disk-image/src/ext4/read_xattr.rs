//! Reads extended attributes.

use std::io::Read;

use super::error::Error;
use super::inode::Inode;
use super::reader::{Reader, from_io};
use super::xattr::{MAGIC, PREFIXES, acl_from_disk};
use crate::block::BlockRead;
use crate::le;
use crate::tree::Xattr;

/// Maximum length of a value in bytes; the kernel has the same limit.
const MAX_VALUE: u32 = 64 << 10;

struct Raw {
    index: u8,
    name: Vec<u8>,
    value: Value,
}

enum Value {
    Here(Vec<u8>),
    /// The value is in its own inode: the inode number, and the length of the value.
    Inode(u32, u32),
}

pub(super) fn read<D: BlockRead>(
    reader: &Reader<D>,
    inode: &Inode,
) -> Result<Vec<Xattr>, crate::Error> {
    let mut attributes = Vec::new();
    for raw in raw(reader, inode)? {
        // Inline data is stored like an attribute, but is not one.
        if raw.index == 7 && raw.name == b"data" {
            continue;
        }
        let Some(prefix) = PREFIXES.iter().find(|(index, _)| *index == raw.index) else {
            continue;
        };
        let name = [prefix.1, &raw.name].concat();
        let value = match raw.value {
            Value::Here(value) => value,
            Value::Inode(number, size) => read_value(reader, inode.number, number, size)?,
        };
        let value = match raw.index {
            2 | 3 => acl_from_disk(&value).ok_or_else(|| damaged(inode.number))?,
            _ => value,
        };
        attributes.push((name.into(), value.into()));
    }
    attributes.sort_unstable();
    attributes.dedup_by(|a, b| a.0 == b.0);
    Ok(attributes)
}

/// Returns the rest of inline data, which did not fit into the inode's block field.
pub(super) fn inline_rest<D: BlockRead>(
    reader: &Reader<D>,
    inode: &Inode,
) -> Result<Option<Vec<u8>>, crate::Error> {
    let found = raw(reader, inode)?
        .into_iter()
        .find(|raw| raw.index == 7 && raw.name == b"data");
    Ok(found.and_then(|raw| match raw.value {
        Value::Here(value) => Some(value),
        Value::Inode(..) => None,
    }))
}

fn raw<D: BlockRead>(reader: &Reader<D>, inode: &Inode) -> Result<Vec<Raw>, crate::Error> {
    let mut found = Vec::new();
    let damaged = || damaged(inode.number);
    if inode.rest.len() >= 4 && le::u32_at(&inode.rest, 0) == MAGIC {
        parse(&inode.rest[4..], 0, &mut found).ok_or_else(damaged)?;
    }
    if inode.xattr_block != 0 {
        let block = reader.block(inode.xattr_block)?;
        if le::u32_at(&block, 0) != MAGIC {
            return Err(damaged());
        }
        parse(&block, 32, &mut found).ok_or_else(damaged)?;
    }
    Ok(found)
}

/// Parses entries from `at` up to a zero entry. The offsets of values are relative to the start of
/// the area.
fn parse(area: &[u8], mut at: usize, found: &mut Vec<Raw>) -> Option<()> {
    while area.get(at..at + 4).is_some_and(|head| head != [0; 4]) {
        let head = area.get(at..at + 16)?;
        let length = head[0] as usize;
        let name = area.get(at + 16..at + 16 + length)?.to_vec();
        let size = le::u32_at(head, 8);
        if size > MAX_VALUE {
            return None;
        }
        let value = match le::u32_at(head, 4) {
            0 if size == 0 => Value::Here(Vec::new()),
            0 => {
                let start = le::u16_at(head, 2) as usize;
                Value::Here(area.get(start..start + size as usize)?.to_vec())
            }
            number => Value::Inode(number, size),
        };
        found.push(Raw {
            index: head[1],
            name,
            value,
        });
        at += (16 + length).next_multiple_of(4);
    }
    Some(())
}

fn read_value<D: BlockRead>(
    reader: &Reader<D>,
    owner: u32,
    number: u32,
    size: u32,
) -> Result<Vec<u8>, crate::Error> {
    const EA_INODE: u32 = 0x20_0000;
    let inode = reader.inode(number)?;
    if inode.flags & EA_INODE == 0 || inode.size != u64::from(size) {
        return Err(damaged(owner));
    }
    let mut value = Vec::new();
    reader
        .file(&inode)?
        .read_to_end(&mut value)
        .map_err(from_io)?;
    Ok(value)
}

fn damaged(inode: u32) -> crate::Error {
    Error::Damaged {
        inode,
        what: "extended attributes",
    }
    .into()
}
