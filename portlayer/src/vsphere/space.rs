//! Explains failures of a datastore without space.

use std::time::Duration;

use vim25::types::NoDiskSpace;
use vsphere_client::Datastore;

use super::endpoint::Endpoint;
use super::host_objects::HostObjects;
use crate::{Error, ErrorKind, Resource};

/// A datastore with less free space counts as full when an upload to it failed for no stated
/// reason. Datastores allocate space in blocks of 1 MiB, and some keep a reserve.
const FULL: u64 = 16 << 20;

/// How long to wait for the free space of a datastore before the error is returned without it.
const LIMIT: Duration = Duration::from_secs(5);

/// Returns whether the endpoint named a full datastore as the cause of the error.
pub(super) fn is_named(error: &Error) -> bool {
    let fault = std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<vsphere_client::Error>());
    fault.is_some_and(vsphere_client::Error::is_fault::<NoDiskSpace>)
}

/// Returns an error that names the datastore, how many bytes were `needed`, and what to do, if a
/// full datastore is the cause; other errors are returned unchanged.
///
/// Not every host reports why an upload failed: some only close the connection. So after such an
/// error, the datastore's free space decides.
pub(super) async fn explain(
    endpoint: &Endpoint,
    objects: &HostObjects,
    resource: &Resource,
    needed: Option<u64>,
    error: Error,
) -> Error {
    let remedy = "removing containers or unused images makes room, and prune removes incomplete \
                  images";
    let datastore = &objects.datastore;
    explain_on(endpoint, datastore, resource, (needed, remedy), error).await
}

/// Like [`explain`], for files on this datastore, with another remedy.
pub(super) async fn explain_on(
    endpoint: &Endpoint,
    datastore: &Datastore,
    resource: &Resource,
    (needed, remedy): (Option<u64>, &str),
    mut error: Error,
) -> Error {
    let is_named = is_named(&error);
    let is_vague = matches!(
        error.kind,
        ErrorKind::Internal | ErrorKind::Unavailable { .. }
    );
    if !is_named && !is_vague {
        return error;
    }
    let free = endpoint.free_space(datastore, resource);
    let free = match tokio::time::timeout(LIMIT, free).await {
        Ok(Ok(free)) => free,
        Ok(Err(unknown)) => {
            tracing::debug!(%resource, error = %unknown, "the free space of the datastore is unknown");
            None
        }
        Err(_elapsed) => None,
    };
    let is_full = free.is_some_and(|free| free < FULL);
    if is_named || is_full {
        error.kind = ErrorKind::Exhausted {
            what: text(datastore.name(), needed, free, remedy).into(),
        };
    }
    error
}

fn text(datastore: &str, needed: Option<u64>, free: Option<u64>, remedy: &str) -> String {
    let needs = needed.map(|bytes| format!("its files need {}", Size(bytes)));
    // The space that a failed upload occupied may already be free again.
    let free = free.filter(|free| needed.is_none_or(|needed| *free < needed));
    let free = free.map(|bytes| format!("{} are free", Size(bytes)));
    let known: Vec<_> = needs.into_iter().chain(free).collect();
    let known = match &known[..] {
        [] => String::new(),
        known => format!("{}; ", known.join(", ")),
    };
    format!("space on datastore {datastore:?} ({known}{remedy})")
}

/// Prints a number of bytes in KiB or MiB.
struct Size(u64);

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 < 1 << 20 {
            return write!(f, "{} KiB", self.0.div_ceil(1 << 10));
        }
        let tenths = self.0.saturating_mul(10) >> 20;
        write!(f, "{}.{} MiB", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_what_is_known() {
        let remedy = "removing images makes room";
        let known = text("ds", Some(300 << 20), Some(3 << 19), remedy);
        assert_eq!(
            known,
            "space on datastore \"ds\" (its files need 300.0 MiB, 1.5 MiB are free; removing \
             images makes room)"
        );
        let freed = text("ds", Some(1 << 20), Some(2 << 20), remedy);
        assert!(
            freed.contains("(its files need 1.0 MiB; removing"),
            "{freed}"
        );
        let small = text("ds", Some(700), None, remedy);
        assert!(small.contains("(its files need 1 KiB; removing"), "{small}");
        let unknown = text("ds", None, None, remedy);
        assert!(unknown.starts_with("space on datastore \"ds\" (removing"));
    }
}
