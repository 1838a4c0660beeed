//! `enums.rs`: an open enum per enum type.

use anyhow::Result;

use super::model::Model;
use super::{docs, names};

/// Generates the file.
pub(crate) fn write(model: &Model<'_>) -> Result<String> {
    let mut out = String::from(
        "//! The enum types of the vSphere API, by wire name. All are open: text that is\n\
         //! not listed is kept in `Other`.\n\
         \n\
         use crate::object::enumeration;\n",
    );
    for item in &model.namespace.enums {
        let name = names::type_name(&item.name);
        let summary = docs::item(model, &item.name, &item.vmodl, &item.since, item.preview);
        out.push_str(&format!("\nenumeration!(\n    /// {summary}\n"));
        let variants: Vec<String> = names::variants(&item.values)
            .into_iter()
            .zip(&item.values)
            .map(|(variant, value)| format!("/** `{value}` */ {variant} = {value:?}"))
            .collect();
        let id = model.enum_id(&item.name)?;
        out.push_str(&super::output::wrapped(
            &format!("    {name}, {id}, {{"),
            &variants,
            "});",
        ));
    }
    Ok(out)
}
