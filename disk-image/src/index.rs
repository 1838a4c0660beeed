//! Reads a layer for the first time: applies its entries to the tree, and finds the parts of its
//! files that contain data.

use crate::archive::{Archive, Entry, Kind, LayerRead};
use crate::content::{DataError, for_data};
use crate::error::{LayerError, LayerProblem};
use crate::ext4::xattr;
use crate::limits::{LimitKind, Limits};
use crate::merge::Notes;
use crate::ranges::{BLOCK, RUN, RangeFinder, is_zero};
use crate::seek_reader::SeekReader;
use crate::tree::{Applied, Tree};
use crate::{Error, Monitor};

/// The layer to read, and what it is merged into.
pub(crate) struct Index<'a> {
    pub(crate) tree: &'a mut Tree,
    pub(crate) limits: &'a Limits,
    pub(crate) notes: &'a mut Notes,
    /// The position of the layer.
    pub(crate) layer: usize,
    pub(crate) monitor: &'a Monitor,
}

/// How the data of a file is looked at.
pub(crate) trait Scan: LayerRead + Sized {
    /// Passes the data of an entry, or as much of it as is needed, to a finder.
    fn scan(
        archive: &mut Archive<Self>,
        entry: &Entry,
        finder: &mut RangeFinder,
        monitor: &Monitor,
    ) -> Result<(), DataError> {
        scan_rest(archive, entry, 0, finder, monitor)
    }
}

impl Scan for crate::layer::Unpacked {}

impl Scan for SeekReader {
    /// A run of zeros that becomes a hole contains the last block of at least one window. Reads only
    /// these blocks, and the windows next to one that is zero.
    fn scan(
        archive: &mut Archive<Self>,
        entry: &Entry,
        finder: &mut RangeFinder,
        monitor: &Monitor,
    ) -> Result<(), DataError> {
        const WINDOW: u64 = RUN * BLOCK;
        let mut at = 0;
        if entry.segments.is_none() && entry.size > WINDOW {
            let mut window = vec![0; WINDOW as usize];
            let mut was_zero = false;
            // The last window is read, because its end decides about the end of the last range.
            while entry.size - at > WINDOW {
                monitor.check().map_err(DataError::Other)?;
                let last = WINDOW - BLOCK;
                let block = &mut window[last as usize..];
                archive.peek_data(last, block).map_err(DataError::Layer)?;
                let is_zero = is_zero(block);
                if was_zero || is_zero {
                    let rest = &mut window[..last as usize];
                    archive.peek_data(0, rest).map_err(DataError::Layer)?;
                    finder.data(&window);
                } else {
                    finder.data_at_end(RUN);
                }
                was_zero = is_zero;
                archive.skip_data(WINDOW).map_err(DataError::Layer)?;
                monitor.add_bytes(WINDOW);
                at += WINDOW;
            }
        }
        scan_rest(archive, entry, at, finder, monitor)
    }
}

/// Passes the data of an entry to a finder; of a file that is not sparse from an offset on.
fn scan_rest<R: LayerRead>(
    archive: &mut Archive<R>,
    entry: &Entry,
    from: u64,
    finder: &mut RangeFinder,
    monitor: &Monitor,
) -> Result<(), DataError> {
    for_data(archive, entry, from, monitor, |offset, bytes| {
        finder.seek(offset);
        finder.data(bytes);
        Ok(())
    })
}

impl Index<'_> {
    /// Reads all entries, and returns how many there are.
    pub(crate) fn read<R: Scan>(self, archive: &mut Archive<R>) -> Result<u32, Error> {
        let Self {
            tree,
            limits,
            notes,
            layer,
            monitor,
        } = self;
        let wrap = |error: Box<LayerError>| error.of_layer(layer);
        let mut entries = 0;
        while let Some(mut entry) = archive.next().map_err(wrap)? {
            monitor.check()?;
            keep_known_xattrs(&mut entry);
            notes.add(layer, &entry);
            let applied = tree.apply(&entry, layer as u32, entries, limits);
            let applied = applied.map_err(|problem| wrap(archive.error(problem)))?;
            // Of whiteouts too, although they should have no data.
            if entry.kind == Kind::File {
                let memory = limits.metadata.saturating_sub(tree.metadata);
                let mut finder = RangeFinder::new(entry.segments.is_some(), memory);
                R::scan(archive, &entry, &mut finder, monitor)
                    .map_err(|error| error.of_layer(layer))?;
                let ranges = finder.finish().ok_or_else(|| {
                    wrap(archive.error(LayerProblem::Limit {
                        kind: LimitKind::Metadata,
                        limit: limits.metadata,
                    }))
                })?;
                if let Some(outline) = archive.outline() {
                    outline.ranges(&ranges);
                }
                if let Applied::File(node) = applied {
                    tree.set_ranges(node, ranges);
                }
            }
            monitor.add_entry();
            entries += 1;
        }
        archive.drain().map_err(wrap)?;
        Ok(entries)
    }
}

/// Removes extended attributes that a file system cannot store, and adds a note.
fn keep_known_xattrs(entry: &mut Entry) {
    let before = entry.xattrs.len();
    entry
        .xattrs
        .retain(|(name, value)| xattr::is_storable(name, value));
    if entry.xattrs.len() != before {
        entry
            .odd
            .push("an extended attribute of an unknown namespace or form was left out");
    }
}
