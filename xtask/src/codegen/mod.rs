//! `cargo xtask codegen` generates the Rust source in `vim25/src/generated` from the
//! schema in `vim25/schema`; `cargo xtask schema-import` creates that schema from
//! a dump of the registry.
//!
//! The generated files contain tables of integers, plain structs and thin wrappers. The
//! code that they share is in macros of the runtime: `data_object!`, `enumeration!`,
//! `managed_object!` and `is_a!` in `vim25/src/object.rs`.

mod boxed;
mod calls;
mod constructors;
mod declared;
mod docs;
mod enums;
mod extras;
mod import;
mod managed;
mod methods;
mod model;
mod names;
mod output;
mod properties;
mod schema;
mod spelling;
mod tables;
mod test_names;
mod types;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use self::model::{Model, VIM25};
use self::output::Files;
use self::schema::Schema;
use crate::workspace;

/// The start of a namespace's root module.
const HEAD: &str = "//! The vSphere API, generated from the schema: see each module.
#![allow(clippy::wildcard_imports, reason = \"generated modules use each other's types freely\")]
#![allow(unused_imports, reason = \"not every namespace has all kinds of items\")]

pub mod calls;
pub mod enums;
mod methods;
pub mod mo;
pub mod props;
pub(crate) mod tables;
pub mod types;
";

/// The end of the root module.
const PRELUDE: &str = "
/// The names that the modules of `props` have in scope.
mod prelude {
    pub(super) use super::enums::*;
    pub(super) use super::mo;
    pub(super) use super::types::*;
";

/// Returns whether a feature of the bindings enables a generated namespace. Each
/// namespace depends only on its own part of the schema and on the main one, so if it
/// compiles alone, it also compiles with all the others.
pub(crate) fn is_namespace(feature: &str) -> bool {
    model::FIRST_IDS.iter().any(|(name, _)| *name == feature)
}

/// Generates the sources, or with `check` only verifies that they are current.
pub(crate) fn run(check: bool) -> Result<()> {
    let mut schema = Schema::load(&schema_folder())?;
    extras::add(&mut schema, &schema_folder())?;
    let vim25 = Model::of(&schema, VIM25, None)?;
    let others = schema.namespaces.iter().filter(|ns| ns.name != VIM25);
    let others = others
        .map(|ns| Model::of(&schema, &ns.name, Some(&vim25)))
        .collect::<Result<Vec<_>>>()?;
    let mut files = Files::new("vim25/src/generated");
    add(&mut files, "", &vim25, &others)?;
    for model in &others {
        add(
            &mut files,
            &format!("{}/", model.namespace.name),
            model,
            &[],
        )?;
    }
    let mut tests = Files::new("vim25/tests/generated");
    tests.add("every_struct.rs", &test_names::write(&vim25, &others))?;
    files.settle(check)?;
    tests.settle(check)
}

/// Adds the files of one namespace; the root module also declares the others.
fn add(files: &mut Files, folder: &str, model: &Model<'_>, others: &[Model<'_>]) -> Result<()> {
    let mut root = HEAD.to_owned();
    for other in others {
        let name = &other.namespace.name;
        root.push_str(&format!(
            "#[cfg(feature = {name:?})]\npub(crate) mod {name};\n"
        ));
    }
    root.push_str(PRELUDE);
    root.push_str(&model.scope().replace("use", "    pub(super) use"));
    root.push_str("    pub(super) use crate::{Any, Poly, Property, Ref, Timestamp};\n}\n");
    for (name, text) in [
        ("mod.rs", root),
        ("tables.rs", tables::write(model)?),
        ("types.rs", types::write(model)?),
        ("enums.rs", enums::write(model)?),
        ("mo.rs", managed::write(model)?),
        ("calls.rs", calls::write(model)?),
        ("methods.rs", methods::write(model)?),
        ("props.rs", properties::write(model)?),
    ] {
        files.add(&format!("{folder}{name}"), &text)?;
    }
    Ok(())
}

/// Creates the schema in `vim25/schema`, and its lock, from a dump of the registry.
pub(crate) fn import(dump: &Path) -> Result<()> {
    let text = import::import(dump)?.to_text()?;
    let folder = schema_folder();
    std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    for (name, text) in [
        ("vsphere-api.json", &text),
        ("schema.lock", &schema::lock_of(&text)),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        println!("wrote vim25/schema/{name}");
    }
    Ok(())
}

fn schema_folder() -> PathBuf {
    workspace::root().join("vim25/schema")
}
