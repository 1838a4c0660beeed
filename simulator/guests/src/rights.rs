//! The privileges with which the files of guests are created.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// Which owners the files of guests can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    /// All, and the files may be device nodes.
    Root,
    /// Those of a user namespace with subordinate ids: these numbers of user and group ids, besides
    /// root.
    SubIds {
        /// The number of user ids.
        uids: u32,
        /// The number of group ids.
        gids: u32,
    },
    /// Only the caller, who is root of the containers.
    Caller,
}

impl Rights {
    /// Returns the rights of this process, outside of user namespaces of its own.
    pub(crate) fn of_this_process() -> Self {
        if is_root() { Self::Root } else { Self::Caller }
    }

    /// Returns whether files can have this owner.
    pub(crate) const fn can_own(self, (uid, gid): (u32, u32)) -> bool {
        match self {
            Self::Root => true,
            Self::SubIds { uids, gids } => uid <= uids && gid <= gids,
            Self::Caller => uid == 0 && gid == 0,
        }
    }
}

/// Returns the effective user id of this process.
pub(crate) fn user_id() -> Option<u32> {
    // `/proc/self` belongs to the effective user of the process.
    Some(fs::metadata("/proc/self").ok()?.uid())
}

/// Returns whether this process runs as root.
pub(crate) fn is_root() -> bool {
    user_id() == Some(0)
}
