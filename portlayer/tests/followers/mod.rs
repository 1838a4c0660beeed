//! Many readers of one growing log.

use std::time::Instant;

use portlayer::stream::{LogRecord, LogStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::*;

/// What the process writes at each order, in records of this size.
const PIECE: usize = 600_000;
const RECORD: usize = 1000;
/// The interval at which a log that is followed is read.
const INTERVAL: Duration = Duration::from_millis(500);

/// A guest whose process writes a piece at its start and one when ordered, and exits when ordered.
#[derive(Clone, Debug)]
struct Talker {
    orders: watch::Receiver<u32>,
}

#[async_trait]
impl Guest for Talker {
    async fn run(&self, machine: GuestMachine) {
        let config = configuration(&machine);
        let Some(id) = config.sessions.keys().next() else {
            machine.shutdown_requested().await;
            return;
        };
        let key = |leaf: &str| format!("guestinfo.vice..sessions|{id}.{leaf}");
        machine.set(&key("started"), "true").unwrap();
        let mut log = machine.serial(1).unwrap();
        let mut orders = self.orders.clone();
        for order in 1..=2 {
            for _ in 0..PIECE / RECORD {
                let mut record = Vec::new();
                guest_io::log::encode(Stream::Stdout, 1, &[b'x'; RECORD], &mut record);
                log.write_all(&record).await.unwrap();
            }
            orders.wait_for(|ordered| *ordered >= order).await.unwrap();
        }
        machine.set(&key("status"), "0").unwrap();
        machine.set(&key("detail.stoptime"), "1").unwrap();
        machine.power_off();
    }
}

/// Reads until `length` bytes have come in total.
async fn read_to(log: &mut LogStream, read: &mut usize, length: usize) {
    while *read < length {
        let record: Option<Result<LogRecord, _>> = timeout(LIMIT, log.next()).await.unwrap();
        *read += record.expect("more").unwrap().bytes.len();
    }
}

/// Returns the number of requests for the log, apart from those that only waiting costs, while
/// `count` readers follow it from before its second piece to its end.
async fn requests(count: usize) -> u64 {
    let (order, orders) = watch::channel(0);
    let endpoint = Endpoint::with(Talker { orders }, Dialect::Vic1).await;
    let spec = ContainerSpec::new("talks", Command::new("/talk"));
    let id = endpoint.layer.exec().create(spec).await.unwrap();
    let start = endpoint.layer.exec().start(&id, StartOptions::default());
    start.await.unwrap();
    let requests = || {
        let calls = endpoint.simulator.script().calls();
        let folder = calls.iter().filter(|(name, _)| name.ends_with(" /folder"));
        folder.map(|(_, count)| count).sum::<u64>()
    };
    let (before, begun) = (requests(), Instant::now());
    let mut followers = JoinSet::new();
    for _ in 0..count {
        let log = endpoint
            .layer
            .streams()
            .logs(&id, LogOptions::new().follow());
        let (mut log, mut read) = (log.await.unwrap(), 0);
        followers.spawn(async move {
            read_to(&mut log, &mut read, PIECE).await;
            (log, read)
        });
    }
    let waiting = followers.join_all().await;
    // A late reader reads the beginning again.
    let log = endpoint
        .layer
        .streams()
        .logs(&id, LogOptions::new().follow());
    let late = (log.await.unwrap(), 0);
    order.send_replace(1);
    let mut followers = JoinSet::new();
    for (mut log, mut read) in waiting.into_iter().chain([late]) {
        followers.spawn(async move {
            read_to(&mut log, &mut read, 2 * PIECE).await;
            log
        });
    }
    let all = followers.join_all().await;
    order.send_replace(2);
    for mut log in all {
        assert!(timeout(LIMIT, log.next()).await.unwrap().is_none());
    }
    let (made, waited) = (requests() - before, begun.elapsed());
    endpoint.simulator.shutdown().await;
    let polls = u64::try_from(waited.as_millis() / INTERVAL.as_millis()).unwrap();
    made.saturating_sub(polls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_followers_of_a_log_cost_the_requests_of_one() {
    let (one, hundred) = (requests(1).await, requests(100).await);
    assert!(hundred <= one + 10, "{hundred} requests instead of {one}");
}
