//! Plans a file system and writes it.

use std::convert::Infallible;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use super::directory::{self, Division};
use super::encode::{EXTENTS, Encoder, INDEXED, InodeFields};
use super::extent::{self, Extent};
use super::layout::{
    LOST_AND_FOUND_BLOCKS, Layout, MIN_BLOCKS, Placed, ROOT_POSITION, Segment, Survey, data_order,
};
use super::options::FsOptions;
use super::{BLOCK_SIZE, FIRST_INODE, INODE_SIZE, JOURNAL_INODE, ROOT_INODE, xattr};
use crate::content::{Content, Piece};
use crate::le;
use crate::sink::{RawFile, RawStream, Sink};
use crate::tree::{Node, NodeId, NodeKind, ROOT, Tree};
use crate::vmdk::{StreamOptions, StreamWriter};
use crate::{Error, Monitor};

/// A disk with a complete layout that has not been written yet.
///
/// It can be written any number of times, each time with the same result. Layers that were not
/// verified when they were merged ([`LayerSummary::is_verified`](crate::LayerSummary)) are verified
/// by each write, so sizes and names from a plan are not to be trusted more than the layers' source
/// until a write has returned without an error.
pub struct Plan {
    content: Arc<Content>,
    options: FsOptions,
    survey: Survey,
    layout: Layout,
}

impl Plan {
    pub(crate) fn new(
        content: Arc<Content>,
        options: &FsOptions,
        monitor: &Monitor,
    ) -> Result<Self, Error> {
        options.check()?;
        let _span = tracing::debug_span!("lay out").entered();
        let survey = Survey::new(&content.tree, options, monitor)?;
        let blocks = options.rounded_size() / BLOCK_SIZE as u64;
        let check = || monitor.check();
        let layout = Layout::new(&content, &survey, options, blocks.max(MIN_BLOCKS), check)?;
        if blocks < MIN_BLOCKS || !layout.fits() {
            let needed = min_size(&content, &survey, options, check)?;
            return Err(Error::DiskTooSmall {
                size: options.size,
                needed,
            });
        }
        Ok(Self {
            content,
            options: options.clone(),
            survey,
            layout,
        })
    }

    /// Returns the size of the disk in bytes.
    pub fn image_len(&self) -> u64 {
        self.options.rounded_size()
    }

    /// Returns the smallest size in bytes for the same content and options.
    pub fn min_size(&self) -> u64 {
        let Ok(size) = min_size(&self.content, &self.survey, &self.options, never);
        size
    }

    /// Returns the number of used bytes on the disk; the rest is free.
    pub fn used(&self) -> u64 {
        self.layout.end * BLOCK_SIZE as u64
    }

    /// Writes the raw disk: [`Plan::image_len`] bytes, including all zeros.
    ///
    /// # Errors
    /// [`Error::Layer`] if a layer has changed, does not have its digest or cannot be read again,
    /// [`Error::Write`], [`Error::Cancelled`]. Output written so far remains.
    pub fn write_raw<W: Write>(&self, out: W, monitor: &Monitor) -> Result<W, Error> {
        let mut sink = RawStream::new(out);
        self.write(&mut sink, monitor)?;
        sink.finish(self.image_len())
    }

    /// Writes the raw disk into an empty file, with holes instead of zeros.
    ///
    /// # Errors
    /// As [`Plan::write_raw`].
    pub fn write_file(&self, file: &File, monitor: &Monitor) -> Result<(), Error> {
        let mut sink = RawFile::new(file);
        self.write(&mut sink, monitor)?;
        sink.finish(self.image_len())
    }

    /// Writes the disk as a streamOptimized VMDK, the format in which vSphere imports
    /// disks. `out` is only appended to, so it may be the body of an upload.
    ///
    /// # Errors
    /// As [`Plan::write_raw`].
    pub fn write_stream_optimized<W: Write>(
        &self,
        out: W,
        options: &StreamOptions,
        monitor: &Monitor,
    ) -> Result<W, Error> {
        let mut sink = StreamWriter::new(out, self.image_len(), options)?;
        self.write(&mut sink, monitor)?;
        sink.finish_unless_cancelled(monitor)
    }

    /// Returns the exact length that [`Plan::write_stream_optimized`] writes with the same
    /// options. This compresses everything and discards the result, so it takes as
    /// long as writing.
    ///
    /// # Errors
    /// As [`Plan::write_raw`].
    pub fn stream_optimized_len(
        &self,
        options: &StreamOptions,
        monitor: &Monitor,
    ) -> Result<u64, Error> {
        Ok(self.write_stream_optimized(Count(0), options, monitor)?.0)
    }

    /// Writes the disk into any sink.
    ///
    /// # Errors
    /// As [`Plan::write_raw`].
    pub fn write(&self, sink: &mut dyn Sink, monitor: &Monitor) -> Result<(), Error> {
        let _span = tracing::debug_span!("write disk", bytes = self.used()).entered();
        let tree = &self.content.tree;
        let is_directory = |position: u32| match self.survey.inodes[position as usize].node {
            Some(node) => tree.children(node).is_some(),
            None => true,
        };
        let encoder = Encoder::new(&self.layout, &self.survey, &self.options, is_directory);
        let descriptors = encoder.descriptors();
        let mut emission = Emission {
            plan: self,
            encoder,
            descriptors,
            sink,
            monitor,
            next: 0,
        };
        let order = data_order(tree);
        let mut files = order.iter().peekable();
        for layer in 0..self.content.layers.len() as u32 {
            let is_unneeded = files.peek().is_none_or(|file| file.0 != layer);
            if is_unneeded && !self.content.is_unverified(layer as usize) {
                continue;
            }
            let wanted = |index: u32, entry: &crate::archive::Entry| {
                let node = files.next_if(|file| file.0 == layer && file.1 == index)?.2;
                let same = matches!(&tree.node(node).kind, NodeKind::File(data) if data.size == entry.size);
                // If the layer has changed, the digest mismatch is detected only at the end of the
                // layer. Until then, nothing may be written outside of the file's blocks.
                Some(Cursor {
                    node,
                    extent: 0,
                    written: 0,
                    valid: same,
                })
            };
            let consume = |cursor: &mut Cursor, piece: Piece<'_>| {
                if let Piece::Data { offset, bytes } = piece
                    && cursor.valid
                {
                    emission.file(cursor, offset, bytes)?;
                }
                Ok(())
            };
            self.content
                .replay(layer as usize, monitor, wanted, consume)?;
        }
        emission.metadata_below(u64::MAX)
    }

    fn placed(&self, position: u32) -> &Placed {
        if position == ROOT_POSITION {
            &self.layout.root
        } else {
            &self.layout.placed[position as usize]
        }
    }

    fn number(position: u32) -> u32 {
        if position == ROOT_POSITION {
            ROOT_INODE
        } else {
            FIRST_INODE + position
        }
    }

    fn node_of(&self, position: u32) -> Option<(NodeId, &Node)> {
        let id = if position == ROOT_POSITION {
            Some(ROOT)
        } else {
            self.survey.inodes[position as usize].node
        };
        id.map(|id| (id, self.tree().node(id)))
    }

    fn tree(&self) -> &Tree {
        &self.content.tree
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("image_len", &self.image_len())
            .field("used", &self.used())
            .finish_non_exhaustive()
    }
}

/// Never stops a computation.
fn never() -> Result<(), Infallible> {
    Ok(())
}

fn min_size<E>(
    content: &Content,
    survey: &Survey,
    options: &FsOptions,
    check: impl Fn() -> Result<(), E> + Copy,
) -> Result<u64, E> {
    const GRAIN: u64 = 16;
    let mut blocks = MIN_BLOCKS;
    loop {
        let layout = Layout::new(content, survey, options, blocks, check)?;
        if layout.fits() {
            return Ok(blocks * BLOCK_SIZE as u64);
        }
        blocks = layout.needed().max(blocks + 1).next_multiple_of(GRAIN);
    }
}

/// The progress of writing one file.
struct Cursor {
    node: NodeId,
    extent: usize,
    /// Number of bytes of the file that were already processed.
    written: u64,
    valid: bool,
}

struct Emission<'a> {
    plan: &'a Plan,
    encoder: Encoder<'a>,
    descriptors: Vec<u8>,
    sink: &'a mut dyn Sink,
    monitor: &'a Monitor,
    /// Position of the next piece of metadata to write.
    next: usize,
}

impl Emission<'_> {
    fn put(&mut self, block: u64, bytes: &[u8]) -> Result<(), Error> {
        self.sink.put(block * BLOCK_SIZE as u64, bytes)
    }

    /// Writes those parts of the data that lie within the file's extents; the rest is zero.
    fn file(&mut self, cursor: &mut Cursor, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let position = self.plan.survey.numbers[cursor.node as usize] - FIRST_INODE;
        let plan = self.plan;
        let extents = &plan.placed(position).extents;
        let end = offset + bytes.len() as u64;
        let mut at = offset.max(cursor.written);
        while at < end {
            let Some(extent) = extents.get(cursor.extent) else {
                break;
            };
            let (first, last) = extent_bytes(extent);
            if at >= last {
                cursor.extent += 1;
                continue;
            }
            at = at.max(first);
            let until = end.min(last);
            if at >= until {
                break;
            }
            self.metadata_below(extent.physical)?;
            let target = extent.physical * BLOCK_SIZE as u64 + (at - first);
            self.sink.put(
                target,
                &bytes[(at - offset) as usize..(until - offset) as usize],
            )?;
            at = until;
        }
        cursor.written = end;
        Ok(())
    }

    /// Writes all metadata located before `block`.
    fn metadata_below(&mut self, block: u64) -> Result<(), Error> {
        while let Some(&(at, segment)) = self.plan.layout.segments.get(self.next)
            && at < block
        {
            self.next += 1;
            self.monitor.check()?;
            self.segment(at, segment)?;
        }
        Ok(())
    }

    fn segment(&mut self, at: u64, segment: Segment) -> Result<(), Error> {
        let plan = self.plan;
        match segment {
            Segment::Super(group) => {
                let block = self.encoder.superblock(u64::from(group));
                self.put(at, &block)?;
                let descriptors = std::mem::take(&mut self.descriptors);
                let result = self.put(at + 1, &descriptors);
                self.descriptors = descriptors;
                result
            }
            Segment::BlockBitmap(group) => match self.encoder.block_bitmap(u64::from(group)) {
                Some(bitmap) => self.put(at, &bitmap),
                None => Ok(()),
            },
            Segment::InodeBitmap(group) => match self.encoder.inode_bitmap(u64::from(group)) {
                Some(bitmap) => self.put(at, &bitmap),
                None => Ok(()),
            },
            Segment::InodeTable(group) => self.inode_table(at, u64::from(group)),
            Segment::Journal => {
                let block = self.encoder.journal();
                self.put(at, &block)
            }
            Segment::Directory { position, extent } => {
                let blocks = self.directory(position);
                let extent = plan.placed(position).extents[extent as usize];
                let (from, to) = extent_bytes(&extent);
                self.put(at, &blocks[from as usize..to as usize])
            }
            Segment::Xattr(position) => {
                let Some((_, node)) = plan.node_of(position) else {
                    return Ok(());
                };
                let Some(division) = xattr::Division::new(&node.meta.xattrs) else {
                    return Ok(());
                };
                let block = division.block(at, self.encoder.seed);
                self.put(at, &block)
            }
            Segment::Symlink(position) => match plan.node_of(position) {
                Some((
                    _,
                    Node {
                        kind: NodeKind::Symlink(target),
                        ..
                    },
                )) => {
                    let mut block = vec![0; BLOCK_SIZE];
                    block[..target.len()].copy_from_slice(target);
                    self.put(at, &block)
                }
                _ => Ok(()),
            },
            Segment::ExtentTree { position, index } => {
                let placed = plan.placed(position);
                let seed = self.encoder.inode_seed(Plan::number(position));
                let (extents, blocks) = (&placed.extents, &placed.tree);
                let block = extent::tree_block(extents, blocks, index as usize, seed);
                self.put(at, &block)
            }
        }
    }

    fn directory(&self, position: u32) -> Vec<u8> {
        let number = Plan::number(position);
        let seed = self.encoder.inode_seed(number);
        let survey = &self.plan.survey;
        match self.plan.node_of(position) {
            None => {
                directory::encode_empty(number, ROOT_INODE, LOST_AND_FOUND_BLOCKS as usize, seed)
            }
            Some((id, _)) => {
                let parent = match position {
                    ROOT_POSITION => ROOT_INODE,
                    _ => survey.inodes[position as usize].parent,
                };
                let entries = survey.entries(self.plan.tree(), id);
                // The survey divided the same names successfully, so this cannot fail.
                Division::new(entries, &survey.hash_seed)
                    .map(|division| division.encode(number, parent, seed))
                    .unwrap_or_default()
            }
        }
    }

    fn inode_table(&mut self, start: u64, group: u64) -> Result<(), Error> {
        const IN_BLOCK: u64 = (BLOCK_SIZE / INODE_SIZE) as u64;
        let per_group = self.plan.layout.geometry.inodes_per_group;
        let used = self.encoder.used_inodes_of(group);
        for block in 0..used.div_ceil(IN_BLOCK) {
            let mut bytes = vec![0; BLOCK_SIZE];
            for (slot, to) in (0..).zip(bytes.chunks_exact_mut(INODE_SIZE)) {
                let index = block * IN_BLOCK + slot;
                if index < used {
                    self.inode(to, (group * per_group + index + 1) as u32);
                }
            }
            self.put(start + block, &bytes)?;
        }
        Ok(())
    }

    fn inode(&self, to: &mut [u8], number: u32) {
        let layout = &self.plan.layout;
        let position = match number {
            ROOT_INODE => ROOT_POSITION,
            JOURNAL_INODE if !layout.journal.is_empty() => return self.journal_inode(to),
            FIRST_INODE.. => number - FIRST_INODE,
            _ => return,
        };
        let placed = self.plan.placed(position);
        let counted = match position {
            ROOT_POSITION => &self.plan.survey.root,
            _ => &self.plan.survey.inodes[position as usize],
        };
        let mut fields = InodeFields {
            mode: 0o40700,
            uid: 0,
            gid: 0,
            size: super::encode::extents_end(&placed.extents),
            mtime: self.plan.options.epoch,
            links: counted.links,
            flags: EXTENTS,
            block: [0; 60],
            placed,
            xattrs: None,
        };
        let Some((_, node)) = self.plan.node_of(position) else {
            fields.block = extent::root(&placed.extents, &placed.tree);
            return self.encoder.write_inode(to, number, &fields);
        };
        let division = xattr::Division::new(&node.meta.xattrs);
        fields.xattrs = division.as_ref();
        fields.uid = node.meta.uid;
        fields.gid = node.meta.gid;
        fields.mtime = node.meta.mtime.unwrap_or(self.plan.options.epoch);
        let kind = match &node.kind {
            NodeKind::Directory(_) => {
                // A directory has an index exactly if its names need more than one block.
                if fields.size > BLOCK_SIZE as u64 {
                    fields.flags |= INDEXED;
                }
                0o40000
            }
            NodeKind::File(data) => {
                fields.size = data.size;
                0o100_000
            }
            NodeKind::Symlink(target) => {
                fields.size = target.len() as u64;
                if target.len() < 60 {
                    fields.flags = 0;
                    fields.block[..target.len()].copy_from_slice(target);
                }
                0o120_000
            }
            NodeKind::Char(major, minor) | NodeKind::Block(major, minor) => {
                fields.flags = 0;
                fields.size = 0;
                put_device(&mut fields.block, *major, *minor);
                if matches!(node.kind, NodeKind::Char(..)) {
                    0o20000
                } else {
                    0o60000
                }
            }
            NodeKind::Fifo => {
                fields.flags = 0;
                fields.size = 0;
                0o10000
            }
        };
        fields.mode = kind | node.meta.mode;
        if fields.flags & EXTENTS != 0 {
            fields.block = extent::root(&placed.extents, &placed.tree);
        }
        self.encoder.write_inode(to, number, &fields);
    }

    fn journal_inode(&self, to: &mut [u8]) {
        let extents = self.plan.layout.journal.clone().into_boxed_slice();
        let placed = Placed {
            extents,
            ..Placed::default()
        };
        let fields = InodeFields {
            mode: 0o100_600,
            uid: 0,
            gid: 0,
            size: super::encode::extents_end(&placed.extents),
            mtime: self.plan.options.epoch,
            links: 1,
            flags: EXTENTS,
            block: extent::root(&placed.extents, &[]),
            placed: &placed,
            xattrs: None,
        };
        self.encoder.write_inode(to, JOURNAL_INODE, &fields);
    }
}

/// Returns the byte range of the file that an extent contains.
fn extent_bytes(extent: &Extent) -> (u64, u64) {
    let first = u64::from(extent.logical) * BLOCK_SIZE as u64;
    (first, first + u64::from(extent.len) * BLOCK_SIZE as u64)
}

/// Writes a device number in the old encoding if it fits, otherwise in the new one.
fn put_device(block: &mut [u8; 60], major: u32, minor: u32) {
    if major < 256 && minor < 256 {
        le::put_u32(block, 0, major << 8 | minor);
    } else {
        le::put_u32(block, 4, minor & 0xff | major << 8 | (minor & !0xff) << 12);
    }
}

/// A writer that discards everything and counts the bytes.
struct Count(u64);

impl Write for Count {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0 += buf.len() as u64;
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
