//! `types.rs`: a struct per data type.

use anyhow::{Result, ensure};

use super::model::Model;
use super::{constructors, docs, names, spelling};

/// Names that the generated code uses, so no type may have them.
const TAKEN: [&str; 24] = [
    "Any",
    "Binary",
    "Box",
    "Builder",
    "Call",
    "Clone",
    "Debug",
    "Default",
    "Deref",
    "DerefMut",
    "Formatter",
    "IsA",
    "Loading",
    "Node",
    "None",
    "Option",
    "Poly",
    "Property",
    "Ref",
    "Slot",
    "String",
    "TaskOf",
    "Timestamp",
    "Vec",
];

/// Generates the file.
pub(crate) fn write(model: &Model<'_>) -> Result<String> {
    let mut out = String::from(
        "//! The data object types of the vSphere API, by wire name.\n\
         //!\n\
         //! The documentation of a type has its wire name, and the dotted name under which\n\
         //! the API reference lists it. A derived type holds its base in the field `base` and\n\
         //! derefs to it. A field without a version is as old as its type.\n\
         #![allow(clippy::too_many_arguments, reason = \"required fields are parameters\")]\n\
         #![allow(clippy::field_reassign_with_default, reason = \"inherited fields are set like own ones\")]\n\
         \n\
         use super::enums::*;\n\
         use super::mo;\n",
    );
    out.push_str(model.scope());
    out.push_str("use crate::object::scope::*;\n");
    let mut structs = String::new();
    let boxed = model.boxed()?;
    let sent = model.sent()?;
    for data in &model.namespace.data {
        let name = names::type_name(&data.name);
        ensure!(
            !TAKEN.contains(&name.as_str()),
            "the type {name} hides a name of the runtime"
        );
        let ancestors = model.ancestors(data)?;
        let first: usize = ancestors.iter().map(|a| a.item.fields.len()).sum();
        let base = ancestors
            .first()
            .map(|base| names::type_name(&base.item.name));

        let summary = docs::item(model, &data.name, &data.vmodl, &data.since, data.preview);
        structs.push_str(&format!(
            "\n/// {summary}\n#[derive(Clone, Default)]\npub struct {name} {{\n"
        ));
        if let Some(base) = &base {
            structs.push_str(&format!(
                "    /// The fields of `{base}`.\n    pub base: {base},\n"
            ));
        }
        let mut setters: Vec<String> = Vec::new();
        let mut seen: Vec<String> = Vec::new();
        for (i, field) in data.fields.iter().enumerate() {
            let ident = names::snake(&field.name);
            ensure!(
                !seen.contains(&ident),
                "{name} would have two fields {ident}"
            );
            let in_box = boxed.contains(&(data.name.as_str(), field.name.as_str()));
            let ty = spelling::field(&model.member(field)?, in_box);
            let doc = docs::member(model, field);
            structs.push_str(&format!("    /// {doc}\n    pub {ident}: {ty},\n"));
            setters.push(format!("{} => {ident}", first + i));
            seen.push(ident);
        }
        structs.push_str("}\n");
        let id = model.data_id(&data.name)?;
        let colon = base.map_or_else(String::new, |base| format!(": {base}"));
        structs.push_str(&super::output::wrapped(
            &format!("data_object!({name}{colon}, {id}, {{"),
            &setters,
            "});",
        ));
        if !ancestors.is_empty() {
            let bases: Vec<String> = ancestors
                .iter()
                .map(|a| names::type_name(&a.item.name))
                .collect();
            structs.push_str(&format!("is_a!({name}: {});\n", bases.join(", ")));
        }
        if sent.contains(data.name.as_str())
            && let Some(constructor) = constructors::write(model, data, &boxed)?
        {
            structs.push_str(&constructor);
        }
    }
    out.push_str(&super::output::imports(
        &["Any", "Binary", "Poly", "Ref", "Timestamp"],
        &structs,
    ));
    out.push_str(&structs);
    Ok(out)
}
