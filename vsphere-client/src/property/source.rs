//! The selection of objects that are read or watched.

use tokio::sync::oneshot;
use tracing::Instrument as _;
use vim25::types::{ObjectSpec, TraversalSpec};
use vim25::{AnyRef, Call, Poly, Ref, mo};

use crate::client::Client;
use crate::error::{Error, LoginProblem, Result};

/// The selection of objects.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// These objects.
    Objects(Vec<AnyRef>),
    /// The objects that some properties of these objects refer to.
    Along(Vec<(AnyRef, Vec<&'static str>)>),
    /// The objects anywhere below an object.
    Within(AnyRef),
}

impl Source {
    /// Returns the selection in the form that the server expects. If a view has to be created
    /// on the server, it is stored in `view`, and the caller has to destroy it.
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
            Self::Along(starts) => Ok(starts
                .iter()
                .map(|(start, paths)| traversal(start.clone(), start.type_name(), paths))
                .collect()),
            Self::Within(container) => {
                let manager = client.service_content().view_manager.as_ref();
                let manager =
                    manager.ok_or_else(|| Error::unsupported("views", client.server()))?;
                let Some(container) = container.downcast::<mo::ManagedEntity>() else {
                    return Err(Error::WrongType {
                        name: container.value().into(),
                        found: container.type_name().into(),
                        expected: "container of managed entities",
                    });
                };
                let call = manager.create_container_view(&container, &[type_name.to_owned()], true);
                let created = create(client, call).await?;
                let start = created.upcast();
                *view = Some(created);
                Ok(vec![traversal(start, "ContainerView", &["view"])])
            }
        }
    }

    /// Returns whether an object is found by the selection, rather than named in it by the
    /// caller.
    pub(crate) fn finds(&self, object: &AnyRef) -> bool {
        match self {
            Self::Objects(_) => false,
            Self::Along(_) | Self::Within(_) => !self.starts_at(object),
        }
    }

    /// Returns whether the selection starts at an object.
    pub(crate) fn starts_at(&self, object: &AnyRef) -> bool {
        match self {
            Self::Objects(_) => false,
            Self::Along(starts) => starts.iter().any(|(start, _)| start == object),
            Self::Within(start) => start == object,
        }
    }
}

/// Creates a view in a task of its own, so that a caller that is dropped during the call leaves no view
/// on the server.
async fn create(
    client: &Client,
    call: Call<Ref<mo::ContainerView>>,
) -> Result<Ref<mo::ContainerView>> {
    let (creator, (created, caller)) = (client.clone(), oneshot::channel());
    let creating = async move {
        let view = creator.call(call).await;
        let view = view.map(|view| NewView {
            client: creator,
            view,
            is_taken: false,
        });
        // Dropping the view destroys it.
        drop(created.send(view));
    };
    tokio::spawn(creating.in_current_span());
    match caller.await {
        Ok(view) => {
            let mut view = view?;
            let owned = view.view.clone();
            view.is_taken = true;
            Ok(owned)
        }
        // The runtime is being shut down.
        Err(_) => {
            let operation = client.operation("CreateContainerView", None);
            Err(client.not_authenticated(&operation, LoginProblem::Closed, None))
        }
    }
}

/// A view that is destroyed unless the caller has taken it.
struct NewView {
    client: Client,
    view: Ref<mo::ContainerView>,
    is_taken: bool,
}

impl Drop for NewView {
    fn drop(&mut self) {
        if !self.is_taken {
            self.client.call_later(&self.view.destroy_view());
        }
    }
}

/// Returns a traversal to the objects that properties of `start` refer to, without `start`.
fn traversal(start: AnyRef, type_name: &str, paths: &[&str]) -> ObjectSpec {
    let step = |path: &&str| {
        Poly::new(TraversalSpec {
            type_: type_name.to_owned(),
            path: (*path).to_owned(),
            skip: Some(false),
            ..TraversalSpec::default()
        })
    };
    ObjectSpec {
        obj: start,
        skip: Some(true),
        select_set: paths.iter().map(step).collect(),
    }
}
