//! Logs that are rotated between the runs of a container.

use std::sync::atomic::{AtomicI64, Ordering};

use guest_io::log::{End, Outcome, RunMark};
use jiff::Timestamp;
use portlayer::vsphere::LogRotation;
use simulator::Reaction;
use vim25::types::FileLocked;
use vim25::{Fault, props};

use super::*;

/// The lines that each run writes.
const LINES: i64 = 100;
const SECOND: i64 = 1_000_000_000;

/// A guest whose process writes numbered lines and exits. The time of line n is second n.
#[derive(Clone, Debug, Default)]
struct Counter {
    next: Arc<AtomicI64>,
}

#[async_trait]
impl Guest for Counter {
    async fn run(&self, machine: GuestMachine) {
        let config = configuration(&machine);
        let Some(id) = config.sessions.keys().next() else {
            machine.shutdown_requested().await;
            return;
        };
        let mut log = machine.serial(1).unwrap();
        for line in numbers(self.next.fetch_add(LINES, Ordering::Relaxed), LINES) {
            let mut record = Vec::new();
            let text = format!("{line}\n");
            guest_io::log::encode(Stream::Stdout, line * SECOND, text.as_bytes(), &mut record);
            log.write_all(&record).await.unwrap();
        }
        for (leaf, value) in [
            ("started", "true"),
            ("status", "0"),
            ("detail.stoptime", "1"),
        ] {
            let key = format!("guestinfo.vice..sessions|{id}.{leaf}");
            machine.set(&key, value).unwrap();
        }
        machine.power_off();
    }
}

fn numbers(from: i64, count: i64) -> std::ops::Range<i64> {
    from..from + count
}

async fn rotating(guest: impl Guest, dialect: Dialect, rotation: LogRotation) -> Endpoint {
    let options = Options {
        dialect,
        log_rotation: Some(rotation),
        ..Options::default()
    };
    Endpoint::with_options(guest, options).await
}

impl Endpoint {
    async fn run_once(&self, id: &ContainerId) {
        let exec = self.layer.exec();
        exec.start(id, StartOptions::default()).await.unwrap();
        exec.wait(id).await.unwrap();
    }

    async fn lines(&self, id: &ContainerId, options: LogOptions) -> Vec<i64> {
        let lines = self.log(id, options).await.into_iter();
        lines
            .map(|(_, text)| text.trim().parse().unwrap())
            .collect()
    }

    /// Moves the machine of a container that is off into a directory with this name, as vSAN would
    /// have named it.
    async fn move_machine(&self, id: &ContainerId, directory: &str) {
        let machine = self.machine(id).await;
        let pool = props::virtual_machine::RESOURCE_POOL;
        let pool = self.client.get(&machine, pool).await.unwrap();
        self.client.call(machine.unregister_vm()).await.unwrap();
        let files = self.simulator.datastore_directory();
        let (old, new) = (files.join(id.to_string()), files.join(directory));
        std::fs::rename(old, new).unwrap();
        let datacenter = self.client.inventory().datacenter(None).await.unwrap();
        let path = format!("[datastore1] {directory}/{id}.vmx");
        let register = datacenter.vm_folder().register_vm(&path, false).pool(&pool);
        self.client.run(register).await.unwrap();
    }

    fn log_file(&self, id: &ContainerId, part: &str) -> u64 {
        let path = format!("{id}/{id}.log{part}");
        let path = self.simulator.datastore_directory().join(path);
        std::fs::metadata(path).map_or(0, |file| file.len())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_many_runs_is_bounded_and_is_read_across_its_parts() {
    let rotation = LogRotation::new(1000, 2);
    let endpoint = rotating(Counter::default(), Dialect::Vic1, rotation).await;
    let spec = ContainerSpec::new("counts", Command::new("/count"));
    let id = endpoint.layer.exec().create(spec).await.unwrap();
    for _ in 0..5 {
        endpoint.run_once(&id).await;
    }
    // The runs 2, 3 and 4 are left, counted from 0.
    let all: Vec<_> = numbers(2 * LINES, 3 * LINES).collect();
    assert_eq!(endpoint.lines(&id, LogOptions::new()).await, all);
    for count in [1, LINES, LINES + 1, 3 * LINES - 1, 5 * LINES] {
        let tail = endpoint
            .lines(&id, LogOptions::new().tail(count.unsigned_abs()))
            .await;
        let skipped = usize::try_from((3 * LINES - count).max(0)).unwrap();
        assert_eq!(tail, all[skipped..], "the last {count}");
    }
    let time = |second| Timestamp::from_second(second).unwrap();
    let since = LogOptions::new()
        .since(time(3 * LINES - 1))
        .until(time(4 * LINES + 1));
    let middle: Vec<_> = (3 * LINES - 1..4 * LINES + 1).collect();
    assert_eq!(endpoint.lines(&id, since).await, middle);
    for part in ["", ".1", ".2"] {
        assert!(endpoint.log_file(&id, part) > 0, "{part}");
    }
    assert_eq!(endpoint.log_file(&id, ".3"), 0);
    // Another program, with other options, reads the same.
    let other = Hosts::new(endpoint.client.clone(), Options::default());
    let other = other.open("vch").await.unwrap();
    let log = other.streams().logs(&id, LogOptions::new()).await.unwrap();
    assert_eq!(log.count().await, all.len());
    endpoint.layer.exec().remove(&id).await.unwrap();
    for part in ["", ".1", ".2"] {
        assert_eq!(endpoint.log_file(&id, part), 0, "{part}");
    }
    endpoint.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_in_a_directory_that_is_not_named_after_the_container_is_rotated_and_read() {
    const DIRECTORY: &str = "52f1a8c0-66a5-4d04-9d3c-0a1b2c3d4e5f";
    let rotation = LogRotation::new(1000, 2);
    let endpoint = rotating(Counter::default(), Dialect::Vic1, rotation).await;
    let spec = ContainerSpec::new("counts", Command::new("/count"));
    let id = endpoint.layer.exec().create(spec).await.unwrap();
    endpoint.run_once(&id).await;
    endpoint.move_machine(&id, DIRECTORY).await;
    assert_eq!(
        endpoint.lines(&id, LogOptions::new()).await,
        numbers(0, LINES).collect::<Vec<_>>()
    );
    for _ in 0..3 {
        endpoint.run_once(&id).await;
    }
    let all: Vec<_> = numbers(LINES, 3 * LINES).collect();
    assert_eq!(endpoint.lines(&id, LogOptions::new()).await, all);
    let tail = LogOptions::new().tail(2 * LINES.unsigned_abs() + 1);
    let last: Vec<_> = (2 * LINES - 1..4 * LINES).collect();
    assert_eq!(endpoint.lines(&id, tail).await, last);
    let since = LogOptions::new().since(Timestamp::from_second(3 * LINES - 1).unwrap());
    let last: Vec<_> = (3 * LINES - 1..4 * LINES).collect();
    assert_eq!(endpoint.lines(&id, since).await, last);

    // The parts are next to the log, and nothing was created where the container's name points to.
    let files = endpoint.simulator.datastore_directory();
    assert!(!files.join(id.to_string()).exists());
    let logs = || {
        let names = std::fs::read_dir(files.join(DIRECTORY))
            .into_iter()
            .flatten();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let own = format!("{id}.log");
        let mut logs: Vec<_> = names.filter(|name| name.starts_with(&own)).collect();
        logs.sort();
        logs
    };
    let part = |suffix: &str| format!("{id}.log{suffix}");
    assert_eq!(logs(), [part(""), part(".1"), part(".2")]);
    // A removal by a program with other options deletes all of them.
    let other = Hosts::new(endpoint.client.clone(), Options::default());
    let other = other.open("vch").await.unwrap();
    other.exec().remove(&id).await.unwrap();
    assert_eq!(logs(), [""; 0]);
    endpoint.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_log_is_not_rotated() {
    let rotation = LogRotation::new(1 << 20, 2);
    let endpoint = rotating(Counter::default(), Dialect::Vic1, rotation).await;
    let spec = ContainerSpec::new("counts", Command::new("/count"));
    let id = endpoint.layer.exec().create(spec).await.unwrap();
    for _ in 0..3 {
        endpoint.run_once(&id).await;
    }
    assert_eq!(endpoint.log_file(&id, ".1"), 0);
    let all: Vec<_> = numbers(0, 3 * LINES).collect();
    assert_eq!(endpoint.lines(&id, LogOptions::new()).await, all);
    endpoint.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_rotated_does_not_prevent_the_start() {
    let rotation = LogRotation::new(1, 1);
    let endpoint = rotating(Counter::default(), Dialect::Vic1, rotation).await;
    let spec = ContainerSpec::new("counts", Command::new("/count"));
    let id = endpoint.layer.exec().create(spec).await.unwrap();
    endpoint.run_once(&id).await;
    let script = endpoint.simulator.script();
    let locked = Fault::new("the file is in use", FileLocked::default());
    script.next("MoveDatastoreFile_Task", Reaction::TaskFault(locked));
    endpoint.run_once(&id).await;
    let all: Vec<_> = numbers(0, 2 * LINES).collect();
    assert_eq!(endpoint.lines(&id, LogOptions::new()).await, all);
    endpoint.simulator.shutdown().await;
}

/// A client that attaches before the start reads the output of the run from the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_the_log_of_a_run_misses_nothing_of_it() {
    for keep in [0, 1] {
        let agent = without_runblock::OldAgent::default();
        let rotation = LogRotation::new(1, keep);
        let endpoint = rotating(agent, Dialect::Vic04, rotation).await;
        let spec = ContainerSpec::new("old", Command::new("/short").open_stdin(true));
        let id = endpoint.layer.exec().create(spec).await.unwrap();
        for _run in 0..3 {
            let options = AttachOptions::interactive();
            let attached = endpoint.layer.streams().attach(&id, options).await.unwrap();
            let output = async {
                let chunks = attached.output.map(|chunk| chunk.unwrap().bytes);
                let chunks = timeout(LIMIT, chunks.collect::<Vec<_>>()).await.unwrap();
                String::from_utf8(chunks.concat()).unwrap()
            };
            let (output, ()) = tokio::join!(output, endpoint.run_once(&id));
            assert_eq!(output, "one\ntwo\n");
        }
        endpoint.simulator.shutdown().await;
    }
}

/// A guest that powers off without the report of the exit, which is only in its log.
#[derive(Clone, Debug)]
struct Torn {
    /// The outcome in the log of each run; `None` if the log ends with output.
    outcomes: Arc<std::sync::Mutex<Vec<Option<Outcome>>>>,
}

/// The second in which all runs of a [`Torn`] guest start and end.
const SAME_SECOND: i64 = 1000;

#[async_trait]
impl Guest for Torn {
    async fn run(&self, machine: GuestMachine) {
        let config = configuration(&machine);
        let Some(id) = config.sessions.keys().next() else {
            machine.shutdown_requested().await;
            return;
        };
        let start = SAME_SECOND.to_string();
        for (leaf, value) in [("detail.starttime", &*start), ("started", "true")] {
            let key = format!("guestinfo.vice..sessions|{id}.{leaf}");
            machine.set(&key, value).unwrap();
        }
        let mut bytes = Vec::new();
        let time = SAME_SECOND * SECOND;
        guest_io::log::encode(Stream::Stdout, time, b"output\n", &mut bytes);
        let outcome = self.outcomes.lock().unwrap().remove(0);
        match outcome {
            Some(outcome) => {
                let number = machine.get("guestinfo.vice./run").unwrap();
                let run = RunMark::of(number.unwrap().parse().unwrap());
                End::new(time, outcome).run(run).encode(&mut bytes);
            }
            // Not even the output of this run is in the log.
            None => bytes.clear(),
        }
        machine.serial(1).unwrap().write_all(&bytes).await.unwrap();
        machine.power_off();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exit_whose_report_was_lost_is_read_from_the_end_of_the_log() {
    let outcomes = vec![
        Some(Outcome::Code(5)),
        Some(Outcome::OutOfMemory),
        // The final record of the run before, from the same second, is not that of this run.
        None,
        Some(Outcome::Signal(9)),
    ];
    let guest = Torn {
        outcomes: Arc::new(std::sync::Mutex::new(outcomes)),
    };
    let endpoint = Endpoint::with(guest, Dialect::Vic1).await;
    let spec = ContainerSpec::new("torn", Command::new("/torn"));
    let id = endpoint.layer.exec().create(spec).await.unwrap();
    for expected in [
        ExitStatus::Code(5),
        ExitStatus::OutOfMemory,
        ExitStatus::Lost,
        ExitStatus::KILLED,
    ] {
        let exec = endpoint.layer.exec();
        exec.start(&id, StartOptions::default()).await.unwrap();
        assert_eq!(exec.wait(&id).await.unwrap(), expected);
        // The exit is persisted, so that another program that does not read the log sees it.
        let other = Hosts::new(endpoint.client.clone(), Options::default());
        let other = other.open("vch").await.unwrap();
        let state = other.exec().inspect(&id).await.unwrap().state;
        assert_eq!(state.exit(), Some(expected));
    }
    // The final records are not output.
    let log = endpoint.log(&id, LogOptions::new()).await;
    assert_eq!(log.len(), 3);
    endpoint.simulator.shutdown().await;
}
