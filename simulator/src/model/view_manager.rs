//! `ViewManager`: creating and changing views.

use std::collections::HashSet;

use vim25::{AnyRef, Fault, ManagedObject, Ref, mo};

use crate::fault;
use crate::invocation::{Answer, Invocation, nothing, value};
use crate::object::{Hidden, Object};
use crate::view::View;

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "CreateContainerView" => create_container_view(inv),
        "CreateListView" => create_list_view(inv),
        "ModifyListView" => modify_list_view(inv),
        "ResetListView" => reset_list_view(inv),
        "DestroyView" => {
            let this = inv.this.clone();
            inv.tx.remove(&this);
            nothing()
        }
        _ => return None,
    })
}

fn create_container_view(inv: &mut Invocation<'_, '_>) -> Answer {
    let container: AnyRef = inv.arg("container")?;
    let types: Vec<String> = inv.arg("type")?;
    let recursive: bool = inv.arg("recursive")?;
    let object = inv.tx.object(&container)?;
    let holds = [
        "Folder",
        "Datacenter",
        "ComputeResource",
        "ResourcePool",
        "HostSystem",
    ];
    if !holds.iter().any(|ty| object.is_a(ty)) {
        return Err(fault::invalid_argument("container"));
    }
    let view = View::container(container.clone(), &types, recursive)
        .ok_or_else(|| fault::invalid_argument("type"))?;
    let mut object = new::<mo::ContainerView>(inv, view)?;
    object.put("container", &container);
    object.put("type", &types);
    object.put("recursive", &recursive);
    let reference: Ref<mo::ContainerView> = Ref::new(object.value());
    inv.tx.insert(object);
    value(&reference)
}

fn create_list_view(inv: &mut Invocation<'_, '_>) -> Answer {
    let members: Vec<AnyRef> = inv.arg("obj")?;
    for member in &members {
        inv.tx.visible(member, inv.caller.session.as_ref())?;
    }
    check_members(inv, members.len())?;
    let object = new::<mo::ListView>(inv, View::List(members))?;
    let reference: Ref<mo::ListView> = Ref::new(object.value());
    inv.tx.insert(object);
    value(&reference)
}

fn new<T: ManagedObject>(inv: &mut Invocation<'_, '_>, view: View) -> Result<Object, Fault> {
    let key = inv.caller.session()?.clone();
    let limit = inv.tx.shared().settings.filters;
    let views = inv.tx.owned(&key);
    let views = views.filter(|object| matches!(object.hidden, Hidden::View(_)));
    if views.count() >= limit {
        return Err(fault::runtime(format!(
            "The session has reached its limit of {limit} views."
        )));
    }
    let mut object = Object::new::<T>(&format!("session[{key}]{}", inv.tx.ids().uuid()));
    object.owner = Some(key);
    object.hidden = Hidden::View(view);
    Ok(object)
}

/// Adds and removes members; returns those to be added that do not exist.
fn modify_list_view(inv: &mut Invocation<'_, '_>) -> Answer {
    let add: Vec<AnyRef> = inv.arg("add")?;
    let remove: Vec<AnyRef> = inv.arg("remove")?;
    let remove: HashSet<AnyRef> = remove.into_iter().collect();
    change(inv, add, |members, add| {
        members.retain(|member| !remove.contains(member));
        let mut known: HashSet<AnyRef> = members.iter().cloned().collect();
        let new = add
            .into_iter()
            .filter(|member| known.insert(member.clone()));
        members.extend(new);
    })
}

fn reset_list_view(inv: &mut Invocation<'_, '_>) -> Answer {
    let new: Vec<AnyRef> = inv.arg("obj")?;
    change(inv, new, |members, new| *members = new)
}

fn change(
    inv: &mut Invocation<'_, '_>,
    named: Vec<AnyRef>,
    apply: impl FnOnce(&mut Vec<AnyRef>, Vec<AnyRef>),
) -> Answer {
    let session = inv.caller.session.as_ref();
    let (there, missing): (Vec<_>, Vec<_>) = named
        .into_iter()
        .partition(|member| inv.tx.visible(member, session).is_ok());
    check_members(inv, there.len())?;
    match &mut inv.edit_this()?.hidden {
        Hidden::View(View::List(members)) => apply(members, there),
        _ => return Err(fault::not_supported()),
    }
    value(&missing)
}

/// Fails if the list views of the session cannot have this number of members more.
fn check_members(inv: &Invocation<'_, '_>, more: usize) -> Result<(), Fault> {
    let limit = inv.tx.shared().settings.selection;
    let owned = inv.tx.owned(inv.caller.session()?);
    let members = owned.map(|object| match &object.hidden {
        Hidden::View(View::List(members)) => members.len(),
        _ => 0,
    });
    if members.sum::<usize>() + more > limit {
        return Err(fault::runtime(format!(
            "The list views of the session have reached their limit of {limit} members."
        )));
    }
    Ok(())
}
