//! The command that `inspect` rebuilds: it plans and creates an equal host.

use serde_json::Value;
use simulator::Topology;

use crate::scene::Scene;

/// Splits a command into words, as a shell does; quotes are single ones.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut letters = command.chars();
    let mut is_quoted = false;
    while let Some(letter) = letters.next() {
        let word = words.last_mut().unwrap();
        match letter {
            '\'' => is_quoted = !is_quoted,
            '\\' if !is_quoted => word.push(letters.next().unwrap()),
            ' ' if !is_quoted => words.push(String::new()),
            _ => word.push(letter),
        }
    }
    words
}

/// Returns what `inspect` shows of a host, without the options that were given.
async fn inspected(scene: &Scene) -> Value {
    let said = scene.vch(&["inspect", "--json", "vch-1"]).await.ok();
    let mut shown: Value = serde_json::from_str(&said.stdout).unwrap();
    shown["create_options"].take();
    shown
}

/// Returns the plan that a dry run prints.
async fn planned(scene: &Scene, create: &[&str]) -> Value {
    let dry = [create, &["--dry-run", "--json"]].concat();
    let said = scene.vch(&dry).await.ok();
    serde_json::from_str(&said.stdout).unwrap()
}

#[tokio::test]
async fn the_rebuilt_command_plans_and_creates_an_equal_host() {
    let esxi = ["create", "vch-1"];
    let script = ["create", "--no-tls", "--scope-vlans", "100-199", "vch-1"];
    let cluster = ["create", "-r", "DC0_C0", "-b", "DC0_DVPG0", "vch-1"];
    let limited = [
        &cluster[..],
        &["--cpu", "4000", "--cpu-reservation", "500"],
        &["--memory", "8192", "--memory-shares", "high"],
        &[
            "--image-store",
            "LocalDS_0",
            "--tls-cname",
            "docker.example",
        ],
        &["--public-network-ip", "10.0.0.7/24"],
        &["--public-network-gateway", "10.0.0.1"],
        &["--dns-server", "10.0.0.2", "--dns-server", "10.0.0.3"],
        &["--bridge-network-range", "10.64.0.0/16"],
        &[
            "--bridge-network-width",
            "24",
            "--line-address",
            "10.0.0.7:2377",
        ],
        &["--appliance-cpu", "2", "--appliance-memory", "4096"],
        &[
            "--ops-user",
            "it's me",
            "--keepalive",
            "1m",
            "--timeout",
            "1m30s",
        ],
        &["--insecure-registry", "10.0.0.9:5000"],
        &["--whitelist-registry", "*.example"],
        &["--volume-store", "ds://LocalDS_0/a b:default"],
    ]
    .concat();
    let topology = |drs| Topology::vcenter().drs(drs).standalone_hosts(0);
    for (topology, create) in [
        (Topology::esx(), &esxi[..]),
        (Topology::esx(), &script),
        (topology(true), &limited),
        (topology(false), &cluster),
    ] {
        let scene = Scene::start(topology, Some([192, 168, 1, 144])).await;
        let plan = planned(&scene, create).await;
        scene.vch(create).await.ok();
        let first = inspected(&scene).await;
        scene.vch(&["delete", "vch-1"]).await.ok();

        let rebuilt = words(first["command"].as_str().unwrap());
        let rebuilt: Vec<_> = rebuilt.iter().map(String::as_str).collect();
        assert_eq!(rebuilt[..2], ["vch", "create"]);
        assert_eq!(planned(&scene, &rebuilt[1..]).await, plan, "{rebuilt:?}");
        scene.vch(&rebuilt[1..]).await.ok();
        assert_eq!(inspected(&scene).await, first, "{rebuilt:?}");
    }
}
