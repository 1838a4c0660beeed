//! Compares the codec of the bindings with other codecs on the same payload, and prints
//! one table with the targets. With `--simulator` or `--client`, compares our simulator or our
//! client with their peers instead.
//!
//! A peer that is not available on this machine is printed as NOT MEASURED with the
//! reason, and so is every target that needs it.

mod build;
mod figures;
mod network;
mod output;
mod rounds;
mod subject;
mod table;
mod targets;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::peers::{self, Lock};
use crate::workspace;
use figures::Figures;
use rounds::{Payloads, Readings};
use subject::{Subject, Subjects};

/// What to measure, and how often.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many virtual machines the payload has; prints one table per number
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1_000])]
    vms: Vec<usize>,
    /// How many rounds to run; each round runs every program once
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Programs to leave out; the first build of vim_rs takes up to 25 minutes
    /// and 8 GB
    #[arg(long, value_delimiter = ',')]
    without: Vec<Subject>,
    /// Fail for a missed target that needs neither a peer nor a fast machine
    #[arg(long)]
    gate: bool,
    /// Compare our simulator with vcsim instead of the codecs; takes up to half an hour
    #[arg(long, conflicts_with_all = ["vms", "rounds", "without", "gate", "client"])]
    simulator: bool,
    /// Compare our client with govc and pyvmomi instead of the codecs
    #[arg(long, conflicts_with_all = ["vms", "rounds", "without", "gate"])]
    client: bool,
}

/// Compares our codec with bare quick-xml only, and fails for a missed target.
///
/// # Errors
/// Fails when a target is missed, or our program does not build.
pub(crate) fn gate() -> Result<()> {
    start(&Args {
        vms: vec![1_000],
        rounds: 5,
        without: vec![Subject::VimRs, Subject::Govmomi, Subject::Pyvmomi],
        gate: true,
        simulator: false,
        client: false,
    })
}

/// Measures and prints the results.
///
/// # Errors
/// Fails when an available program does not build or fails on the payload. A
/// missed target is not an error.
pub(crate) fn start(args: &Args) -> Result<()> {
    ensure!(args.rounds > 0, "without a round nothing is measured");
    ensure!(args.vms.iter().all(|vms| *vms > 0), "--vms 0 is no payload");
    let target = workspace::metadata()?.target_directory.into_std_path_buf();
    let folder = peers::folder(&target);
    fs::create_dir_all(folder.join("bin")).with_context(|| format!("make {}", folder.display()))?;
    if args.simulator {
        return network::servers(&folder);
    }
    if args.client {
        return network::clients(&folder);
    }
    let subjects = Subjects::get(&Lock::read()?, &folder, &args.without)?;

    let (mut report, mut missed) = (String::new(), Vec::new());
    for &machines in &args.vms {
        let payloads = Payloads::write(&subjects, &folder, machines)?;
        let before = load();
        let readings = Readings::take(&subjects, &payloads, args.rounds)?;
        let figures = Figures::of(&subjects, &payloads, &readings);
        let title = format!(
            "{machines} virtual machines, {:.1} MB: median of {} rounds, in each the best of \
             five turns of every program; load {before} before and {} after",
            payloads.full.megabytes(),
            args.rounds,
            load(),
        );
        let targets = targets::judge(&figures);
        missed.extend(targets::missed(&targets).into_iter().map(str::to_owned));
        println!(
            "\n{title}\n\n{}\n{}",
            table::text(&figures),
            targets::text(&targets)
        );
        report.push_str(&format!(
            "{title}\n\n{}\n{}\n",
            table::markdown(&figures),
            targets::markdown(&targets)
        ));
    }
    subjects.print_missing();
    if !args.gate {
        return write(&folder.join("table.md"), &report);
    }
    if !missed.is_empty() {
        bail!("the codec misses its targets: {}", missed.join(", "));
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    println!("written to {}", path.display());
    Ok(())
}

/// Returns the load average of the last minute, where the system provides it.
fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace()
        .next()
        .unwrap_or("unknown")
        .to_owned()
}
