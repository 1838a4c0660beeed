//! One collector on the server and the filter in it, polled.

use std::time::Duration;

use vim25::types::{
    InvalidCollectorVersion, ManagedObjectNotFound, ObjectUpdate, PropertyFilterSpec, PropertySpec,
    UpdateSet, WaitOptions,
};
use vim25::{AnyRef, Fault, Outcome, Ref, mo};

use crate::client::Client;
use crate::error::{Error, Result};
use crate::property::Source;

/// How long the server keeps one poll open. Short enough that nothing between
/// here and there takes the connection for dead.
const POLL: Duration = Duration::from_secs(30);

/// How long it keeps the first one open, if there is nothing to tell: a server
/// may have nothing to say of an object that was deleted just now.
const FIRST_POLL: Duration = Duration::from_secs(2);

/// How often in a row the collector may be lost before that is an error.
const LOSSES: u32 = 3;

/// A filter on the server; dropping it frees what it holds there.
#[derive(Debug)]
pub(crate) struct Poll {
    client: Client,
    type_name: String,
    paths: Vec<String>,
    source: Source,
    collector: Option<Ref<mo::PropertyCollector>>,
    view: Option<Ref<mo::ContainerView>>,
    version: Option<String>,
    losses: u32,
    /// Whether the server was asked since the filter was made.
    asked: bool,
}

/// What one poll brought.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    pub objects: Vec<ObjectUpdate>,
    /// Objects that were asked for and cannot be found.
    pub missing: Vec<(AnyRef, Fault)>,
    /// More is to come before the picture is complete.
    pub truncated: bool,
    /// The collector was lost: every object that still exists enters anew.
    pub resync: bool,
}

impl Poll {
    pub(crate) const fn new(
        client: Client,
        type_name: String,
        paths: Vec<String>,
        source: Source,
    ) -> Self {
        Self {
            client,
            type_name,
            paths,
            source,
            collector: None,
            view: None,
            version: None,
            losses: 0,
            asked: false,
        }
    }

    /// The next changes; at first the state, which may be that there is
    /// nothing. Then waits for as long as it takes.
    ///
    /// Dropping the future loses nothing: the next call resumes at the same version.
    pub(crate) async fn next(&mut self) -> Result<Updates> {
        let mut resync = false;
        loop {
            let first = !self.asked;
            match self.poll().await {
                Ok(None) => {
                    self.losses = 0;
                    if first {
                        return Ok(Updates {
                            resync,
                            ..Updates::default()
                        });
                    }
                }
                Ok(Some(set)) => {
                    self.losses = 0;
                    self.version = Some(set.version);
                    let mut updates = Updates {
                        truncated: set.truncated == Some(true),
                        resync,
                        ..Updates::default()
                    };
                    for filter in set.filter_set {
                        updates.objects.extend(filter.object_set);
                        let missing = filter.missing_set.into_iter();
                        updates
                            .missing
                            .extend(missing.map(|missing| (missing.obj, missing.fault.into())));
                    }
                    return Ok(updates);
                }
                Err(error) if self.is_lost(&error) && self.losses < LOSSES => {
                    // It went with its session; the client has a new one by now.
                    self.losses += 1;
                    self.collector = None;
                    self.view = None;
                    self.version = None;
                    resync = true;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn is_lost(&self, error: &Error) -> bool {
        let gone = error
            .fault::<ManagedObjectNotFound>()
            .map(|fault| fault.obj);
        let own = |object: &AnyRef| {
            let collector = self.collector.as_ref().map(Ref::value);
            let view = self.view.as_ref().map(Ref::value);
            Some(object.value()) == collector || Some(object.value()) == view
        };
        error.is_fault::<InvalidCollectorVersion>() || gone.is_some_and(|gone| own(&gone))
    }

    async fn poll(&mut self) -> Result<Option<UpdateSet>> {
        let collector = match &self.collector {
            Some(collector) => collector.clone(),
            None => self.open().await?,
        };
        let wait = if self.asked { POLL } else { FIRST_POLL };
        let options = WaitOptions {
            max_wait_seconds: i32::try_from(wait.as_secs()).ok(),
            ..WaitOptions::default()
        };
        let call = collector.wait_for_updates_ex(self.version.as_deref(), Some(&options));
        let value = self.client.call_slow(call.untyped(), wait).await?;
        self.asked = true;
        Option::<UpdateSet>::from_value(&value).map_err(|error| {
            let operation = self.client.operation(call.method(), Some(call.this()));
            Error::unconvertible(&operation, error)
        })
    }

    /// Makes the collector and its filter.
    async fn open(&mut self) -> Result<Ref<mo::PropertyCollector>> {
        let objects = self
            .source
            .open(&self.client, &self.type_name, &mut self.view)
            .await?;
        let create = self.client.property_collector().create_property_collector();
        let collector = self.client.call(create).await?;
        self.collector = Some(collector.clone());
        self.asked = false;
        let spec = PropertyFilterSpec {
            prop_set: vec![PropertySpec {
                type_: self.type_name.clone(),
                all: Some(false),
                path_set: self.paths.clone(),
            }],
            object_set: objects,
            ..PropertyFilterSpec::default()
        };
        // Changes within a property are to come as the whole property.
        let filter = self
            .client
            .call(collector.create_filter(&spec, false))
            .await;
        match filter {
            Ok(_) => Ok(collector),
            Err(error) => {
                self.free();
                Err(error)
            }
        }
    }

    fn free(&mut self) {
        self.version = None;
        if let Some(collector) = self.collector.take() {
            self.client
                .call_later(&collector.destroy_property_collector());
        }
        if let Some(view) = self.view.take() {
            self.client.call_later(&view.destroy_view());
        }
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        self.free();
    }
}
