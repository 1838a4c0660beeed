//! Defects of stored values.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use portlayer::conformance::{self, Fixture, Process};
use portlayer::exec::Command;
use portlayer::memory::{MemoryExec, MemoryStore};
use portlayer::store::{Expect, Revision, Store, Versioned};
use portlayer::{ErrorKind, PortLayer, Result};

#[derive(Clone, Copy, Debug)]
enum Broken {
    /// A value that was set is lost.
    LosesValues,
    /// All values have the same revision.
    OneRevision,
    /// `list` ignores the prefix.
    ListsTooMuch,
    /// The precondition of a change is ignored.
    ExpectsNothing,
    /// Values are not shared between programs.
    Private,
    /// Invalid keys and values are accepted.
    TakesAnything,
}

const ALL: [(Broken, &str); 7] = [
    (
        Broken::LosesValues,
        "a_value_is_read_back_listed_and_deleted",
    ),
    (
        Broken::OneRevision,
        "a_precondition_that_fails_changes_nothing",
    ),
    (
        Broken::ListsTooMuch,
        "a_value_is_read_back_listed_and_deleted",
    ),
    (
        Broken::ExpectsNothing,
        "a_precondition_that_fails_changes_nothing",
    ),
    (
        Broken::ExpectsNothing,
        "of_many_changes_of_one_revision_one_wins",
    ),
    (Broken::Private, "values_stay_with_the_host"),
    (Broken::TakesAnything, "a_bad_key_or_value_is_refused"),
];

#[derive(Clone, Debug)]
struct Breaking {
    broken: Broken,
    store: MemoryStore,
}

#[async_trait]
impl Store for Breaking {
    async fn get(&self, key: &str) -> Result<Option<Versioned>> {
        let stored = match self.store.get(key).await {
            Err(_) if matches!(self.broken, Broken::TakesAnything) => return Ok(None),
            stored => stored?,
        };
        Ok(stored.map(|stored| match self.broken {
            Broken::OneRevision => Versioned::new(stored.value, Revision::new(1)),
            _ => stored,
        }))
    }

    async fn put(&self, key: &str, value: Bytes, expect: Expect) -> Result<Revision> {
        let expect = self.expect(expect);
        if matches!(self.broken, Broken::LosesValues) {
            return Ok(Revision::new(1));
        }
        match self.store.put(key, value, expect).await {
            Err(error)
                if matches!(self.broken, Broken::TakesAnything)
                    && matches!(error.kind(), ErrorKind::InvalidArgument { .. }) =>
            {
                Ok(Revision::new(1))
            }
            Ok(_) if matches!(self.broken, Broken::OneRevision) => Ok(Revision::new(1)),
            put => put,
        }
    }

    async fn delete(&self, key: &str, expect: Expect) -> Result<()> {
        self.store.delete(key, self.expect(expect)).await
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let prefix = match self.broken {
            Broken::ListsTooMuch => "",
            _ => prefix,
        };
        self.store.keys(prefix).await
    }
}

impl Breaking {
    fn expect(&self, expect: Expect) -> Expect {
        match (self.broken, expect) {
            (Broken::ExpectsNothing, _) => Expect::Any,
            // Revisions cannot be distinguished.
            (Broken::OneRevision, Expect::Revision(_)) => Expect::Any,
            _ => expect,
        }
    }
}

#[async_trait]
impl Fixture for Breaking {
    async fn open(&self) -> Result<PortLayer> {
        let mut opened = self.clone();
        if matches!(self.broken, Broken::Private) {
            opened.store = MemoryStore::new();
        }
        let exec = MemoryExec::new(conformance::memory::behaviour);
        Ok(PortLayer::new(exec).with_store(Arc::new(opened)))
    }

    fn command(&self, process: Process) -> Command {
        conformance::memory::command(process)
    }

    fn patience(&self) -> std::time::Duration {
        std::time::Duration::from_secs(1)
    }
}

#[tokio::test]
async fn every_broken_promise_about_values_is_noticed() {
    for (broken, expected) in ALL {
        let store = MemoryStore::new();
        let report = conformance::run(&Breaking { broken, store }).await;
        let outcome = report.outcomes().iter().find(|o| o.case == expected);
        assert!(
            matches!(outcome, Some(o) if matches!(o.verdict, conformance::Verdict::Failed(_))),
            "{broken:?} went unnoticed:\n{report}"
        );
    }
}
