//! Generates `new` for types with numbers that have no safe default: zero kilobytes and
//! device 0 are valid values, so a forgotten number could not be distinguished from an
//! intended zero.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::declared::{Kind, Type};
use super::model::Model;
use super::names;
use super::schema::{Data, Member};
use super::spelling;

/// The bases of types that only servers construct.
const SERVED: [&str; 2] = ["Event", "MethodFault"];

/// Generates the constructor of a type that clients send and that has such a number.
pub(crate) fn write(
    model: &Model<'_>,
    data: &Data,
    boxed: &BTreeSet<(&str, &str)>,
) -> Result<Option<String>> {
    let mut chain = model.ancestors(data)?;
    if chain
        .iter()
        .any(|base| SERVED.contains(&base.item.name.as_str()))
    {
        return Ok(None);
    }
    chain.reverse();
    let inherited = chain.iter().map(|base| (base.item, base.foreign));
    let mut required: Vec<(&Data, &Member, Type)> = Vec::new();
    for (owner, foreign) in inherited.chain([(data, false)]) {
        for field in &owner.fields {
            let ty = model.inherited(field, foreign)?;
            if !ty.optional && !ty.array {
                required.push((owner, field, ty));
            }
        }
    }
    if !required.iter().any(|(_, _, ty)| is_number(ty.kind)) {
        return Ok(None);
    }
    let (mut parameters, mut sets) = (Vec::new(), String::new());
    for (owner, field, ty) in required {
        let ident = names::snake(&field.name);
        let spelt = spelling::field(&ty, false);
        let converted = ty.poly || spelt == "String";
        let value = if converted {
            format!("{ident}.into()")
        } else if boxed.contains(&(owner.name.as_str(), field.name.as_str())) {
            format!("Box::new({ident})")
        } else {
            ident.clone()
        };
        let ty = if converted {
            format!("impl Into<{spelt}>")
        } else {
            spelt
        };
        parameters.push(format!("{ident}: {ty}"));
        sets.push_str(&format!("        made.{ident} = {value};\n"));
    }
    let name = names::type_name(&data.name);
    Ok(Some(format!(
        "impl {name} {{\n    /// Creates a value from its required fields.\n    #[inline]\n    #[must_use]\n    \
         pub fn new({}) -> Self {{\n        let mut made = Self::default();\n{sets}        made\n    }}\n}}\n",
        parameters.join(", ")
    )))
}

const fn is_number(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Byte | Kind::Short | Kind::Int | Kind::Long | Kind::Float | Kind::Double
    )
}

impl Model<'_> {
    /// Returns the data types of which arguments consist: the types of parameters and,
    /// recursively, of their fields, and all types derived from these.
    pub(crate) fn sent(&self) -> Result<BTreeSet<&str>> {
        let mut derived: BTreeMap<&str, Vec<&Data>> = BTreeMap::new();
        for data in &self.namespace.data {
            for base in self.ancestors(data)? {
                derived.entry(&base.item.name).or_default().push(data);
            }
        }
        let mut sent = BTreeSet::new();
        let parameters = self.methods.iter().flat_map(|c| &c.method.parameters);
        let mut open: Vec<&str> = parameters.map(|p| p.ty.name.name.as_str()).collect();
        while let Some(name) = open.pop() {
            let found = self.namespace.data.iter().find(|data| data.name == name);
            let Some(data) = found else { continue };
            if !sent.insert(name) {
                continue;
            }
            open.extend(
                derived
                    .get(name)
                    .into_iter()
                    .flatten()
                    .map(|d| d.name.as_str()),
            );
            open.extend(data.fields.iter().map(|f| f.ty.name.name.as_str()));
            for base in self.ancestors(data)? {
                open.extend(base.item.fields.iter().map(|f| f.ty.name.name.as_str()));
            }
        }
        Ok(sent)
    }
}
