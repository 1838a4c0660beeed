//! Generates the documentation of generated items: one short line each, with facts from
//! the schema but none of VMware's prose.

use super::model::{INTERNAL, Model};
use super::schema::{Member, Method};

/// The suffix of items that are not in the registry.
const PREVIEW: &str = " A preview, known from govmomi.";

/// The same for undocumented items, which are in no registry at all.
const UNDOCUMENTED: &str = " Undocumented, known from govmomi.";

fn preview(model: &Model<'_>, is_one: bool) -> &'static str {
    match is_one {
        true if model.namespace.name == INTERNAL => UNDOCUMENTED,
        true => PREVIEW,
        false => "",
    }
}

/// The URL of the API reference, which has a page per dotted name of vim25.
const REFERENCE: &str = "https://developer.broadcom.com/xapis/vsphere-web-services-api/latest";

/// Returns text such as `` `VirtualDisk` (`vim.vm.device.VirtualDisk`), since vSphere API
/// 2.0.``, where the dotted name is a link.
pub(crate) fn item(model: &Model<'_>, name: &str, vmodl: &str, since: &str, new: bool) -> String {
    let dotted = if vmodl == name {
        String::new()
    } else {
        match model.is_vim25() && vmodl.contains('.') && !new {
            true => format!(" ([`{vmodl}`]({REFERENCE}/{vmodl}.html))"),
            false => format!(" (`{vmodl}`)"),
        }
    };
    let since = match version(model, since) {
        Some((family, number)) => format!(", since {family} {number}"),
        None => String::new(),
    };
    format!("`{name}`{dotted}{since}.{}", preview(model, new))
}

/// Returns text such as `` `capacityInBytes`, since 5.5.``
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
        .and_then(|id| short_version(model, id))
    {
        line.push_str(&format!(", since {version}"));
    }
    if let Some(privilege) = &member.privilege {
        line.push_str(&format!(", requires privilege `{privilege}`"));
    }
    if member.secret {
        line.push_str(", a secret");
    }
    line.push('.');
    line.push_str(preview(model, member.preview));
    line
}

/// Returns the wire name, version, privilege and faults of a method, as text.
pub(crate) fn method(model: &Model<'_>, method: &Method) -> String {
    let mut line = format!("`{}`", method.name);
    if let Some(version) = short_version(model, &method.since) {
        line.push_str(&format!(", since {version}"));
    }
    line.push('.');
    if let Some(privilege) = &method.privilege {
        line.push_str(&format!(" Requires privilege `{privilege}`."));
    }
    if !method.faults.is_empty() {
        let faults: Vec<String> = method.faults.iter().map(|f| format!("`{f}`")).collect();
        line.push_str(&format!(" Faults: {}.", faults.join(", ")));
    }
    line.push_str(preview(model, method.preview));
    line
}

/// Returns only the number of a vSphere API version, or product and number of any other
/// version.
fn short_version(model: &Model<'_>, id: &str) -> Option<String> {
    version(model, id).map(|(family, number)| match family {
        "vSphere API" => number.to_owned(),
        _ => format!("{family} {number}"),
    })
}

/// Returns the product and the number of a version, if it has a number.
fn version<'a>(model: &Model<'a>, id: &'a str) -> Option<(&'a str, &'a str)> {
    let number = model.versions.get(id).filter(|number| !number.is_empty())?;
    let family = match id.split('.').next()? {
        "vim" => "vSphere API",
        "vsan" => "vSAN",
        family => family,
    };
    Some((family, number.strip_prefix("vSAN ").unwrap_or(number)))
}
