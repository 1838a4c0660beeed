//! Small values that front ends store.

use bytes::Bytes;
use futures_util::future::join_all;

use crate::conformance::check::{Bench, Check, Failure, ensure, ensure_eq};
use crate::store::{Expect, Versioned};
use crate::{ContainerId, Error, ErrorKind};

/// Returns a unique prefix for keys.
fn unique() -> String {
    format!("conformance/{}/", ContainerId::generate().short())
}

fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

pub(super) async fn a_value_is_read_back_listed_and_deleted(bench: &Bench<'_>) -> Check {
    let (store, prefix) = (bench.store(), unique());
    let (key, other) = (format!("{prefix}b c~"), format!("{prefix}a"));
    ensure_eq!(store.get(&key).await?, None);
    let first = store.put(&key, text("one"), Expect::Any).await?;
    ensure_eq!(
        store.get(&key).await?,
        Some(Versioned::new(text("one"), first))
    );
    let second = store.put(&key, text("two"), Expect::Any).await?;
    ensure!(second == first, false);
    ensure_eq!(
        store.get(&key).await?,
        Some(Versioned::new(text("two"), second))
    );
    // Values may contain any bytes, or be empty.
    store.put(&other, text("\0\u{ff}"), Expect::Any).await?;
    store.put(&other, Bytes::new(), Expect::Any).await?;
    let empty = store.get(&other).await?.map(|stored| stored.value);
    ensure_eq!(empty, Some(Bytes::new()));
    ensure_eq!(store.keys(&prefix).await?, [other.clone(), key.clone()]);
    ensure_eq!(store.keys(&key).await?, std::slice::from_ref(&key));
    store.delete(&key, Expect::Any).await?;
    store.delete(&key, Expect::Any).await?;
    store.delete(&other, Expect::Any).await?;
    ensure_eq!(store.get(&key).await?, None);
    ensure_eq!(store.keys(&prefix).await?, [""; 0]);
    Ok(())
}

pub(super) async fn a_precondition_that_fails_changes_nothing(bench: &Bench<'_>) -> Check {
    let (store, key) = (bench.store(), unique());
    let first = store.put(&key, text("one"), Expect::Absent).await?;
    let second = store
        .put(&key, text("two"), Expect::Revision(first))
        .await?;
    for expect in [Expect::Absent, Expect::Revision(first)] {
        ensure!(
            store.put(&key, text("three"), expect).await,
            Err(ref error) if error.is_conflict()
        );
        ensure!(
            store.delete(&key, expect).await,
            Err(ref error) if error.is_conflict()
        );
    }
    ensure_eq!(
        store.get(&key).await?,
        Some(Versioned::new(text("two"), second))
    );
    store.delete(&key, Expect::Revision(second)).await?;
    // A deleted value cannot be replaced, even with its last revision.
    ensure!(
        store.put(&key, text("four"), Expect::Revision(second)).await,
        Err(ref error) if error.is_conflict()
    );
    let third = store.put(&key, text("two"), Expect::Absent).await?;
    ensure!(third == first || third == second, false);
    store.delete(&key, Expect::Any).await?;
    Ok(())
}

pub(super) async fn of_many_changes_of_one_revision_one_wins(bench: &Bench<'_>) -> Check {
    let (store, key) = (bench.store(), unique());
    let first = store.put(&key, text("first"), Expect::Any).await?;
    let changes = (0_u8..8).map(|n| {
        let value = Bytes::copy_from_slice(&[n]);
        store.put(&key, value, Expect::Revision(first))
    });
    let results = join_all(changes).await;
    let winners: Vec<_> = results.iter().filter_map(|r| r.as_ref().ok()).collect();
    ensure_eq!(winners.len(), 1);
    for result in &results {
        ensure!(
            result,
            Ok(_)
                | Err(Error {
                    kind: ErrorKind::Conflict { .. },
                    ..
                })
        );
    }
    let stored = store.get(&key).await?.map(|stored| stored.revision);
    ensure_eq!(stored.as_ref(), winners.first().copied());
    store.delete(&key, Expect::Any).await?;
    Ok(())
}

pub(super) async fn a_bad_key_or_value_is_refused(bench: &Bench<'_>) -> Check {
    let (store, prefix) = (bench.store(), unique());
    for bad in [
        String::new(),
        format!("{prefix}\n"),
        format!("{prefix}ä"),
        format!("{prefix}{}", "k".repeat(200)),
    ] {
        ensure!(
            store.put(&bad, text("x"), Expect::Any).await,
            Err(Error {
                kind: ErrorKind::InvalidArgument { field: "key" },
                ..
            })
        );
        ensure!(
            store.get(&bad).await,
            Err(Error {
                kind: ErrorKind::InvalidArgument { field: "key" },
                ..
            })
        );
    }
    let most = Bytes::from(vec![7; 48 * 1024]);
    let more = Bytes::from(vec![7; 48 * 1024 + 1]);
    ensure!(
        store.put(&prefix, more, Expect::Any).await,
        Err(Error {
            kind: ErrorKind::InvalidArgument { field: "value" },
            ..
        })
    );
    ensure_eq!(store.keys(&prefix).await?, [""; 0]);
    store.put(&prefix, most.clone(), Expect::Any).await?;
    let stored = store.get(&prefix).await?.map(|stored| stored.value);
    ensure!(stored == Some(most), true);
    store.delete(&prefix, Expect::Any).await?;
    Ok(())
}

pub(super) async fn values_stay_with_the_host(bench: &Bench<'_>) -> Check {
    let key = unique();
    let revision = bench.store().put(&key, text("one"), Expect::Any).await?;
    let other = bench.reopen().await?;
    ensure_eq!(
        other.store().get(&key).await?,
        Some(Versioned::new(text("one"), revision))
    );
    other
        .store()
        .delete(&key, Expect::Revision(revision))
        .await?;
    ensure_eq!(bench.store().get(&key).await?, None);
    Ok(())
}
