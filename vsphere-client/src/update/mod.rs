//! Learning of changes, without asking again and again.
//!
//! In this version every wait and every stream has a collector of its own on
//! the server, freed when it ends. What users see does not depend on that.

mod changes;
mod poll;

pub use changes::{Change, Changes};

use vim25::types::{ManagedObjectNotFound, ObjectUpdate, ObjectUpdateKind, PropertyChangeOp};
use vim25::{AnyRef, Fault, IsA, Ref, mo};

use crate::client::Client;
use crate::error::{Error, Result};
use crate::property::{ObjectProperties, PropertySet, Source};

pub(crate) use poll::Poll;

impl Client {
    /// Waits until the values of one or several properties satisfy a
    /// condition, and gives them. They are looked at at once and after every
    /// change; what has no value is `None`.
    ///
    /// There is no limit of time: wrap it in [`tokio::time::timeout`].
    /// Dropping the future ends the wait and frees what it held on the server.
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
    /// [`Error::Fault`] when the object is deleted ([`Error::is_gone`]) or a
    /// property cannot be read; otherwise see [`Error`].
    pub async fn wait_for<T, M, P>(
        &self,
        object: &Ref<T>,
        properties: P,
        mut condition: impl FnMut(&P::Values) -> bool,
    ) -> Result<P::Values>
    where
        T: IsA<M> + IsA<mo::ManagedObject>,
        P: PropertySet<M>,
    {
        let object: AnyRef = object.upcast();
        let operation = self.operation("waiting for properties", Some(&object));
        let paths = properties.paths();
        let mut poll = Poll::new(
            self.clone(),
            object.type_name().to_owned(),
            paths.clone(),
            Source::Objects(vec![object.clone()]),
        );
        let mut content = ObjectProperties::empty(object.clone());
        let mut entered = false;
        loop {
            let updates = poll.next().await?;
            for update in updates.objects {
                if update.obj != object {
                    continue;
                }
                entered = true;
                if update.kind == ObjectUpdateKind::Leave {
                    return Err(Error::fault_of(&operation, gone(&object)));
                }
                if apply(&mut content, update, &paths).is_err() {
                    content = self.read_object(&object, paths.clone()).await?;
                }
            }
            if let Some((_, fault)) = updates
                .missing
                .into_iter()
                .find(|(missing, _)| *missing == object)
            {
                return Err(Error::fault_of(&operation, fault));
            }
            if updates.truncated {
                continue;
            }
            if !entered {
                // Not told of it: ask, so that a deleted object is noticed.
                content = self.read_object(&object, paths.clone()).await?;
            }
            let values = properties.values(&content, &operation)?;
            if condition(&values) {
                return Ok(values);
            }
        }
    }
}

/// A change that names a part of what was asked for: the whole must be read again.
pub(crate) struct Partial;

/// Takes over what a server reported; gives the paths that changed.
pub(crate) fn apply(
    content: &mut ObjectProperties<mo::ManagedObject>,
    update: ObjectUpdate,
    paths: &[String],
) -> Result<Vec<String>, Partial> {
    if update.kind == ObjectUpdateKind::Enter {
        *content = ObjectProperties::empty(update.obj);
    }
    let mut changed = Vec::new();
    for change in update.change_set {
        if !paths.contains(&change.name) {
            return Err(Partial);
        }
        let value = match change.op {
            PropertyChangeOp::Remove | PropertyChangeOp::IndirectRemove => None,
            _ => change.val,
        };
        content.assign(&change.name, value);
        changed.push(change.name);
    }
    for missing in update.missing_set {
        content.miss(&missing.path, missing.fault.into());
        changed.push(missing.path);
    }
    Ok(changed)
}

/// What a server says of an object that does not exist.
pub(crate) fn gone(object: &AnyRef) -> Fault {
    let detail = ManagedObjectNotFound {
        obj: object.clone(),
        ..ManagedObjectNotFound::default()
    };
    Fault::new(format!("{object} was deleted"), detail)
}
