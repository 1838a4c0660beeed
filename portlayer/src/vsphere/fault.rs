//! Converts the endpoint's faults to the errors of the port layer. No other module interprets
//! faults.

use vim25::types::{
    AlreadyExists, ConcurrentAccess, DuplicateName, FileAlreadyExists, HostCommunication,
    HostNotConnected, InsufficientResourcesFault, InvalidArgument, InvalidLogin, InvalidPowerState,
    InvalidState, ManagedObjectNotFound, NoDiskSpace, NoPermission, NotAuthenticated, OutOfBounds,
    TaskInProgress, Timedout, VirtualMachinePowerState,
};
use vsphere_client::{EntityKind, Error as ClientError};

use super::kind;
use crate::{Error, ErrorKind, Resource, ResourceKind, StateKind};

/// Converts an error of the client to one about `resource`.
pub(super) fn error(resource: &Resource, error: ClientError) -> Error {
    let resource = resource.clone();
    let judged = match &error {
        ClientError::Timeout { .. } => Error::timeout(resource, "the endpoint's response"),
        ClientError::Transport { .. } | ClientError::Tls { .. } => {
            Error::unavailable(resource, None)
        }
        ClientError::NotAuthenticated { .. } => Error::unauthenticated(resource),
        ClientError::OutcomeUnknown {
            operation, task, ..
        } => {
            let task = match task {
                Some(task) => task.to_string(),
                None => operation.name().to_owned(),
            };
            Error::outcome_unknown(resource, task)
        }
        ClientError::Fault { .. } => Error::new(fault(&error), resource),
        ClientError::NotFound { kind, name, .. } => {
            Error::not_found(named(*kind, name).unwrap_or(resource))
        }
        ClientError::Ambiguous { kind, .. } => {
            let field = field(*kind);
            Error::new(ErrorKind::InvalidArgument { field }, resource)
        }
        _ => Error::new(ErrorKind::Internal, resource),
    };
    judged.with_source(error)
}

fn fault(error: &ClientError) -> ErrorKind {
    let is_power_state = |state| {
        error
            .fault::<InvalidPowerState>()
            .is_some_and(|fault| fault.existing_state == state)
    };
    let conflict = || ErrorKind::Conflict {
        changed: Box::new([]),
    };
    let invalid_state = |actual| ErrorKind::InvalidState {
        actual,
        allowed: &[],
    };
    if error.is_gone() || error.is_fault::<ManagedObjectNotFound>() {
        ErrorKind::NotFound
    } else if error.is_fault::<ConcurrentAccess>() || error.is_fault::<TaskInProgress>() {
        conflict()
    } else if error.is_fault::<DuplicateName>()
        || error.is_fault::<AlreadyExists>()
        || error.is_fault::<FileAlreadyExists>()
    {
        ErrorKind::AlreadyExists
    } else if error.is_fault::<InvalidLogin>() || error.is_fault::<NotAuthenticated>() {
        ErrorKind::Unauthenticated
    } else if error.is_fault::<NoPermission>() {
        ErrorKind::PermissionDenied
    } else if error.is_fault::<NoDiskSpace>() {
        let full = error.fault::<NoDiskSpace>().unwrap_or_default();
        ErrorKind::Exhausted {
            what: match &*full.datastore {
                "" => "space on the datastore".into(),
                datastore => format!("space on datastore {datastore:?}").into(),
            },
        }
    } else if error.is_fault::<InsufficientResourcesFault>() {
        ErrorKind::Exhausted {
            what: "resources".into(),
        }
    } else if error.is_fault::<Timedout>() {
        ErrorKind::Timeout {
            phase: "an operation of the endpoint",
        }
    } else if error.is_fault::<HostCommunication>() || error.is_fault::<HostNotConnected>() {
        ErrorKind::Unavailable { retry_after: None }
    } else if is_power_state(VirtualMachinePowerState::PoweredOn) {
        invalid_state(StateKind::Running)
    } else if is_power_state(VirtualMachinePowerState::PoweredOff) {
        invalid_state(StateKind::Stopped)
    } else if error.is_fault::<InvalidState>() {
        // The machine changed its state after it was read.
        conflict()
    } else if error.is_fault::<InvalidArgument>() || error.is_fault::<OutOfBounds>() {
        ErrorKind::InvalidArgument {
            field: "specification",
        }
    } else {
        ErrorKind::Internal
    }
}

/// Converts the client's kind of object to a resource of the port layer.
fn named(kind: EntityKind, name: &str) -> Option<Resource> {
    let kind = match kind {
        EntityKind::Datacenter => kind::DATACENTER,
        EntityKind::Datastore => kind::DATASTORE,
        EntityKind::Network => ResourceKind::Network,
        // Pools are only looked up by name to install a host in them.
        EntityKind::ResourcePool => kind::COMPUTE_RESOURCE,
        EntityKind::File => kind::FILE,
        _ => return None,
    };
    Some(Resource::new(kind, name))
}

fn field(kind: EntityKind) -> &'static str {
    match kind {
        EntityKind::Datacenter => "datacenter",
        EntityKind::Datastore => "datastore",
        EntityKind::Network => "bridge_network",
        _ => "compute",
    }
}
