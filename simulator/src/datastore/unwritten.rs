//! Directories that are kept in memory until somebody uses their files.
//!
//! Most machines of a large inventory are never looked at on disk. While a directory is unwritten,
//! the simulator's own changes of its files take place in memory. The first access that needs real
//! files writes the whole directory, which appears at once.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vmx::Document;

/// The size that the space of a file is a multiple of.
const BLOCK: u64 = 4_096;

/// The unwritten directories of a datastore. All are at its top level, and contain only files.
#[derive(Debug)]
pub(super) struct UnwrittenDirectories {
    state: Mutex<State>,
    /// The number of directories, to find out without the lock that there are none.
    count: AtomicUsize,
}

#[derive(Debug)]
struct State {
    /// Whether new directories may be kept in memory.
    accepts: bool,
    directories: HashMap<Box<str>, Arc<Directory>>,
}

/// A directory. Its lock is held while it is written: callers that need the same directory wait until
/// all of its files are there, and no others do.
#[derive(Debug)]
struct Directory {
    /// `None` when the directory has been written or removed.
    files: Mutex<Option<Files>>,
}

/// The files of an unwritten directory.
#[derive(Debug, Default)]
pub(super) struct Files {
    list: Vec<(Box<str>, Content)>,
}

/// The content of an unwritten file.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Bytes(Arc<[u8]>),
    /// The `.vmx` file of a machine, which keeps the document, too.
    Document(Arc<Document>),
    /// Only zeros: a sparse file with this length in bytes.
    Hole(u64),
}

impl Content {
    /// Returns the length of the file in bytes.
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Document(document) => document.to_bytes().len() as u64,
            Self::Hole(length) => *length,
        }
    }

    /// Returns the number of bytes that the file will occupy.
    pub(super) fn occupied(&self) -> u64 {
        match self {
            Self::Hole(_) => 0,
            content => content.length().next_multiple_of(BLOCK),
        }
    }

    fn write(&self, file: &Path) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => std::fs::write(file, bytes),
            Self::Document(document) => std::fs::write(file, document.to_bytes()),
            Self::Hole(length) => std::fs::File::create_new(file)?.set_len(*length),
        }
    }
}

impl Files {
    pub(super) fn get(&self, name: &str) -> Option<&Content> {
        let mut list = self.list.iter();
        list.find_map(|(own, content)| (**own == *name).then_some(content))
    }

    pub(super) fn put(&mut self, name: &str, content: Content) {
        match self.list.iter_mut().find(|(own, _)| **own == *name) {
            Some((_, old)) => *old = content,
            None => self.list.push((name.into(), content)),
        }
    }

    /// Appends to a file, which is created if it does not exist.
    pub(super) fn append(&mut self, name: &str, bytes: &[u8]) {
        let old: &[u8] = match self.get(name) {
            Some(Content::Bytes(old)) => old,
            _ => &[],
        };
        let whole = [old, bytes].concat();
        self.put(name, Content::Bytes(whole.into()));
    }

    /// Removes a file. Returns whether it existed.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let before = self.list.len();
        self.list.retain(|(own, _)| **own != *name);
        self.list.len() < before
    }

    fn write(&self, directory: &Path) -> io::Result<()> {
        std::fs::create_dir(directory)?;
        self.list
            .iter()
            .try_for_each(|(name, content)| content.write(&directory.join(&**name)))
    }
}

impl Directory {
    fn lock(&self) -> MutexGuard<'_, Option<Files>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnwrittenDirectories {
    /// Creates the list for a datastore. If `accepts` is not set, all directories are written
    /// immediately.
    pub(super) fn new(accepts: bool) -> Self {
        Self {
            state: Mutex::new(State {
                accepts,
                directories: HashMap::new(),
            }),
            count: AtomicUsize::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, name: &str) -> Option<Arc<Directory>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.lock().directories.get(name).cloned()
    }

    fn forget(&self, name: &str, directory: &Arc<Directory>) {
        let mut state = self.lock();
        let own = state.directories.get(name);
        if own.is_some_and(|own| Arc::ptr_eq(own, directory)) {
            state.directories.remove(name);
            self.count.store(state.directories.len(), Ordering::Release);
        }
    }

    /// Adds an empty directory, which must not exist on disk. Returns `false` if it has to be
    /// created on disk instead.
    pub(super) fn create(&self, name: &str) -> bool {
        let mut state = self.lock();
        if !state.accepts {
            return false;
        }
        let made = || {
            Arc::new(Directory {
                files: Mutex::new(Some(Files::default())),
            })
        };
        state.directories.entry(name.into()).or_insert_with(made);
        self.count.store(state.directories.len(), Ordering::Release);
        true
    }

    /// Uses the files of a directory; `None` if the directory is not unwritten.
    pub(super) fn with<T>(&self, name: &str, work: impl FnOnce(&mut Files) -> T) -> Option<T> {
        let directory = self.find(name)?;
        let mut files = directory.lock();
        files.as_mut().map(work)
    }

    /// Removes a directory if it is empty or `whole` is set. Returns whether it has been removed;
    /// `None` if it is not unwritten.
    pub(super) fn remove(&self, name: &str, whole: bool) -> Option<bool> {
        let directory = self.find(name)?;
        let mut files = directory.lock();
        let is_empty = files.as_ref()?.list.is_empty();
        if !is_empty && !whole {
            return Some(false);
        }
        *files = None;
        drop(files);
        self.forget(name, &directory);
        Some(true)
    }

    /// Writes a directory to the datastore's own directory, `root`. No-op for other directories.
    /// After an error, the directory is still unwritten.
    pub(super) fn write(&self, root: &Path, name: &str) -> io::Result<()> {
        let Some(directory) = self.find(name) else {
            return Ok(());
        };
        let mut files = directory.lock();
        let Some(content) = files.as_ref() else {
            return Ok(());
        };
        let unique = uuid::Uuid::new_v4().simple();
        let hidden = root.join(format!("{name}.{unique}.part"));
        let written = content
            .write(&hidden)
            .and_then(|()| std::fs::rename(&hidden, root.join(name)));
        if let Err(error) = written {
            let _ = std::fs::remove_dir_all(&hidden);
            return Err(error);
        }
        *files = None;
        drop(files);
        self.forget(name, &directory);
        Ok(())
    }

    /// Writes all directories to the datastore's own directory.
    pub(super) fn write_all(&self, root: &Path) -> io::Result<()> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        let names: Vec<Box<str>> = self.lock().directories.keys().cloned().collect();
        names.iter().try_for_each(|name| self.write(root, name))
    }

    /// Writes all directories, and keeps no further ones in memory.
    pub(super) fn stop(&self, root: &Path) -> io::Result<()> {
        self.lock().accepts = false;
        self.write_all(root)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn bytes(text: &str) -> Content {
        Content::Bytes(text.as_bytes().into())
    }

    fn count(root: &Path) -> usize {
        std::fs::read_dir(root).unwrap().count()
    }

    #[test]
    fn a_directory_appears_as_a_whole() {
        let root = tempfile::tempdir().unwrap();
        let all = UnwrittenDirectories::new(true);
        assert!(all.create("a"));
        all.with("a", |files| {
            files.put("a.vmx", bytes("old"));
            files.put("a.vmx", bytes("new"));
            files.put("a-flat.vmdk", Content::Hole(1 << 30));
            files.append("vmware.log", b"1\n");
            files.append("vmware.log", b"2\n");
            files.put("gone", bytes("x"));
            assert!(files.remove("gone"));
            assert!(!files.remove("gone"));
        })
        .unwrap();
        assert_eq!(count(root.path()), 0);
        all.write(root.path(), "a").unwrap();
        let read = |name: &str| std::fs::read(root.path().join("a").join(name)).unwrap();
        assert_eq!(read("a.vmx"), b"new");
        assert_eq!(read("vmware.log"), b"1\n2\n");
        let flat = std::fs::metadata(root.path().join("a/a-flat.vmdk")).unwrap();
        assert_eq!(flat.len(), 1 << 30);
        assert_eq!(count(&root.path().join("a")), 3);
        assert_eq!(count(root.path()), 1);
        assert_eq!(all.with("a", |_| ()), None);
        all.write(root.path(), "a").unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_written_stays_in_memory() {
        let root = tempfile::tempdir().unwrap();
        let all = UnwrittenDirectories::new(true);
        all.create("a");
        all.with("a", |files| files.put("a.vmx", bytes("x")));
        // A file is in the way.
        std::fs::write(root.path().join("a"), b"").unwrap();
        assert!(all.write(root.path(), "a").is_err());
        assert_eq!(count(root.path()), 1);
        std::fs::remove_file(root.path().join("a")).unwrap();
        all.write(root.path(), "a").unwrap();
        assert!(root.path().join("a/a.vmx").exists());
    }

    #[test]
    fn removed_directories_are_never_written() {
        let root = tempfile::tempdir().unwrap();
        let all = UnwrittenDirectories::new(true);
        all.create("a");
        all.with("a", |files| files.put("a.vmx", bytes("x")));
        assert_eq!(all.remove("a", false), Some(false));
        all.with("a", |files| files.remove("a.vmx"));
        assert_eq!(all.remove("a", false), Some(true));
        assert_eq!(all.remove("a", false), None);
        all.create("b");
        all.with("b", |files| files.put("b.vmx", bytes("x")));
        assert_eq!(all.remove("b", true), Some(true));
        all.stop(root.path()).unwrap();
        assert_eq!(count(root.path()), 0);
        assert!(!all.create("c"));
    }

    #[test]
    fn concurrent_users_find_either_all_files_or_none_on_disk() {
        let root = tempfile::tempdir().unwrap();
        let all = UnwrittenDirectories::new(true);
        for number in 0..50 {
            let name = format!("{number}");
            all.create(&name);
            for file in ["a", "b", "c"] {
                all.with(&name, |files| files.put(file, bytes(file)));
            }
        }
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..50 {
                        let name = format!("{number}");
                        all.write(root.path(), &name).unwrap();
                        assert_eq!(count(&root.path().join(&name)), 3);
                    }
                });
            }
        });
        assert_eq!(count(root.path()), 50);
    }
}
