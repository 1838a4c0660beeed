//! The manager of first class disks. The simulator has none; the manager exists because every
//! server has one, and clients read its reference without a check.

use vim25::types::{ID, ServiceContent};
use vim25::{Ref, mo};

use crate::invocation::{Answer, Invocation, value};
use crate::object::Object;
use crate::world::Transaction;

const OF_HOST: &str = "ha-vstorage-object-manager";
const OF_VCENTER: &str = "VStorageObjectManager";

/// Adds the manager to the content of the service instance.
pub(super) fn name(content: &mut ServiceContent, is_vcenter: bool) {
    content.vstorage_object_manager = Some(match is_vcenter {
        true => Ref::<mo::VcenterVStorageObjectManager>::new(OF_VCENTER).upcast(),
        false => Ref::<mo::HostVStorageObjectManager>::new(OF_HOST).upcast(),
    });
}

pub(super) fn build(tx: &mut Transaction<'_>) {
    let manager = match tx.layout().is_vcenter {
        true => Object::new::<mo::VcenterVStorageObjectManager>(OF_VCENTER),
        false => Object::new::<mo::HostVStorageObjectManager>(OF_HOST),
    };
    tx.insert(manager);
}

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "ListVStorageObject" | "HostListVStorageObject" => value(&Vec::<ID>::new()),
        _ => return None,
    })
}
