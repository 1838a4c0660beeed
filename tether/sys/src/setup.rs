//! The specification of a container.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::sub_ids::SubIds;
use crate::tap::CardSetup;
use crate::wire::{Reader, Writer};

/// How far a container is isolated from its host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isolation {
    /// Separate namespaces for mounts, processes, host name, IPC and network,
    /// and for users if the system supports them. Without user namespaces it requires
    /// root, and the container's capabilities are reduced to those of Docker.
    #[default]
    Namespaces,
    /// Only a different root directory. Requires root. Processes can see those of the host, and
    /// `/proc` is not mounted.
    Chroot,
    /// None, because the container is the only one in its machine. Only for the first process of
    /// a machine, [`run_machine`](crate::run_machine).
    Machine,
}

/// The source of a container's root directory. Paths are relative to
/// [`ContainerSetup::base`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RootDirectory {
    /// A read-only tree, and a directory for changes.
    Overlay {
        /// The read-only tree. Its path contains no comma, colon or backslash.
        lower: PathBuf,
        /// The directory for changes.
        upper: PathBuf,
        /// A directory in the same file system as `upper`, for the kernel's internal use.
        work: PathBuf,
    },
    /// A directory that the container writes to directly.
    Plain(PathBuf),
    /// The ext4 file system with this label, on a disk that may take some seconds to appear.
    Disk {
        /// The label, at most 16 bytes.
        label: String,
    },
}

/// A directory of the host that is visible in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The directory, relative to [`ContainerSetup::base`] or absolute.
    pub source: PathBuf,
    /// The absolute path in the container, which is created if necessary.
    pub target: String,
    /// Whether it is read-only in the container.
    pub read_only: bool,
}

/// The specification of a container.
///
/// The directories must exist. Their paths are trusted, so only the caller may have write
/// access to the directories above the container's root. Paths *in* the container are resolved
/// inside its root, whatever links it contains.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContainerSetup {
    /// The absolute path to which the other paths are relative.
    pub base: PathBuf,
    /// The root directory.
    pub root: RootDirectory,
    /// An empty directory to mount the root at.
    pub mount_point: PathBuf,
    /// An empty directory for preparing `/dev` and files.
    pub stage: PathBuf,
    /// How far it is isolated.
    pub isolation: Isolation,
    /// The host name; empty for none.
    pub hostname: String,
    /// The domain name; empty for none.
    pub domainname: String,
    /// Small files that replace those of the image, as absolute path and content.
    pub files: Vec<(String, Vec<u8>)>,
    /// Addresses with prefix lengths for its loopback device, if it has a network namespace.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Its network cards, at most 10, if it has a network namespace. They are tap devices, called
    /// `eth0`, `eth1` and so on. [`Event::Ready`](crate::Event::Ready) contains their files.
    pub cards: Vec<CardSetup>,
    /// The directories of the host that are visible in it.
    pub binds: Vec<Bind>,
    /// The subordinate ids that exist in the container's user namespace, in addition to root. Without
    /// them, and if the caller is not root, only root exists. Ignored for a caller that is root.
    pub sub_ids: Option<SubIds>,
    /// A file with a list of [`RefusedFile`](crate::RefusedFile), relative to
    /// [`base`](Self::base). Archives out of the container show these owners and device nodes. Only with
    /// [`Isolation::Namespaces`].
    pub owners: Option<PathBuf>,
}

impl ContainerSetup {
    /// Creates a specification with this root, without names, addresses, cards,
    /// directories of the host and subordinate ids.
    #[must_use]
    pub fn new(
        base: impl Into<PathBuf>,
        root: RootDirectory,
        mount_point: impl Into<PathBuf>,
        stage: impl Into<PathBuf>,
    ) -> Self {
        Self {
            base: base.into(),
            root,
            mount_point: mount_point.into(),
            stage: stage.into(),
            isolation: Isolation::default(),
            hostname: String::new(),
            domainname: String::new(),
            files: Vec::new(),
            addresses: Vec::new(),
            cards: Vec::new(),
            binds: Vec::new(),
            sub_ids: None,
            owners: None,
        }
    }

    pub(crate) fn encode(&self, to: &mut Writer) {
        to.path(&self.base);
        match &self.root {
            RootDirectory::Overlay { lower, upper, work } => {
                to.u8(0);
                for part in [lower, upper, work] {
                    to.path(part);
                }
            }
            RootDirectory::Plain(root) => {
                to.u8(1);
                to.path(root);
            }
            RootDirectory::Disk { label } => {
                to.u8(2).text(label);
            }
        }
        to.path(&self.mount_point);
        to.path(&self.stage);
        to.u8(match self.isolation {
            Isolation::Namespaces => 0,
            Isolation::Chroot => 1,
            Isolation::Machine => 2,
        });
        to.text(&self.hostname).text(&self.domainname);
        to.list(&self.files, |to, (path, content)| {
            to.text(path).bytes(content);
        });
        to.list(&self.addresses, |to, (address, prefix)| {
            to.text(&address.to_string()).u8(*prefix);
        });
        to.list(&self.cards, |to, card| card.encode(to));
        to.list(&self.binds, |to, bind| {
            to.path(&bind.source);
            to.text(&bind.target).bool(bind.read_only);
        });
        to.bool(self.sub_ids.is_some());
        if let Some(ids) = &self.sub_ids {
            ids.encode(to);
        }
        to.bool(self.owners.is_some());
        if let Some(owners) = &self.owners {
            to.path(owners);
        }
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            base: from.path()?,
            root: match from.u8()? {
                0 => RootDirectory::Overlay {
                    lower: from.path()?,
                    upper: from.path()?,
                    work: from.path()?,
                },
                1 => RootDirectory::Plain(from.path()?),
                2 => RootDirectory::Disk {
                    label: from.text()?,
                },
                _ => return None,
            },
            mount_point: from.path()?,
            stage: from.path()?,
            isolation: match from.u8()? {
                0 => Isolation::Namespaces,
                1 => Isolation::Chroot,
                2 => Isolation::Machine,
                _ => return None,
            },
            hostname: from.text()?,
            domainname: from.text()?,
            files: from.list(|from| Some((from.text()?, from.bytes()?)))?,
            addresses: from.list(|from| Some((from.ip()?, from.u8()?)))?,
            cards: from.list(CardSetup::decode)?,
            binds: from.list(|from| {
                Some(Bind {
                    source: from.path()?,
                    target: from.text()?,
                    read_only: from.bool()?,
                })
            })?,
            sub_ids: match from.bool()? {
                true => Some(SubIds::decode(from)?),
                false => None,
            },
            owners: match from.bool()? {
                true => Some(from.path()?),
                false => None,
            },
        })
    }
}

/// Returns whether a path can be part of the mount options of an overlay.
pub(crate) fn fits_options(path: &Path) -> bool {
    !OsStr::as_bytes(path.as_os_str())
        .iter()
        .any(|byte| b",:\\".contains(byte))
}
