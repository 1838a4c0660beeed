//! Observes changes, with one poll of the server for all subscribers.
//!
//! [`Client::wait_for`], [`Client::run`], [`Query::watch`](crate::Query::watch) and
//! [`Query::cache`](crate::Query::cache) are subscribers of one engine per client, which starts with the first of them
//! and ends with the client.

mod cache;
mod changes;
mod content;
mod engine;
mod receiver;
mod slot;
mod subscription;

pub use cache::{Cache, CacheLookup, CacheState};
pub use changes::{Change, Changes};

use vim25::types::ManagedObjectNotFound;
use vim25::{AnyRef, Fault, IsA, ManagedObject, Ref};

use crate::client::Client;
use crate::error::{Error, Result};
use crate::property::{PropertySet, Source};

pub(crate) use engine::Handle;
pub(crate) use slot::News;
pub(crate) use subscription::Subscription;

impl Client {
    /// Waits until the values of one or several properties satisfy a condition, and returns
    /// the values. The condition is checked immediately and after every change; a property
    /// without value is `None`. The first check never uses a state older than this call.
    /// Changes in quick succession may be merged, so the condition may not see every state.
    ///
    /// There is no timeout: wrap the future in [`tokio::time::timeout`]. All waits share one
    /// connection. Dropping the future ends the wait and frees the resources it holds on the
    /// server.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use vim25::{Property, Ref, mo, types::VirtualMachinePowerState};
    ///
    /// const STATE: Property<mo::VirtualMachine, VirtualMachinePowerState> =
    ///     Property::new("runtime.powerState");
    ///
    /// # async fn example(client: &vsphere_client::Client, vm: &Ref<mo::VirtualMachine>) -> Result<(), Box<dyn std::error::Error>> {
    /// let off = client.wait_for(vm, STATE, |state| {
    ///     *state == Some(VirtualMachinePowerState::PoweredOff)
    /// });
    /// tokio::time::timeout(Duration::from_secs(60), off).await??;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Fault`] when the object is deleted ([`Error::is_gone`]) or a property cannot
    /// be read; otherwise see [`Error`]. The wait survives an outage of the server for up to
    /// ten times the budget of the [`RetryPolicy`](crate::RetryPolicy).
    pub async fn wait_for<T, M, P>(
        &self,
        object: &Ref<T>,
        properties: P,
        mut condition: impl FnMut(&P::Values) -> bool,
    ) -> Result<P::Values>
    where
        T: ManagedObject + IsA<M>,
        P: PropertySet<M>,
    {
        let object: AnyRef = object.upcast();
        let operation = self.operation("waiting for properties", Some(&object));
        let mut subscription = Subscription::new(
            self.clone(),
            object.type_name(),
            properties.paths(),
            Source::Objects(vec![object.clone()]),
        );
        let mut is_there = false;
        loop {
            match subscription.next().await? {
                News::Entered(content) | News::Changed(content, _) => {
                    is_there = true;
                    let values = properties.values(&content, &operation)?;
                    if condition(&values) {
                        return Ok(values);
                    }
                }
                News::Left(_) => return Err(Error::fault_of(&operation, gone(&object))),
                News::Complete if !is_there => {
                    return Err(Error::fault_of(&operation, gone(&object)));
                }
                News::Complete | News::Resync => {}
            }
        }
    }
}

/// Returns the fault that a server returns for an object that does not exist.
pub(crate) fn gone(object: &AnyRef) -> Fault {
    let detail = ManagedObjectNotFound {
        obj: object.clone(),
        ..ManagedObjectNotFound::default()
    };
    Fault::new(format!("{object} was deleted"), detail)
}
