//! The merged tree: what a container would see, without file contents.

mod apply;
mod path;

use std::collections::BTreeMap;

use crate::time::Timestamp;

pub(crate) use apply::Applied;

/// Index of a node in the tree.
pub(crate) type NodeId = u32;

pub(crate) const ROOT: NodeId = 0;

/// All nodes; those that no directory names any more are dead.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
    /// Bytes that the limit [`Limits::metadata`](crate::Limits) counts: what was ever added.
    pub(crate) metadata: u64,
    /// Components of paths that came from symbolic links.
    followed: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    pub(crate) meta: Meta,
    /// Names that refer to the node; 0: dead.
    pub(crate) links: u32,
    /// The layer, plus one, that hid everything of lower layers below this directory:
    /// looking again would find nothing.
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
    /// The layer that made the name, or said it again.
    pub(crate) layer: u32,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct FileData {
    pub(crate) layer: u32,
    /// The index of the layer's entry that has the data.
    pub(crate) entry: u32,
    pub(crate) size: u64,
    /// Blocks of the file that hold data, in order: first block and count.
    pub(crate) ranges: Vec<(u64, u64)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// `None`: no layer says, the file system's epoch is used.
    pub(crate) mtime: Option<Timestamp>,
    pub(crate) xattrs: Vec<Xattr>,
}

/// An extended attribute: its full name, and its value.
pub type Xattr = (Box<[u8]>, Box<[u8]>);

impl Meta {
    /// For directories that are needed and that no layer describes.
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

    /// Visits every name below the root, parents first, siblings in order of bytes.
    /// The visitor gets parent, name and node.
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
    /// The path of a node, for messages; of several names, the first.
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
