//! Container layers become disks: tar layers to ext4 to VMDK and back.

mod archive;
mod block;
mod digest;
mod error;
pub mod ext4;
mod layer;
mod le;
mod limits;
mod merge;
#[cfg(unix)]
mod merge_unpack;
mod monitor;
mod ranges;
mod sink;
mod time;
mod tree;
#[cfg(unix)]
mod unpack;
pub mod vmdk;

pub use block::{BlockRead, RawDisk, copy};
pub use digest::{Digest, ParseDigestError};
pub use error::{Error, LayerError, LayerProblem};
pub use ext4::{FsOptions, Plan};
pub use layer::{FileLayer, LayerDigests, LayerSource};
pub use limits::{LimitKind, Limits};
pub use merge::{LayerSummary, Merge, Note};
pub use monitor::Monitor;
pub use sink::{RawFile, Sink};
pub use time::Timestamp;
pub use tree::Xattr;
#[cfg(unix)]
pub use unpack::{Refused, RefusedKind, UnpackOptions, Unpacked};
pub use vmdk::{Level, StreamOptions};
