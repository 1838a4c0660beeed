//! Methods of entities that programs disabled, by the authorization manager of a vCenter.

use std::sync::Arc;

use vim25::internal::types::DisabledMethodRequest;
use vim25::schema::{self, TypeKind};
use vim25::types::LimitExceeded;
use vim25::{AnyRef, Fault};

use crate::fault;
use crate::invocation::{Answer, Invocation, nothing};
use crate::object::{Hidden, Object};
use crate::world::Transaction;

/// The maximum number of disabled methods of an entity, about as many as the API has.
const LIMIT: usize = 1_000;
/// The maximum length of the name of a source, in bytes.
const SOURCE_LIMIT: usize = 256;

/// A disabled method of an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DisabledMethod {
    entity: AnyRef,
    method: String,
    /// Identifies the program that disabled it, and that may enable it again.
    source: String,
}

/// Handles `DisableMethods` and `EnableMethods`, which only a vCenter has.
pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    if !inv.tx.layout().is_vcenter {
        return Some(Err(fault::not_supported()));
    }
    match inv.request.method.as_str() {
        "DisableMethods" => Some(disable(inv)),
        "EnableMethods" => Some(enable(inv)),
        _ => None,
    }
}

fn entities(inv: &Invocation<'_, '_>) -> Result<Vec<AnyRef>, Fault> {
    let entities: Vec<AnyRef> = inv.arg("entity")?;
    for entity in &entities {
        if !inv.tx.object(entity)?.is_a("ManagedEntity") {
            return Err(fault::invalid_argument("entity"));
        }
    }
    Ok(entities)
}

fn disable(inv: &mut Invocation<'_, '_>) -> Answer {
    let entities = entities(inv)?;
    let methods: Vec<DisabledMethodRequest> = inv.arg("method")?;
    let source: String = inv.arg("sourceId")?;
    let is_known =
        |method: &DisabledMethodRequest| schema::find(TypeKind::Request, &method.method).is_some();
    if !methods.iter().all(is_known) {
        return Err(fault::invalid_argument("method"));
    }
    if source.len() > SOURCE_LIMIT {
        return Err(fault::invalid_argument("sourceId"));
    }
    change(inv, &entities, |all| {
        for entity in &entities {
            let own = all.iter().filter(|disabled| disabled.entity == *entity);
            let mut number = own.count();
            for method in &methods {
                let disabled = DisabledMethod {
                    entity: entity.clone(),
                    method: method.method.clone(),
                    source: source.clone(),
                };
                if !all.contains(&disabled) {
                    number += 1;
                    if number > LIMIT {
                        return Err(too_many());
                    }
                    all.push(disabled);
                }
            }
        }
        Ok(())
    })
}

fn enable(inv: &mut Invocation<'_, '_>) -> Answer {
    let entities = entities(inv)?;
    let methods: Vec<String> = inv.arg("method")?;
    let source: String = inv.arg("sourceId")?;
    change(inv, &entities, |all| {
        all.retain(|disabled| {
            disabled.source != source
                || !methods.contains(&disabled.method)
                || !entities.contains(&disabled.entity)
        });
        Ok(())
    })
}

/// Changes what is disabled, and shows it in the entities.
fn change(
    inv: &mut Invocation<'_, '_>,
    entities: &[AnyRef],
    change: impl FnOnce(&mut Vec<DisabledMethod>) -> Result<(), Fault>,
) -> Answer {
    let mut all = list(inv.this()?).to_vec();
    // Entities that were removed take their entries with them.
    all.retain(|disabled| inv.tx.object(&disabled.entity).is_ok());
    change(&mut all)?;
    for entity in entities {
        let own = all.iter().filter(|disabled| disabled.entity == *entity);
        let mut names: Vec<String> = own.map(|disabled| disabled.method.clone()).collect();
        names.sort_unstable();
        names.dedup();
        inv.tx.edit(entity)?.put("disabledMethod", &names);
    }
    inv.edit_this()?.hidden = Hidden::Disabled(all.into());
    nothing()
}

fn too_many() -> Fault {
    let mut detail = LimitExceeded::default();
    detail.property = Some("disabledMethod".into());
    detail.limit = i32::try_from(LIMIT).ok();
    Fault::new("Too many methods of the entity are disabled.", detail)
}

fn list(manager: &Object) -> Arc<[DisabledMethod]> {
    match &manager.hidden {
        Hidden::Disabled(all) => Arc::clone(all),
        _ => Arc::new([]),
    }
}

/// Refuses a method that is disabled for an entity.
pub(crate) fn check(tx: &Transaction<'_>, object: &Object, method: &str) -> Result<(), Fault> {
    if !tx.layout().is_vcenter || !object.is_a("ManagedEntity") {
        return Ok(());
    }
    // The list of the entity is short; the manager's holds those of all entities.
    let own: Vec<String> = object.read("disabledMethod").unwrap_or_default();
    if !own.iter().any(|disabled| disabled == method) {
        return Ok(());
    }
    let Some(manager) = tx.get(super::managers::AUTHORIZATION) else {
        return Ok(());
    };
    let Hidden::Disabled(all) = &manager.hidden else {
        return Ok(());
    };
    let found = all
        .iter()
        .find(|disabled| disabled.method == method && disabled.entity == *object.reference());
    match found {
        Some(disabled) => Err(fault::method_disabled(&disabled.source)),
        None => Ok(()),
    }
}
