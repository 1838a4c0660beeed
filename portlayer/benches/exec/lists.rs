//! Lists of many containers.

use std::process::Command as Process;
use std::time::Instant;

use futures_util::{StreamExt as _, stream};
use portlayer::exec::{Command, ContainerSpec, Exec};
use portlayer::network::{EndpointSpec, Networks, ScopeSpec};

use super::server::{self, Server};
use super::table::{line, processor_time, resident, setting};

const RUNS: usize = 5;
/// Number of containers that are created concurrently.
const AT_A_TIME: usize = 8;
/// Number of scopes: one has too few addresses.
const SCOPES: usize = 8;
/// Bound of the index's memory in bytes.
const MEMORY: u64 = 40 << 20;

/// The containers that are listed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Without labels and annotations.
    Plain,
    /// With a label and an annotation.
    Labelled,
}

impl Kind {
    fn spec(self, n: usize) -> ContainerSpec {
        let spec = ContainerSpec::new(format!("c{n}"), Command::new("/run").arg("word"))
            .endpoint(EndpointSpec::new(format!("scope-{}", n % SCOPES)));
        match self {
            Self::Plain => spec,
            Self::Labelled => spec
                .label("project", "bench")
                .annotation("note", "one of many"),
        }
    }
}

/// Creates containers, and lists them in processes of their own.
pub(super) async fn measure(kind: Kind) {
    let containers = setting("CONTAINERS", 10_000);
    let mut server = Server::start("esx");
    let exec = server.open().await;
    for n in 0..SCOPES {
        let scope = ScopeSpec::bridge(format!("scope-{n}"));
        exec.networks().create(scope).await.unwrap();
    }
    stream::iter(0..containers)
        .for_each_concurrent(AT_A_TIME, |n| {
            let exec = &exec;
            async move {
                exec.create(kind.spec(n)).await.unwrap();
            }
        })
        .await;
    let some = exec.list().await.unwrap().containers[0].id;
    let vmx = exec.vmx(&some).await.unwrap();
    let vmx = String::from_utf8_lossy(&vmx);
    let is_key = |line: &&str| line.starts_with("guestinfo.") || line.starts_with("portlayer");
    let keys = vmx.lines().filter(is_key).count();
    drop(exec);

    let polls = |server: &mut Server| server.calls().get("WaitForUpdatesEx").copied();
    let (used, asked) = (server.processor_time(), polls(&mut server));
    let mut runs: Vec<Vec<f64>> = (0..RUNS).map(|_| list(&server, containers)).collect();
    let used = (server.processor_time() - used).as_secs_f64() / RUNS as f64;
    let asked = polls(&mut server)
        .zip(asked)
        .map(|(after, before)| after - before);
    let asked = asked.unwrap_or(0) / RUNS as u64;
    let mut median = |column: usize| {
        runs.sort_by(|a, b| a[column].total_cmp(&b[column]));
        runs[RUNS / 2][column]
    };
    let (cold, warm, memory, own) = (median(0), median(1), median(2), median(4));
    let cold_found = format!(
        "{:.0} ms; {:.0} ms are own processor time, {:.0} ms the endpoint's, for {asked} polls",
        cold * 1e3,
        own * 1e3,
        used * 1e3
    );
    line(
        &format!("list of {containers} containers of {keys} keys with an index to be filled"),
        "300 ms",
        &cold_found,
        cold <= 0.3,
    );
    line(
        &format!("list of {containers} containers with a warm index"),
        "5 ms",
        &format!("{:.2} ms", warm * 1e3),
        warm <= 0.005,
    );
    line(
        &format!("memory of the index, {containers} containers of {keys} keys"),
        &format!("{} MiB for 30 keys", MEMORY >> 20),
        &format!("{:.1} MiB", memory / f64::from(1 << 20)),
        memory <= MEMORY as f64,
    );
}

/// Returns what [`run`] measures in another process.
fn list(server: &Server, containers: usize) -> Vec<f64> {
    let output = Process::new(std::env::current_exe().unwrap())
        .args(["list", &server.url, &server.thumbprint])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let numbers = printed.split_whitespace().map(|word| word.parse().unwrap());
    let numbers: Vec<f64> = numbers.collect();
    assert_eq!(numbers[3], containers as f64);
    numbers
}

/// Runs in the child: lists with a new index and with a warm one, and prints both times, the
/// additional memory, the number of containers, and the processor time of the first list.
#[tokio::main]
pub(super) async fn run(url: &str, thumbprint: &str) {
    let exec = server::open(url, thumbprint).await;
    let before = resident();
    let (used, begun) = (processor_time(), Instant::now());
    let count = exec.list().await.unwrap().containers.len();
    let (cold, used) = (begun.elapsed(), processor_time() - used);
    let mut warm = Vec::new();
    for _ in 0..RUNS * 4 {
        let begun = Instant::now();
        let listing = exec.list().await.unwrap();
        warm.push(begun.elapsed());
        assert_eq!(listing.containers.len(), count);
    }
    warm.sort_unstable();
    let warm = warm[warm.len() / 2];
    let memory = resident().saturating_sub(before);
    println!(
        "{} {} {memory} {count} {}",
        cold.as_secs_f64(),
        warm.as_secs_f64(),
        used.as_secs_f64()
    );
}
