//! Dispatches a request to the method of an object.

use std::sync::Arc;

use vim25::schema::{self, TypeKind};
use vim25::soap::Request;
use vim25::{Any, Fault};

use crate::enums;
use crate::fault;
use crate::invocation::{Caller, Invocation};
use crate::model;
use crate::property;
use crate::script::Reaction;
use crate::shared::Shared;
use crate::task::Job;
use crate::world::Transaction;

/// Methods that need no session.
const OPEN: [&str; 5] = [
    "RetrieveServiceContent",
    "RetrieveInternalContent",
    "CloneSession",
    "Login",
    "Logout",
];

/// Methods that only vCenter implements; a host returns `NotImplemented`.
const ONLY_VCENTER: [&str; 2] = ["SessionIsActive", "QueryEvents"];

/// Carries out a call in one transaction; a fault rolls back all changes. Returns the tasks that the
/// call started and that the caller has to run after it has passed on the answer.
pub(crate) fn call(
    shared: &Arc<Shared>,
    caller: &Caller,
    request: &Request,
    reactions: &[Reaction],
) -> Result<(Any, Vec<Job>), Fault> {
    let Some(this) = request.this.clone() else {
        return Err(fault::invalid_request("the request names no object"));
    };
    let mut tx = Transaction::begin(shared)?;
    let method = request.method.as_str();
    let object = match tx.visible(&this, caller.session.as_ref()) {
        Ok(object) => object.clone(),
        Err(_) if caller.session.is_none() && !OPEN.contains(&method) => {
            return Err(fault::not_authenticated(Some(&this)));
        }
        Err(fault) => return Err(fault),
    };
    let open = OPEN.contains(&method)
        || method == "Fetch" && matches!(this.type_name(), "ServiceInstance" | "SessionManager");
    if caller.session.is_none() && !open {
        return Err(fault::not_authenticated(Some(&this)));
    }
    enums::check(request.arguments().node())?;
    tx.script(reactions);
    let mut invocation = Invocation {
        tx: &mut tx,
        request,
        this: object.reference().clone(),
        caller,
    };
    let answer = if method == "Fetch" {
        property::fetch(&mut invocation)
    } else {
        match schema::find(TypeKind::Request, method) {
            None => return Err(fault::method_not_found(&this, method)),
            Some(ty) => {
                let receiver = ty.fields().next().and_then(|this| this.declared());
                if receiver.is_some_and(|receiver| !object.ty().is_a(receiver)) {
                    return Err(fault::method_not_found(&this, method));
                }
            }
        }
        model::disabled_methods::check(invocation.tx, &object, method)?;
        match model::call(&mut invocation, &object) {
            Some(answer) => answer,
            None if ONLY_VCENTER.contains(&method) && !shared.settings.layout().is_vcenter => {
                Err(fault::not_implemented())
            }
            None => Err(fault::unimplemented(&this, method)),
        }
    };
    let value = answer?;
    Ok((value, tx.commit_keeping_tasks()))
}
