//! Installs, lists, inspects and deletes virtual container hosts.
//!
//! ```console
//! $ export VSPHERE_URL=https://esx.example.com GOVC_USERNAME=root GOVC_PASSWORD=…
//! $ cargo run --release -p vch -- create --image-store datastore1 --bridge-network bridge vch-1
//! $ cargo run --release -p vch -- ls
//! $ cargo run --release -p vch -- delete --force vch-1
//! ```
//!
//! Options have the names of vic-machine's. The endpoint and the password may come from the
//! environment, whose variables are those of [`examples::endpoint`]; a password in an argument
//! would be seen in the list of processes. What vic-machine has beyond these four commands is
//! not there yet.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to its user through standard output and standard error"
)]

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use examples::endpoint::{Endpoint, Trust};
use examples::installer::Installer;
use examples::report::Report;
use examples::stage::Stage;
use portlayer::vsphere::{Containers, HostInfo, HostSpec, Hosts, Iso, Options};

/// Installs, lists, inspects and deletes virtual container hosts.
#[derive(Debug, Parser)]
#[command(name = "vch", version)]
struct Args {
    /// The endpoint: `https://HOST[:PORT]`. Default: VSPHERE_URL.
    #[arg(long, short, global = true)]
    target: Option<String>,
    /// The user. Default: GOVC_USERNAME. The password is GOVC_PASSWORD.
    #[arg(long, short, global = true)]
    user: Option<String>,
    /// The thumbprint of the endpoint's certificate, as `govc about.cert -thumbprint` prints it.
    #[arg(long, global = true)]
    thumbprint: Option<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    job: Job,
}

#[derive(Debug, Subcommand)]
enum Job {
    /// Installs a host.
    Create(Create),
    /// Lists the hosts of the endpoint.
    Ls,
    /// Shows one host.
    Inspect {
        /// The name of the host.
        name: String,
    },
    /// Deletes a host with its images.
    Delete {
        /// The name of the host.
        name: String,
        /// Also delete its containers.
        #[arg(long, short)]
        force: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Create {
    /// The name of the host: 1 to 31 letters, digits and `-`.
    name: String,
    /// The host, cluster or resource pool to run on. Default: the only one.
    #[arg(long, short = 'r')]
    compute_resource: Option<String>,
    /// The datastore of its files. Default: the only one.
    #[arg(long, short)]
    image_store: Option<String>,
    /// The network of its containers. Default: the only one.
    #[arg(long, short)]
    bridge_network: Option<String>,
    /// The network that connects its appliance to the outside; called `--external-network` in 0.4.
    #[arg(long, alias = "external-network")]
    public_network: Option<String>,
    /// The address that the containers' serial lines connect to: `HOST[:PORT]`. Default: the host's
    /// name.
    #[arg(long)]
    line_address: Option<String>,
    /// The image that the appliance boots.
    #[arg(long, value_name = "FILE")]
    appliance_iso: PathBuf,
    /// The image that containers boot.
    #[arg(long, value_name = "FILE")]
    bootstrap_iso: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vch: {}", Report(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<()> {
    let endpoint = endpoint(args)?;
    let stage = Stage::open(Some(&endpoint)).await?;
    let hosts = Hosts::new(stage.client().clone(), Options::default());
    let outcome = job(&hosts, &endpoint, args).await;
    let closed = stage.close().await;
    outcome.and(closed)
}

/// Returns the endpoint in the arguments, completed from the environment.
fn endpoint(args: &Args) -> Result<Endpoint> {
    let given = |name| match name {
        "VSPHERE_URL" => args.target.clone(),
        "GOVC_USERNAME" => args.user.clone(),
        _ => None,
    };
    let variable =
        |name| given(name).or_else(|| std::env::var(name).ok().filter(|text| !text.is_empty()));
    let mut endpoint = Endpoint::from_variables(variable)?
        .context("no endpoint is named: give --target, or set VSPHERE_URL")?;
    if let Some(thumbprint) = &args.thumbprint {
        endpoint.trust = Trust::Thumbprint(thumbprint.clone());
    }
    Ok(endpoint)
}

async fn job(hosts: &Hosts, endpoint: &Endpoint, args: &Args) -> Result<()> {
    match &args.job {
        Job::Create(create) => {
            let spec = spec(create, endpoint);
            let installed = if args.json {
                hosts.install(spec, &|_| {}).await
            } else {
                hosts.install(spec, &Installer::new(io::stdout())).await
            };
            show(&[installed?], args.json)
        }
        Job::Ls => show(&hosts.list().await?, args.json),
        Job::Inspect { name } => show(&[hosts.find(name).await?], args.json),
        Job::Delete { name, force } => {
            let containers = if *force {
                Containers::Remove
            } else {
                Containers::Refuse
            };
            hosts.delete(name, containers).await?;
            if !args.json {
                println!("{name} is deleted");
            }
            Ok(())
        }
    }
}

fn spec(create: &Create, endpoint: &Endpoint) -> HostSpec {
    let place = &endpoint.place;
    let or = |given: &Option<String>, place: &Option<String>| given.clone().or(place.clone());
    let mut spec = HostSpec::new(
        &create.name,
        Iso::file(&create.appliance_iso),
        Iso::file(&create.bootstrap_iso),
    );
    spec.datacenter = place.datacenter.clone();
    spec.compute = or(&create.compute_resource, &place.compute);
    spec.datastore = or(&create.image_store, &place.datastore);
    spec.bridge_network = or(&create.bridge_network, &place.network);
    spec.public_network = create.public_network.clone();
    spec.address = create.line_address.clone();
    spec
}

/// Prints hosts, one per line, or as a JSON array.
fn show(hosts: &[HostInfo], json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(hosts)?);
        return Ok(());
    }
    for host in hosts {
        println!(
            "{}  {:?}  [{}] {}  bridge network {}  lines to {}",
            host.name,
            host.state,
            host.datastore,
            host.directory,
            host.bridge_network,
            host.address
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    #[test]
    fn both_spellings_of_the_public_network_are_known() {
        for option in ["--public-network", "--external-network"] {
            let args = Args::parse_from([
                "vch",
                "create",
                "vch-1",
                option,
                "lan",
                "--appliance-iso",
                "a.iso",
                "--bootstrap-iso",
                "b.iso",
            ]);
            let Job::Create(create) = args.job else {
                panic!("{args:?}")
            };
            assert_eq!(create.public_network.as_deref(), Some("lan"));
        }
    }
}
