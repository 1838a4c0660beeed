//! Probes which kinds of containers this host allows.

use std::fmt;
use std::fs;
use std::path::Path;

use tether::sys::{CardSetup, ContainerSetup, Isolation, Launch, RootDirectory};
use tether::{Created, Supervisor, SupervisorError};

use crate::helper::Helper;
use crate::limitations::{Network, of_all};
use crate::rights;
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
}

/// Finds the first method that works, by creating empty containers.
pub(crate) async fn probe(helper: &Helper, work: &WorkDir) -> Result<Probed, Refusals> {
    let mut refusals = Vec::new();
    for method in [RootMethod::Overlay, RootMethod::Copy, RootMethod::Chroot] {
        let directory = work.path().join("probe");
        let tried = attempt(helper, &directory, method).await;
        if let Err(error) = remove(&directory) {
            tracing::debug!(%error, "the files of a probe were not deleted");
        }
        match tried {
            Ok(created) => {
                let (network, notes) = network(method, created);
                let limitations = of_all(&network, rights::is_root(), notes);
                for limitation in &limitations {
                    tracing::info!(limitation, "a limitation of containers on this host");
                }
                tracing::debug!(%method, "the method of creating containers");
                return Ok(Probed {
                    method,
                    network,
                    limitations,
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

async fn attempt(helper: &Helper, directory: &Path, method: RootMethod) -> Result<Created, String> {
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
    if method == RootMethod::Chroot {
        setup.isolation = Isolation::Chroot;
    } else {
        setup.cards.push(CardSetup::new(PROBE_MAC));
    }
    let (supervisor, mut child) = helper.start().map_err(|error| error.to_string())?;
    let tried = run(&supervisor, setup).await;
    drop(supervisor);
    drop(child.wait().await);
    tried
}

async fn run(supervisor: &Supervisor, setup: ContainerSetup) -> Result<Created, String> {
    let created = supervisor
        .set_up(setup)
        .await
        .map_err(|error| error.to_string())?;
    // The program does not exist, which is detected inside the container.
    match supervisor.launch(Launch::new("/probe", [])).await {
        Err(SupervisorError::Refused(reason)) if reason.contains("no such file") => Ok(created),
        Err(error) => Err(error.to_string()),
        Ok(_) => Err("a program that does not exist was started".to_owned()),
    }
}
