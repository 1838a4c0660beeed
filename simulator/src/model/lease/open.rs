//! Opens leases: from the call to the state `ready`.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{RwLock, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vim25::types::{
    HttpNfcLeaseCapabilities, HttpNfcLeaseDeviceUrl, HttpNfcLeaseInfo, HttpNfcLeaseMode,
    HttpNfcLeaseState, ImportSpec, TaskInfo, TaskInfoState, VirtualMachineConfigInfo,
    VirtualMachineConfigSpec, VirtualMachineFileInfo, VirtualMachineImportSpec,
    VirtualMachinePowerState,
};
use vim25::{Fault, Poly, Ref, mo};

use super::LeaseRef;
use crate::device::{self, Kind};
use crate::fault;
use crate::guest;
use crate::invocation::{Answer, Invocation, value};
use crate::lease::{Device, Direction, Lease};
use crate::machine::{self, Machine};
use crate::model::virtual_machine::{self, Placement};
use crate::object::{Hidden, Object, Retype};
use crate::script::Reaction;
use crate::shared::{Effect, Later, Shared};
use crate::task;
use crate::world::Transaction;

/// A lease that is being opened.
struct Wish {
    lease: LeaseRef,
    user: String,
    slow: Duration,
    fault: Option<Fault>,
}

/// Handles `ImportVApp` of a resource pool.
pub(in crate::model) fn import(inv: &mut Invocation<'_, '_>) -> Answer {
    let spec: Poly<ImportSpec> = inv.arg("spec")?;
    let folder: Option<Ref<mo::Folder>> = inv.arg("folder")?;
    let host: Option<Ref<mo::HostSystem>> = inv.arg("host")?;
    let malformed = |_| fault::invalid_argument("spec");
    let machine = spec.base::<VirtualMachineImportSpec>().map_err(malformed)?;
    let Some(machine) = machine else {
        // Whole vApps are not imported.
        return Err(fault::unimplemented(&inv.this, "ImportVApp of a vApp"));
    };
    let is_app = inv.this.type_name() == "VirtualApp";
    let folder = match folder {
        // A machine in a vApp is in no folder.
        Some(_) if is_app => return Err(fault::invalid_argument("folder")),
        None if is_app => inv.this.retype(),
        Some(folder) => {
            let types: Vec<String> = inv.tx.object(&folder)?.list("childType")?;
            if !types.iter().any(|ty| ty == "VirtualMachine") {
                return Err(fault::invalid_argument("folder"));
            }
            folder
        }
        None if inv.tx.layout().is_vcenter => return Err(fault::invalid_argument("folder")),
        None => inv.tx.layout().first().vm_folder.clone(),
    };
    let pool: Ref<mo::ResourcePool> = match &machine.res_pool_entity {
        Some(pool) => inv.tx.object(pool)?.reference().retype(),
        None => inv.this.retype(),
    };
    let place = Placement::new(inv.tx, &folder, &pool, host.as_ref())?;
    let mut spec = machine.config_spec.clone();
    let datastore = inv.tx.shared().store.first_in(place.site);
    let datastore = datastore.ok_or_else(fault::no_datastore)?.name.clone();
    let named = spec
        .files
        .as_ref()
        .and_then(|files| files.vm_path_name.as_ref());
    if named.is_none_or(|path| path.trim().is_empty()) {
        spec.files = Some(Box::new(VirtualMachineFileInfo {
            vm_path_name: Some(format!("[{datastore}]")),
            ..Default::default()
        }));
    }
    let wish = wish(inv);
    let lease = wish.lease.clone();
    let begin = Later::new(|shared| import_now(shared, wish, spec, place));
    inv.tx.after(Effect::Then(begin));
    value(&lease)
}

/// Handles `ExportVm` of a machine.
pub(in crate::model) fn export(
    inv: &mut Invocation<'_, '_>,
    vm: Ref<mo::VirtualMachine>,
) -> Answer {
    let state = machine::power_state(inv.this()?)?;
    if state != VirtualMachinePowerState::PoweredOff {
        return Err(fault::invalid_power_state(
            &state,
            Some(VirtualMachinePowerState::PoweredOff),
        ));
    }
    let wish = wish(inv);
    let lease = wish.lease.clone();
    // While the task runs, no other operation on the machine starts.
    let user = wish.user.clone();
    let task = task::open_as(
        inv.tx,
        &user,
        &vm.retype(),
        "VirtualMachine.ExportVmLRO",
        None,
    )?;
    run(inv.tx, &task)?;
    let begin = Later::new(|shared| export_now(shared, wish, vm, task));
    inv.tx.after(Effect::Then(begin));
    value(&lease)
}

/// Creates the managed object of a lease in the state `initializing`.
fn wish(inv: &mut Invocation<'_, '_>) -> Wish {
    let session = inv.caller.session.clone();
    let user = session
        .as_ref()
        .and_then(|session| inv.tx.sessions().user(session))
        .map_or_else(|| "root".to_owned(), |user| user.user_name);
    let number = inv.tx.ids().uuid();
    let session = session.as_deref().unwrap_or_default().to_owned();
    let lease: LeaseRef = Ref::new(&format!("session[{session}]{number}"));
    let mut object = Object::new::<mo::HttpNfcLease>(lease.value());
    object.put("initializeProgress", &0i32);
    object.put("transferProgress", &0i32);
    object.put("mode", &HttpNfcLeaseMode::PushOrGet.as_str().to_owned());
    object.put("capabilities", &HttpNfcLeaseCapabilities::default());
    object.put("state", &HttpNfcLeaseState::Initializing);
    inv.tx.insert(object);
    let mut wish = Wish {
        lease,
        user,
        slow: Duration::ZERO,
        fault: None,
    };
    for reaction in inv.tx.scripted() {
        match reaction {
            Reaction::SlowTask(time) => wish.slow = *time,
            Reaction::TaskFault(fault) => wish.fault = Some(fault.clone()),
            _ => {}
        }
    }
    wish
}

fn run(tx: &mut Transaction<'_>, task: &Ref<mo::Task>) -> Result<(), Fault> {
    tx.edit(task)?.modify("info", |info: &mut TaskInfo| {
        info.state = TaskInfoState::Running;
        info.start_time = Some(Timestamp::now());
    })
}

async fn import_now(
    shared: Arc<Shared>,
    wish: Wish,
    spec: VirtualMachineConfigSpec,
    place: Placement,
) {
    tokio::time::sleep(wish.slow).await;
    let lease = wish.lease.clone();
    let made = Transaction::run(&shared, move |tx| {
        if let Some(fault) = wish.fault {
            return Err(fault);
        }
        let vm = virtual_machine::create(tx, &spec, &place)?;
        let vm: Ref<mo::VirtualMachine> = vm.get().map_err(|_| fault::invalid_state())?;
        let description = "ResourcePool.ImportVAppLRO";
        let begun = task::open_as(tx, &wish.user, &vm.retype(), description, None)
            .and_then(|task| run(tx, &task).map(|()| task))
            .and_then(|task| begin(tx, &wish.lease, &vm, task, Direction::Import));
        if begun.is_err() {
            // The rollback of the transaction does not cover files: delete them.
            let _ = virtual_machine::destroy_now(tx, &vm);
        }
        begun
    });
    settle(&shared, lease, made.await).await;
}

async fn export_now(
    shared: Arc<Shared>,
    wish: Wish,
    vm: Ref<mo::VirtualMachine>,
    task: Ref<mo::Task>,
) {
    tokio::time::sleep(wish.slow).await;
    let (lease, opened) = (wish.lease.clone(), task.clone());
    let made = match wish.fault {
        Some(fault) => Err(fault),
        None => match guest::flush_machine(&shared, &vm).await {
            Err(fault) => Err(fault),
            Ok(()) => {
                Transaction::run(&shared, move |tx| {
                    begin(tx, &wish.lease, &vm, task, Direction::Export)
                })
                .await
            }
        },
    };
    if let Err(fault) = &made {
        task::close(&shared, &opened, &Err(fault.clone()));
    }
    settle(&shared, lease, made).await;
}

/// Starts the timeout of a lease that is ready, or reports why it failed to open.
async fn settle(shared: &Arc<Shared>, reference: LeaseRef, made: Result<Arc<Lease>, Fault>) {
    match made {
        Ok(lease) => shared.spawn(super::watch(Arc::clone(shared), lease)),
        Err(fault) => {
            tracing::debug!(lease = %reference, %fault, "a lease failed");
            let reported = Transaction::run(shared, move |tx| {
                let object = tx.edit(&reference)?;
                if super::is_initializing(object) {
                    super::show_failure(object, &fault);
                }
                Ok(())
            });
            drop(reported.await);
        }
    }
}

/// Puts a lease into the state `ready`.
fn begin(
    tx: &mut Transaction<'_>,
    reference: &LeaseRef,
    vm: &Ref<mo::VirtualMachine>,
    task: Ref<mo::Task>,
    direction: Direction,
) -> Result<Arc<Lease>, Fault> {
    if !super::is_initializing(tx.object(reference)?) {
        return Err(fault::canceled());
    }
    let devices = devices(tx, vm, direction)?;
    let token = uuid::Uuid::new_v4().to_string();
    let host: Ref<mo::HostSystem> = tx.object(vm)?.read("runtime.host")?;
    let thumbprint: String = tx.object(&host)?.read("summary.config.sslThumbprint")?;
    let urls = devices.iter().map(|device| HttpNfcLeaseDeviceUrl {
        key: device.key.clone(),
        import_key: device.import_key.clone(),
        url: format!("https://*/nfc/{token}/{}", device.file),
        ssl_thumbprint: thumbprint.clone(),
        disk: Some(true),
        target_id: Some(device.file.clone()),
        ..Default::default()
    });
    let bytes: u64 = devices.iter().map(|device| device.bytes).sum();
    let seconds = tx.shared().settings.lease.as_secs().max(1);
    let info = HttpNfcLeaseInfo {
        lease: reference.clone(),
        entity: vm.retype(),
        device_url: urls.collect(),
        total_disk_capacity_in_kb: i64::try_from(bytes / 1_024).unwrap_or(i64::MAX),
        lease_timeout: i32::try_from(seconds).unwrap_or(i32::MAX),
        ..Default::default()
    };
    let lease = Arc::new(Lease {
        token,
        direction,
        vm: vm.clone(),
        task,
        devices,
        over: CancellationToken::new(),
        gate: Arc::new(RwLock::new(())),
        alive: watch::Sender::new(Instant::now()),
    });
    let object = tx.edit(reference)?;
    object.put("initializeProgress", &100i32);
    object.put("info", &info);
    object.put("state", &HttpNfcLeaseState::Ready);
    object.hidden = Hidden::Lease(Arc::clone(&lease));
    Ok(lease)
}

/// Returns the disks of a machine, with the names that they have in the lease.
fn devices(
    tx: &Transaction<'_>,
    vm: &Ref<mo::VirtualMachine>,
    direction: Direction,
) -> Result<Vec<Device>, Fault> {
    let config: VirtualMachineConfigInfo = tx.object(vm)?.read("config")?;
    let all = &config.hardware.device;
    let mut devices = Vec::new();
    for disk in all.iter().filter(|device| Kind::of(device) == Kind::Disk) {
        let on = device::int(disk, "controllerKey").unwrap_or(0);
        let controller = all.iter().find(|other| device::key(other) == on);
        let controller = controller.ok_or_else(fault::invalid_state)?;
        let place = format!(
            "{}{}:{}",
            controller.type_name(),
            device::int(controller, "busNumber").unwrap_or(0),
            device::int(disk, "unitNumber").unwrap_or(0)
        );
        let import_key = match direction {
            Direction::Import => format!("/{}/{place}", config.name),
            Direction::Export => String::new(),
        };
        let chain = device::chain(disk);
        let site = Machine::of(tx.object(vm)?)?.vmx.site();
        let path = tx
            .shared()
            .store
            .parse(site, chain.first().map_or("", String::as_str))?;
        let bytes = disk.node().get("capacityInBytes");
        let bytes = bytes.and_then(|bytes| bytes.as_i64()).unwrap_or(0);
        devices.push(Device::new(
            format!("/{}/{place}", vm.value()),
            import_key,
            format!("disk-{}.vmdk", devices.len()),
            path,
            u64::try_from(bytes).unwrap_or(0),
            chain.len() > 1,
        ));
    }
    Ok(devices)
}
