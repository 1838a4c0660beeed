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

/// The name prefix of a file that hides a file of lower layers, in the OCI image specification.
const WHITEOUT: &str = ".wh.";
/// The name of a file that hides all files of lower layers in its directory.
const OPAQUE: &str = ".wh..wh..opq";
/// The prefixes of the overlay's own attributes, as written by an unprivileged mount and by root.
const OVERLAY: [&str; 2] = ["user.overlay.", "trusted.overlay."];

/// Writes the directory `upper` as a tar layer. The changes of an overlay are written with the
/// whiteouts of the OCI image specification; a complete tree has none.
///
/// With `owners`, files keep their owners. Without, all files belong to root, which is the
/// caller's user inside the container. Sockets are left out, as is a file with the name of a
/// whiteout.
///
/// # Errors
/// Fails when a file cannot be read or written, and with [`io::ErrorKind::Unsupported`] for an
/// overlay that renamed directories or stored only attributes of a file. Our overlays do
/// neither.
pub(crate) fn write_layer<W: Write>(upper: &Path, owners: bool, out: W) -> io::Result<W> {
    let mut layer = Layer {
        tar: Builder::new(out),
        owners,
        links: HashMap::new(),
    };
    layer.directory(upper, Path::new("."), &fs::symlink_metadata(upper)?)?;
    layer.tar.into_inner()
}

/// The kernel's limit for the size of an attribute, and for that of all names of a file.
const ATTRIBUTES_MAX: usize = 64 << 10;

struct Layer<W: Write> {
    tar: Builder<W>,
    owners: bool,
    /// The first name of each file with several hard links, by device and inode.
    links: HashMap<(u64, u64), PathBuf>,
}

impl<W: Write> Layer<W> {
    fn directory(&mut self, path: &Path, name: &Path, data: &Metadata) -> io::Result<()> {
        let attributes = Attributes::read(path)?;
        self.entry(
            name,
            EntryType::Directory,
            data,
            &attributes,
            0,
            io::empty(),
        )?;
        if attributes.is_opaque {
            self.marker(&name.join(OPAQUE))?;
        }
        let mut entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let file = entry.file_name();
            if file.as_bytes().starts_with(WHITEOUT.as_bytes()) {
                tracing::debug!(path = %entry.path().display(), "a file with the name of a whiteout was left out");
                continue;
            }
            let data = entry.path().symlink_metadata()?;
            self.any(&entry.path(), &name.join(&file), &data)?;
        }
        Ok(())
    }

    fn any(&mut self, path: &Path, name: &Path, data: &Metadata) -> io::Result<()> {
        let kind = data.file_type();
        if kind.is_dir() {
            return self.directory(path, name, data);
        }
        if kind.is_char_device() && data.rdev() == 0 {
            let mut hidden = WHITEOUT.to_owned().into_bytes();
            hidden.extend(name.file_name().unwrap_or_default().as_bytes());
            return self.marker(&name.with_file_name(std::ffi::OsStr::from_bytes(&hidden)));
        }
        if data.nlink() > 1 {
            let file = (data.dev(), data.ino());
            if let Some(first) = self.links.get(&file) {
                let mut header = self.header(EntryType::Link, data, 0);
                return self.tar.append_link(&mut header, name, first);
            }
            self.links.insert(file, name.to_owned());
        }
        let attributes = Attributes::read(path)?;
        if kind.is_file() {
            let content = File::open(path)?.take(data.len());
            self.entry(
                name,
                EntryType::Regular,
                data,
                &attributes,
                data.len(),
                content,
            )
        } else if kind.is_symlink() {
            self.tar
                .append_pax_extensions(attributes.records(data).as_records())?;
            let mut header = self.header(EntryType::Symlink, data, 0);
            self.tar
                .append_link(&mut header, name, fs::read_link(path)?)
        } else if kind.is_fifo() {
            self.entry(name, EntryType::Fifo, data, &attributes, 0, io::empty())
        } else if kind.is_char_device() {
            self.entry(name, EntryType::Char, data, &attributes, 0, io::empty())
        } else if kind.is_block_device() {
            self.entry(name, EntryType::Block, data, &attributes, 0, io::empty())
        } else {
            Ok(())
        }
    }

    fn entry(
        &mut self,
        name: &Path,
        kind: EntryType,
        data: &Metadata,
        attributes: &Attributes,
        size: u64,
        content: impl io::Read,
    ) -> io::Result<()> {
        self.tar
            .append_pax_extensions(attributes.records(data).as_records())?;
        let mut header = self.header(kind, data, size);
        if kind == EntryType::Char || kind == EntryType::Block {
            header.set_device_major(rustix::fs::major(data.rdev()))?;
            header.set_device_minor(rustix::fs::minor(data.rdev()))?;
        }
        self.tar.append_data(&mut header, name, content)
    }

    fn marker(&mut self, name: &Path) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(0);
        self.tar.append_data(&mut header, name, io::empty())
    }

    fn header(&self, kind: EntryType, data: &Metadata, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(data.mode() & 0o7777);
        let owner = |id: u32| if self.owners { u64::from(id) } else { 0 };
        header.set_uid(owner(data.uid()));
        header.set_gid(owner(data.gid()));
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
                    .push((format!("SCHILY.xattr.{name}"), value)),
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

struct Records(Vec<(String, Vec<u8>)>);

impl Records {
    fn as_records(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_slice()))
    }
}
