//! Unpacks merged layers into a directory.

use std::collections::BTreeMap;
use std::path::Path;

use crate::archive::writer::{Attributes, Item};
use crate::content::Piece;
use crate::merge::Merge;
use crate::tree::{Meta, NodeId, NodeKind, ROOT};
use crate::unpack::{OpenFile, UnpackOptions, Unpacked, Unpacker};
use crate::{Error, Monitor};

impl Merge {
    /// Unpacks the merged tree into a directory, which must be empty and is created if it does not
    /// exist. Nothing is written outside of it, and no symbolic link is followed. What the caller
    /// has no permission to create is skipped and listed in the result.
    ///
    /// # Errors
    /// [`Error::Unpack`] with the file that could not be created; [`Error::Layer`] if a layer has
    /// changed or cannot be read again; [`Error::Cancelled`]; [`Error::IncompleteMerge`]. Files
    /// that were already unpacked remain.
    pub fn unpack(
        &self,
        directory: impl AsRef<Path>,
        options: &UnpackOptions,
        monitor: &Monitor,
    ) -> Result<Unpacked, Error> {
        let content = self.content()?;
        let tree = &content.tree;
        let mut unpacker = Unpacker::new(directory.as_ref(), options)?;
        let mut paths: BTreeMap<NodeId, Vec<u8>> = BTreeMap::from([(ROOT, Vec::new())]);
        let mut links = Vec::new();
        let mut files: BTreeMap<(u32, u32), NodeId> = BTreeMap::new();
        unpacker.make(b"", &Item::Directory, &attributes(&tree.node(ROOT).meta))?;
        tree.walk(|parent, name, id| {
            monitor.check()?;
            let mut path = paths.get(&parent).cloned().unwrap_or_default();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            if paths.contains_key(&id) {
                links.push((path, id));
                return Ok(());
            }
            let node = tree.node(id);
            let item = match &node.kind {
                NodeKind::Directory(_) => Some(Item::Directory),
                NodeKind::File(data) if data.ranges.is_empty() => Some(Item::File(data.size)),
                NodeKind::File(data) => {
                    files.insert((data.layer, data.entry), id);
                    None
                }
                NodeKind::Symlink(target) => Some(Item::Symlink(target)),
                NodeKind::Char(major, minor) => Some(Item::Char(*major, *minor)),
                NodeKind::Block(major, minor) => Some(Item::Block(*major, *minor)),
                NodeKind::Fifo => Some(Item::Fifo),
            };
            if let Some(item) = item {
                unpacker.make(&path, &item, &attributes(&node.meta))?;
            }
            paths.insert(id, path);
            Ok::<_, Error>(())
        })?;
        for layer in 0..content.layers.len() as u32 {
            let is_unneeded = files.range((layer, 0)..(layer + 1, 0)).next().is_none();
            if is_unneeded && !content.is_unverified(layer as usize) {
                continue;
            }
            let unpacker = std::cell::RefCell::new(&mut unpacker);
            let mut error = None;
            content
                .replay(
                    layer as usize,
                    monitor,
                    |entry, _| {
                        let id = *files.get(&(layer, entry))?;
                        let path = paths.get(&id)?;
                        match unpacker.borrow_mut().create(path) {
                            Ok(file) => Some((id, Some(file))),
                            Err(failure) => {
                                error = Some(failure);
                                Some((id, None))
                            }
                        }
                    },
                    |(id, file): &mut (NodeId, Option<OpenFile>), piece| match (piece, &file) {
                        (Piece::Data { offset, bytes }, Some(file)) => {
                            unpacker.borrow_mut().add_bytes(bytes.len() as u64);
                            write_data(file, offset, bytes)
                        }
                        (Piece::End { size }, Some(_)) => {
                            let path = paths.get(id).map(Vec::as_slice).unwrap_or_default();
                            let Some(file) = file.take() else {
                                return Ok(());
                            };
                            let meta = &tree.node(*id).meta;
                            unpacker
                                .borrow_mut()
                                .close(path, file, size, &attributes(meta))
                        }
                        (_, None) => Err(Error::Cancelled),
                    },
                )
                .map_err(|other| error.take().unwrap_or(other))?;
        }
        for (path, id) in links {
            let first = paths.get(&id).map(Vec::as_slice).unwrap_or_default();
            let is_made = !matches!(tree.node(id).kind, NodeKind::Char(..) | NodeKind::Block(..))
                || unpacker.exists(first);
            if is_made {
                unpacker.make(
                    &path,
                    &Item::HardLink(first),
                    &attributes(&tree.node(id).meta),
                )?;
            }
        }
        unpacker.finish()
    }
}

/// Writes data, and leaves a hole for each block of zeros.
fn write_data(file: &OpenFile, offset: u64, bytes: &[u8]) -> Result<(), Error> {
    if crate::ranges::is_zero(bytes) {
        Ok(())
    } else {
        file.write_at(offset, bytes)
    }
}

fn attributes(meta: &Meta) -> Attributes<'_> {
    Attributes {
        mode: u32::from(meta.mode),
        uid: meta.uid,
        gid: meta.gid,
        mtime: meta.mtime.unwrap_or_default(),
        xattrs: &meta.xattrs,
    }
}
