//! Measures the client next to govc and pyvmomi on the same servers in one run: our simulator and
//! vcsim, each a process of its own. Prints one table per server, with the targets.
//!
//! `cargo xtask bench-peers --client` builds the programs and runs this bench. Their paths are the
//! values of `SIMULATOR`, `VCSIM`, `GOVC` and `PYTHON` (one with pyvmomi); a missing one is
//! printed as not measured. The sizes are `MACHINES` (default 5,000), `TASKS` and `WAITS` (1,000
//! each) and `FILE_MB` (1,024). `START_SECONDS` limits the time in which a server has to become
//! ready (default 600: vcsim takes minutes to start with 5,000 machines). `ONLY` names the
//! measurements to take, separated by commas: `read`, `calls`, `tasks`, `waits`, `changes`, `files`.
//!
//! Processor time and memory are those of processes that do one piece of work, login included.
//! Requests and connections are counted by a proxy that is alike for all programs. The memory of
//! `this client` is the growth from the connected client to the peak; that of a peer is its peak.
//!
//! On 2026-11-28, on two idle cores (load 1.8 before our simulator, 1.6 before vcsim):
//!
//! | measure | target | on our simulator | on vcsim | |
//! | --- | --- | --- | --- | --- |
//! | 7 properties of 5,000 machines: processor time | 1/10 of govc's, 1/20 of pyvmomi's | 0.038 s: 1/9.2, 1/22.4 | 0.053 s: 1/10.5, 1/17.4 | missed |
//! | 1,000 tasks started together: requests beyond their own | 20 | 6 | 7 | met |
//! | one task alone: the same, polls aside | 1 | 1, and 1 poll | 1, and 11 polls | met |
//! | 1,000 concurrent waits: connections; memory | 1; 10 MB | 1; 1.2 MB | 1; 1.3 MB | met |
//! | login to first answer; literal path; pattern beyond its pages: requests | 4; 2; 1 | 4; 1; 0 | 4; 1; 0 | met |
//! | a change until its subscriber has it, after the server's answer | 1 ms | 0.20 ms | 0.26 ms | met |
//! | upload of 1 GiB: rate; memory | govc's; 16 MB | 1,066 MiB/s, govc 858; 2.3 MB | 871 MiB/s, govc 743; 2.2 MB | met |
//! | download of 1 GiB: rate; memory | govc's; 16 MB | 954 MiB/s, govc 479; 3.6 MB | 756 MiB/s, govc 465; 5.2 MB | met |
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench fails where it unwraps, and prints its results"
)]

mod calls;
mod changes;
mod files;
#[path = "../servers/load.rs"]
mod load;
mod program;
mod proxy;
mod read;
#[path = "../servers/server.rs"]
mod server;
mod table;
mod tasks;
mod waits;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use load::load;
use program::Peers;
use server::{Program, Server};
use table::Table;
use vim25::{Ref, mo, props};
use vsphere_client::Client;

fn main() -> ExitCode {
    if let Some(code) = program::measures() {
        return code;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    match std::env::var("FIGURES_WORK") {
        Ok(work) => runtime.block_on(work::run(&work)),
        Err(_) => runtime.block_on(measure()),
    }
    ExitCode::SUCCESS
}

/// Returns a number from the environment.
fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

async fn measure() {
    let machines = setting("MACHINES", 5_000);
    let limit = Duration::from_secs(setting("START_SECONDS", 600) as u64);
    let peers = Peers::from_environment();
    for (variable, name) in [("SIMULATOR", "our simulator"), ("VCSIM", "vcsim")] {
        println!("\n{name}, {machines} machines; load {}\n", load());
        let Some(path) = std::env::var_os(variable) else {
            println!("NOT MEASURED: {variable} is not set");
            continue;
        };
        let ours = variable == "SIMULATOR";
        let program = Program::new(PathBuf::from(path), ours, limit);
        match program.start(machines, false).await {
            Ok(server) => {
                let mut table = Table::default();
                on(&server, &peers, &mut table).await;
                println!("\n{name}; load {}\n\n{table}", load());
            }
            Err(reason) => println!("NOT MEASURED: {reason}"),
        }
    }
}

/// Takes all measurements on one server.
async fn on(server: &Server, peers: &Peers, table: &mut Table) {
    let only = std::env::var("ONLY").ok();
    let wanted = |name| {
        only.as_ref()
            .is_none_or(|only| only.split(',').any(|own| own == name))
    };
    if wanted("read") {
        read::measure(server, peers, table);
    }
    if wanted("calls") {
        calls::measure(server, peers, table).await;
    }
    if wanted("tasks") {
        tasks::measure(server, peers, table).await;
    }
    if wanted("waits") {
        waits::measure(server, table).await;
    }
    if wanted("changes") {
        changes::measure(server, peers, table).await;
    }
    if wanted("files") {
        files::measure(server, peers, table);
    }
}

async fn connect(url: &str) -> Client {
    let builder = Client::builder(url).danger_accept_invalid_certs(true);
    builder.connect().await.unwrap()
}

/// Returns all machines of a server.
async fn machines(client: &Client) -> Vec<Ref<mo::VirtualMachine>> {
    let query = client.retrieve::<mo::VirtualMachine>();
    let query = query.property(props::virtual_machine::NAME);
    let all = query.within(&client.service_content().root_folder);
    let all = all.collect().await.unwrap();
    all.iter().map(|item| item.object().clone()).collect()
}
