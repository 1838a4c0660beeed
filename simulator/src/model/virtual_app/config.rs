//! Changes of the configuration of a vApp.

use vim25::Fault;
use vim25::types::{
    ArrayUpdateOperation, ArrayUpdateSpec, VAppConfigInfo, VAppConfigSpec, VAppEntityConfigInfo,
};

use crate::fault;
use crate::vapp;

/// Applies a specification. Lists are changed by the keys of their entries.
pub(super) fn apply(info: &mut VAppConfigInfo, spec: &VAppConfigSpec) -> Result<(), Fault> {
    let products = spec
        .product
        .iter()
        .map(|one| (&one.base, one.info.as_deref()));
    edit(&mut info.product, products, "spec.product", |one| one.key)?;
    let properties = spec
        .property
        .iter()
        .map(|one| (&one.base, one.info.as_deref()));
    edit(&mut info.property, properties, "spec.property", |one| {
        one.key
    })?;
    let sections = spec
        .ovf_section
        .iter()
        .map(|one| (&one.base, one.info.as_deref()));
    edit(&mut info.ovf_section, sections, "spec.ovfSection", |one| {
        one.key.unwrap_or(0)
    })?;
    if let Some(assignment) = &spec.ip_assignment {
        info.ip_assignment = (**assignment).clone();
    }
    replace(&mut info.eula, &spec.eula);
    let transports = &spec.ovf_environment_transport;
    replace(&mut info.ovf_environment_transport, transports);
    if let Some(required) = spec.install_boot_required {
        info.install_boot_required = required;
    }
    if let Some(delay) = spec.install_boot_stop_delay {
        info.install_boot_stop_delay = delay;
    }
    if let Some(annotation) = &spec.annotation {
        info.annotation.clone_from(annotation);
    }
    if let Some(uuid) = &spec.instance_uuid {
        info.instance_uuid = Some(uuid.clone());
    }
    if let Some(manager) = &spec.managed_by {
        info.managed_by = Some(manager.clone());
    }
    for change in &spec.entity_config {
        apply_to_entity(&mut info.entity_config, change)?;
    }
    Ok(())
}

/// Replaces a list. An empty list changes nothing, and a list of an empty text removes all.
fn replace(list: &mut Vec<String>, new: &[String]) {
    if new.len() == 1 && new[0].is_empty() {
        list.clear();
    } else if !new.is_empty() {
        *list = new.to_vec();
    }
}

/// Adds, changes and removes entries of a list.
fn edit<'s, T: Clone + 's>(
    list: &mut Vec<T>,
    changes: impl Iterator<Item = (&'s ArrayUpdateSpec, Option<&'s T>)>,
    argument: &str,
    key: impl Fn(&T) -> i32,
) -> Result<(), Fault> {
    let refused = || fault::invalid_argument(argument);
    for (change, info) in changes {
        let wanted = match (&change.operation, info) {
            (ArrayUpdateOperation::Remove, _) => {
                let key = change.remove_key.as_ref();
                key.and_then(|key| key.get::<i32>().ok())
            }
            (_, info) => info.map(&key),
        };
        let wanted = wanted.ok_or_else(refused)?;
        let known = list.iter().position(|own| key(own) == wanted);
        match (&change.operation, known, info) {
            (ArrayUpdateOperation::Add, None, Some(info)) => list.push(info.clone()),
            (ArrayUpdateOperation::Edit, Some(at), Some(info)) => {
                if let Some(own) = list.get_mut(at) {
                    *own = info.clone();
                }
            }
            (ArrayUpdateOperation::Remove, Some(at), _) => drop(list.remove(at)),
            _ => return Err(refused()),
        }
    }
    Ok(())
}

/// Changes when and how a member of the vApp starts and stops. Values that are not set are kept.
fn apply_to_entity(
    all: &mut [VAppEntityConfigInfo],
    change: &VAppEntityConfigInfo,
) -> Result<(), Fault> {
    let refused = |field: &str| fault::invalid_argument(&format!("spec.entityConfig.{field}"));
    let key = change.key.as_ref().ok_or_else(|| refused("key"))?;
    let mut members = all.iter_mut();
    let own = members
        .find(|own| vapp::is_of(own, &key.upcast()))
        .ok_or_else(|| refused("key"))?;
    let is_app = key.type_name() == "VirtualApp";
    let is_start = |action: &str| matches!(action, "none" | "powerOn");
    let is_stop = |action: &str| match action {
        "none" | "powerOff" => true,
        "guestShutdown" | "suspend" => !is_app,
        _ => false,
    };
    if !change.start_action.as_deref().is_none_or(is_start) {
        return Err(refused("startAction"));
    }
    if !change.stop_action.as_deref().is_none_or(is_stop) {
        return Err(refused("stopAction"));
    }
    for (number, field) in [
        (change.start_order, "startOrder"),
        (change.start_delay, "startDelay"),
        (change.stop_delay, "stopDelay"),
    ] {
        if number.is_some_and(|number| number < 0) {
            return Err(refused(field));
        }
    }
    let change = change.clone();
    own.tag = change.tag.or(own.tag.take());
    own.start_order = change.start_order.or(own.start_order);
    own.start_delay = change.start_delay.or(own.start_delay);
    own.waiting_for_guest = change.waiting_for_guest.or(own.waiting_for_guest);
    own.start_action = change.start_action.or(own.start_action.take());
    own.stop_delay = change.stop_delay.or(own.stop_delay);
    own.stop_action = change.stop_action.or(own.stop_action.take());
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use vim25::Any;
    use vim25::types::{VAppProductInfo, VAppProductSpec};

    fn change(operation: ArrayUpdateOperation, key: i32, name: &str) -> VAppConfigSpec {
        let mut one = VAppProductSpec {
            info: Some(Box::new(VAppProductInfo {
                key,
                name: Some(name.to_owned()),
                ..Default::default()
            })),
            ..Default::default()
        };
        one.base.remove_key = Some(Any::new(&key));
        one.base.operation = operation;
        let mut spec = VAppConfigSpec::default();
        spec.product = vec![one];
        spec
    }

    #[test]
    fn products_are_added_changed_and_removed_by_their_keys() {
        use ArrayUpdateOperation::{Add, Edit, Remove};
        let mut info = VAppConfigInfo::default();
        apply(&mut info, &change(Add, 3, "a")).unwrap();
        assert!(apply(&mut info, &change(Add, 3, "b")).is_err());
        apply(&mut info, &change(Edit, 3, "c")).unwrap();
        assert_eq!(info.product[0].name.as_deref(), Some("c"));
        assert!(apply(&mut info, &change(Edit, 4, "d")).is_err());
        apply(&mut info, &change(Remove, 3, "")).unwrap();
        assert!(info.product.is_empty());
    }

    #[test]
    fn an_empty_list_keeps_the_licences_and_an_empty_text_removes_them() {
        let mut list = vec!["a".to_owned()];
        replace(&mut list, &[]);
        assert_eq!(list, ["a"]);
        replace(&mut list, &[String::new()]);
        assert!(list.is_empty());
    }
}
