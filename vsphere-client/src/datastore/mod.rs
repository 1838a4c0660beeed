//! Files on datastores: managing and transferring them.

mod files;
mod path;
mod transfer;

pub use files::{FileEntry, Files};
pub use path::DatastorePath;
pub(crate) use transfer::{Counted, OnProgress, stalled};
pub use transfer::{Download, FilePart, TransferProgress, Upload};
