//! Writes the upper directory of an overlay as a layer of an image.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::buffer::spare_capacity;
use rustix::fs::{lgetxattr, llistxattr};
use tar::{Builder, EntryType, Header};

use crate::originals::Original;
use crate::rights::Rights;

/// The name prefix of a file that hides a file of lower layers, in the OCI image specification.
const WHITEOUT: &str = ".wh.";
/// The name of a file that hides all files of lower layers in its directory.
const OPAQUE: &str = ".wh..wh..opq";
/// The prefix of an extended attribute in a PAX header.
const XATTR: &str = "SCHILY.xattr.";
/// The prefixes of the overlay's own attributes, as written by an unprivileged mount and by root.
const OVERLAY: [&str; 2] = ["user.overlay.", "trusted.overlay."];

/// The image that a container's files were made from.
pub(crate) struct Image<'a> {
    /// The root directory of the image.
    pub(crate) root: Original<'a>,
    /// The rights with which the container's files were made. What the system refused then is that of
    /// the image.
    pub(crate) rights: Rights,
    /// Whether the container's files are a complete tree, in which the device nodes of the image are
    /// missing.
    pub(crate) is_complete: bool,
}

/// Writes the directory `upper` as a tar layer. The changes of an overlay are written with the
/// whiteouts of the OCI image specification; a complete tree has none.
///
/// Sockets are left out, as is a file with the name of a whiteout.
///
/// # Errors
/// Fails when a file cannot be read or written, and with [`io::ErrorKind::Unsupported`] for an
/// overlay that renamed directories or stored only attributes of a file. Our overlays do
/// neither.
pub(crate) fn write_layer<W: Write>(upper: &Path, image: &Image<'_>, out: W) -> io::Result<W> {
    let mut layer = Layer {
        tar: Builder::new(out),
        rights: image.rights,
        adds_devices: image.is_complete,
        links: HashMap::new(),
    };
    let data = fs::symlink_metadata(upper)?;
    layer.directory(&Changed {
        path: upper,
        name: Path::new("."),
        data: &data,
        original: Some(&image.root),
    })?;
    layer.tar.into_inner()
}

/// The kernel's limit for the size of an attribute, and for that of all names of a file.
const ATTRIBUTES_MAX: usize = 64 << 10;

struct Layer<W: Write> {
    tar: Builder<W>,
    /// The rights with which the files were made.
    rights: Rights,
    /// Whether device nodes of the image are missing.
    adds_devices: bool,
    /// The first name of each file with several hard links, by device and inode.
    links: HashMap<(u64, u64), PathBuf>,
}

/// A file of the layer.
#[derive(Clone, Copy)]
struct Changed<'a> {
    path: &'a Path,
    /// The name in the layer.
    name: &'a Path,
    data: &'a Metadata,
    /// The image's file of the same kind at the same path.
    original: Option<&'a Original<'a>>,
}

impl<W: Write> Layer<W> {
    fn directory(&mut self, file: &Changed<'_>) -> io::Result<()> {
        let attributes = self.attributes(file)?;
        self.entry(file, EntryType::Directory, &attributes, 0, io::empty())?;
        if attributes.is_opaque {
            self.marker(&file.name.join(OPAQUE))?;
        }
        let originals = match file.original {
            Some(original) => original.directory()?,
            None => None,
        };
        let mut entries = fs::read_dir(file.path)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in &entries {
            let name = entry.file_name();
            if name.as_bytes().starts_with(WHITEOUT.as_bytes()) {
                tracing::debug!(path = %entry.path().display(), "a file with the name of a whiteout was left out");
                continue;
            }
            let data = entry.path().symlink_metadata()?;
            let original = match &originals {
                Some(originals) => originals.find(name.as_bytes())?,
                None => None,
            };
            let original = original.filter(|original| original.is_like(&data));
            self.any(&Changed {
                path: &entry.path(),
                name: &file.name.join(&name),
                data: &data,
                original: original.as_ref(),
            })?;
        }
        if let Some(originals) = originals.filter(|_| self.adds_devices) {
            for (name, device) in originals.devices()? {
                let name = std::ffi::OsStr::from_bytes(name);
                if entries.iter().all(|entry| entry.file_name() != name) {
                    self.device(&file.name.join(name), &device)?;
                }
            }
        }
        Ok(())
    }

    fn any(&mut self, file: &Changed<'_>) -> io::Result<()> {
        let Changed {
            path, name, data, ..
        } = *file;
        let kind = data.file_type();
        if kind.is_dir() {
            return self.directory(file);
        }
        if kind.is_char_device() && data.rdev() == 0 {
            let mut hidden = WHITEOUT.to_owned().into_bytes();
            hidden.extend(name.file_name().unwrap_or_default().as_bytes());
            return self.marker(&name.with_file_name(std::ffi::OsStr::from_bytes(&hidden)));
        }
        if data.nlink() > 1 {
            let key = (data.dev(), data.ino());
            if let Some(first) = self.links.get(&key).cloned() {
                let mut header = self.header(EntryType::Link, file, 0);
                return self.tar.append_link(&mut header, name, first);
            }
            self.links.insert(key, name.to_owned());
        }
        let attributes = self.attributes(file)?;
        if kind.is_file() {
            let content = File::open(path)?.take(data.len());
            self.entry(file, EntryType::Regular, &attributes, data.len(), content)
        } else if kind.is_symlink() {
            self.tar
                .append_pax_extensions(attributes.records(data).as_records())?;
            let mut header = self.header(EntryType::Symlink, file, 0);
            self.tar
                .append_link(&mut header, name, fs::read_link(path)?)
        } else if kind.is_fifo() {
            self.entry(file, EntryType::Fifo, &attributes, 0, io::empty())
        } else if kind.is_char_device() {
            self.entry(file, EntryType::Char, &attributes, 0, io::empty())
        } else if kind.is_block_device() {
            self.entry(file, EntryType::Block, &attributes, 0, io::empty())
        } else {
            Ok(())
        }
    }

    fn entry(
        &mut self,
        file: &Changed<'_>,
        kind: EntryType,
        attributes: &Attributes,
        size: u64,
        content: impl io::Read,
    ) -> io::Result<()> {
        self.tar
            .append_pax_extensions(attributes.records(file.data).as_records())?;
        let mut header = self.header(kind, file, size);
        if kind == EntryType::Char || kind == EntryType::Block {
            header.set_device_major(rustix::fs::major(file.data.rdev()))?;
            header.set_device_minor(rustix::fs::minor(file.data.rdev()))?;
        }
        self.tar.append_data(&mut header, file.name, content)
    }

    /// Writes a device node of the image.
    fn device(&mut self, name: &Path, original: &Original<'_>) -> io::Result<()> {
        let Some((is_block, major, minor)) = original.device() else {
            return Ok(());
        };
        let mut header = Header::new_gnu();
        header.set_entry_type(if is_block {
            EntryType::Block
        } else {
            EntryType::Char
        });
        let (uid, gid) = original.owner();
        header.set_mode(original.mode());
        header.set_uid(uid.into());
        header.set_gid(gid.into());
        header.set_mtime(u64::try_from(original.modified()).unwrap_or(0));
        header.set_size(0);
        header.set_device_major(major)?;
        header.set_device_minor(minor)?;
        self.tar.append_data(&mut header, name, io::empty())
    }

    /// Reads the attributes of a file, and adds those of the image that the system refused.
    fn attributes(&self, file: &Changed<'_>) -> io::Result<Attributes> {
        let mut attributes = Attributes::read(file.path)?;
        if let Some(original) = file.original {
            for (name, value) in original.refused_attributes(file.data, self.rights)? {
                let key = format!("{XATTR}{}", String::from_utf8_lossy(&name));
                if attributes.kept.iter().all(|(other, _)| *other != key) {
                    attributes.kept.push((key, value));
                }
            }
        }
        Ok(attributes)
    }

    fn marker(&mut self, name: &Path) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(0);
        self.tar.append_data(&mut header, name, io::empty())
    }

    fn header(&self, kind: EntryType, file: &Changed<'_>, size: u64) -> Header {
        let data = file.data;
        let mode = data.mode() & 0o7777;
        // A file whose owner was refused belongs to root of the container, which is another id outside.
        let own = match self.rights {
            Rights::Caller => (0, 0),
            Rights::Root | Rights::SubIds { .. } => (data.uid(), data.gid()),
        };
        let refused = file.original.filter(|original| {
            let owner = original.owner();
            self.rights == Rights::Caller || (own == (0, 0) && !self.rights.can_own(owner))
        });
        let ((uid, gid), mode) = match refused {
            Some(original) => (original.owner(), original.mode_of(mode)),
            None => (own, mode),
        };
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(uid.into());
        header.set_gid(gid.into());
        header.set_mtime(u64::try_from(data.mtime()).unwrap_or(0));
        header.set_size(size);
        header
    }
}

/// The extended attributes of a file, without those of the overlay.
#[derive(Default)]
struct Attributes {
    kept: Vec<(String, Vec<u8>)>,
    is_opaque: bool,
}

impl Attributes {
    fn read(path: &Path) -> io::Result<Self> {
        let mut attributes = Self::default();
        let mut names = Vec::with_capacity(ATTRIBUTES_MAX);
        match llistxattr(path, spare_capacity(&mut names)) {
            Ok(_) => {}
            Err(rustix::io::Errno::NOTSUP) => return Ok(attributes),
            Err(error) => return Err(error.into()),
        }
        for name in names
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
        {
            let Ok(name) = std::str::from_utf8(name) else {
                continue;
            };
            let mut value = Vec::with_capacity(ATTRIBUTES_MAX);
            lgetxattr(path, name, spare_capacity(&mut value))?;
            value.shrink_to_fit();
            let own = OVERLAY.iter().find_map(|prefix| name.strip_prefix(prefix));
            match own {
                None => attributes
                    .kept
                    .push((format!("{XATTR}{name}"), without_namespace(name, value))),
                Some("opaque") => attributes.is_opaque = value == b"y",
                Some("redirect" | "metacopy") => {
                    return Err(io::Error::new(
                        io::ErrorKind::Unsupported,
                        format!("{}: the overlay uses {name}", path.display()),
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(attributes)
    }

    /// Returns the PAX records of an entry: its attributes, and its time with fractions of a second.
    fn records(&self, data: &Metadata) -> Records {
        let mut records = self.kept.clone();
        if data.mtime_nsec() != 0 || data.mtime() < 0 {
            let time = format!("{}.{:09}", data.mtime(), data.mtime_nsec());
            records.push(("mtime".to_owned(), time.into_bytes()));
        }
        Records(records)
    }
}

/// Returns the capabilities of a program as root of the container sees them: without the id of the
/// namespace's root, which the kernel adds on the host.
fn without_namespace(name: &str, mut value: Vec<u8>) -> Vec<u8> {
    /// The length with the id, and without.
    const LENGTHS: (usize, usize) = (24, 20);
    if name == "security.capability" && value.len() == LENGTHS.0 && value[3] == 3 {
        value.truncate(LENGTHS.1);
        value[3] = 2;
    }
    value
}

struct Records(Vec<(String, Vec<u8>)>);

impl Records {
    fn as_records(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_slice()))
    }
}
