//! `calls.rs`: a builder for each method with many options.

use anyhow::{Context, Result, ensure};

use super::declared::{Kind, Type};
use super::model::{Called, Model};
use super::{docs, methods, names, spelling};

/// The number of optional parameters from which a method returns a builder, because a
/// call with more than two `None` in a row is hard to read.
const MANY: usize = 3;

/// Names that a builder's setters cannot have.
const TAKEN: [&str; 3] = ["build", "clone", "fmt"];

/// The names of the crate that the generated file may import.
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

/// Returns whether a method returns a builder instead of the call.
pub(crate) fn has_builder(called: &Called<'_>) -> bool {
    let parameters = &called.method.parameters;
    parameters.iter().filter(|p| p.ty.optional).count() >= MANY
}

/// Returns the name of a method's builder.
pub(crate) fn builder(called: &Called<'_>) -> String {
    let name = &called.method.name;
    names::type_name(name.strip_suffix("_Task").unwrap_or(name))
}

/// Returns whether a method's builder borrows from its arguments.
pub(crate) fn borrows(model: &Model<'_>, called: &Called<'_>) -> Result<bool> {
    Ok(arguments(model, called)?
        .iter()
        .any(|a| a.held.contains("'a")))
}

/// Returns the parameters of the method itself, and the builder's fields that are set
/// from them.
pub(crate) fn required(model: &Model<'_>, called: &Called<'_>) -> Result<(String, String)> {
    let (mut parameters, mut fields) = (String::new(), String::new());
    for Argument {
        name,
        ty,
        given,
        take,
        ..
    } in arguments(model, called)?
    {
        if ty.optional {
            let empty = if ty.array { "&[]" } else { "None" };
            fields.push_str(&format!(" {name}: {empty},"));
        } else {
            parameters.push_str(&format!(", {name}: {given}"));
            fields.push_str(&match take {
                "{}" => format!(" {name},"),
                _ => format!(" {name}: {},", take.replace("{}", &name)),
            });
        }
    }
    Ok((parameters, fields))
}

/// Generates the file.
pub(crate) fn write(model: &Model<'_>) -> Result<String> {
    let mut out = String::from(
        "//! Builders for calls with many options: optional parameters are set by name.\n\
         \n\
         use super::enums::*;\n\
         use super::mo;\n\
         use super::types::*;\n",
    );
    out.push_str(model.scope());
    let mut builders = String::new();
    for called in model.methods.iter().filter(|called| has_builder(called)) {
        let text = one(model, called);
        builders.push_str(&text.with_context(|| format!("the method {}", called.method.name))?);
    }
    out.push_str(&super::output::imports(&NAMES, &builders));
    out.push_str(&builders);
    Ok(out)
}

/// One argument of a builder.
struct Argument {
    name: String,
    ty: Type,
    doc: String,
    /// The type of the parameter, and the type of the builder's field for a required
    /// argument.
    given: String,
    held: String,
    /// The expression that converts the parameter to the field.
    take: &'static str,
    write: String,
}

fn arguments(model: &Model<'_>, called: &Called<'_>) -> Result<Vec<Argument>> {
    let members = called.method.parameters.iter().enumerate();
    let argument = |(i, member)| {
        let ty = model.member(member)?;
        let name = names::snake(&member.name);
        let (given, held, take) = if ty.kind == Kind::Ref && !ty.array {
            let (_, marker) = ty.named.clone().context("a reference names its type")?;
            let held = format!("Ref<{marker}>");
            (format!("&Ref<impl IsA<{marker}>>"), held, "{}.upcast()")
        } else {
            let one = Type {
                optional: false,
                ..ty.clone()
            };
            let (given, _) = spelling::parameter(&one, &name, i + 1);
            let given = given.replace('&', "&'a ");
            (given.clone(), given, "{}")
        };
        let write = write_of(&ty, &name, i + 1);
        let doc = docs::member(model, member);
        Ok(Argument {
            name,
            ty,
            doc,
            given,
            held,
            take,
            write,
        })
    };
    members.map(argument).collect()
}

/// Generates the statement that writes an argument as field `index` of the request.
fn write_of(ty: &Type, name: &str, index: usize) -> String {
    if ty.kind == Kind::Ref && !ty.array {
        return if ty.optional {
            format!("a.opt({index}, self.{name}.as_ref());")
        } else {
            format!("a.reference({index}, &self.{name});")
        };
    }
    let (_, write) = spelling::parameter(ty, &format!("self.{name}"), index);
    write
}

fn one(model: &Model<'_>, called: &Called<'_>) -> Result<String> {
    let (name, id) = (builder(called), called.id);
    let arguments = arguments(model, called)?;
    let lifetime = if borrows(model, called)? { "<'a>" } else { "" };
    let elided = if lifetime.is_empty() { "" } else { "<'_>" };
    let owner = format!(
        "{}::{}",
        called.owner.markers(),
        names::type_name(&called.owner.item.name)
    );
    let (mut fields, mut setters, mut writes) = (String::new(), String::new(), String::new());
    for Argument {
        name,
        ty,
        doc,
        given,
        held,
        take,
        write,
    } in &arguments
    {
        let held = match (ty.optional, ty.array) {
            (true, false) => format!("Option<{held}>"),
            _ => held.clone(),
        };
        fields.push_str(&format!("    pub(super) {name}: {held},\n"));
        writes.push_str(&format!(" {write}"));
        if !ty.optional {
            continue;
        }
        ensure!(
            !TAKEN.contains(&name.as_str()),
            "a builder has a method {name} of its own"
        );
        let taken = take.replace("{}", name);
        let set = if ty.array {
            taken
        } else {
            format!("Some({taken})")
        };
        setters.push_str(&format!(
            "    /// {doc}\n    #[inline]\n    pub fn {name}(mut self, {name}: {given}) -> Self {{\n        \
             self.{name} = {set};\n        self\n    }}\n\n"
        ));
    }
    let result = methods::result(model, called.method)?;
    let summary = docs::method(model, called.method);
    Ok(format!(
        "\n/// A call of {summary}\n#[derive(Clone)]\n#[must_use = \"a builder does nothing until its call is built\"]\n\
         pub struct {name}{lifetime} {{\n    pub(super) this: Ref<{owner}>,\n{fields}}}\n\n\
         impl{lifetime} {name}{lifetime} {{\n{setters}    \
         /// Builds the call.\n    #[inline]\n    \
         pub fn build(&self) -> Call<{result}> {{\n        \
         let mut a = Arguments::new(&self.this, {id});{writes} a.end()\n    }}\n}}\n\n\
         impl std::fmt::Debug for {name}{elided} {{\n    \
         /// Prints receiver and method. Arguments are omitted: they may be secret.\n    \
         fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{\n        \
         std::fmt::Debug::fmt(&self.build(), f)\n    }}\n}}\n\n\
         impl From<{name}{elided}> for Call<{result}> {{\n    #[inline]\n    \
         fn from(builder: {name}{elided}) -> Self {{\n        builder.build()\n    }}\n}}\n"
    ))
}
