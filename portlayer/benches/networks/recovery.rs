//! Creates scopes and containers on a simulated ESXi host, and recovers their addresses as the next
//! program would.

use std::time::Instant;

use futures_util::{StreamExt, stream};
use portlayer::exec::{Command, ContainerSpec, Exec};
use portlayer::image::Images;
use portlayer::network::{EndpointSpec, Networks, ScopeSpec};
use portlayer::vsphere::{HostSpec, Hosts, InstallProgress, Iso, Options};
use simulator::Simulator;
use vsphere_client::{Client, Credentials};

use super::median;
use super::table::{line, setting};

const RUNS: usize = 5;
/// The number of containers that are created concurrently.
const AT_A_TIME: usize = 8;

pub(super) async fn measure() {
    let (scopes, endpoints) = (setting("SCOPES", 200), setting("ENDPOINTS", 10_000));
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::builder(simulator.url())
        .credentials(Credentials::password(
            simulator.user(),
            simulator.password(),
        ))
        .thumbprint(simulator.thumbprint().parse().unwrap())
        .connect()
        .await
        .unwrap();
    let hosts = || Hosts::new(client.clone(), Options::default());
    let spec = HostSpec::new("vch", Iso::bytes("appliance"), Iso::bytes("bootstrap"));
    let first = hosts();
    first.install(spec, &|_: InstallProgress| {}).await.unwrap();
    let exec = first.exec("vch").await.unwrap();

    let networks = exec.networks();
    let begun = Instant::now();
    for n in 0..scopes {
        let spec = ScopeSpec::bridge(format!("scope-{n}"));
        networks.create(spec).await.unwrap();
    }
    let each = begun.elapsed() / u32::try_from(scopes).unwrap();
    let listed = networks.list().await.unwrap().len();
    line(
        "scopes on one host, and the time to create each",
        &format!("{scopes} scopes"),
        &format!("{} scopes, {each:.1?} each", listed - 1),
        listed == scopes + 1,
    );

    let begun = Instant::now();
    stream::iter(0..endpoints)
        .for_each_concurrent(AT_A_TIME, |n| {
            let exec = &exec;
            async move {
                let endpoint = EndpointSpec::new(format!("scope-{}", n % scopes)).alias("db");
                let spec = ContainerSpec::new(format!("c{n}"), Command::new("/run"));
                exec.create(spec.endpoint(endpoint)).await.unwrap();
            }
        })
        .await;
    println!(
        "| containers created, the simulator's work included | | {endpoints} in {:.1?} | |",
        begun.elapsed()
    );
    drop((exec, networks));

    let mut seconds = Vec::new();
    for _ in 0..RUNS {
        let exec = hosts().exec("vch").await.unwrap();
        // This reads all machines into the index; the addresses are not read yet.
        exec.images().list().await.unwrap();
        let begun = Instant::now();
        let found = exec.networks().list().await.unwrap();
        seconds.push(begun.elapsed().as_secs_f64());
        let connected: usize = found.iter().map(|scope| scope.containers.len()).sum();
        assert_eq!(connected, endpoints);
    }
    let took = median(seconds);
    line(
        &format!("recovery of {endpoints} endpoints in {scopes} scopes with a warm index"),
        "100 ms",
        &format!("{:.1} ms", took * 1e3),
        took < 0.1,
    );
}
