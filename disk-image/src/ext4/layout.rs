//! Computes the whole layout of a file system before anything is written.

use super::directory::{self, Division};
use super::extent::{Extent, tree_blocks};
use super::geometry::{Allocator, Geometry, Usage};
use super::options::FsOptions;
use super::{BLOCK_SIZE, FIRST_INODE, ROOT_INODE, xattr};
use crate::content::Content;
use crate::tree::{NodeId, NodeKind, ROOT, Tree};
use crate::{Error, Monitor};

/// Number of blocks of an empty `lost+found`.
pub(super) const LOST_AND_FOUND_BLOCKS: u64 = 4;
pub(super) const LOST_AND_FOUND: &[u8] = b"lost+found";
const MAX_LINKS: u32 = 65_000;
/// Minimum size of a disk in blocks: 256 KiB.
pub(super) const MIN_BLOCKS: u64 = 64;

/// The parts of the layout that do not depend on the size of the disk.
pub(super) struct Survey {
    /// The inodes in order of their numbers, starting with [`FIRST_INODE`]. The root is stored
    /// separately.
    pub(super) inodes: Vec<Counted>,
    pub(super) root: Counted,
    /// The inode number of each node; 0 if the node has none.
    pub(super) numbers: Vec<u32>,
    pub(super) lost_and_found: bool,
    pub(super) hash_seed: [u32; 4],
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    /// The node in the tree; `None` for `lost+found`.
    pub(super) node: Option<NodeId>,
    /// For a directory, the inode number of its parent.
    pub(super) parent: u32,
    pub(super) links: u16,
    /// Number of blocks of a directory or of a long symbolic link.
    blocks: u32,
    xattr_block: bool,
}

impl Survey {
    pub(super) fn new(tree: &Tree, options: &FsOptions, monitor: &Monitor) -> Result<Self, Error> {
        let hash_seed = hash_seed(options);
        let lost_and_found = options.lost_and_found
            && tree
                .children(ROOT)
                .is_some_and(|names| !names.contains_key(LOST_AND_FOUND));
        let mut numbers = vec![0; tree.nodes.len()];
        numbers[ROOT as usize] = ROOT_INODE;
        let mut order = Vec::new();
        if lost_and_found {
            order.push((None, ROOT_INODE));
        }
        tree.walk(|parent, _, node| {
            monitor.check()?;
            let number = &mut numbers[node as usize];
            if *number == 0 {
                *number = FIRST_INODE + order.len() as u32;
                order.push((Some(node), numbers[parent as usize]));
            }
            Ok::<_, Error>(())
        })?;
        let mut survey = Self {
            inodes: Vec::with_capacity(order.len()),
            root: Counted {
                node: None,
                parent: 0,
                links: 0,
                blocks: 0,
                xattr_block: false,
            },
            numbers,
            lost_and_found,
            hash_seed,
        };
        survey.root = survey.count(tree, ROOT, ROOT_INODE)?;
        for (node, parent) in order {
            monitor.check()?;
            let counted = match node {
                Some(node) => survey.count(tree, node, parent)?,
                None => Counted {
                    node,
                    parent,
                    links: 2,
                    blocks: LOST_AND_FOUND_BLOCKS as u32,
                    xattr_block: false,
                },
            };
            survey.inodes.push(counted);
        }
        Ok(survey)
    }

    /// Returns the entries of a directory, as they are encoded in its blocks.
    pub(super) fn entries<'a>(
        &'a self,
        tree: &'a Tree,
        directory: NodeId,
    ) -> impl Iterator<Item = directory::Entry<'a>> {
        let names = tree.children(directory).into_iter().flatten();
        let lost = (directory == ROOT && self.lost_and_found).then_some(directory::Entry {
            name: LOST_AND_FOUND,
            inode: FIRST_INODE,
            kind: 2,
        });
        lost.into_iter()
            .chain(names.map(|(name, link)| directory::Entry {
                name,
                inode: self.numbers[link.node as usize],
                kind: kind_code(&tree.node(link.node).kind),
            }))
    }

    fn count(&self, tree: &Tree, id: NodeId, parent: u32) -> Result<Counted, Error> {
        let node = tree.node(id);
        let fail = |reason| Error::Unstorable {
            path: tree.path_of(id).into(),
            reason,
        };
        let mut blocks = 0;
        let mut links = node.links;
        match &node.kind {
            NodeKind::Directory(names) => {
                let division = Division::new(self.entries(tree, id), &self.hash_seed)
                    .ok_or_else(|| fail("the directory has too many names"))?;
                blocks = division.blocks() as u32;
                let is_directory = |node: NodeId| tree.children(node).is_some();
                let below = names
                    .values()
                    .filter(|link| is_directory(link.node))
                    .count();
                links = 2 + below as u32 + u32::from(id == ROOT && self.lost_and_found);
                if links >= MAX_LINKS {
                    links = 1;
                }
            }
            NodeKind::File(data) if data.size > (u64::from(u32::MAX)) * BLOCK_SIZE as u64 => {
                return Err(fail("a file has at most 16 TiB"));
            }
            NodeKind::Symlink(target) if target.len() >= BLOCK_SIZE => {
                return Err(fail("the target of a symbolic link has at most 4095 bytes"));
            }
            NodeKind::Symlink(target) => blocks = u32::from(target.len() >= 60),
            NodeKind::Char(major, minor) | NodeKind::Block(major, minor)
                if *major > 0xfff || *minor > 0xf_ffff =>
            {
                return Err(fail("a device number has 12 and 20 bits"));
            }
            _ => {}
        }
        if links > MAX_LINKS {
            return Err(fail("a file has at most 65,000 hard links"));
        }
        let division = xattr::Division::new(&node.meta.xattrs)
            .ok_or_else(|| fail("its extended attributes need more than a block"))?;
        let xattr_block = division.needs_block();
        Ok(Counted {
            node: Some(id),
            parent,
            links: links as u16,
            blocks,
            xattr_block,
        })
    }
}

pub(super) fn kind_code(kind: &NodeKind) -> u8 {
    match kind {
        NodeKind::File(_) => 1,
        NodeKind::Directory(_) => 2,
        NodeKind::Char(..) => 3,
        NodeKind::Block(..) => 4,
        NodeKind::Fifo => 5,
        NodeKind::Symlink(_) => 7,
    }
}

fn hash_seed(options: &FsOptions) -> [u32; 4] {
    let mut text = b"hash seed of ".to_vec();
    text.extend_from_slice(options.uuid.as_bytes());
    let digest = crate::Digest::of(&text);
    let (words, _) = digest.as_bytes().as_chunks::<4>();
    [0, 1, 2, 3].map(|index| u32::from_le_bytes(words[index]))
}

/// The locations of the parts of one inode.
#[derive(Debug, Default, Clone)]
pub(super) struct Placed {
    pub(super) extents: Box<[Extent]>,
    /// The blocks of the extent tree.
    pub(super) tree: Box<[u64]>,
    /// The block with extended attributes; 0 if there is none.
    pub(super) xattr: u64,
}

/// A piece of metadata. Inodes are identified by their position in [`Survey::inodes`], or by
/// [`ROOT_POSITION`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Segment {
    Super(u32),
    BlockBitmap(u32),
    InodeBitmap(u32),
    InodeTable(u32),
    Journal,
    Directory { position: u32, extent: u32 },
    Xattr(u32),
    Symlink(u32),
    ExtentTree { position: u32, index: u32 },
}

pub(super) const ROOT_POSITION: u32 = u32::MAX;

/// The layout of the whole disk.
pub(super) struct Layout {
    pub(super) geometry: Geometry,
    pub(super) block_bitmaps: Vec<u64>,
    pub(super) inode_bitmaps: Vec<u64>,
    pub(super) inode_tables: Vec<u64>,
    pub(super) journal: Vec<Extent>,
    pub(super) root: Placed,
    pub(super) placed: Vec<Placed>,
    /// Pieces of metadata with their first blocks, in ascending order.
    pub(super) segments: Vec<(u64, Segment)>,
    /// The first block after all allocated blocks.
    pub(super) end: u64,
    /// Minimum number of blocks of the disk so that its groups can hold all inodes.
    inode_groups_end: u64,
    gaps: Vec<(u64, u64)>,
}

impl Layout {
    /// Computes the layout for a disk of `blocks`. [`Layout::fits`] returns whether the disk is
    /// large enough. Stops with an error of `check`.
    pub(super) fn new<E>(
        content: &Content,
        survey: &Survey,
        options: &FsOptions,
        blocks: u64,
        check: impl Fn() -> Result<(), E>,
    ) -> Result<Self, E> {
        let used = u64::from(FIRST_INODE) - 1 + survey.inodes.len() as u64;
        let wished = options
            .inodes
            .unwrap_or((blocks / 4).min(1 << 26))
            .min(u64::from(u32::MAX));
        let geometry = Geometry::new(blocks, wished.max(used + used / 16 + 16));
        let mut allocator = Allocator::new(&geometry);
        let mut segments = Vec::new();
        let groups = geometry.groups;
        let block_bitmaps: Vec<u64> = (0..groups).map(|_| allocator.one()).collect();
        let inode_bitmaps: Vec<u64> = (0..groups).map(|_| allocator.one()).collect();
        let table = geometry.inode_table_blocks();
        let inode_tables: Vec<u64> = (0..groups).map(|_| allocator.contiguous(table)).collect();
        for group in 0..groups {
            let index = group as usize;
            if Geometry::has_superblock(group) {
                segments.push((group * super::GROUP_BLOCKS, Segment::Super(group as u32)));
            }
            segments.push((block_bitmaps[index], Segment::BlockBitmap(group as u32)));
            segments.push((inode_bitmaps[index], Segment::InodeBitmap(group as u32)));
            segments.push((inode_tables[index], Segment::InodeTable(group as u32)));
        }
        let mut journal = Vec::new();
        if options.journal {
            allocator.extents(0, journal_blocks(blocks), &mut journal);
        }
        segments.extend(
            journal
                .first()
                .map(|extent| (extent.physical, Segment::Journal)),
        );
        let mut layout = Placer {
            allocator,
            segments,
        };
        let root = layout.place_metadata(content, &survey.root, ROOT_POSITION);
        let mut placed: Vec<Placed> = (0..)
            .zip(&survey.inodes)
            .map(|(position, counted)| {
                check()?;
                Ok(layout.place_metadata(content, counted, position))
            })
            .collect::<Result<_, E>>()?;
        layout.place_files(content, survey, &mut placed, check)?;
        let Placer {
            allocator,
            mut segments,
        } = layout;
        segments.sort_by_key(|&(block, _)| block);
        let end = allocator.end();
        let gaps = allocator.into_gaps();
        let groups_needed = used.div_ceil(8 * BLOCK_SIZE as u64);
        let inode_groups_end = match geometry.inodes() < used {
            true => (groups_needed - 1) * super::GROUP_BLOCKS + super::GROUP_BLOCKS / 2,
            false => 0,
        };
        Ok(Self {
            geometry,
            block_bitmaps,
            inode_bitmaps,
            inode_tables,
            journal,
            root,
            placed,
            segments,
            end,
            inode_groups_end,
            gaps,
        })
    }

    pub(super) fn fits(&self) -> bool {
        self.needed() <= self.geometry.blocks
    }

    /// Returns a lower bound of the number of blocks that the disk needs, as far as this layout
    /// shows.
    pub(super) fn needed(&self) -> u64 {
        self.end.max(self.inode_groups_end)
    }

    pub(super) fn usage(&self) -> Usage<'_> {
        Usage::new(&self.geometry, self.end, self.gaps.clone())
    }
}

struct Placer<'a> {
    allocator: Allocator<'a>,
    segments: Vec<(u64, Segment)>,
}

impl Placer<'_> {
    /// Allocates the blocks of directories, long symbolic links and attributes.
    fn place_metadata(&mut self, content: &Content, counted: &Counted, position: u32) -> Placed {
        let mut placed = Placed::default();
        let is_symlink = counted
            .node
            .is_some_and(|node| matches!(content.tree.node(node).kind, NodeKind::Symlink(_)));
        let mut extents = Vec::new();
        self.allocator
            .extents(0, u64::from(counted.blocks), &mut extents);
        for (index, extent) in (0..).zip(&extents) {
            let segment = if is_symlink {
                Segment::Symlink(position)
            } else {
                Segment::Directory {
                    position,
                    extent: index,
                }
            };
            self.segments.push((extent.physical, segment));
        }
        self.place_tree(position, extents.len(), &mut placed);
        placed.extents = extents.into();
        if counted.xattr_block {
            placed.xattr = self.allocator.one();
            self.segments.push((placed.xattr, Segment::Xattr(position)));
        }
        placed
    }

    /// Allocates the data of files in the order of the layers. The blocks of an extent tree
    /// directly precede the data of its file.
    fn place_files<E>(
        &mut self,
        content: &Content,
        survey: &Survey,
        placed: &mut [Placed],
        check: impl Fn() -> Result<(), E>,
    ) -> Result<(), E> {
        for (_, _, node) in data_order(&content.tree) {
            check()?;
            let NodeKind::File(data) = &content.tree.node(node).kind else {
                continue;
            };
            let position = survey.numbers[node as usize] - FIRST_INODE;
            let mut extents = Vec::with_capacity(data.ranges.len());
            // The blocks of the tree may move the data past a copy of the superblock. That may add
            // an extent, which in turn may require a larger tree: repeat until it fits.
            let mut trees = 0;
            let needed = loop {
                let mut trial = self.allocator.fork();
                (0..trees).for_each(|_| _ = trial.one());
                extents.clear();
                for &(start, count) in &data.ranges {
                    trial.extents(start, count, &mut extents);
                }
                let needed = tree_blocks(extents.len());
                if needed <= trees {
                    break needed;
                }
                trees = needed;
            };
            let target = &mut placed[position as usize];
            // After moving past the copy there may be one extent less, so that a tree block remains
            // unused.
            (needed..trees).for_each(|_| self.allocator.waste());
            let blocks: Vec<u64> = (0..needed).map(|_| self.allocator.one()).collect();
            self.push_tree(position, &blocks);
            target.tree = blocks.into();
            extents.clear();
            for &(start, count) in &data.ranges {
                self.allocator.extents(start, count, &mut extents);
            }
            target.extents = extents.into();
        }
        Ok(())
    }

    fn place_tree(&mut self, position: u32, extents: usize, placed: &mut Placed) {
        let blocks: Vec<u64> = (0..tree_blocks(extents))
            .map(|_| self.allocator.one())
            .collect();
        self.push_tree(position, &blocks);
        placed.tree = blocks.into();
    }

    fn push_tree(&mut self, position: u32, blocks: &[u64]) {
        for (index, &block) in (0..).zip(blocks) {
            self.segments
                .push((block, Segment::ExtentTree { position, index }));
        }
    }
}

/// Returns the live files that have data, in the order in which the layers contain it.
pub(super) fn data_order(tree: &Tree) -> Vec<(u32, u32, NodeId)> {
    let mut order: Vec<(u32, u32, NodeId)> = (0..)
        .zip(&tree.nodes)
        .filter(|(_, node)| node.links > 0)
        .filter_map(|(id, node)| match &node.kind {
            NodeKind::File(data) if !data.ranges.is_empty() => Some((data.layer, data.entry, id)),
            _ => None,
        })
        .collect();
    order.sort_unstable();
    order
}

/// Returns the size of the journal in blocks: the same as `mke2fs` chooses, up to 128 MiB.
fn journal_blocks(blocks: u64) -> u64 {
    match blocks {
        0..2048 => 0,
        2048..32_768 => 1024,
        32_768..262_144 => 4096,
        262_144..524_288 => 8192,
        524_288..4_194_304 => 16_384,
        _ => 32_768,
    }
}
