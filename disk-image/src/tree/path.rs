//! Parses paths of entries and resolves them inside the tree.

use super::{Link, Meta, Node, NodeId, NodeKind, ROOT, Tree};
use crate::archive::limit;
use crate::error::LayerProblem;
use crate::limits::{LimitKind, Limits};

/// The kernel's limit on symbolic links in one path.
const MAX_SYMLINKS: u32 = 40;
/// The kernel's limit on the target of a symbolic link.
const MAX_TARGET: usize = 4095;

/// Returns the components of a path in an archive. Absolute paths are treated as relative, and `..`
/// must not leave the tree.
pub(super) fn components<'a>(
    path: &'a [u8],
    limits: &Limits,
) -> Result<Vec<&'a [u8]>, LayerProblem> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop().ok_or(LayerProblem::Escapes)?;
            }
            _ if part.contains(&0) => return Err(LayerProblem::Name("contains a NUL")),
            _ => {
                limit(part.len() as u64, limits.name.min(255), LimitKind::Name)?;
                parts.push(part);
            }
        }
    }
    limit(parts.len() as u64, limits.depth, LimitKind::Depth)?;
    Ok(parts)
}

/// What to do if a directory of the path does not exist.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Make,
    Stop,
}

impl Tree {
    /// Returns the directory at `path`. Symbolic links are resolved inside the tree, as if it was
    /// the root of the file system: `..` in a link stops at the root. Returns `None` if the
    /// directory does not exist and `missing` is [`Missing::Stop`].
    pub(super) fn resolve(
        &mut self,
        path: &[&[u8]],
        layer: u32,
        missing: Missing,
        limits: &Limits,
    ) -> Result<Option<NodeId>, LayerProblem> {
        // Fast path: all components are directories.
        let mut at = ROOT;
        for (index, part) in path.iter().enumerate() {
            match self.child(at, part) {
                Some(link) if self.children(link.node).is_some() => at = link.node,
                None if missing == Missing::Make => {
                    for part in &path[index..] {
                        at = self.make_directory(at, part, layer, limits)?;
                    }
                    return Ok(Some(at));
                }
                None => return Ok(None),
                Some(_) => return self.resolve_links(path, layer, missing, limits),
            }
        }
        Ok(Some(at))
    }

    fn resolve_links(
        &mut self,
        path: &[&[u8]],
        layer: u32,
        missing: Missing,
        limits: &Limits,
    ) -> Result<Option<NodeId>, LayerProblem> {
        let mut stack = vec![ROOT];
        // The components that remain to be resolved, the next one last.
        let mut rest: Vec<Vec<u8>> = path.iter().rev().map(|part| part.to_vec()).collect();
        let mut followed = 0;
        while let Some(part) = rest.pop() {
            match &part[..] {
                b"" | b"." => continue,
                b".." => {
                    if stack.len() > 1 {
                        stack.pop();
                    }
                    continue;
                }
                _ => {}
            }
            let at = stack.last().copied().unwrap_or(ROOT);
            let Some(link) = self.child(at, &part) else {
                if missing == Missing::Stop {
                    return Ok(None);
                }
                limit(part.len() as u64, limits.name.min(255), LimitKind::Name)?;
                limit(stack.len() as u64, limits.depth, LimitKind::Depth)?;
                stack.push(self.make_directory(at, &part, layer, limits)?);
                continue;
            };
            match &self.node(link.node).kind {
                NodeKind::Directory(_) => stack.push(link.node),
                NodeKind::Symlink(target) => {
                    followed += 1;
                    if followed > MAX_SYMLINKS || target.len() > MAX_TARGET {
                        return Err(LayerProblem::LinkLoop);
                    }
                    if target.starts_with(b"/") {
                        stack.truncate(1);
                    }
                    let before = rest.len();
                    rest.extend(target.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec));
                    self.followed += (rest.len() - before) as u64;
                    limit(self.followed, limits.followed, LimitKind::Followed)?;
                }
                _ if missing == Missing::Stop => return Ok(None),
                // A directory replaces what a lower layer has here, even if the whiteout of it has
                // not been read yet: a whiteout hides lower layers wherever it is in its own layer.
                _ if link.layer < layer => {
                    self.remove(at, &part);
                    stack.push(self.make_directory(at, &part, layer, limits)?);
                }
                _ => return Err(LayerProblem::ParentNotDirectory),
            }
        }
        Ok(stack.last().copied())
    }

    fn make_directory(
        &mut self,
        parent: NodeId,
        name: &[u8],
        layer: u32,
        limits: &Limits,
    ) -> Result<NodeId, LayerProblem> {
        let kind = NodeKind::Directory(std::collections::BTreeMap::new());
        self.count_metadata(name.len(), limits)?;
        let id = self.add(Node::new(kind, Meta::implicit()), limits)?;
        if let Some(children) = self.children_mut(parent) {
            children.insert(name.into(), Link { node: id, layer });
        }
        Ok(id)
    }

    pub(super) fn count_metadata(
        &mut self,
        bytes: usize,
        limits: &Limits,
    ) -> Result<(), LayerProblem> {
        self.metadata += bytes as u64;
        limit(self.metadata, limits.metadata, LimitKind::Metadata)
    }

    pub(super) fn add(&mut self, node: Node, limits: &Limits) -> Result<NodeId, LayerProblem> {
        let count = self.nodes.len() as u64;
        limit(
            count + 1,
            limits.entries.min(u64::from(u32::MAX)),
            LimitKind::Entries,
        )?;
        self.nodes.push(node);
        Ok(count as NodeId)
    }
}
