//! Guest operations: starting programs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use vim25::soap::Request;
use vim25::types::{
    GuestAuthentication, GuestOperationsUnavailable, GuestProgramSpec, InvalidGuestLogin,
    NamePasswordAuthentication, TooManyGuestLogons, VirtualMachinePowerState,
};
use vim25::{Fault, Poly, Ref, mo};

use crate::fault;
use crate::guest::{GuestProgram, GuestProgramRefusal, Order};
use crate::invocation::{Answer, Caller, value};
use crate::machine::{self, Machine};
use crate::object::Object;
use crate::shared::Shared;
use crate::world::Transaction;

/// The time that the guest has to respond to a request.
const PATIENCE: Duration = Duration::from_secs(10);

const PROCESSES: &str = "ha-guest-operations-process-manager";

pub(super) fn build(tx: &mut Transaction<'_>) {
    let auth: Ref<mo::GuestAuthManager> = Ref::new("ha-guest-operations-auth-manager");
    let files: Ref<mo::GuestFileManager> = Ref::new("ha-guest-operations-file-manager");
    let processes: Ref<mo::GuestProcessManager> = Ref::new(PROCESSES);
    let mut manager = Object::new::<mo::GuestOperationsManager>(tx.layout().guest_operations);
    manager.put("authManager", &auth);
    manager.put("fileManager", &files);
    manager.put("processManager", &processes);
    tx.insert(manager);
    tx.insert(Object::new::<mo::GuestAuthManager>(auth.value()));
    tx.insert(Object::new::<mo::GuestFileManager>(files.value()));
    tx.insert(Object::new::<mo::GuestProcessManager>(processes.value()));
}

/// Handles `StartProgramInGuest`, waiting for the guest outside of transactions.
pub(crate) async fn start_program(
    shared: &Arc<Shared>,
    caller: &Caller,
    request: &Request,
) -> Answer {
    let asking = ask(shared, caller, request)?;
    match asking.to.try_send(asking.program) {
        Ok(()) => {}
        Err(mpsc::error::TrySendError::Full(_)) => return Err(too_many()),
        Err(mpsc::error::TrySendError::Closed(_)) => return Err(unavailable()),
    }
    let answered = tokio::time::timeout(PATIENCE, async { asking.answer.await.ok() });
    match answered.await.ok().flatten() {
        Some(Ok(pid)) => value(&pid),
        Some(Err(refusal)) => Err(refused(refusal, &asking.path)),
        None => Err(unavailable()),
    }
}

struct Asking {
    to: mpsc::Sender<Box<GuestProgram>>,
    program: Box<GuestProgram>,
    answer: oneshot::Receiver<Result<i64, GuestProgramRefusal>>,
    path: String,
}

fn ask(shared: &Arc<Shared>, caller: &Caller, request: &Request) -> Result<Asking, Fault> {
    let this = request.this.as_ref();
    let this = this.ok_or_else(|| fault::invalid_request("the request names no object"))?;
    let tx = Transaction::begin(shared)?;
    if caller.session.is_none() {
        return Err(fault::not_authenticated(Some(this)));
    }
    let object = tx.visible(this, caller.session.as_ref())?;
    if !object.is_a("GuestProcessManager") {
        return Err(fault::method_not_found(this, &request.method));
    }
    let wrong = |name: &'static str| move |_| fault::invalid_argument(name);
    let vm: Ref<mo::VirtualMachine> = request.argument("vm").map_err(wrong("vm"))?;
    let auth: Poly<GuestAuthentication> = request.argument("auth").map_err(wrong("auth"))?;
    let spec: Poly<GuestProgramSpec> = request.argument("spec").map_err(wrong("spec"))?;
    let login = auth.view::<NamePasswordAuthentication>();
    let login = login.ok_or_else(invalid_login)?;
    let spec = spec.view::<GuestProgramSpec>();
    let spec = spec.ok_or_else(|| fault::invalid_argument("spec"))?;
    let object = tx.object(&vm)?;
    let state = machine::power_state(object)?;
    let cycle = match &Machine::of(object)?.cycle {
        Some(cycle) if state == VirtualMachinePowerState::PoweredOn => cycle,
        _ => {
            return Err(fault::invalid_power_state(
                &state,
                Some(VirtualMachinePowerState::PoweredOn),
            ));
        }
    };
    if !cycle.tools {
        return Err(unavailable());
    }
    let path = spec.program_path.clone();
    let (program, answer) = GuestProgram::new(Order {
        user: login.username.clone(),
        password: login.password.clone(),
        path: path.clone(),
        arguments: spec.arguments.clone(),
        working_directory: spec.working_directory.clone(),
        environment: spec.env_variables.clone(),
    });
    Ok(Asking {
        to: cycle.programs.sender(),
        program: Box::new(program),
        answer,
        path,
    })
}

fn unavailable() -> Fault {
    Fault::new(
        "The guest operations agent could not be contacted.",
        GuestOperationsUnavailable::default(),
    )
}

fn too_many() -> Fault {
    Fault::new(
        "Too many requests for the guest are waiting.",
        TooManyGuestLogons::default(),
    )
}

fn invalid_login() -> Fault {
    Fault::new(
        "Failed to authenticate with the guest operating system using the supplied credentials.",
        InvalidGuestLogin::default(),
    )
}

fn refused(refusal: GuestProgramRefusal, path: &str) -> Fault {
    match refusal {
        GuestProgramRefusal::Login => invalid_login(),
        GuestProgramRefusal::NotFound => fault::file_not_found(path),
        GuestProgramRefusal::Arguments => fault::invalid_argument("spec.arguments"),
        GuestProgramRefusal::State => fault::invalid_state(),
    }
}
