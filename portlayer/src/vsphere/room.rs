//! Explains why no more machines can be created.

use super::endpoint::{Endpoint, Registered};
use super::host_objects::HostObjects;
use super::index::Index;
use super::space;
use crate::{Error, ErrorKind, Resource};

/// Returns an error that names the limit if a machine could not be created because the endpoint has
/// reached its maximum number of machines, or because its datastore is full; other errors are
/// returned unchanged.
///
/// `needed` is the number of bytes that the machine would occupy, if known.
///
/// ESXi refuses the 513th machine with a fault that does not name the limit
/// (<https://github.com/vmware/vic/issues/7815>), so the machines are counted after a failure.
pub(super) async fn explain(
    endpoint: &Endpoint,
    objects: &HostObjects,
    index: &Index,
    resource: &Resource,
    needed: Option<u64>,
    error: Error,
) -> Error {
    if space::is_named(&error) {
        return space::explain(endpoint, objects, resource, needed, error).await;
    }
    let is_possible = matches!(
        error.kind,
        ErrorKind::InvalidArgument { .. } | ErrorKind::Exhausted { .. } | ErrorKind::Internal
    );
    if !is_possible {
        return error;
    }
    let registered = match endpoint.full_hosts(&objects.pool, resource).await {
        Ok(Some(registered)) => registered,
        Ok(None) => return error,
        Err(unknown) => {
            tracing::debug!(%resource, error = %unknown, "cannot count the machines of the endpoint");
            return error;
        }
    };
    let images = index.images().await.map_or(0, |images| images.len());
    Error::exhausted(resource.clone(), text(registered, images)).with_source(error)
}

fn text(Registered { machines, limit }: Registered, images: usize) -> String {
    format!(
        "room for another machine ({machines} of at most {limit} are registered on ESXi, {images} \
         of them hold images of this host; removing containers or unused images makes room, and \
         prune removes incomplete images)"
    )
}
