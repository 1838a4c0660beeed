//! Finds the blocks of a file that contain data.

pub(crate) const BLOCK: u64 = 4096;

/// The minimum length of a run of zeros that becomes a hole, in blocks: 64 KiB, one grain of a
/// disk.
pub(crate) const RUN: u64 = 16;

/// Reads a file in order and collects the ranges of blocks that are not zero.
pub(crate) struct RangeFinder {
    ranges: Vec<(u64, u64)>,
    /// Number of bytes read so far.
    position: u64,
    /// Whether the current block contains nonzero bytes.
    dirty: bool,
    /// The minimum length of a run of zero blocks that becomes a hole.
    run: u64,
    /// The maximum number of ranges.
    most: usize,
    overflowed: bool,
}

impl RangeFinder {
    /// Creates a finder that keeps at most `memory` bytes of ranges. In a file that is `sparse` in
    /// its layer, every zero block becomes a hole; in other files only long runs do.
    pub(crate) fn new(sparse: bool, memory: u64) -> Self {
        let run = if sparse { 1 } else { RUN };
        let most = memory / size_of::<(u64, u64)>() as u64;
        Self {
            ranges: Vec::new(),
            position: 0,
            dirty: false,
            run,
            most: usize::try_from(most).unwrap_or(usize::MAX),
            overflowed: false,
        }
    }

    pub(crate) fn data(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = (BLOCK - self.position % BLOCK) as usize;
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.dirty = self.dirty || !is_zero(now);
            self.position += now.len() as u64;
            if self.position.is_multiple_of(BLOCK) {
                self.end_block(self.position / BLOCK - 1);
            }
            bytes = rest;
        }
    }

    /// Continues after `blocks` whole blocks of which only the last is known to contain data. If the
    /// block before them contains data too, the result is the same as with their bytes, as long as
    /// they are at most [`RUN`].
    pub(crate) fn data_at_end(&mut self, blocks: u64) {
        self.position += blocks * BLOCK;
        self.dirty = true;
        self.end_block(self.position / BLOCK - 1);
    }

    /// Skips a hole up to `position`.
    pub(crate) fn seek(&mut self, position: u64) {
        if position / BLOCK != self.position / BLOCK {
            self.end_block(self.position / BLOCK);
        }
        self.position = position;
    }

    /// Returns the ranges; `None` if they exceeded the memory limit.
    pub(crate) fn finish(mut self) -> Option<Vec<(u64, u64)>> {
        self.end_block(self.position / BLOCK);
        self.ranges.shrink_to_fit();
        (!self.overflowed).then_some(self.ranges)
    }

    fn end_block(&mut self, block: u64) {
        if !std::mem::take(&mut self.dirty) {
            return;
        }
        let is_full = self.ranges.len() >= self.most;
        match self.ranges.last_mut() {
            Some((start, count)) if block - (*start + *count) < self.run => {
                *count = block + 1 - *start;
            }
            _ if is_full => self.overflowed = true,
            // A short run of zeros at the beginning is stored as data.
            None if block < self.run => self.ranges.push((0, block + 1)),
            _ => self.ranges.push((block, 1)),
        }
    }
}

pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // Checks whole words, with only one branch per 32 of them.
    let (chunks, rest) = bytes.as_chunks::<256>();
    chunks
        .iter()
        .all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
        && rest.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_of_zeros_become_holes_and_short_ones_do_not() {
        let mut finder = RangeFinder::new(false, u64::MAX);
        finder.data(&[1; 5000]);
        finder.data(&vec![0; 15 * 4096]);
        finder.data(&[1]);
        finder.data(&vec![0; 40 * 4096]);
        finder.data(&[2; 10]);
        assert_eq!(finder.finish(), Some(vec![(0, 17), (56, 1)]));
    }

    #[test]
    fn blocks_between_data_need_not_be_read() {
        let mut finder = RangeFinder::new(false, u64::MAX);
        finder.data_at_end(16);
        finder.data_at_end(16);
        finder.data(&vec![0; 17 * 4096]);
        finder.data(&[1; 4096]);
        finder.data_at_end(15);
        assert_eq!(finder.finish(), Some(vec![(0, 32), (49, 16)]));
    }

    #[test]
    fn sparse_files_keep_every_hole() {
        let mut finder = RangeFinder::new(true, u64::MAX);
        finder.seek(8192);
        finder.data(&[1; 100]);
        finder.seek(8192 + 4000);
        finder.data(&[1; 100]);
        finder.seek(1 << 40);
        assert_eq!(finder.finish(), Some(vec![(2, 2)]));
    }
}
