//! Manages and transfers files on datastores.

mod direct;
mod disks;
mod files;
mod local;
mod local_io;
mod namespace;
mod path;
mod transfer;

pub(crate) use direct::KnownHosts;
pub use disks::{DiskFormat, DiskInfo, VirtualDisks};
pub use files::{FileEntry, Files};
pub(crate) use local::unusable;
pub use local::{FromLocal, ToLocal, Transferred};
pub use path::DatastorePath;
pub(crate) use transfer::{Counted, OnProgress, stalled};
pub use transfer::{Download, FilePart, TransferProgress, Upload};
