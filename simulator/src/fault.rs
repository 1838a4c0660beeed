//! The faults of the API, with the messages of real servers.

use vim25::types::{
    AlreadyExists, CannotAccessFile, ConcurrentAccess, DatacenterMismatch,
    DatacenterMismatchArgument, DuplicateName, FileAlreadyExists, FileNotFound, FileTooLarge,
    HostNotConnected, InvalidArgument, InvalidCollectorVersion, InvalidDatastore,
    InvalidDatastorePath, InvalidDeviceSpec, InvalidFolder, InvalidLogin, InvalidName,
    InvalidPowerState, InvalidProperty, InvalidRequest, InvalidState, InvalidType, InvalidVmConfig,
    LocalizedMethodFault, ManagedObjectNotFound, MethodDisabled, MethodNotFound, NoDiskSpace,
    NotAuthenticated, NotImplemented, NotSupported, RequestCanceled, RuntimeFault, SystemError,
    TaskInProgress, ToolsUnavailable, VirtualMachinePowerState,
};
use vim25::{AnyRef, Fault, Ref, mo};

use crate::datastore::site::Site;
use crate::object::Retype;

pub(crate) fn not_authenticated(object: Option<&AnyRef>) -> Fault {
    let mut detail = NotAuthenticated::default();
    detail.object = object.cloned();
    detail.privilege_id = Some("System.View".into());
    Fault::new("The session is not authenticated.", detail)
}

pub(crate) fn invalid_login() -> Fault {
    Fault::new(
        "Cannot complete login due to an incorrect user name or password.",
        InvalidLogin::default(),
    )
}

pub(crate) fn not_found(object: &AnyRef) -> Fault {
    let message = format!(
        "The object 'vim.{}:{}' has already been deleted or has not been completely created",
        object.type_name(),
        object.value()
    );
    let mut detail = ManagedObjectNotFound::default();
    detail.obj = object.clone();
    Fault::new(message, detail)
}

pub(crate) fn method_not_found(object: &AnyRef, method: &str) -> Fault {
    let mut detail = MethodNotFound::default();
    detail.receiver = object.clone();
    method.clone_into(&mut detail.method);
    Fault::new(format!("Unable to resolve method {method}"), detail)
}

pub(crate) fn invalid_request(message: impl Into<String>) -> Fault {
    Fault::new(message, InvalidRequest::default())
}

pub(crate) fn not_supported() -> Fault {
    Fault::new(
        "The operation is not supported on the object.",
        NotSupported::default(),
    )
}

pub(crate) fn method_disabled(source: &str) -> Fault {
    let mut detail = MethodDisabled::default();
    detail.source = Some(source.to_owned());
    Fault::new(format!("The method is disabled by '{source}'"), detail)
}

pub(crate) fn not_implemented() -> Fault {
    Fault::new(
        "The method is not implemented by the server.",
        NotImplemented::default(),
    )
}

/// Returns the fault for a method that real servers have and the simulator does not.
pub(crate) fn unimplemented(object: &AnyRef, method: &str) -> Fault {
    let message = format!(
        "The simulator does not implement the method {method} of {}.",
        object.type_name()
    );
    Fault::new(message, NotImplemented::default())
}

pub(crate) fn internal(message: impl Into<String>) -> Fault {
    let message = message.into();
    let mut detail = SystemError::default();
    detail.reason.clone_from(&message);
    Fault::new(message, detail)
}

pub(crate) fn runtime(message: impl Into<String>) -> Fault {
    Fault::new(message, RuntimeFault::default())
}

pub(crate) fn host_not_connected() -> Fault {
    Fault::new(
        "Unable to communicate with the remote host, since it is disconnected.",
        HostNotConnected::default(),
    )
}

/// Returns the fault for a machine that no host is compatible with.
pub(crate) fn no_compatible_host() -> Fault {
    Fault::new(
        "No host is compatible with the virtual machine.",
        vim25::types::NoCompatibleHost::default(),
    )
}

/// Returns the fault for a machine beyond the maximum number of machines of a host. ESXi does not
/// say more than this (<https://github.com/vmware/vic/issues/7815>).
pub(crate) fn too_many_machines() -> Fault {
    Fault::new(
        "A value exceeded the acceptable range.",
        vim25::types::OutOfBounds::default(),
    )
}

pub(crate) fn invalid_argument(name: &str) -> Fault {
    let mut detail = InvalidArgument::default();
    detail.invalid_property = Some(name.to_owned());
    Fault::new(
        format!("A specified parameter was not correct: {name}"),
        detail,
    )
}

/// Returns the fault for entities that are in different datacenters: the argument with this name,
/// which is or has this entity, and the datacenter of the other arguments. vCenter answers with an
/// `InvalidArgument` (<https://github.com/vmware/pyvmomi/issues/458>).
pub(crate) fn other_datacenter(
    name: &str,
    entity: &AnyRef,
    expected: &Ref<mo::Datacenter>,
) -> Fault {
    let words = "The input arguments had entities that did not belong to the same datacenter.";
    let mut cause = DatacenterMismatch::default();
    cause.expected_datacenter = expected.clone();
    cause.invalid_argument = vec![DatacenterMismatchArgument {
        entity: entity.retype(),
        ..Default::default()
    }];
    let cause = Fault::new(words, cause);
    let mut detail = InvalidArgument::default();
    detail.invalid_property = Some(name.to_owned());
    detail.fault_cause = Some(Box::new(LocalizedMethodFault::from(&cause)));
    Fault::new(
        format!("A specified parameter was not correct: {name}"),
        detail,
    )
}

/// Returns the fault for a machine in a datacenter without datastores.
pub(crate) fn no_datastore() -> Fault {
    Fault::new(
        "The datacenter has no datastore.",
        InvalidDatastore::default(),
    )
}

pub(crate) fn invalid_folder(folder: &AnyRef) -> Fault {
    let mut detail = InvalidFolder::default();
    detail.target = folder.retype();
    Fault::new("The folder is not valid for the object.", detail)
}

pub(crate) fn invalid_property(name: &str) -> Fault {
    let mut detail = InvalidProperty::default();
    name.clone_into(&mut detail.name);
    Fault::new(format!("The property '{name}' is not valid."), detail)
}

pub(crate) fn invalid_type(name: &str) -> Fault {
    let mut detail = InvalidType::default();
    detail.argument = Some(name.to_owned());
    Fault::new(format!("The type '{name}' is not valid."), detail)
}

pub(crate) fn invalid_collector_version() -> Fault {
    Fault::new(
        "The version of the property collector is not valid.",
        InvalidCollectorVersion::default(),
    )
}

pub(crate) fn canceled() -> Fault {
    Fault::new(
        "The task was canceled by a user.",
        RequestCanceled::default(),
    )
}

pub(crate) fn invalid_power_state(
    existing: &VirtualMachinePowerState,
    requested: Option<VirtualMachinePowerState>,
) -> Fault {
    let words = match existing {
        VirtualMachinePowerState::PoweredOn => "Powered on",
        VirtualMachinePowerState::Suspended => "Suspended",
        _ => "Powered off",
    };
    let mut detail = InvalidPowerState::default();
    detail.existing_state = existing.clone();
    detail.requested_state = requested;
    Fault::new(
        format!("The attempted operation cannot be performed in the current state ({words})."),
        detail,
    )
}

pub(crate) fn invalid_state() -> Fault {
    Fault::new(
        "The operation is not allowed in the current state.",
        InvalidState::default(),
    )
}

pub(crate) fn duplicate_name(name: &str, object: &AnyRef) -> Fault {
    let mut detail = DuplicateName::default();
    name.clone_into(&mut detail.name);
    detail.object = object.clone();
    Fault::new(format!("The name '{name}' already exists."), detail)
}

pub(crate) fn already_exists(name: &str) -> Fault {
    let mut detail = AlreadyExists::default();
    detail.name = Some(name.to_owned());
    Fault::new(
        format!("The specified key, name, or identifier '{name}' already exists."),
        detail,
    )
}

pub(crate) fn invalid_name(name: &str) -> Fault {
    let mut detail = InvalidName::default();
    name.clone_into(&mut detail.name);
    Fault::new(format!("The name '{name}' is not valid."), detail)
}

pub(crate) fn file_not_found(path: &str) -> Fault {
    let mut detail = FileNotFound::default();
    path.clone_into(&mut detail.file);
    Fault::new(format!("File {path} was not found"), detail)
}

pub(crate) fn file_exists(path: &str) -> Fault {
    let mut detail = FileAlreadyExists::default();
    path.clone_into(&mut detail.file);
    Fault::new(
        format!("Cannot complete the operation because the file or folder {path} already exists"),
        detail,
    )
}

/// Returns the name of the datastore in a path.
fn datastore_of(path: &str) -> String {
    let path = crate::datastore::path::DatastorePath::parse(Site::FIRST, path);
    path.map_or(String::new(), |path| path.datastore().to_owned())
}

/// Converts an error of the file system to a fault. The original text is only logged,
/// because it may contain paths of the simulator's own host.
pub(crate) fn file_fault(path: &str, error: &std::io::Error) -> Fault {
    use std::io::ErrorKind as Kind;
    tracing::debug!(path, %error, "a file cannot be used");
    match error.kind() {
        // A component of the path is a file, or a file was given instead of a folder.
        Kind::NotFound | Kind::NotADirectory => file_not_found(path),
        Kind::AlreadyExists | Kind::DirectoryNotEmpty => file_exists(path),
        Kind::InvalidFilename => invalid_datastore_path(path),
        Kind::StorageFull | Kind::QuotaExceeded => {
            let mut detail = NoDiskSpace::default();
            path.clone_into(&mut detail.file);
            detail.datastore = datastore_of(path);
            let words = format!(
                "Insufficient disk space on datastore '{}'.",
                detail.datastore
            );
            Fault::new(words, detail)
        }
        Kind::FileTooLarge => {
            let mut detail = FileTooLarge::default();
            path.clone_into(&mut detail.file);
            detail.datastore = datastore_of(path);
            Fault::new(
                format!("File {path} is larger than the maximum size supported by its datastore"),
                detail,
            )
        }
        _ => {
            let mut detail = CannotAccessFile::default();
            path.clone_into(&mut detail.file);
            Fault::new(format!("Unable to access file {path}"), detail)
        }
    }
}

pub(crate) fn cannot_create_file(path: &str) -> Fault {
    let mut detail = vim25::types::CannotCreateFile::default();
    path.clone_into(&mut detail.file);
    Fault::new(format!("Cannot create file {path}"), detail)
}

pub(crate) fn cannot_delete(path: &str) -> Fault {
    let mut detail = vim25::types::CannotDeleteFile::default();
    path.clone_into(&mut detail.file);
    Fault::new(format!("Cannot delete file {path}"), detail)
}

/// Returns the fault for a disk with invalid files.
pub(crate) fn invalid_disk(path: &str, words: &str) -> Fault {
    Fault::new(
        format!("The disk {path} cannot be used: {words}"),
        vim25::types::InvalidDiskFormat::default(),
    )
}

/// Returns the fault for a disk that a powered-on machine has open.
pub(crate) fn file_locked(path: &str) -> Fault {
    let mut detail = vim25::types::FileLocked::default();
    path.clone_into(&mut detail.file);
    Fault::new(
        format!("Unable to access file {path} since it is locked"),
        detail,
    )
}

pub(crate) fn invalid_datastore_path(path: &str) -> Fault {
    let mut detail = InvalidDatastorePath::default();
    path.clone_into(&mut detail.datastore_path);
    Fault::new(format!("Invalid datastore path '{path}'."), detail)
}

pub(crate) fn invalid_vm_config(property: &str) -> Fault {
    let mut detail = InvalidVmConfig::default();
    detail.property = Some(property.to_owned());
    Fault::new(
        format!("Invalid virtual machine configuration: {property}."),
        detail,
    )
}

pub(crate) fn invalid_device(index: usize, reason: &str) -> Fault {
    let mut detail = InvalidDeviceSpec::default();
    detail.device_index = i32::try_from(index).unwrap_or(i32::MAX);
    detail.property = Some(format!("configSpec.deviceChange[{index}]"));
    Fault::new(
        format!("Invalid configuration for device '{index}': {reason}."),
        detail,
    )
}

/// Returns the fault for a device beyond the most of its kind.
pub(crate) fn too_many_devices(index: usize) -> Fault {
    let mut detail = vim25::types::TooManyDevices::default();
    detail.base.property = Some(format!("configSpec.deviceChange[{index}]"));
    Fault::new(
        "The maximum number of devices of this type has been exceeded.",
        detail,
    )
}

/// Returns the fault for a change that a device does not allow in its current state.
pub(crate) fn invalid_device_operation(index: usize, reason: &str) -> Fault {
    let mut detail = vim25::types::InvalidDeviceOperation::default();
    detail.device_index = i32::try_from(index).unwrap_or(i32::MAX);
    detail.bad_op = Some(vim25::types::VirtualDeviceConfigSpecOperation::Edit);
    Fault::new(
        format!("Invalid operation for device '{index}'. {reason}."),
        detail,
    )
}

/// Returns the fault for an upgrade of a machine whose virtual hardware is that new already.
pub(crate) fn already_upgraded() -> Fault {
    Fault::new(
        "The virtual hardware of the virtual machine is already up to date.",
        vim25::types::AlreadyUpgraded::default(),
    )
}

/// Returns the fault for an upgrade of a machine without disks.
pub(crate) fn no_disk_found() -> Fault {
    Fault::new(
        "No virtual disks were found in the virtual machine.",
        vim25::types::NoDiskFound::default(),
    )
}

/// Returns the fault for a snapshot that cannot be taken or removed.
pub(crate) fn snapshot(reason: &str) -> Fault {
    Fault::new(
        format!("An error occurred during the snapshot operation: {reason}."),
        vim25::types::SnapshotFault::default(),
    )
}

pub(crate) fn concurrent_access() -> Fault {
    Fault::new(
        "The operation cannot complete because of concurrent modification by another operation.",
        ConcurrentAccess::default(),
    )
}

pub(crate) fn task_in_progress(task: Ref<mo::Task>) -> Fault {
    let mut detail = TaskInProgress::default();
    detail.task = task;
    Fault::new("Another task is already in progress.", detail)
}

pub(crate) fn tools_unavailable() -> Fault {
    Fault::new(
        "Cannot complete operation because VMware Tools is not running in this virtual machine.",
        ToolsUnavailable::default(),
    )
}

pub(crate) fn not_found_key(what: &str) -> Fault {
    Fault::new(
        format!("'{what}' was not found."),
        vim25::types::NotFound::default(),
    )
}

pub(crate) fn resource_in_use(name: &str) -> Fault {
    let mut detail = vim25::types::ResourceInUse::default();
    detail.name = Some(name.to_owned());
    Fault::new(format!("The resource '{name}' is in use."), detail)
}

pub(crate) fn invalid_controller(index: usize, controller: i32) -> Fault {
    let mut detail = vim25::types::InvalidController::default();
    detail.device_index = i32::try_from(index).unwrap_or(i32::MAX);
    detail.controller_key = controller;
    detail.property = Some(format!("configSpec.deviceChange[{index}]"));
    Fault::new(
        format!(
            "The device '{index}' is referring to a nonexisting or unfit controller '{controller}'."
        ),
        detail,
    )
}
