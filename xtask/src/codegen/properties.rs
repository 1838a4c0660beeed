//! `props.rs`: the properties of managed objects, a module per type.

use anyhow::{Result, ensure};

use super::model::Model;
use super::{docs, names, spelling};

/// Generates the file.
pub(crate) fn write(model: &Model<'_>) -> Result<String> {
    let mut out = String::from(
        "//! The properties of managed objects: a module per managed object type, with its\n\
         //! own and its inherited properties.\n",
    );
    for managed in &model.namespace.managed {
        let mut chain = model.managed_ancestors(managed)?;
        chain.reverse();
        let inherited = chain.iter().flat_map(|ancestor| &ancestor.item.properties);
        let properties: Vec<_> = inherited.chain(&managed.properties).collect();
        if properties.is_empty() {
            continue;
        }
        let (owner, module) = (names::type_name(&managed.name), names::snake(&managed.name));
        out.push_str(&format!(
            "\n/// Properties of `{}`.\npub mod {module} {{\n    use super::super::prelude::*;\n",
            managed.name
        ));
        let mut seen: Vec<String> = Vec::new();
        for property in properties {
            let constant = names::constant(&property.name);
            ensure!(
                !seen.contains(&constant),
                "{owner} would have two properties {constant}"
            );
            let ty = spelling::property(&model.member(property)?);
            let doc = docs::member(model, property);
            out.push_str(&format!(
                "    /// {doc}\n    pub const {constant}: Property<mo::{owner}, {ty}> = Property::new({:?});\n",
                property.name
            ));
            seen.push(constant);
        }
        out.push_str("}\n");
    }
    Ok(out)
}
