//! Stored values in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use crate::Result;
use crate::store::{Expect, Revision, Store, Versioned, check_key, check_value};

/// An in-memory store of a front end's values. Clones share the values.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    values: Arc<Mutex<Values>>,
}

#[derive(Debug, Default)]
struct Values {
    stored: BTreeMap<String, Versioned>,
    /// The number of changes so far, used as revision, so that no revision is used twice.
    changes: u64,
}

impl MemoryStore {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Values> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &str) -> Result<Option<Versioned>> {
        check_key(key)?;
        Ok(self.lock().stored.get(key).cloned())
    }

    async fn put(&self, key: &str, value: Bytes, expect: Expect) -> Result<Revision> {
        check_key(key)?;
        check_value(key, &value)?;
        let mut values = self.lock();
        expect.check(key, values.stored.get(key))?;
        values.changes += 1;
        let revision = Revision::new(values.changes);
        let value = Versioned::new(value, revision);
        values.stored.insert(key.to_owned(), value);
        Ok(revision)
    }

    async fn delete(&self, key: &str, expect: Expect) -> Result<()> {
        check_key(key)?;
        let mut values = self.lock();
        expect.check(key, values.stored.get(key))?;
        values.stored.remove(key);
        Ok(())
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let values = self.lock();
        let keys = values.stored.keys();
        Ok(keys
            .filter(|key| key.starts_with(prefix))
            .cloned()
            .collect())
    }
}
