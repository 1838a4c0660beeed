//! Applies the entries of a layer to the tree.

use std::collections::BTreeMap;

use super::path::{Missing, components};
use super::{FileData, Link, Meta, Node, NodeId, NodeKind, ROOT, Tree};
use crate::archive::{Entry, Kind};
use crate::error::LayerProblem;
use crate::limits::Limits;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// The prefix of names that are reserved by AUFS.
const RESERVED: &[u8] = b".wh..wh.";

/// The result of applying an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    /// A file; its data has to be indexed.
    File(NodeId),
    /// Anything else.
    Other,
}

impl Tree {
    /// Applies one entry. The data of a file is set later, by [`Tree::set_ranges`].
    pub(crate) fn apply(
        &mut self,
        entry: &Entry,
        layer: u32,
        index: u32,
        limits: &Limits,
    ) -> Result<Applied, LayerProblem> {
        let parts = components(&entry.path, limits)?;
        let Some((&name, parents)) = parts.split_last() else {
            return self.apply_root(entry);
        };
        if name == OPAQUE {
            if let Some(parent) = self.resolve(parents, layer, Missing::Stop, limits)? {
                self.hide_children(parent, layer);
            }
            return Ok(Applied::Other);
        }
        if name.starts_with(RESERVED) {
            return Ok(Applied::Other);
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            if matches!(hidden, b"" | b"." | b"..") {
                return Err(LayerProblem::Name("is a whiteout without a name"));
            }
            if let Some(parent) = self.resolve(parents, layer, Missing::Stop, limits)? {
                self.hide(parent, hidden, layer);
            }
            return Ok(Applied::Other);
        }
        let Some(parent) = self.resolve(parents, layer, Missing::Make, limits)? else {
            return Err(LayerProblem::ParentNotDirectory);
        };
        if entry.kind == Kind::HardLink {
            self.link(entry, parent, name, layer, limits)?;
            return Ok(Applied::Other);
        }
        let xattrs = entry
            .xattrs
            .iter()
            .map(|(name, value)| name.len() + value.len());
        let bytes = name.len() + entry.link.len() + xattrs.sum::<usize>();
        self.count_metadata(bytes, limits)?;
        let meta = meta_of(entry)?;
        let existing = self.child(parent, name);
        if entry.kind == Kind::Directory
            && let Some(link) = existing
            && self.children(link.node).is_some()
        {
            self.node_mut(link.node).meta = meta;
            self.set_link(
                parent,
                name,
                Link {
                    node: link.node,
                    layer,
                },
            );
            return Ok(Applied::Other);
        }
        let kind = kind_of(entry, layer, index)?;
        let is_file = matches!(kind, NodeKind::File(_));
        self.remove(parent, name);
        let node = self.add(Node::new(kind, meta), limits)?;
        self.set_link(parent, name, Link { node, layer });
        Ok(if is_file {
            Applied::File(node)
        } else {
            Applied::Other
        })
    }

    /// Sets the ranges of a file that contain data.
    pub(crate) fn set_ranges(&mut self, id: NodeId, found: Vec<(u64, u64)>) {
        self.metadata += size_of_val(&found[..]) as u64;
        if let NodeKind::File(data) = &mut self.node_mut(id).kind {
            data.ranges = found;
        }
    }

    fn apply_root(&mut self, entry: &Entry) -> Result<Applied, LayerProblem> {
        if entry.kind != Kind::Directory {
            return Err(LayerProblem::Name(
                "is that of the root, which must be a directory",
            ));
        }
        self.node_mut(ROOT).meta = meta_of(entry)?;
        Ok(Applied::Other)
    }

    fn link(
        &mut self,
        entry: &Entry,
        parent: NodeId,
        name: &[u8],
        layer: u32,
        limits: &Limits,
    ) -> Result<(), LayerProblem> {
        let target = components(&entry.link, limits)?;
        let Some((&last, parents)) = target.split_last() else {
            return Err(LayerProblem::HardLink("is the root"));
        };
        let missing = LayerProblem::HardLink("does not exist");
        let Some(directory) = self.resolve(parents, layer, Missing::Stop, limits)? else {
            return Err(missing);
        };
        let node = self.child(directory, last).ok_or(missing)?.node;
        if self.children(node).is_some() {
            return Err(LayerProblem::HardLink("is a directory"));
        }
        if directory == parent && last == name {
            return Err(LayerProblem::HardLink("is itself"));
        }
        if self
            .child(parent, name)
            .is_some_and(|existing| existing.node == node)
        {
            self.set_link(parent, name, Link { node, layer });
            return Ok(());
        }
        self.count_metadata(name.len(), limits)?;
        // Counted before the old name is removed, because the target may be below that name.
        self.node_mut(node).links += 1;
        self.remove(parent, name);
        self.set_link(parent, name, Link { node, layer });
        Ok(())
    }

    fn set_link(&mut self, parent: NodeId, name: &[u8], link: Link) {
        if let Some(children) = self.children_mut(parent) {
            match children.get_mut(name) {
                Some(slot) => *slot = link,
                None => {
                    children.insert(name.into(), link);
                }
            }
        }
    }

    /// Removes a name and everything below it.
    pub(super) fn remove(&mut self, parent: NodeId, name: &[u8]) {
        if let Some(link) = self
            .children_mut(parent)
            .and_then(|children| children.remove(name))
        {
            self.unlink(link.node);
        }
    }

    /// Removes one name of a node and, if it was the last one, everything below the node.
    fn unlink(&mut self, id: NodeId) {
        let mut dead = vec![id];
        while let Some(id) = dead.pop() {
            let node = self.node_mut(id);
            node.links = node.links.saturating_sub(1);
            if node.links > 0 {
                continue;
            }
            let kind = std::mem::replace(&mut node.kind, NodeKind::Fifo);
            node.meta = Meta::default();
            if let NodeKind::Directory(children) = kind {
                dead.extend(children.values().map(|link| link.node));
            }
        }
    }

    /// Hides what lower layers have below a name. Entries of this layer stay.
    fn hide(&mut self, parent: NodeId, name: &[u8], layer: u32) {
        let Some(link) = self.child(parent, name) else {
            return;
        };
        let is_directory = self.children(link.node).is_some();
        if is_directory {
            self.hide_children(link.node, layer);
        }
        if link.layer >= layer {
            return;
        }
        let used = self
            .children(link.node)
            .is_some_and(|children| !children.is_empty());
        if used {
            // The directory remains only as the parent of this layer's entries.
            self.node_mut(link.node).meta = Meta::implicit();
            self.set_link(
                parent,
                name,
                Link {
                    node: link.node,
                    layer,
                },
            );
        } else {
            self.remove(parent, name);
        }
    }

    /// Hides what lower layers have in a directory. Directories are visited before and after their
    /// children, without recursion, because they may be nested deeply. Each is visited once per
    /// layer, however many whiteouts the layer has.
    fn hide_children(&mut self, directory: NodeId, layer: u32) {
        let mut order = vec![directory];
        let mut next = 0;
        while let Some(&id) = order.get(next) {
            if self.node(id).swept > layer {
                order.swap_remove(next);
                continue;
            }
            next += 1;
            self.node_mut(id).swept = layer + 1;
            let below = self.children(id).into_iter().flat_map(BTreeMap::values);
            let below = below.map(|link| link.node);
            order.extend(below.filter(|&node| self.children(node).is_some()));
        }
        for &id in order.iter().rev() {
            let lower = self.children(id).into_iter().flatten();
            let lower: Vec<(Box<[u8]>, NodeId)> = lower
                .filter(|(_, link)| link.layer < layer)
                .map(|(name, link)| (name.clone(), link.node))
                .collect();
            for (name, node) in lower {
                if self
                    .children(node)
                    .is_some_and(|children| !children.is_empty())
                {
                    self.node_mut(node).meta = Meta::implicit();
                    self.set_link(id, &name, Link { node, layer });
                } else {
                    self.remove(id, &name);
                }
            }
        }
    }
}

fn meta_of(entry: &Entry) -> Result<Meta, LayerProblem> {
    let owner = |id: u64| u32::try_from(id).map_err(|_| LayerProblem::Malformed("owner"));
    Ok(Meta {
        mode: (entry.mode & 0o7777) as u16,
        uid: owner(entry.uid)?,
        gid: owner(entry.gid)?,
        mtime: Some(entry.mtime),
        xattrs: entry.xattrs.clone(),
    })
}

fn kind_of(entry: &Entry, layer: u32, index: u32) -> Result<NodeKind, LayerProblem> {
    let (major, minor) = entry.device;
    Ok(match entry.kind {
        Kind::Directory => NodeKind::Directory(BTreeMap::new()),
        Kind::Symlink if entry.link.is_empty() => {
            return Err(LayerProblem::Malformed("symbolic link without a target"));
        }
        Kind::Symlink if entry.link.contains(&0) => {
            return Err(LayerProblem::Malformed("target of the symbolic link"));
        }
        Kind::Symlink => NodeKind::Symlink(entry.link.clone().into()),
        Kind::Char => NodeKind::Char(major, minor),
        Kind::Block => NodeKind::Block(major, minor),
        Kind::Fifo => NodeKind::Fifo,
        Kind::File | Kind::HardLink => NodeKind::File(FileData {
            layer,
            entry: index,
            size: entry.size,
            ranges: Vec::new(),
        }),
    })
}
