//! The files of a log, which may be moved to another directory or datastore while they are read.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use guest_io::log::part_name;
use tokio::time::Instant;
use vsphere_client::Datastore;

/// The number of bytes by which a log is recognized in another file.
const SAMPLE: usize = 64;

/// One file of a log.
#[derive(Clone, Debug)]
pub(super) struct LogFile {
    pub(super) datastore: Datastore,
    /// `[datastore] path`.
    pub(super) path: String,
}

impl LogFile {
    /// Returns the file of an older part, which is in the same directory.
    pub(super) fn part(&self, part: u32) -> Self {
        Self {
            datastore: self.datastore.clone(),
            path: part_name(&self.path, part),
        }
    }
}

/// The files of a log, which are read as if they were one file.
#[derive(Clone, Debug)]
pub(super) struct LogFiles {
    /// The older parts with their lengths, oldest first. The endpoint reports the lengths, so they
    /// may be wrong.
    pub(super) older: Vec<(LogFile, u64)>,
    /// The file that grows.
    pub(super) current: LogFile,
}

impl LogFiles {
    /// Returns the length of the older parts.
    pub(super) fn base(&self) -> u64 {
        let lengths = self.older.iter().map(|(_, length)| *length);
        lengths.fold(0, u64::saturating_add)
    }
}

/// The current location of a log, shared by all who read it.
#[derive(Debug)]
pub(super) struct LogPlace {
    state: Mutex<State>,
    /// The time at which the location was last looked up. Locked during a look-up, so that
    /// concurrent readers share one.
    pub(super) looked_up: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct State {
    files: Arc<LogFiles>,
    known: Known,
}

/// What was read of the file that grows.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// The last bytes that were read.
    pub(super) sample: Bytes,
    /// The offset of these bytes in the file.
    pub(super) sample_at: u64,
    /// The length of the file.
    pub(super) length: u64,
    /// Whether the file was missing when it was last read.
    pub(super) is_absent: bool,
}

impl Known {
    /// Adds the result of a read: the bytes and the length of the file; `None` if it is missing.
    fn add(&mut self, offset: u64, read: Option<(&Bytes, u64)>) {
        self.is_absent = read.is_none();
        let Some((bytes, length)) = read else {
            return;
        };
        let sample_end = self.sample_at.saturating_add(self.sample.len() as u64);
        if length < sample_end {
            // It is a different file now.
            *self = Self::default();
        }
        // Concurrent reads may be recorded in another order.
        self.length = self.length.max(length);
        let end = offset.saturating_add(bytes.len() as u64);
        let sample_end = self.sample_at.saturating_add(self.sample.len() as u64);
        if end > sample_end && !bytes.is_empty() {
            let skipped = bytes.len().saturating_sub(SAMPLE);
            // Copied, so that the rest of the bytes is not kept.
            self.sample = Bytes::copy_from_slice(bytes.get(skipped..).unwrap_or_default());
            self.sample_at = offset.saturating_add(skipped as u64);
        }
    }
}

impl LogPlace {
    pub(super) fn new(current: LogFile) -> Self {
        let older = Vec::new();
        Self {
            state: Mutex::new(State {
                files: Arc::new(LogFiles { older, current }),
                known: Known::default(),
            }),
            looked_up: tokio::sync::Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn files(&self) -> Arc<LogFiles> {
        Arc::clone(&self.state().files)
    }

    pub(super) fn known(&self) -> Known {
        self.state().known.clone()
    }

    /// Returns whether a file of which something is known is missing.
    pub(super) fn is_missing(&self) -> bool {
        let state = self.state();
        state.known.is_absent && state.known.length > 0
    }

    /// Records the result of a read of the current file of `files`: the bytes and the length of the
    /// file; `None` if it is missing.
    pub(super) fn record(&self, files: &Arc<LogFiles>, offset: u64, read: Option<(&Bytes, u64)>) {
        let mut state = self.state();
        if Arc::ptr_eq(&state.files, files) {
            state.known.add(offset, read);
        }
    }

    /// Sets the older parts.
    pub(super) fn set_older(&self, older: Vec<(LogFile, u64)>) {
        let mut state = self.state();
        let current = state.files.current.clone();
        state.files = Arc::new(LogFiles { older, current });
    }

    /// Replaces the files by the same log in another place.
    pub(super) fn move_to(&self, files: LogFiles) {
        let mut state = self.state();
        state.files = Arc::new(files);
        state.known.is_absent = false;
    }

    /// Continues the log in another file. The current file becomes an older part of this length.
    pub(super) fn continue_in(&self, current: LogFile, length: u64) {
        let mut state = self.state();
        let mut older = state.files.older.clone();
        older.push((state.files.current.clone(), length));
        *state = State {
            files: Arc::new(LogFiles { older, current }),
            known: Known::default(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(known: &mut Known, offset: u64, bytes: &[u8], length: u64) {
        known.add(offset, Some((&Bytes::copy_from_slice(bytes), length)));
    }

    #[test]
    fn the_sample_is_the_end_of_what_was_read() {
        let mut known = Known::default();
        add(&mut known, 0, b"header", 1000);
        assert_eq!((known.sample_at, &known.sample[..]), (0, &b"header"[..]));
        add(&mut known, 100, &[b'x'; 200], 1000);
        assert_eq!((known.sample_at, known.sample.len()), (300 - 64, SAMPLE));
        // A reader that is further behind does not replace it.
        add(&mut known, 6, b"behind", 1000);
        assert_eq!((known.sample_at, known.length), (300 - 64, 1000));
        // Nothing is read at the end of the file.
        add(&mut known, 1000, b"", 1000);
        assert_eq!((known.sample_at, known.sample.len()), (300 - 64, SAMPLE));
    }

    #[test]
    fn a_missing_file_keeps_what_is_known_of_it() {
        let mut known = Known::default();
        add(&mut known, 0, b"header", 6);
        known.add(6, None);
        assert!(known.is_absent);
        assert_eq!((&known.sample[..], known.length), (&b"header"[..], 6));
        add(&mut known, 6, b"more", 10);
        assert!(!known.is_absent);
    }

    #[test]
    fn a_shorter_file_is_a_different_one() {
        let mut known = Known::default();
        add(&mut known, 90, b"old record", 100);
        add(&mut known, 0, b"new", 3);
        assert_eq!((known.sample_at, &known.sample[..]), (0, &b"new"[..]));
        assert_eq!(known.length, 3);
    }
}
