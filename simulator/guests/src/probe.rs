//! Probes which kinds of containers this host allows.

use std::fmt;
use std::fs;
use std::path::Path;

use tether::sys::{CardSetup, ContainerSetup, Isolation, Launch, RootDirectory, SubIds};
use tether::{Created, Supervisor, SupervisorError};

use crate::helper::Helper;
use crate::limitations::{Network, of_all};
use crate::rights;
use crate::sub_ids;
use crate::work::{WorkDir, remove};

/// How the root file systems of containers are created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RootMethod {
    /// The image is shared, and changes are stored in an overlay, in namespaces.
    Overlay,
    /// The image is copied for each container, in namespaces.
    Copy,
    /// The image is copied, and the container is isolated only by `chroot`: it can see the
    /// host's processes and network. Requires root.
    Chroot,
}

impl fmt::Display for RootMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overlay => "namespaces with an overlay",
            Self::Copy => "namespaces with a copy of the image",
            Self::Chroot => "chroot with a copy of the image",
        })
    }
}

/// The reason of each method that does not work.
pub(crate) type Refusals = Vec<(RootMethod, String)>;

/// What this host allows.
#[derive(Debug)]
pub(crate) struct Probed {
    pub(crate) method: RootMethod,
    pub(crate) network: Network,
    /// What containers lack.
    pub(crate) limitations: Vec<String>,
    /// The subordinate ids; `None` if the simulator runs as root, which does not need them.
    pub(crate) sub_ids: Option<SubIdsProbe>,
}

/// Whether containers have other users than root, if the simulator does not run as root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SubIdsProbe {
    /// They have those of these ids.
    Found(SubIds),
    /// They have not, for this reason.
    Missing(String),
}

impl SubIdsProbe {
    pub(crate) fn found(self) -> Option<SubIds> {
        match self {
            Self::Found(ids) => Some(ids),
            Self::Missing(_) => None,
        }
    }

    pub(crate) fn missing(&self) -> Option<String> {
        match self {
            Self::Found(_) => None,
            Self::Missing(reason) => Some(reason.clone()),
        }
    }
}

/// Finds the first method that works, by creating empty containers.
pub(crate) async fn probe(helper: &Helper, work: &WorkDir) -> Result<Probed, Refusals> {
    let mut refusals = Vec::new();
    for method in [RootMethod::Overlay, RootMethod::Copy, RootMethod::Chroot] {
        let directory = work.path().join("probe");
        match attempt(helper, &directory, method, None).await {
            Ok(mut created) => {
                let sub_ids = if rights::is_root() {
                    None
                } else {
                    let (probe, other) = sub_ids(helper, &directory, method).await;
                    created = other.unwrap_or(created);
                    Some(probe)
                };
                let (network, notes) = network(method, created);
                let limitations = of_all(&network, sub_ids.as_ref(), notes);
                for limitation in &limitations {
                    tracing::info!(limitation, "a limitation of containers on this host");
                }
                tracing::debug!(%method, "the method of creating containers");
                return Ok(Probed {
                    method,
                    network,
                    limitations,
                    sub_ids,
                });
            }
            Err(reason) => refusals.push((method, reason)),
        }
    }
    Err(refusals)
}

/// A locally administered address; the card is not connected to anything.
const PROBE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// Returns how containers are connected, and the notes that are not about it.
fn network(method: RootMethod, created: Created) -> (Network, Vec<String>) {
    if method == RootMethod::Chroot {
        return (Network::Host, created.notes);
    }
    let about = |note: &String| note.starts_with("the network card eth0");
    let (own, others): (Vec<_>, _) = created.notes.into_iter().partition(about);
    let network = match (created.cards.is_empty(), own.is_empty()) {
        (false, true) => Network::Switched,
        _ => Network::Loopback(own.join("; ")),
    };
    (network, others)
}

/// Finds the caller's subordinate ids and creates a container with them, which is returned, too.
async fn sub_ids(
    helper: &Helper,
    directory: &Path,
    method: RootMethod,
) -> (SubIdsProbe, Option<Created>) {
    let ids = match sub_ids::find() {
        Ok(ids) => ids,
        Err(reason) => return (SubIdsProbe::Missing(reason), None),
    };
    match attempt(helper, directory, method, Some(&ids)).await {
        Ok(created) => (SubIdsProbe::Found(ids), Some(created)),
        Err(reason) => (SubIdsProbe::Missing(reason), None),
    }
}

/// Creates a container with empty directories, and deletes them.
async fn attempt(
    helper: &Helper,
    directory: &Path,
    method: RootMethod,
    sub_ids: Option<&SubIds>,
) -> Result<Created, String> {
    let tried = create(helper, directory, method, sub_ids).await;
    if let Err(error) = remove(directory) {
        tracing::debug!(%error, "the files of a probe were not deleted");
    }
    tried
}

async fn create(
    helper: &Helper,
    directory: &Path,
    method: RootMethod,
    sub_ids: Option<&SubIds>,
) -> Result<Created, String> {
    for name in ["lower", "upper", "work", "root", "stage"] {
        fs::create_dir_all(directory.join(name)).map_err(|error| error.to_string())?;
    }
    let root = match method {
        RootMethod::Overlay => RootDirectory::Overlay {
            lower: "lower".into(),
            upper: "upper".into(),
            work: "work".into(),
        },
        RootMethod::Copy | RootMethod::Chroot => RootDirectory::Plain("lower".into()),
    };
    let mut setup = ContainerSetup::new(directory, root, "root", "stage");
    setup.hostname = "probe".to_owned();
    setup.sub_ids = sub_ids.cloned();
    if method == RootMethod::Chroot {
        setup.isolation = Isolation::Chroot;
    } else {
        setup.cards.push(CardSetup::new(PROBE_MAC));
    }
    let (supervisor, mut child) = helper.start().map_err(|error| error.to_string())?;
    // Another user, if there are any.
    let user = if sub_ids.is_some() { "1" } else { "" };
    let tried = run(&supervisor, setup, user).await;
    drop(supervisor);
    drop(child.wait().await);
    tried
}

async fn run(
    supervisor: &Supervisor,
    setup: ContainerSetup,
    user: &str,
) -> Result<Created, String> {
    let created = supervisor
        .set_up(setup)
        .await
        .map_err(|error| error.to_string())?;
    // The program does not exist, which is detected inside the container.
    let mut launch = Launch::new("/probe", []);
    user.clone_into(&mut launch.user);
    match supervisor.launch(launch).await {
        Err(SupervisorError::Refused(reason)) if reason.contains("no such file") => Ok(created),
        Err(error) => Err(error.to_string()),
        Ok(_) => Err("a program that does not exist was started".to_owned()),
    }
}
