//! The endpoint's faults as the errors of the traits. This is the only place that judges them.

use vim25::types::{
    AlreadyExists, ConcurrentAccess, DuplicateName, FileAlreadyExists, HostCommunication,
    HostNotConnected, InsufficientResourcesFault, InvalidArgument, InvalidLogin, InvalidPowerState,
    InvalidState, ManagedObjectNotFound, NoDiskSpace, NoPermission, NotAuthenticated, OutOfBounds,
    TaskInProgress, VirtualMachinePowerState,
};
use vsphere_client::Error as ClientError;

use crate::{Error, Resource, ResourceKind, StateKind};

/// What went wrong with `resource`.
pub(super) fn error(resource: &Resource, error: ClientError) -> Error {
    let resource = resource.clone();
    match &error {
        ClientError::Timeout { .. } => Error::Timeout {
            resource,
            phase: "the endpoint's answer",
            source: Some(error.into()),
        },
        ClientError::Transport { .. } | ClientError::Tls { .. } => Error::Unavailable {
            resource,
            retry_after: None,
            source: Some(error.into()),
        },
        ClientError::NotAuthenticated { .. } => Error::Unauthenticated {
            resource,
            source: Some(error.into()),
        },
        ClientError::OutcomeUnknown {
            operation, task, ..
        } => {
            let task = match task {
                Some(task) => task.to_string(),
                None => operation.name().to_owned(),
            };
            Error::OutcomeUnknown {
                resource,
                task: task.into(),
                source: Some(error.into()),
            }
        }
        ClientError::Fault { .. } => fault(resource, error),
        ClientError::NotFound { kind, name, .. } => Error::NotFound {
            resource: named(kind, name).unwrap_or(resource),
            source: Some(error.into()),
        },
        ClientError::Ambiguous { kind, .. } => Error::InvalidArgument {
            resource,
            field: field(kind),
            source: Some(error.into()),
        },
        _ => Error::internal(resource, error),
    }
}

fn fault(resource: Resource, error: ClientError) -> Error {
    let is_power_state = |state| {
        error
            .fault::<InvalidPowerState>()
            .is_some_and(|fault| fault.existing_state == state)
    };
    if error.is_gone() || error.is_fault::<ManagedObjectNotFound>() {
        Error::NotFound {
            resource,
            source: Some(error.into()),
        }
    } else if error.is_fault::<ConcurrentAccess>() || error.is_fault::<TaskInProgress>() {
        Error::Conflict {
            resource,
            changed: Box::new([]),
            source: Some(error.into()),
        }
    } else if error.is_fault::<DuplicateName>()
        || error.is_fault::<AlreadyExists>()
        || error.is_fault::<FileAlreadyExists>()
    {
        Error::AlreadyExists {
            resource,
            source: Some(error.into()),
        }
    } else if error.is_fault::<InvalidLogin>() || error.is_fault::<NotAuthenticated>() {
        Error::Unauthenticated {
            resource,
            source: Some(error.into()),
        }
    } else if error.is_fault::<NoPermission>() {
        Error::PermissionDenied {
            resource,
            source: Some(error.into()),
        }
    } else if error.is_fault::<InsufficientResourcesFault>() || error.is_fault::<NoDiskSpace>() {
        Error::Exhausted {
            resource,
            what: "resources".into(),
            source: Some(error.into()),
        }
    } else if error.is_fault::<HostCommunication>() || error.is_fault::<HostNotConnected>() {
        Error::Unavailable {
            resource,
            retry_after: None,
            source: Some(error.into()),
        }
    } else if is_power_state(VirtualMachinePowerState::PoweredOn) {
        invalid_state(resource, StateKind::Running, error)
    } else if is_power_state(VirtualMachinePowerState::PoweredOff) {
        invalid_state(resource, StateKind::Stopped, error)
    } else if error.is_fault::<InvalidState>() {
        // The machine moved between looking and acting.
        Error::Conflict {
            resource,
            changed: Box::new([]),
            source: Some(error.into()),
        }
    } else if error.is_fault::<InvalidArgument>() || error.is_fault::<OutOfBounds>() {
        Error::InvalidArgument {
            resource,
            field: "specification",
            source: Some(error.into()),
        }
    } else {
        Error::internal(resource, error)
    }
}

fn invalid_state(resource: Resource, actual: StateKind, error: ClientError) -> Error {
    Error::InvalidState {
        resource,
        actual,
        allowed: &[],
        source: Some(error.into()),
    }
}

/// The resource that the client names in its own words.
fn named(kind: &str, name: &str) -> Option<Resource> {
    let kind = match kind {
        "datacenter" => ResourceKind::Datacenter,
        "datastore" => ResourceKind::Datastore,
        "network" => ResourceKind::Network,
        // Pools are looked up only as the place of a new host.
        "resource pool" => ResourceKind::ComputeResource,
        "virtual machine" => ResourceKind::VirtualMachine,
        "file" => ResourceKind::File,
        _ => return None,
    };
    Some(Resource::new(kind, name))
}

fn field(kind: &str) -> &'static str {
    match kind {
        "datacenter" => "datacenter",
        "datastore" => "datastore",
        "network" => "bridge_network",
        _ => "compute",
    }
}
