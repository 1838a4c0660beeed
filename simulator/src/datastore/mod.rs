//! The datastores, which are directories of files.

mod copy;
pub(crate) mod disk;
mod namespace;
pub(crate) mod path;
pub(crate) mod redo_log;
pub(crate) mod site;
mod space;
pub(crate) mod spec;
mod unwritten;
mod volume;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vim25::{Fault, Ref, mo};
use vmx::Document;

use crate::fault;
use crate::saved;
pub(crate) use copy::Copied;
pub(crate) use namespace::Namespaces;
use path::DatastorePath;
use site::Site;
pub(crate) use space::Allowance;
use spec::Datastore;
use unwritten::{Content, Files};
pub(crate) use volume::Volume;

/// Where hosts mount datastores.
const VOLUMES: &str = "/vmfs/volumes/";

/// The files of all datastores.
///
/// Directories of machines on a temporary datastore are kept in memory until somebody needs real
/// files: [`file`](Self::file) and [`written`](Self::written) write what is at or below a path before
/// they return its place on disk, so whatever accesses files by them sees all of them. The other
/// functions work on both.
#[derive(Debug)]
pub(crate) struct Store {
    first: Volume,
    others: Vec<Volume>,
}

/// A deleted file or directory, renamed so that clients do not see it. Its content is still on
/// disk.
#[derive(Debug)]
pub(crate) struct Aside {
    path: DatastorePath,
    file: PathBuf,
}

impl Aside {
    /// Deletes the content.
    pub(crate) fn remove(self) -> Result<(), Fault> {
        let removed = if self.file.is_dir() {
            std::fs::remove_dir_all(&self.file)
        } else {
            std::fs::remove_file(&self.file)
        };
        removed.map_err(|error| fault::file_fault(&self.path.to_string(), &error))
    }
}

impl Store {
    /// Creates a datastore in a temporary directory, which is removed with the simulator.
    #[cfg(test)]
    pub(crate) fn temporary(name: &str) -> Result<Self, (PathBuf, io::Error)> {
        Self::open(&Datastore::vmfs(name), &[], 1, 0)
    }

    /// Opens the directories of the datastores of some datacenters. The first one also contains what
    /// is persisted of the simulator.
    pub(crate) fn open(
        first: &Datastore,
        others: &[Datastore],
        datacenters: usize,
        seed: u64,
    ) -> Result<Self, (PathBuf, io::Error)> {
        let kept = first.directory.is_some();
        let site = Site::new(first.datacenter.unwrap_or(0));
        let own = Volume::open(first, site, None, seed)?;
        let private = own.directory.join(saved::DIRECTORY);
        let mut volumes = Vec::new();
        for datacenter in 0..datacenters {
            let here = std::iter::once(first).chain(others);
            let here = here.filter(|spec| spec.is_in(datacenter));
            for spec in here {
                if std::ptr::eq(spec, first) && site == Site::new(datacenter) {
                    continue;
                }
                let mut spec = spec.clone();
                let home = match datacenter {
                    0 => private.join("datastores"),
                    number => {
                        if spec.datacenter.is_none() {
                            spec.directory = None;
                        }
                        private.join("datacenters").join(number.to_string())
                    }
                };
                let home = kept.then_some(&*home);
                let number = volumes.len() as u64 + 1;
                let seed = seed.wrapping_add(number << 32);
                volumes.push(Volume::open(&spec, Site::new(datacenter), home, seed)?);
            }
        }
        let store = Self {
            others: volumes,
            first: own,
        };
        let mut directories: Vec<_> = store.volumes().map(|volume| &volume.directory).collect();
        directories.sort_unstable();
        for pair in directories.windows(2) {
            if let [one, other] = pair
                && one == other
            {
                return Err(((*one).clone(), io::ErrorKind::ResourceBusy.into()));
            }
        }
        Ok(store)
    }

    /// Iterates over the datastores. There is at least one.
    pub(crate) fn volumes(&self) -> impl Iterator<Item = &Volume> {
        std::iter::once(&self.first).chain(&self.others)
    }

    pub(crate) const fn first(&self) -> &Volume {
        &self.first
    }

    /// Returns the first datastore of a datacenter.
    pub(crate) fn first_in(&self, site: Site) -> Option<&Volume> {
        self.volumes().find(|volume| volume.site == site)
    }

    /// Returns the datastore with a name in a datacenter.
    pub(crate) fn named(&self, site: Site, name: &str) -> Option<&Volume> {
        self.volumes()
            .find(|volume| volume.site == site && volume.name == name)
    }

    /// Returns the datastore with a reference.
    pub(crate) fn referenced(&self, value: &str) -> Option<&Volume> {
        self.volumes()
            .find(|volume| volume.reference().value() == value)
    }

    /// Returns the datastore of a path. Paths are only created for datastores that exist.
    pub(crate) fn volume(&self, path: &DatastorePath) -> &Volume {
        self.named(path.site(), path.datastore())
            .unwrap_or(&self.first)
    }

    /// Returns the reference of the datastore of a path.
    pub(crate) fn reference(&self, path: &DatastorePath) -> Ref<mo::Datastore> {
        self.volume(path).reference()
    }

    /// Returns the space of the datastore of a path that a writer may use from now on. Concurrent
    /// writers do not share theirs, so together they may exceed the capacity.
    pub(crate) fn allowance(&self, path: &DatastorePath) -> Allowance {
        Allowance::new(self.volume(path).free())
    }

    /// Returns the directory of the datastore of a path.
    pub(crate) fn directory_of(&self, path: &DatastorePath) -> &Path {
        &self.volume(path).directory
    }

    pub(crate) fn remove_temporary(&self) {
        self.volumes().for_each(Volume::remove_temporary);
    }

    /// Parses a path such as `[datastore1] a/b.vmx` in a datacenter.
    pub(crate) fn parse(&self, site: Site, text: &str) -> Result<DatastorePath, Fault> {
        let path =
            DatastorePath::parse(site, text).ok_or_else(|| fault::invalid_datastore_path(text))?;
        let kept = path
            .parts()
            .first()
            .is_some_and(|part| part.eq_ignore_ascii_case(saved::DIRECTORY));
        if self.named(site, path.datastore()).is_some() && !kept {
            Ok(self.resolve(path))
        } else {
            Err(fault::invalid_datastore_path(text))
        }
    }

    /// Replaces the name of a top-level directory of vSAN by its UUID.
    fn resolve(&self, path: DatastorePath) -> DatastorePath {
        let namespaces = self.volume(&path).namespaces.as_ref();
        let name = path.parts().first();
        match namespaces.zip(name).and_then(|(all, name)| all.uuid(name)) {
            Some(uuid) => path.with_first(&uuid),
            None => path,
        }
    }

    /// Checks that a file or directory with this path can be created: on vSAN, it has to be in a
    /// top-level directory.
    pub(crate) fn may_create(&self, path: &DatastorePath) -> Result<(), Fault> {
        let namespaces = self.volume(path).namespaces.as_ref();
        let is_top = path.parts().len() < 2;
        let is_missing = || {
            let top = path.top();
            !top.is_some_and(|top| self.exists(&top))
        };
        if namespaces.is_some() && (is_top || is_missing()) {
            return Err(fault::cannot_create_file(&path.to_string()));
        }
        Ok(())
    }

    /// Returns the path of a file, given its datastore and its path relative to that.
    pub(crate) fn path(&self, volume: &Volume, relative: &str) -> Result<DatastorePath, Fault> {
        self.parse(volume.site, &format!("[{}] {relative}", volume.name))
    }

    /// Returns the path of a file in the file system of a host.
    pub(crate) fn absolute(&self, path: &DatastorePath) -> String {
        format!("{VOLUMES}{}/{}", self.volume(path).mount(), path.relative())
    }

    /// Returns the datastore and the relative path of a file that a file at `home` refers to by a path
    /// in the file system of a host. The name in the path is that of a datastore in the same
    /// datacenter, or of its directory; a name that is neither, such as that of a previous simulator,
    /// stands for the datastore of `home`.
    ///
    /// `None` if the path is not in a datastore.
    pub(crate) fn located<'t>(
        &'t self,
        file: &'t str,
        home: &DatastorePath,
    ) -> Option<(&'t Volume, &'t str)> {
        let (name, relative) = file.strip_prefix(VOLUMES)?.split_once('/')?;
        let mut volumes = self.volumes().filter(|volume| volume.site == home.site());
        let found = volumes.find(|volume| volume.name == name || volume.mount() == name);
        Some((found.unwrap_or_else(|| self.volume(home)), relative))
    }

    /// Returns the datastore and the relative path of a file, given its path in the file system of a
    /// host. Only in a datacenter, the name in the path may be that of the datastore.
    pub(crate) fn mounted<'s, 'f>(
        &'s self,
        site: Option<Site>,
        file: &'f str,
    ) -> Option<(&'s Volume, &'f str)> {
        let (name, relative) = file.strip_prefix(VOLUMES)?.split_once('/')?;
        let mut volumes = self
            .volumes()
            .filter(|volume| site.is_none_or(|site| volume.site == site));
        let is_it =
            |volume: &&Volume| volume.mount() == name || site.is_some() && volume.name == name;
        Some((volumes.find(is_it)?, relative))
    }

    /// Returns the path of a file in the file system of the simulator's own host, after writing its
    /// top-level directory, or all directories for the root.
    pub(crate) fn file(&self, path: &DatastorePath) -> Result<PathBuf, Fault> {
        let written = self.written(path);
        written.map_err(|error| fault::file_fault(&path.to_string(), &error))
    }

    /// Like [`file`](Self::file), with the error of the file system.
    pub(crate) fn written(&self, path: &DatastorePath) -> io::Result<PathBuf> {
        let volume = self.volume(path);
        match path.parts().first() {
            Some(top) => volume.unwritten.write(&volume.directory, top)?,
            None => volume.unwritten.write_all(&volume.directory)?,
        }
        Ok(self.location(path))
    }

    /// Writes the directory of a file whose [location](Self::location) is known.
    pub(crate) fn write_out(&self, file: &Path) -> io::Result<()> {
        let Some((volume, relative)) = self.owner(file) else {
            return Ok(());
        };
        match relative.iter().next().and_then(|top| top.to_str()) {
            Some(top) => volume.unwritten.write(&volume.directory, top),
            None => Ok(()),
        }
    }

    /// Writes everything on the datastore of a path.
    pub(crate) fn write_all(&self, path: &DatastorePath) -> Result<(), Fault> {
        let volume = self.volume(path);
        let written = volume.unwritten.write_all(&volume.directory);
        written.map_err(|error| fault::file_fault(&path.to_string(), &error))
    }

    /// Uses the file at a path if it is in a directory that is not written yet. The closure gets the
    /// files of the directory and the name of the file.
    fn unwritten<T>(
        &self,
        path: &DatastorePath,
        work: impl FnOnce(&mut Files, &str) -> T,
    ) -> Option<T> {
        let [top, name] = path.parts() else {
            return None;
        };
        let unwritten = &self.volume(path).unwritten;
        unwritten.with(top, |files| work(files, name))
    }

    /// Returns the content of a file that is not written yet.
    pub(crate) fn in_memory(&self, path: &DatastorePath) -> Option<Arc<[u8]>> {
        let found = self.unwritten(path, |files, name| match files.get(name) {
            Some(Content::Bytes(bytes)) => Some(Arc::clone(bytes)),
            Some(Content::Document(document)) => Some(document.to_bytes().into()),
            Some(Content::Hole(_)) | None => None,
        });
        found.flatten()
    }

    /// Returns where a file is, or will be, in the file system of the simulator's own host. A caller that
    /// opens it must call [`write_out`](Self::write_out) before.
    pub(crate) fn location(&self, path: &DatastorePath) -> PathBuf {
        let mut file = self.directory_of(path).to_owned();
        let namespaces = self.volume(path).namespaces.as_ref();
        let top = path.parts().first();
        match namespaces.zip(top).and_then(|(all, top)| all.uuid(top)) {
            Some(uuid) => {
                file.push(uuid);
                file.extend(path.parts().iter().skip(1));
            }
            None => file.extend(path.parts()),
        }
        file
    }

    /// Returns the datastore path of the first file in a list.
    pub(crate) fn name_of(&self, files: &[PathBuf]) -> String {
        let file = files.first().and_then(|file| self.owner(file));
        let (volume, relative) = file.unwrap_or((&self.first, Path::new("")));
        format!("[{}] {}", volume.name, relative.display())
    }

    /// Returns the datastore of a file, and its path relative to that.
    fn owner<'f>(&self, file: &'f Path) -> Option<(&Volume, &'f Path)> {
        let inside = |volume: &'_ &Volume| file.starts_with(&volume.directory);
        // The directory of one datastore may be inside that of another.
        let depth = |volume: &&Volume| volume.directory.components().count();
        let volume = self.volumes().filter(inside).max_by_key(depth)?;
        Some((volume, file.strip_prefix(&volume.directory).ok()?))
    }

    /// Returns the number of bytes that a file occupies, without its holes.
    pub(crate) fn occupied(&self, path: &DatastorePath) -> u64 {
        let unwritten = self.unwritten(path, |files, name| {
            files.get(name).map_or(0, Content::occupied)
        });
        unwritten.unwrap_or_else(|| space::occupied_by(&self.location(path)))
    }

    /// Returns the length of a file in bytes; 0 if it does not exist.
    pub(crate) fn length(&self, path: &DatastorePath) -> u64 {
        let unwritten = self.unwritten(path, |files, name| {
            files.get(name).map_or(0, Content::length)
        });
        unwritten.unwrap_or_else(|| {
            let metadata = std::fs::metadata(self.location(path));
            metadata.map_or(0, |metadata| metadata.len())
        })
    }

    pub(crate) fn exists(&self, path: &DatastorePath) -> bool {
        let unwritten = &self.volume(path).unwritten;
        let found = match path.parts() {
            [] => None,
            [top] => unwritten.with(top, |_| true),
            [top, name] => unwritten.with(top, |files| files.get(name).is_some()),
            [top, ..] => unwritten.with(top, |_| false),
        };
        found.unwrap_or_else(|| self.location(path).exists())
    }

    pub(crate) fn read(&self, path: &DatastorePath) -> Result<Vec<u8>, Fault> {
        match self.in_memory(path) {
            Some(bytes) => Ok(bytes.to_vec()),
            None => std::fs::read(self.file(path)?)
                .map_err(|error| fault::file_fault(&path.to_string(), &error)),
        }
    }

    /// Writes a file atomically: readers see either the old or the new content.
    pub(crate) fn write(&self, path: &DatastorePath, content: &[u8]) -> Result<(), Fault> {
        let put = |files: &mut Files, name: &str| files.put(name, Content::Bytes(content.into()));
        if self.unwritten(path, put).is_some() {
            return Ok(());
        }
        let write = || {
            self.allowance(path).take(content.len() as u64)?;
            let file = self.written(path)?;
            let mut new = file.clone().into_os_string();
            new.push(".part");
            std::fs::write(&new, content)?;
            std::fs::rename(&new, &file)
        };
        write().map_err(|error: io::Error| fault::file_fault(&path.to_string(), &error))
    }

    /// Writes a `.vmx` file like [`write`](Self::write). While the file is kept in memory, it shares the
    /// document.
    pub(crate) fn write_document(
        &self,
        path: &DatastorePath,
        document: &Arc<Document>,
    ) -> Result<(), Fault> {
        let put = |files: &mut Files, name: &str| {
            files.put(name, Content::Document(Arc::clone(document)));
        };
        match self.unwritten(path, put) {
            Some(()) => Ok(()),
            None => self.write(path, &document.to_bytes()),
        }
    }

    /// Appends to a file, which is created if it does not exist.
    pub(crate) fn append(&self, path: &DatastorePath, bytes: &[u8]) -> io::Result<()> {
        use std::io::Write as _;
        let append = |files: &mut Files, name: &str| files.append(name, bytes);
        if self.unwritten(path, append).is_some() {
            return Ok(());
        }
        let mut options = std::fs::OpenOptions::new();
        let file = options.create(true).append(true).open(self.written(path)?);
        file?.write_all(bytes)
    }

    /// Creates a file of zeros, which occupies no space.
    pub(crate) fn create_sparse(&self, path: &DatastorePath, length: u64) -> io::Result<()> {
        let created = self.unwritten(path, |files, name| match files.get(name) {
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
            None => {
                files.put(name, Content::Hole(length));
                Ok(())
            }
        });
        created.unwrap_or_else(|| std::fs::File::create_new(self.written(path)?)?.set_len(length))
    }

    /// Creates a directory for the files of a machine, with its parents. Returns its path, which on
    /// vSAN differs from the given one if the top-level directory is new.
    pub(crate) fn make_home(&self, path: &DatastorePath) -> Result<DatastorePath, Fault> {
        let path = match (&self.volume(path).namespaces, path.top()) {
            (Some(namespaces), Some(top)) if !self.exists(&top) => {
                let name = top.file_name();
                if Namespaces::is_uuid(name) {
                    return Err(fault::cannot_create_file(&path.to_string()));
                }
                let uuid = namespaces.create(Some(name));
                let uuid = uuid.map_err(|error| fault::file_fault(&top.to_string(), &error))?;
                &path.with_first(&uuid)
            }
            _ => path,
        };
        if !self.is_kept_in_memory(path) {
            let made = std::fs::create_dir_all(self.file(path)?);
            made.map_err(|error| fault::file_fault(&path.to_string(), &error))?;
        }
        Ok(self.resolve(path.clone()))
    }

    /// Returns whether a datastore chooses the names of new directories itself.
    pub(crate) fn names_directories(&self) -> bool {
        self.volumes().any(|volume| volume.namespaces.is_some())
    }

    /// Returns whether a directory is not written yet, after creating it if it is new.
    fn is_kept_in_memory(&self, path: &DatastorePath) -> bool {
        let [top] = path.parts() else {
            return false;
        };
        let unwritten = &self.volume(path).unwritten;
        let is_known = unwritten.with(top, |_| ()).is_some();
        is_known || !self.location(path).exists() && unwritten.create(top)
    }

    /// Creates a directory; its parent must exist unless `parents` is set.
    pub(crate) fn make_directory(&self, path: &DatastorePath, parents: bool) -> Result<(), Fault> {
        self.may_create(path)?;
        let directory = self.file(path)?;
        let made = if parents {
            std::fs::create_dir_all(directory)
        } else {
            std::fs::create_dir(directory)
        };
        made.map_err(|error| fault::file_fault(&path.to_string(), &error))
    }

    /// Copies a file, or a directory with its content, under a hidden name. The copy appears when it
    /// is [finished](Copied::finish), and is deleted otherwise.
    pub(crate) fn copy(&self, from: &DatastorePath, to: &DatastorePath) -> Result<Copied, Fault> {
        self.may_create(to)?;
        let (source, target) = (self.file(from)?, self.file(to)?);
        let failed = |error: io::Error| fault::file_fault(&to.to_string(), &error);
        self.allowance(to)
            .take(space::occupied_by(&source))
            .map_err(failed)?;
        Copied::new(&source, &target).map_err(failed)
    }

    /// Hides a file or directory from clients immediately; its content is deleted later,
    /// outside of the transaction.
    pub(crate) fn put_aside(&self, path: &DatastorePath) -> Result<Aside, Fault> {
        if path.is_root() {
            return Err(fault::invalid_datastore_path(&path.to_string()));
        }
        let file = self.file(path)?;
        let unique = uuid::Uuid::new_v4().simple();
        let aside = file.with_file_name(format!("{}.{unique}.part", path.file_name()));
        std::fs::rename(&file, &aside)
            .map_err(|error| fault::file_fault(&path.to_string(), &error))?;
        let path = path.clone();
        Ok(Aside { path, file: aside })
    }

    /// Deletes a file, or a directory with its content.
    pub(crate) fn delete(&self, path: &DatastorePath) -> Result<(), Fault> {
        if path.is_root() {
            return Err(fault::invalid_datastore_path(&path.to_string()));
        }
        let unwritten = &self.volume(path).unwritten;
        let removed = match path.parts() {
            [top] => unwritten.remove(top, true),
            [top, name] => unwritten.with(top, |files| files.remove(name)),
            _ => None,
        };
        match removed {
            Some(true) => return Ok(()),
            Some(false) => return Err(fault::file_not_found(&path.to_string())),
            None => {}
        }
        let file = self.file(path)?;
        let deleted = if file.is_dir() {
            std::fs::remove_dir_all(file)
        } else {
            std::fs::remove_file(file)
        };
        deleted.map_err(|error| fault::file_fault(&path.to_string(), &error))
    }

    /// Deletes a directory that is empty. Best effort: one that contains files is kept.
    pub(crate) fn delete_if_empty(&self, path: &DatastorePath) {
        let unwritten = &self.volume(path).unwritten;
        let removed = match path.parts() {
            [top] => unwritten.remove(top, false),
            _ => None,
        };
        if removed.is_none() {
            let _ = std::fs::remove_dir(self.location(path));
        }
    }
}
