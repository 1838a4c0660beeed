//! The documentation lines of generated items: facts of the schema, one short
//! line each, no prose of anybody.

use super::model::Model;
use super::schema::{Member, Method};

/// `` `VirtualDisk` (`vim.vm.device.VirtualDisk`), since vSphere API 2.0.``
pub(crate) fn item(model: &Model<'_>, name: &str, vmodl: &str, since: &str) -> String {
    let dotted = if vmodl == name {
        String::new()
    } else {
        format!(" (`{vmodl}`)")
    };
    let since = since_version(model, since).map_or_else(String::new, |v| format!(", since {v}"));
    format!("`{name}`{dotted}{since}.")
}

/// `` `capacityInBytes`, since vSphere API 5.5.``
pub(crate) fn member(model: &Model<'_>, member: &Member) -> String {
    let mut line = format!("`{}`", member.name);
    let declared = &member.ty.name;
    if member.link {
        line.push_str(&format!(": the key of a `{}`", declared.name));
    } else if declared.namespace.is_some() {
        line.push_str(&format!(": a `{declared}`"));
    }
    if let Some(version) = member
        .since
        .as_deref()
        .and_then(|id| since_version(model, id))
    {
        line.push_str(&format!(", since {version}"));
    }
    if let Some(privilege) = &member.privilege {
        line.push_str(&format!(", privilege `{privilege}`"));
    }
    if member.secret {
        line.push_str(", a secret");
    }
    line.push('.');
    line
}

/// Wire name, version, privilege and faults of a method.
pub(crate) fn method(model: &Model<'_>, method: &Method) -> String {
    let mut line = format!("`{}`", method.name);
    if let Some(version) = since_version(model, &method.since) {
        line.push_str(&format!(", since {version}"));
    }
    line.push('.');
    if let Some(privilege) = &method.privilege {
        line.push_str(&format!(" Privilege `{privilege}`."));
    }
    if !method.faults.is_empty() {
        let faults: Vec<String> = method.faults.iter().map(|f| format!("`{f}`")).collect();
        line.push_str(&format!(" Faults: {}.", faults.join(", ")));
    }
    line
}

/// The version in words: vSphere's number alone, the product's name before any other.
fn since_version(model: &Model<'_>, id: &str) -> Option<String> {
    let number = model.versions.get(id).filter(|number| !number.is_empty())?;
    Some(match id.split('.').next() {
        Some("vim") => format!("vSphere API {number}"),
        Some("vsan") if number.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("vSAN {number}")
        }
        Some("vsan") => number.clone(),
        Some(family) => format!("{family} {number}"),
        None => number.clone(),
    })
}
