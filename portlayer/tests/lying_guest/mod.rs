//! Guests that overwrite the keys of their machines: whatever they write is bounded and reported, and
//! harms no other container.

use std::sync::{Mutex, PoisonError};

use portlayer::exec::ExecExt as _;
use simulator::GuestError;
use vim25::types::OptionValue;

use super::*;

/// Keys, and the value that is written to all of them.
type Lie = (Vec<String>, String);

/// A guest that reports its start and, if it was told keys, writes a value to all of them.
#[derive(Clone, Debug, Default)]
struct Liar {
    lie: Arc<Mutex<Option<Lie>>>,
    written: Arc<Mutex<Vec<Result<(), GuestError>>>>,
    lied: Arc<Notify>,
}

#[async_trait]
impl Guest for Liar {
    async fn run(&self, machine: GuestMachine) {
        let mut own = Vec::new();
        for (sessions, reports) in [
            ("guestinfo.vice./sessions", "guestinfo.vice..sessions"),
            ("guestinfo./sessions", "guestinfo..sessions"),
        ] {
            if let Ok(Some(id)) = machine.get(sessions) {
                let report = |leaf: &str| format!("{reports}|{id}.{leaf}");
                machine.set(&report("started"), "true").unwrap();
                own = ["started", "status", "detail.starttime", "detail.stoptime"]
                    .map(report)
                    .into();
            }
        }
        let lie = self
            .lie
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some((keys, value)) = lie {
            let keys = keys.iter().chain(&own);
            let results = keys.map(|key| machine.set(key, &value)).collect();
            *self.written.lock().unwrap_or_else(PoisonError::into_inner) = results;
            self.lied.notify_one();
        }
        std::future::pending::<()>().await;
    }
}

/// Returns the names of the keys of a container that its guest can see.
async fn visible_keys(endpoint: &Endpoint, id: &portlayer::ContainerId) -> Vec<String> {
    let flow = Flow {
        client: &endpoint.client,
        hosts: &endpoint.hosts,
        spec: &spec,
        skipped: &[],
    };
    let machine = flow.machine_of(id).await;
    let options = endpoint
        .client
        .get(&machine, flows::EXTRA_CONFIG)
        .await
        .unwrap();
    let keys = options
        .iter()
        .map(|option| option.base::<OptionValue>().unwrap().unwrap().key.clone());
    keys.filter(|key| key.starts_with("guestinfo.")).collect()
}

#[tokio::test]
async fn a_guest_that_overwrites_all_of_its_keys_harms_no_other_container() {
    for dialect in Dialect::ALL {
        let guest = Liar::default();
        let endpoint = Endpoint::with(dialect, Platform::default(), guest.clone()).await;
        let layer = endpoint.open().await.unwrap();
        let exec = layer.exec();
        let other = ContainerSpec::new("other", Command::new("/run"));
        let other = exec.create(other).await.unwrap();
        exec.start(&other, StartOptions::new()).await.unwrap();
        let before = exec.inspect(&other).await.unwrap();
        assert_eq!(before.state, State::Running);
        for (number, value) in [
            String::new(),
            "nonsense".to_owned(),
            "-1".to_owned(),
            other.to_string(),
            "9".repeat(20_000),
            "a|b|c".to_owned(),
            "\u{fffd}\" = \"".to_owned(),
        ]
        .into_iter()
        .enumerate()
        {
            let liar = ContainerSpec::new(format!("liar-{number}"), Command::new("/run"));
            let liar = exec.create(liar).await.unwrap();
            let keys = visible_keys(&endpoint, &liar).await;
            assert!(keys.len() > 5, "{keys:?}");
            *guest.lie.lock().unwrap() = Some((keys, value.clone()));
            // Its start may be answered before or after the lies. What they say is bounded.
            let started = exec.start(&liar, StartOptions::new());
            let started = tokio::time::timeout(Duration::from_secs(60), started);
            if let Err(error) = started.await.unwrap() {
                let is_reported = matches!(&error.kind, ErrorKind::GuestFailed { .. });
                assert!(is_reported, "{error:?}");
                assert!(error.to_string().len() < 5_000, "{error}");
            }
            guest.lied.notified().await;
            let written = std::mem::take(&mut *guest.written.lock().unwrap());
            // The host refuses empty values, and changes of what it wrote itself.
            let taken = written.iter().filter(|result| result.is_ok()).count();
            assert!(taken >= 4 || value.is_empty(), "{written:?}");
            // This program and one that reads everything again see the same.
            let second = endpoint.open().await.unwrap();
            for exec in [exec, second.exec()] {
                assert_eq!(exec.inspect(&other).await.unwrap(), before);
                let listing = exec.list().await.unwrap();
                let listed = listing.containers.iter().map(|info| info.id);
                let quarantined = listing.quarantined.iter().filter_map(|bad| bad.id);
                let mut all: Vec<_> = listed.chain(quarantined).collect();
                all.sort();
                let mut expected = [other, liar];
                expected.sort();
                assert_eq!(all, expected, "{dialect:?} {value:.20?}");
            }
            exec.kill(&liar).await.unwrap();
            exec.remove(&liar).await.unwrap();
        }
        assert_eq!(exec.inspect(&other).await.unwrap(), before);
        exec.kill(&other).await.unwrap();
        exec.remove(&other).await.unwrap();
        endpoint.simulator.shutdown().await;
    }
}
