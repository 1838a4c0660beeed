//! Installs, lists, inspects and deletes virtual container hosts.
//!
//! ```console
//! $ export VSPHERE_URL=https://esx.example.com GOVC_USERNAME=root
//! $ cargo run --release -p vch -- create --image-store datastore1 --dry-run vch-1
//! $ cargo run --release -p vch -- create --image-store datastore1 vch-1
//! $ cargo run --release -p vch -- ls
//! $ cargo run --release -p vch -- delete --force vch-1
//! ```
//!
//! Options have the same names as in vic-machine; `vch install` accepts the options of the
//! script of VIC 0.1. The endpoint and the password may be set in the environment (see
//! [`examples::endpoint`] for the variables); the command asks for a missing password. A
//! password in an argument is visible in the list of processes. Options of vic-machine that
//! are not supported are refused with an error that names them.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to its user through standard output and standard error"
)]

mod addresses;
mod appliance;
mod create_command;
mod delete;
mod fields;
mod finish;
mod firewall;
mod given;
mod inspect;
mod install;
mod log;
mod options;
mod problems;
mod target;
mod terminal;
#[cfg(test)]
#[path = "../tests/it/wrong_options.rs"]
mod wrong_options;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{CommandFactory as _, FromArgMatches as _};
use examples::endpoint::Endpoint;
use examples::report::Report;
use portlayer::vsphere::Hosts;
use vsphere_client::Client;

use crate::log::{Log, Style};
use crate::options::{Delete, Job, Options, Update};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let mut style = Style::Machine;
    let outcome = match options::refuse_unknown(&arguments) {
        Ok(()) => {
            let matches = Options::command().get_matches();
            let given = given::options(&matches);
            let options = Options::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
            if let Job::Install(_) = options.job {
                style = Style::Script;
            }
            Box::pin(run(&options, given, style)).await
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = Report(&*error).to_string();
            eprintln!("vch: {}", fields::in_options(&text, style));
            ExitCode::FAILURE
        }
    }
}

/// The objects that all jobs use.
#[derive(Debug)]
struct Context<'c> {
    hosts: Hosts,
    client: &'c Client,
    endpoint: &'c Endpoint,
    json: bool,
    /// The options that were given, without secrets.
    given: Vec<String>,
    log: Log,
}

async fn run(options: &Options, given: Vec<String>, style: Style) -> Result<()> {
    if let Some((name, reason)) = options.job.refusal() {
        bail!("{name} of vic-machine is not supported: {reason}");
    }
    let log = Log::new(style, options.json);
    let mut endpoint = target::endpoint(options)?;
    if target::shows_password(options) {
        log.warn("everybody on this machine can read a password in an argument: set GOVC_PASSWORD");
    }
    if let Job::Install(_) = options.job {
        log.info("Logging into the target");
    }
    let stage = target::connect(&mut endpoint).await?;
    let context = Context {
        hosts: Hosts::new(
            stage.client().clone(),
            portlayer::vsphere::Options::default(),
        ),
        client: stage.client(),
        endpoint: &endpoint,
        json: options.json,
        given,
        log,
    };
    let outcome = Box::pin(job(&context, &options.job)).await;
    drop(context);
    let closed = stage.close().await;
    outcome.and(closed)
}

async fn job(context: &Context<'_>, job: &Job) -> Result<()> {
    let done = carry_out(context, job).await;
    let (Job::Inspect(named) | Job::Delete(Delete { named, .. })) = job else {
        return done;
    };
    done.map_err(|error| {
        let problem = error.downcast_ref::<portlayer::Error>();
        match problem {
            Some(problem) if problem.is_not_found() => error.context(format!(
                "there is no host {:?}: `vch ls` lists the hosts",
                named.name()
            )),
            _ => error,
        }
    })
}

async fn carry_out(context: &Context<'_>, job: &Job) -> Result<()> {
    match job {
        Job::Install(install) => install::script(context, install).await,
        Job::Create(create) => install::machine(context, create).await,
        Job::Ls => inspect::list(context).await,
        Job::Inspect(named) => inspect::inspect(context, named.name()).await,
        Job::Delete(delete) => delete::delete(context, delete.named.name(), delete.force).await,
        Job::Update {
            part: Update::Firewall(firewall),
        } => firewall::update(context, firewall.allow).await,
        Job::Debug(_) | Job::Configure(_) | Job::Upgrade(_) => Ok(()),
    }
}
