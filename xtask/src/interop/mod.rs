//! Interoperability with third-party programs: our `hello_world` on vcsim, govc and
//! pyvmomi on our simulator, and the docker command, docker's SDK for Python and bollard on our front end,
//! the command on a real engine too.
//!
//! If a third-party program (a peer) is not available on this system, its checks are reported
//! as NOT RUN, with the reason. The checks of an available peer must pass.

mod boot;
mod built;
mod datastores;
mod debian;
mod disks;
mod disks_boot;
pub(crate) mod docker;
mod endpoint;
mod govc;
mod guest_boot;
mod guest_containers;
mod hello_world;
mod hostile;
mod initramfs;
mod operator;
mod ours;
mod pulled;
mod report;
mod saved;
mod snapshots;
mod suites;
mod vmdk_core;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::peers::{self, Lock, Peer, crates, engine, go, python};
use crate::workspace;
use built::Built;
use endpoint::Endpoint;
use govc::Govc;
use hello_world::Trust;
use report::Report;

/// The parts of the suite to run.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Only install the third-party programs, and print which are available
    #[arg(long)]
    peers: bool,
    /// Check this program in the parts `docker` and `engine`, instead of building the workspace
    #[arg(long, value_name = "PROGRAM")]
    front_end: Option<PathBuf>,
    /// Run only these parts of the suite; default all
    #[arg(value_enum)]
    parts: Vec<Part>,
}

/// A part of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Our `hello_world` and our client's tests on vcsim.
    Vcsim,
    /// Linux tools on our disks.
    Disks,
    /// The agent's binary as the first process of a machine, and containers of the simulator that
    /// require more than a Linux kernel.
    Guests,
    /// Third-party clients on our simulator.
    Simulator,
    /// The docker command on our front end.
    Docker,
    /// A comparison of the docker command on our front end and on a real engine.
    Engine,
}

impl Part {
    const fn is_docker(self) -> bool {
        matches!(self, Self::Docker | Self::Engine)
    }
}

/// The third-party programs, as far as they are available.
struct Peers {
    vcsim: Peer,
    govc: Peer,
    /// A Python with pyvmomi and docker's SDK.
    python: Peer,
    /// A program that uses bollard.
    bollard: Peer,
    /// A program that reads virtual disks with vmdk-core.
    vmdk_core: Peer,
    /// A Docker engine.
    engine: Peer,
}

/// Runs the suite.
///
/// # Errors
/// Fails when a check failed, or none could run.
pub(crate) fn start(args: &Args) -> Result<()> {
    let target = workspace::metadata()?.target_directory.into_std_path_buf();
    let folder = peers::folder(&target);
    let peers = get(&folder)?;
    if args.peers {
        return Ok(());
    }
    let wanted = |part| args.parts.is_empty() || args.parts.contains(&part);
    let mut report = Report::default();
    if let Some(front_end) = &args.front_end {
        ensure!(
            !args.parts.is_empty() && args.parts.iter().all(|part| part.is_docker()),
            "--front-end needs the parts docker or engine, and no others"
        );
        docker_parts(&mut report, &peers, front_end, wanted)?;
        return report.finish();
    }
    let built = Built::build()?;
    if wanted(Part::Vcsim) || wanted(Part::Simulator) {
        let job = hello_world::build(&target)?;
        if wanted(Part::Vcsim) {
            on_vcsim(&mut report, &peers, &job, &folder);
            suites::on_vcsim(&mut report, &built, &peers.vcsim);
        }
        if wanted(Part::Simulator) {
            let simulator = built.command("vsphere-simulator")?;
            ours::checks(&mut report, &peers, simulator, &job);
            operator::checks(&mut report, &peers, simulator);
            snapshots::checks(&mut report, &peers, simulator);
            datastores::checks(&mut report, &peers, simulator);
            saved::check(&mut report, &peers, simulator);
        }
    }
    if wanted(Part::Disks) {
        disks::checks(&mut report, &built);
        pulled::check(&mut report, &built);
        disks_boot::check(&mut report, &built, &folder);
        vmdk_core::check(&mut report, &built, &peers.vmdk_core);
        hostile::check(&mut report, &built, &folder);
    }
    if wanted(Part::Guests) {
        guest_boot::checks(&mut report, &built, &folder);
        guest_containers::checks(&mut report, &built, &folder);
    }
    docker_parts(&mut report, &peers, built.command("docker")?, wanted)?;
    report.finish()
}

/// Runs the parts about our Docker front end.
fn docker_parts(
    report: &mut Report,
    peers: &Peers,
    front_end: &Path,
    wanted: impl Fn(Part) -> bool,
) -> Result<()> {
    if wanted(Part::Docker) {
        docker::checks(report, front_end, peers)?;
    }
    if wanted(Part::Engine) {
        docker::compare(report, front_end, &peers.engine);
    }
    Ok(())
}

/// Installs the peers and prints which are available.
fn get(folder: &Path) -> Result<Peers> {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("make {}", bin.display()))?;
    let lock = Lock::read()?;
    let go = go::get(&lock, &bin)?;
    let peers = Peers {
        vcsim: go.vcsim,
        govc: go.govc,
        python: python::get(&lock, folder)?,
        bollard: crates::bollard(&lock, folder)?,
        vmdk_core: crates::vmdk_core(&lock, folder)?,
        engine: engine::get(folder)?,
    };
    for (name, peer) in [
        ("vcsim", &peers.vcsim),
        ("govc", &peers.govc),
        ("python", &peers.python),
        ("bollard", &peers.bollard),
        ("vmdk-core", &peers.vmdk_core),
        ("engine", &peers.engine),
    ] {
        println!("peer {name:<9} {}", peer.describe());
    }
    Ok(peers)
}

/// Runs `hello_world` on a third-party server.
fn on_vcsim(report: &mut Report, peers: &Peers, job: &Path, folder: &Path) {
    for (esx, model) in [(true, "ESX"), (false, "vCenter")] {
        let name = format!("hello_world on vcsim, {model}");
        let program = match &peers.vcsim {
            Peer::Missing { reason } => {
                report.not_run(&name, reason);
                continue;
            }
            Peer::Had { program, .. } => program,
        };
        report.check(&name, || {
            let endpoint = Endpoint::vcsim(program, esx)?;
            match &peers.govc {
                Peer::Missing { .. } => hello_world::passes(job, &endpoint, None, Trust::Insecure),
                Peer::Had { program, .. } => {
                    let govc = Govc::new(program, &endpoint);
                    let hosts = hello_world::known_hosts(folder, govc, &endpoint)?;
                    hello_world::passes(job, &endpoint, Some(govc), Trust::KnownHosts(&hosts))
                }
            }
        });
    }
}
