//! `methods.rs`: the methods of managed objects, on their references.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::model::{Called, Model, VIM25};
use super::schema::{Method, TypeExpr};
use super::{calls, docs, names, spelling};

/// The methods of `Ref` itself. A generated method with such a name could not be called.
const TAKEN: [&str; 17] = [
    "clone",
    "cmp",
    "default",
    "downcast",
    "eq",
    "fmt",
    "from_parts",
    "from_wire",
    "hash",
    "is",
    "is_unset",
    "new",
    "retyped",
    "server_guid",
    "type_name",
    "upcast",
    "value",
];

/// The names of the crate that a signature may contain.
const NAMES: [&str; 9] = [
    "Any",
    "Arguments",
    "Binary",
    "Call",
    "IsA",
    "Poly",
    "Ref",
    "TaskOf",
    "Timestamp",
];

/// Generates the file.
pub(crate) fn write(model: &Model<'_>) -> Result<String> {
    let mut out = String::from(
        "//! The methods of managed objects, in wire order of their parameters. Each\n\
         //! encodes its arguments and does no I/O.\n\
         #![allow(clippy::too_many_arguments, reason = \"the API's methods have as many as they have\")]\n\
         \n\
         use super::calls;\n\
         use super::enums::*;\n\
         use super::mo;\n\
         use super::types::*;\n",
    );
    out.push_str(model.scope());
    let mut impls = String::new();
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    let mut owners: Vec<_> = model.methods.iter().map(|called| called.owner).collect();
    owners.sort_by_key(|owner| owner.id);
    owners.dedup_by_key(|owner| owner.id);
    for owner in owners {
        let marker = names::type_name(&owner.item.name);
        impls.push_str(&format!(
            "\nimpl<T: IsA<{}::{marker}>> Ref<T> {{\n",
            owner.markers()
        ));
        let own = model.methods.iter().filter(|c| c.owner.id == owner.id);
        for (i, called) in own.enumerate() {
            let name = names::method(&called.method.name);
            ensure!(
                !TAKEN.contains(&name.as_str()),
                "`Ref` has a method {name} of its own"
            );
            if let Some(other) = taken.insert(name.clone(), &called.method.name) {
                anyhow::bail!("{other} and {} would both be {name}", called.method.name);
            }
            if i > 0 {
                impls.push('\n');
            }
            impls.push_str(
                &one(model, called, &name)
                    .with_context(|| format!("the method {}", called.method.name))?,
            );
        }
        impls.push_str("}\n");
    }
    out.push_str(&super::output::imports(&NAMES, &impls));
    out.push_str(&impls);
    Ok(out)
}

fn one(model: &Model<'_>, called: &Called<'_>, name: &str) -> Result<String> {
    if calls::has_builder(called) {
        return begin(model, called, name);
    }
    let (method, id) = (called.method, called.id);
    let (mut parameters, mut writes) = (String::new(), String::new());
    let mut seen = vec!["a".to_owned()];
    for (i, parameter) in method.parameters.iter().enumerate() {
        let ident = names::snake(&parameter.name);
        ensure!(
            !seen.contains(&ident),
            "two parameters would be called {ident}"
        );
        let (ty, write) = spelling::parameter(&model.member(parameter)?, &ident, i + 1);
        parameters.push_str(&format!(", {ident}: {ty}"));
        writes.push_str(&format!(" {write}"));
        seen.push(ident);
    }
    let body = if writes.is_empty() {
        format!("Arguments::new(self, {id}).end()")
    } else {
        format!("let mut a = Arguments::new(self, {id});{writes} a.end()")
    };
    let result = result(model, method)?;
    let summary = docs::method(model, method);
    Ok(format!(
        "    /// Calls {summary}\n    #[inline]\n    pub fn {name}(&self{parameters}) -> Call<{result}> {{\n        \
         {body}\n    }}\n"
    ))
}

/// Generates a method with many options, which takes only the required parameters.
fn begin(model: &Model<'_>, called: &Called<'_>, name: &str) -> Result<String> {
    let (parameters, fields) = calls::required(model, called)?;
    let builder = calls::builder(called);
    let (generic, lifetime) = if calls::borrows(model, called)? {
        ("<'a>", "<'a>")
    } else {
        ("", "")
    };
    let summary = docs::method(model, called.method);
    Ok(format!(
        "    /// Calls {summary}\n    #[inline]\n    pub fn {name}{generic}(&self{parameters}) -> calls::{builder}{lifetime} {{\n        \
         calls::{builder} {{ this: self.upcast(),{fields} }}\n    }}\n"
    ))
}

/// Returns whether a method returns a task of vim25. Tasks of other namespaces are
/// objects of other types.
fn is_task(model: &Model<'_>, returns: &TypeExpr) -> bool {
    let of_vim25 = match &returns.name.namespace {
        Some(namespace) => namespace == VIM25,
        None => model.is_vim25(),
    };
    of_vim25 && returns.name.name == "Task" && !returns.array
}

/// Returns the result type of a call. For a method that starts a task, this is the result
/// of the task.
pub(super) fn result(model: &Model<'_>, method: &Method) -> Result<String> {
    let Some(returns) = &method.returns else {
        return Ok("()".to_owned());
    };
    if !is_task(model, returns) {
        return Ok(spelling::result(&model.ty(returns)?));
    }
    match &method.result {
        Some(result) if result.name.to_string() != "void" => {
            Ok(format!("TaskOf<{}>", spelling::result(&model.ty(result)?)))
        }
        _ => Ok("TaskOf<()>".to_owned()),
    }
}
