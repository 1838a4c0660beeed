//! Benchmarks of encoding and decoding. Targets on a quiet machine: 60 µs to encode 200
//! keys, 40 µs to decode them, 150 ms for a table of 10,000 machines.
//!
//! VIC's own codec is not measured, because the Go module proxy does not offer its
//! module.
#![allow(missing_docs, reason = "a bench")]
#![allow(clippy::unwrap_used, reason = "a bench")]

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use guestinfo::vic::{
    Command, Common, ContainerNetwork, ExecutorConfig, Identity, MountSpec, NetworkEndpoint,
    NicAddress, Redacted, SessionConfig, Started,
};
use guestinfo::{Decode, Dialect, GuestInfo, decode, encode, update};

/// Returns a container with every field: 200 keys in 1.x.
fn container() -> ExecutorConfig {
    let id = "6a1d1e9f4b7c4f0c9a3e5d2b8c7f6e5d4c3b2a190817263544536271809fa0b1".to_owned();
    let session = |id: &str| SessionConfig {
        common: Common {
            id: id.into(),
            name: "jovial_ride".into(),
            ..Common::default()
        },
        command: Command {
            path: "/usr/sbin/nginx".into(),
            args: ["nginx", "-g", "daemon off;"].map(str::to_owned).into(),
            env: ["PATH=/usr/local/sbin:/usr/sbin:/sbin", "NGINX_VERSION=1.27"]
                .map(str::to_owned)
                .into(),
            dir: "/".into(),
        },
        started: Started::Yes,
        ..SessionConfig::default()
    };
    let mount = |label: &str| MountSpec {
        source: format!("label:///{label}").parse().unwrap(),
        path: format!("/data/{label}"),
        mode: "rw".into(),
        ..MountSpec::default()
    };
    let endpoint = |name: &str| NetworkEndpoint {
        common: Common {
            id: "192".into(),
            name: "eth0".into(),
            ..Common::default()
        },
        address: "172.16.0.2/16".parse().ok().map(NicAddress::Net),
        assigned: "172.16.0.2/16".parse().ok().map(NicAddress::Net),
        network: ContainerNetwork {
            common: Common {
                name: name.into(),
                ..Common::default()
            },
            gateway: "172.16.0.1/16".parse().ok(),
            nameservers: vec!["8.8.8.8".parse().unwrap(), "8.8.4.4".parse().unwrap()],
            aliases: vec!["web:front".into()],
            kind: "bridge".into(),
            ..ContainerNetwork::default()
        },
        ports: vec!["80/tcp".into(), "8443:443/tcp".into()],
        ..NetworkEndpoint::default()
    };
    ExecutorConfig {
        common: Identity {
            id: id.clone(),
            name: "jovial_ride".into(),
            ..Identity::default()
        },
        sessions: [
            (id.clone(), session(&id)),
            ("sidecar".into(), session("sidecar")),
        ]
        .into(),
        execs: [("cafe".into(), session("cafe"))].into(),
        mounts: ["vol1", "vol2", "vol3"]
            .map(|label| (label.to_owned(), mount(label)))
            .into(),
        networks: ["bridge", "external"]
            .map(|name| (name.to_owned(), endpoint(name)))
            .into(),
        key: Redacted(vec![7; 500]),
        layer_id: id.clone(),
        image_id: id,
        repo_name: "nginx".into(),
        annotations: (0..19)
            .map(|n| (format!("annotation{n}"), "{\"a\":1}".to_owned()))
            .collect(),
        ..ExecutorConfig::default()
    }
}

/// The fields of each container that a table of containers needs.
#[derive(Debug, Default, GuestInfo)]
struct Row {
    #[guestinfo(key = "common", scope = "read-only")]
    common: RowIdentity,
    #[guestinfo(key = "repo", scope = "read-only")]
    repo: String,
    #[guestinfo(key = "sessions", scope = "read-only")]
    sessions: BTreeMap<String, RowSession>,
}

#[derive(Debug, Default, GuestInfo)]
struct RowIdentity {
    #[guestinfo(key = "id", scope = "read-only")]
    id: String,
    #[guestinfo(key = "name", vic04(scope = "read-only"), vic1(scope = "hidden"))]
    name: String,
}

#[derive(Debug, Default, GuestInfo)]
struct RowSession {
    #[guestinfo(key = "cmd/Path", scope = "read-only")]
    path: String,
    #[guestinfo(key = "cmd/Args", scope = "read-only")]
    args: Vec<String>,
    #[guestinfo(key = "started", scope = "read-write")]
    started: Started,
    #[guestinfo(key = "status", scope = "read-write")]
    status: i32,
}

/// Returns 30 keys of one of many containers, as a server returns them: unsorted pairs.
fn small(n: usize) -> Vec<(String, String)> {
    let id = format!("{n:064x}");
    let mut container = container();
    container.common.id.clone_from(&id);
    container.sessions = container
        .sessions
        .into_values()
        .take(1)
        .map(|session| (id.clone(), session))
        .collect();
    let wanted = ["common/", "repo", "sessions", "layerid"];
    encode(&container, Dialect::Vic1)
        .unwrap()
        .into_iter()
        .filter(|(key, _)| wanted.iter().any(|part| key.contains(part)) && !key.contains("execs"))
        .take(30)
        .collect()
}

fn codec(criterion: &mut Criterion) {
    let value = container();
    let keys = encode(&value, Dialect::Vic1).unwrap();
    assert_eq!(keys.len(), 200, "the bench is about 200 keys");

    let mut group = criterion.benchmark_group("container of 200 keys");
    group.throughput(Throughput::Elements(keys.len() as u64));
    group.bench_function("encode", |b| {
        b.iter(|| encode(black_box(&value), Dialect::Vic1).unwrap());
    });
    group.bench_function("decode", |b| {
        b.iter(|| decode::<ExecutorConfig>(black_box(&keys)));
    });
    group.bench_function("update of one key", |b| {
        let mut new = value.clone();
        new.repo_name = "busybox".into();
        b.iter(|| update(black_box(&keys), black_box(&new)).unwrap());
    });
    group.finish();
}

fn table(criterion: &mut Criterion) {
    let machines: Vec<Vec<(String, String)>> = (0..10_000).map(small).collect();
    assert!(machines.iter().all(|keys| keys.len() == 30));
    let pairs = |keys: &'static [(String, String)]| keys.iter().map(|(k, v)| (k, v));
    let machines: &'static [Vec<(String, String)>] = machines.leak();

    let mut group = criterion.benchmark_group("table of 10,000 machines of 30 keys");
    group.sample_size(10);
    group.throughput(Throughput::Elements(machines.len() as u64));
    group.bench_function("what the table needs", |b| {
        b.iter(|| {
            let rows: Vec<Row> = machines
                .iter()
                .map(|keys| Decode::new().run(pairs(keys)).value)
                .collect();
            black_box(rows)
        });
    });
    group.bench_function("whole containers", |b| {
        b.iter(|| {
            for keys in machines {
                black_box(Decode::new().run::<ExecutorConfig>(pairs(keys)));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, codec, table);
criterion_main!(benches);
