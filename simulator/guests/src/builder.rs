//! The settings of the process guest.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::container::Containers;
use crate::guest::{ProcessGuest, Shared};
use crate::helper::Helper;
use crate::limitations::Network;
use crate::probe::{Probed, Refusals, RootMethod, SubIdsProbe, probe};
use crate::switch::Switch;
use crate::tree::Trees;
use crate::work::WorkDir;

/// The settings of a [`ProcessGuest`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ProcessGuestBuilder {
    work_dir: Option<PathBuf>,
    helper: Option<PathBuf>,
    image_directory: Option<PathBuf>,
    ignore_users: bool,
}

/// The reason why a process guest cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// This program cannot be re-executed as a container's first process.
    #[error(
        "containers cannot be started by this program; call simulator_guests::init first in \
         main, or name a program that does"
    )]
    NoHelper,
    /// The directory for the files of guests cannot be used.
    #[error("the directory for the files of guests cannot be used")]
    WorkDir(#[source] io::Error),
    /// This host does not allow containers. Contains each method with the reason.
    #[error("containers cannot be created on this host: {}", list(.0))]
    Refused(Vec<(RootMethod, String)>),
}

fn list(refusals: &Refusals) -> String {
    let lines = refusals
        .iter()
        .map(|(method, reason)| format!("{method}: {reason}"));
    lines.collect::<Vec<_>>().join("; ")
}

impl ProcessGuestBuilder {
    /// Stores files in this directory, so that changes by containers are kept when the simulator is
    /// restarted on the same datastore. Its file system must support being the upper layer of an
    /// overlay; an overlay does not. By default, files are in the system's temporary directory and
    /// are deleted with the guest.
    pub fn work_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.work_dir = Some(path.into());
        self
    }

    /// Executes this program to create containers, instead of the current one. It must call
    /// [`init`](crate::init) first in its `main`.
    pub fn helper(mut self, path: impl Into<PathBuf>) -> Self {
        self.helper = Some(path.into());
        self
    }

    /// Uses this directory as the image of container machines whose disk was not created from an
    /// image. It is not written to. The path must be absolute, without comma, colon and backslash.
    pub fn image_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.image_directory = Some(path.into());
        self
    }

    /// Runs all processes as root of their container, even if they request another user. Root of the
    /// container is the caller if the simulator does not run as root. Such a simulator requires
    /// [subordinate ids](crate#without-root) to start processes as another user; without them and without
    /// this option, it refuses to start them.
    pub const fn ignore_users(mut self, ignore: bool) -> Self {
        self.ignore_users = ignore;
        self
    }

    /// Determines how containers can be created on this host, and starts the guest.
    ///
    /// # Errors
    /// Fails when containers cannot be created; the error contains the reasons, and what to
    /// enable.
    pub async fn start(self) -> Result<ProcessGuest, StartError> {
        let helper = Helper::find(self.helper.as_deref()).ok_or(StartError::NoHelper)?;
        let work = WorkDir::open(self.work_dir.as_deref()).map_err(StartError::WorkDir)?;
        let probed = probe(&helper, &work).await.map_err(StartError::Refused)?;
        let Probed {
            method,
            network,
            limitations,
            sub_ids,
        } = probed;
        let no_sub_ids = sub_ids.as_ref().and_then(SubIdsProbe::missing);
        let work = Arc::new(match sub_ids.and_then(SubIdsProbe::found) {
            Some(ids) => work.with_sub_ids(helper.clone(), ids),
            None => work,
        });
        let switch = (network == Network::Switched).then(|| Arc::new(Switch::default()));
        Ok(ProcessGuest(Arc::new(Shared {
            helper,
            method,
            network,
            switch,
            limitations,
            no_sub_ids,
            trees: Trees::new(Arc::clone(&work)),
            containers: Containers::new(Arc::clone(&work)),
            image_directory: self.image_directory,
            ignore_users: self.ignore_users,
            machines: Mutex::default(),
            work,
        })))
    }
}
