//! Measures two servers with the same client in one run: our simulator and vcsim, each as a
//! process of its own, so that its CPU time and memory do not include those of the client.
//!
//! `cargo xtask bench-peers --simulator` builds both servers and runs this bench. The programs
//! are the values of `SIMULATOR` and `VCSIM`; a missing one is printed as not measured.
//! `SCALE` divides the sizes of the inventories, for a short run, and `PEER_SCALE` those of vcsim, whose
//! time to start grows with the square: 500 machines take it 20 seconds. `START_SECONDS` limits the time
//! that a server has to become ready (default 300): a larger inventory is then not tried.
//! `ONLY` names the measurements to take, separated by commas: `small` (creates and files among 500
//! machines), `waiters`, `lives` (creates and lives among 5,000), `large` (reads and changes among
//! 10,000).
//!
//! On 2026-11-28, on two idle cores (load 2.0 before, 1.4 after), with `PEER_SCALE=20`, so that vcsim's
//! inventories were 20 times smaller than the rows say:
//!
//! | figure | target | our simulator | vcsim | |
//! | --- | --- | --- | --- | --- |
//! | create among 500 machines: server CPU, its task's end included | 0.4 ms | 0.60 ms | 3.29 ms | missed |
//! | create among 5,000 machines: the same | 0.4 ms | 0.69 ms | 3.76 ms | missed |
//! | a rename among 10,000 machines that are watched: server CPU, call and report included | 0.2 ms | 1.09 ms | 84 ms | missed |
//! | changes per second that 1,000 waiters report | 2,000/s | 1,787/s | 188/s | missed |
//! | 1,000 idle waiters: server CPU per second | none | 0.00 ms | 49 ms | met |
//! | 10,000 machines that are on: ready | 2 s | 1.82 s | 17.41 s | met |
//! | the same: memory | 250 MB | 242 MB | 49 MB | met |
//! | name and power state of 10,000 machines, client included | 50 ms | 108 ms | 24 ms | missed |
//! | create, on, off, destroy among 5,000 machines: server CPU | 1.5 ms | 2.34 ms | 11.77 ms | missed |
//! | the same with 16 clients on the same cores | 300/s | 560/s | 59/s | met |
//! | PUT of 200 MiB to the datastore | 1,000 MiB/s | 894 MiB/s | 862 MiB/s | missed |
//! | GET of 200 MiB | 1,000 MiB/s | 848 MiB/s | 818 MiB/s | missed |
//!
//! A few of these vary by a tenth between runs; changes per second were 2,143 in another run.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench fails where it unwraps, and prints its results"
)]

mod changes;
mod files;
mod load;
mod machines;
mod server;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use load::load;
use server::{Program, Server};
use table::Table;

/// Returns a number from the environment.
fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let scale = setting("SCALE", 1).max(1);
    let limit = Duration::from_secs(setting("START_SECONDS", 300) as u64);
    let scales = [scale, setting("PEER_SCALE", scale).max(1)];
    let mut table = Table::new(scales);
    let before = load();
    for (column, variable) in ["SIMULATOR", "VCSIM"].into_iter().enumerate() {
        table.column = column;
        match std::env::var_os(variable) {
            Some(path) => {
                let ours = column == 0;
                let program = Program::new(PathBuf::from(path), ours, limit);
                runtime.block_on(measure(&program, scales[column], &mut table));
            }
            None => table.missing(&format!("{variable} is not set")),
        }
    }
    println!("load before: {before}; after: {}\n", load());
    print!("{table}");
}

/// Runs all measurements on one server, from the smallest inventory to the largest.
async fn measure(program: &Program, scale: usize, table: &mut Table) {
    let size = |machines: usize| (machines / scale).max(1);
    let only = std::env::var("ONLY").ok();
    let wanted = |name| {
        only.as_ref()
            .is_none_or(|only| only.split(',').any(|own| own == name))
    };
    if wanted("small") {
        match program.start(size(500), false).await {
            Ok(server) => {
                let cost = machines::create(&server).await;
                table.put(table::CREATE_IN_500, cost);
                files::measure(&server, table).await;
            }
            Err(reason) => table.failed(&[table::CREATE_IN_500, table::PUT, table::GET], &reason),
        }
    }
    if wanted("waiters") {
        match program.start(size(1_000), false).await {
            Ok(server) => changes::waiters(&server, size(1_000), table).await,
            Err(reason) => table.failed(
                &[table::WAITERS_IDLE, table::WAITERS, table::WAITERS_CPU],
                &reason,
            ),
        }
    }
    let mut too_slow = None;
    if wanted("lives") {
        match program.start(size(5_000), false).await {
            Ok(server) => {
                let cost = machines::create(&server).await;
                table.put(table::CREATE_IN_5_000, cost);
                machines::lives(&server, table).await;
            }
            Err(reason) => {
                let rows = [table::CREATE_IN_5_000, table::LIFE_CPU, table::LIFE_RATE];
                table.failed(&rows, &reason);
                too_slow = Some(reason);
            }
        }
    }
    if wanted("large") {
        let server = match too_slow {
            None => program.start(size(10_000), true).await,
            Some(reason) => Err(reason),
        };
        match server {
            Ok(server) => largest(&server, table).await,
            Err(reason) => {
                let rows = [
                    table::READY,
                    table::MEMORY,
                    table::READ,
                    table::READ_CPU,
                    table::SEEN,
                    table::SEEN_CPU,
                ];
                table.failed(&rows, &reason);
            }
        }
    }
}

/// Measures the server with the largest inventory.
async fn largest(server: &Server, table: &mut Table) {
    table.put(table::READY, server.ready.as_secs_f64());
    table.put(table::MEMORY, server.memory() as f64 / 1_000.0);
    machines::read(server, table).await;
    changes::seen(server, table).await;
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
