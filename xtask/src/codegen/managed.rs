//! `mo.rs`: a marker type per managed object type.

use anyhow::Result;

use super::model::Model;
use super::{docs, names};

/// Generates the file.
pub(crate) fn write(model: &Model<'_>) -> Result<String> {
    let mut out = String::from(
        "//! The managed object types of the vSphere API: the type parameters of\n\
         //! [`Ref`](crate::Ref). They have no values.\n\
         \n\
         use crate::object::{is_a, managed_object};\n",
    );
    if !model.is_vim25() {
        out.push_str("use crate::mo::*;\n");
    }
    for managed in &model.namespace.managed {
        let name = names::type_name(&managed.name);
        let summary = docs::item(model, &managed.name, &managed.vmodl, &managed.since, false);
        let id = model.managed_id(&managed.name)?;
        out.push_str(&format!(
            "\nmanaged_object!(\n    /// {summary}\n    {name}, {:?}, {id});\n",
            managed.name
        ));
        let ancestors = model.managed_ancestors(managed)?;
        if !ancestors.is_empty() {
            let bases: Vec<String> = ancestors
                .iter()
                .map(|a| names::type_name(&a.item.name))
                .collect();
            out.push_str(&format!("is_a!({name}: {});\n", bases.join(", ")));
        }
    }
    Ok(out)
}
