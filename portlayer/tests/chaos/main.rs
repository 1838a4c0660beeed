//! Ten clients perform random operations on the simulator, as an ESXi host and as a vCenter with and
//! without DRS, with faults and kills of the port layer, and the results are checked against a model.
//!
//! A run consists of worlds: simulators with different platforms. In each world, the clients work
//! until the port layer is killed or closed. Then another port layer opens the host. After its
//! recovery, acknowledged changes must exist, refused changes must not, and nothing may be
//! incomplete. `cargo xtask chaos` starts a long run. A seed determines the operations, but not
//! their interleaving.
//!
//! The last long run of random operations, on 2026-11-27 with a debug build on two busy cores and
//! seed 20261127: 10,000 operations in 801 s (1,757 with unknown outcome, 2,706 faults, 80 kills,
//! 135 openings) without a violation.
//!
//! [`every_request`] interrupts single operations at each of their requests in turn. Of its long
//! form, `cargo xtask chaos --every-request`, three of the five faults have run on an ESXi host, on
//! 2026-11-27: 147 runs that lose requests, 139 that lose answers and 137 that delay requests, of 13
//! operations, without a violation. The rest has not been completed yet: the other two faults, the
//! vCenters, and five operations that were added later: a signal, edits of a label and of resources, a
//! connection and a disconnection. `CHAOS_ONLY=Logs,ExportImage` runs only these operations. These two
//! have run with all faults on an ESXi host and with the first three on a vCenter, on 2026-11-28: 141
//! runs without a violation. Attached streams are not among the operations.
#![cfg(all(feature = "conformance", feature = "vsphere"))]
#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

mod client;
mod every_request;
mod faults;
mod model;
mod random;
mod verify;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use client::Client;
use every_request::{Fault, Operation};
use model::Images;
use random::Random;
use tokio::sync::Notify;
use world::{Target, World, Writer};

const CLIENTS: usize = 10;

/// Operations per world in a long run.
const PER_WORLD: usize = 1_250;

#[test]
fn a_short_run() {
    let mut figures = Figures::default();
    for (seed, target) in (1..).zip(Target::ALL) {
        run_world(seed, target, 60, &mut figures);
    }
    assert!(figures.operations >= 180, "{figures:?}");
}

#[test]
#[ignore = "takes minutes: run by `cargo xtask chaos`"]
#[expect(clippy::print_stdout, reason = "the figures are printed for a person")]
fn a_long_run() {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    let seed: u64 = number("CHAOS_SEED").unwrap_or_else(rand_seed);
    let operations = number("CHAOS_OPERATIONS").unwrap_or(10_000);
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let mut figures = Figures::default();
    let began = Instant::now();
    for target in Target::ALL.into_iter().cycle() {
        if figures.operations >= operations as usize {
            break;
        }
        let left = operations as usize - figures.operations;
        run_world(random.next(), target, left.min(PER_WORLD), &mut figures);
        println!("{:?} {figures:?}", began.elapsed());
    }
}

/// Operations with several requests. After a kill while a scope is created, the appliance is switched
/// off and on.
#[test]
fn operations_are_interrupted_at_each_request() {
    let created = [(Operation::Create, Fault::LoseAnswer)];
    let started = [(Operation::Start, Fault::Kill)];
    let runs = every_request::matrix(3, &created, Target::Esxi);
    assert!(runs > 2, "{runs}");
    let runs = every_request::matrix(4, &started, Target::Vcenter);
    assert!(runs > 2, "{runs}");
    let scope = [(Operation::CreateScope, Fault::DropAndKill)];
    let runs = every_request::matrix(5, &scope, Target::Esxi);
    assert!(runs > 2, "{runs}");
}

#[test]
#[ignore = "takes minutes: run by `cargo xtask chaos --every-request`"]
#[expect(clippy::print_stdout, reason = "the figures are printed for a person")]
fn every_operation_is_interrupted_at_each_request() {
    let began = Instant::now();
    // Names of operations, to run only these.
    let only = std::env::var("CHAOS_ONLY").unwrap_or_default();
    let is_chosen = |operation: &Operation| {
        only.is_empty() || only.split(',').any(|name| name == format!("{operation:?}"))
    };
    let chosen: Vec<_> = Operation::ALL.into_iter().filter(is_chosen).collect();
    for (seed, target) in (5..).zip(Target::ALL) {
        for fault in Fault::ALL {
            let pairs: Vec<_> = chosen.iter().map(|operation| (*operation, fault)).collect();
            let runs = every_request::matrix(seed, &pairs, target);
            println!("{:?} {fault:?}, {target:?}: {runs} runs", began.elapsed());
        }
    }
}

fn rand_seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}

#[derive(Debug, Default)]
struct Figures {
    operations: usize,
    /// The number of operations with unknown outcome.
    unknown: usize,
    faults: usize,
    kills: usize,
    reopened: usize,
    longest_recovery: Duration,
}

fn run_world(seed: u64, target: Target, operations: usize, figures: &mut Figures) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut random = Random::new(seed);
        let world = World::start(&mut random, target).await;
        let what = format!("world of seed {seed}: {world:?}");
        let mut clients: Vec<_> = (0..CLIENTS)
            .map(|number| Client::new(number, random.fork()))
            .collect();
        let images = Arc::new(Images::new());
        let mut writer = Arc::new(world.open().await.unwrap());
        let mut done = 0;
        while done < operations {
            let quota = (30 + random.below(90)).min(operations - done);
            let is_kill = random.chance(60);
            let violations = epoch(&world, &writer, &mut clients, &images, quota, is_kill).await;
            assert!(violations.is_empty(), "{what}: {violations:#?}");
            done += quota;
            world.simulator.script().clear();
            if is_kill {
                writer.kill();
                figures.kills += 1;
            } else {
                writer.close().await;
            }
            // Wait until delayed operations on the endpoint have completed.
            tokio::time::sleep(faults::LONGEST * 2).await;
            let began = Instant::now();
            writer = Arc::new(world.open().await.unwrap());
            figures.reopened += 1;
            let verified = verify::recovered(&world, &writer, &mut clients, &images).await;
            if let Err(problems) = verified {
                panic!("{what}: not recovered after {done} operations: {problems:#?}");
            }
            figures.longest_recovery = figures.longest_recovery.max(began.elapsed());
        }
        figures.operations += done;
        for client in &clients {
            figures.unknown += client.unknown;
            figures.faults += client.faults;
        }
        writer.close().await;
    });
    runtime.shutdown_background();
}

/// Lets the clients work until together they have started this many operations. A kill interrupts
/// those in progress.
async fn epoch(
    world: &World,
    writer: &Arc<Writer>,
    clients: &mut [Client],
    images: &Arc<Images>,
    quota: usize,
    is_kill: bool,
) -> Vec<String> {
    let begun = AtomicUsize::new(0);
    let all_begun = Notify::new();
    let work = clients.iter_mut().map(|client| async {
        loop {
            let number = begun.fetch_add(1, Ordering::Relaxed);
            if number >= quota {
                return Ok(());
            }
            let step = client.step(world, writer, images);
            let step = tokio::time::timeout(Duration::from_secs(60), step);
            if number + 1 == quota {
                all_begun.notify_one();
            }
            match step.await {
                Ok(done) => done?,
                Err(_elapsed) => return Err(format!("{} hangs", client.last)),
            }
        }
    });
    let kill = async {
        all_begun.notified().await;
        if is_kill {
            writer.kill();
        }
    };
    let (results, ()) = tokio::join!(futures_util::future::join_all(work), kill);
    results.into_iter().filter_map(Result::err).collect()
}
