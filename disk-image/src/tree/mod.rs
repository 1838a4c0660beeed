//! The merged tree: the files that a container would see, without their contents.

mod apply;
mod path;

use std::collections::BTreeMap;

use crate::time::Timestamp;

pub(crate) use apply::Applied;

/// Index of a node in the tree.
pub(crate) type NodeId = u32;

pub(crate) const ROOT: NodeId = 0;

/// All nodes. Nodes without a name are not removed from the vector.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
    /// Number of bytes ever added that count towards [`Limits::metadata`](crate::Limits).
    pub(crate) metadata: u64,
    /// Number of path components that came from symbolic links.
    followed: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    pub(crate) meta: Meta,
    /// Number of names that refer to the node; 0 if it was removed.
    pub(crate) links: u32,
    /// One more than the last layer that hid all entries of lower layers below this directory, so
    /// that the layer does not visit the directory again.
    swept: u32,
}

impl Node {
    fn new(kind: NodeKind, meta: Meta) -> Self {
        Self {
            kind,
            meta,
            links: 1,
            swept: 0,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum NodeKind {
    Directory(BTreeMap<Box<[u8]>, Link>),
    File(FileData),
    Symlink(Box<[u8]>),
    Char(u32, u32),
    Block(u32, u32),
    Fifo,
}

/// A name in a directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    pub(crate) node: NodeId,
    /// The layer that created or last described the name.
    pub(crate) layer: u32,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct FileData {
    pub(crate) layer: u32,
    /// The index of the entry that contains the data in its layer.
    pub(crate) entry: u32,
    pub(crate) size: u64,
    /// Ranges of blocks that contain data, in ascending order: first block and count.
    pub(crate) ranges: Vec<(u64, u64)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The modification time; `None` uses the epoch of the file system, if no layer has a time.
    pub(crate) mtime: Option<Timestamp>,
    pub(crate) xattrs: Vec<Xattr>,
}

/// An extended attribute: its full name and its value.
pub type Xattr = (Box<[u8]>, Box<[u8]>);

impl Meta {
    /// Returns the metadata of a directory that is needed but that no layer describes.
    fn implicit() -> Self {
        Self {
            mode: 0o755,
            ..Self::default()
        }
    }
}

impl Tree {
    pub(crate) fn new() -> Self {
        let root = Node::new(NodeKind::Directory(BTreeMap::new()), Meta::implicit());
        Self {
            nodes: vec![root],
            metadata: 0,
            followed: 0,
        }
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    pub(crate) fn children(&self, id: NodeId) -> Option<&BTreeMap<Box<[u8]>, Link>> {
        match &self.node(id).kind {
            NodeKind::Directory(children) => Some(children),
            _ => None,
        }
    }

    fn children_mut(&mut self, id: NodeId) -> Option<&mut BTreeMap<Box<[u8]>, Link>> {
        match &mut self.node_mut(id).kind {
            NodeKind::Directory(children) => Some(children),
            _ => None,
        }
    }

    fn child(&self, parent: NodeId, name: &[u8]) -> Option<Link> {
        self.children(parent)?.get(name).copied()
    }

    /// Visits every name below the root: parents first, siblings in byte order. The visitor
    /// receives the parent, the name and the node.
    pub(crate) fn walk<E>(
        &self,
        mut visit: impl FnMut(NodeId, &[u8], NodeId) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut open = Vec::new();
        let start = |id: NodeId| self.children(id).map(|children| (id, children.iter()));
        open.extend(start(ROOT));
        while let Some((parent, rest)) = open.last_mut() {
            let Some((name, link)) = rest.next() else {
                open.pop();
                continue;
            };
            visit(*parent, name, link.node)?;
            open.extend(start(link.node));
        }
        Ok(())
    }
}

impl Tree {
    /// Returns the path of a node for messages; the first one if it has several names.
    pub(crate) fn path_of(&self, id: NodeId) -> Vec<u8> {
        let mut names: Vec<Option<(NodeId, Box<[u8]>)>> = vec![None; self.nodes.len()];
        let visit = |parent, name: &[u8], node: NodeId| {
            if node != ROOT {
                names[node as usize].get_or_insert((parent, name.into()));
            }
            Ok::<_, std::convert::Infallible>(())
        };
        match self.walk(visit) {
            Ok(()) => {}
            Err(never) => match never {},
        }
        let mut parts = Vec::new();
        let mut at = id;
        while let Some((parent, name)) = &names[at as usize] {
            parts.push(&**name);
            at = *parent;
        }
        parts.reverse();
        parts.join(&b'/')
    }
}
