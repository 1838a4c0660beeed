//! Which objects are read or watched.

use vim25::types::{ObjectSpec, TraversalSpec};
use vim25::{AnyRef, Poly, Ref, mo};

use crate::client::Client;
use crate::error::{Error, Result};

/// Where the objects come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// These.
    Objects(Vec<AnyRef>),
    /// Those that a property of an object names.
    Along(AnyRef, &'static str),
    /// Those anywhere below an object.
    Within(AnyRef),
}

impl Source {
    /// The objects as the server wants to be told. A view that this needs on
    /// the server is put into `view`, for the caller to destroy.
    pub(crate) async fn open(
        &self,
        client: &Client,
        type_name: &str,
        view: &mut Option<Ref<mo::ContainerView>>,
    ) -> Result<Vec<ObjectSpec>> {
        match self {
            Self::Objects(objects) => Ok(objects
                .iter()
                .map(|object| ObjectSpec {
                    obj: object.clone(),
                    ..ObjectSpec::default()
                })
                .collect()),
            Self::Along(start, path) => Ok(vec![traversal(start.clone(), start.type_name(), path)]),
            Self::Within(container) => {
                let manager = client.service_content().view_manager.as_ref();
                let manager = manager
                    .ok_or_else(|| Error::config(format!("{} offers no views", client.server())))?;
                let Some(container) = container.downcast::<mo::ManagedEntity>() else {
                    return Err(Error::config(format!("{container} contains nothing")));
                };
                let call = manager.create_container_view(&container, &[type_name.to_owned()], true);
                let created = client.call(call).await?;
                let start = created.upcast();
                *view = Some(created);
                Ok(vec![traversal(start, "ContainerView", "view")])
            }
        }
    }
}

/// The objects that a property of `start` names, without `start` itself.
fn traversal(start: AnyRef, type_name: &str, path: &str) -> ObjectSpec {
    ObjectSpec {
        obj: start,
        skip: Some(true),
        select_set: vec![Poly::new(TraversalSpec {
            type_: type_name.to_owned(),
            path: path.to_owned(),
            skip: Some(false),
            ..TraversalSpec::default()
        })],
    }
}
