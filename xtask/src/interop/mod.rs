//! Interoperability with third-party programs: our `hello_world` on vcsim, and govc
//! and pyvmomi on our simulator.
//!
//! A peer that is not available here is named, and its checks are printed as NOT
//! RUN; the checks of an available peer must pass.

mod built;
mod disks;
mod docker;
mod endpoint;
mod govc;
mod hello_world;
mod ours;
mod report;
mod suites;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::peers::{self, Lock, Peer, go, python};
use crate::workspace;
use built::Built;
use endpoint::Endpoint;
use govc::Govc;
use hello_world::Trust;
use report::Report;

/// The parts of the suite to run.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Only install the peers, and print which are available
    #[arg(long)]
    peers: bool,
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
    /// Third-party clients on our simulator.
    Simulator,
    /// The docker command on our front end.
    Docker,
}

/// The installed peers.
struct Peers {
    vcsim: Peer,
    govc: Peer,
    /// A Python with pyvmomi and docker's SDK.
    python: Peer,
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
    let built = Built::build()?;
    let mut report = Report::default();
    if wanted(Part::Vcsim) || wanted(Part::Simulator) {
        let job = hello_world::build(&target)?;
        if wanted(Part::Vcsim) {
            on_vcsim(&mut report, &peers, &job, &folder);
            suites::on_vcsim(&mut report, &built, &peers.vcsim);
        }
        if wanted(Part::Simulator) {
            let simulator = built.command("vsphere-simulator")?;
            ours::checks(&mut report, &peers, simulator, &job);
        }
    }
    if wanted(Part::Disks) {
        disks::checks(&mut report, &built);
    }
    if wanted(Part::Docker) {
        docker::checks(&mut report, built.command("docker")?, &peers.python)?;
    }
    report.finish()
}

/// Installs every peer and prints which are available.
fn get(folder: &Path) -> Result<Peers> {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("make {}", bin.display()))?;
    let lock = Lock::read()?;
    let go = go::get(&lock, &bin)?;
    let peers = Peers {
        vcsim: go.vcsim,
        govc: go.govc,
        python: python::get(&lock, folder)?,
    };
    for (name, peer) in [
        ("vcsim", &peers.vcsim),
        ("govc", &peers.govc),
        ("python", &peers.python),
    ] {
        println!("peer {name:<8} {}", peer.describe());
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
