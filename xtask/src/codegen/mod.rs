//! `cargo xtask codegen`: from the schema in `vim25/schema` to the Rust source
//! in `vim25/src/generated`; and `cargo xtask schema-import`, which makes that
//! schema of a dump of the registry.
//!
//! The generated files hold tables of integers, plain structs and thin
//! wrappers. What they have in common stands once, in macros of the runtime:
//! `data_object!`, `enumeration!`, `managed_object!` and `is_a!` in
//! `vim25/src/object.rs`.

mod docs;
mod enums;
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
mod types;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use self::model::Model;
use self::output::Files;
use self::schema::Schema;
use crate::workspace;

/// The root of the generated modules.
const ROOT: &str = "//! The vSphere API, generated from the schema: see each module.
#![allow(clippy::wildcard_imports, reason = \"generated modules use each other's types freely\")]

pub(crate) mod enums;
mod methods;
pub mod mo;
pub mod props;
pub(crate) mod tables;
pub(crate) mod types;

/// What the modules of `props` have in scope.
mod prelude {
    pub(super) use super::enums::*;
    pub(super) use super::mo;
    pub(super) use super::types::*;
    pub(super) use crate::{Any, Poly, Property, Ref, Timestamp};
}
";

/// Generates the sources, or with `check` only says whether they are current.
pub(crate) fn run(check: bool) -> Result<()> {
    let schema = Schema::load(&schema_folder())?;
    let model = Model::of(&schema, "vim25")?;
    let mut files = Files::new(workspace::root().join("vim25/src/generated"));
    files.add("mod.rs", ROOT)?;
    files.add("tables.rs", &tables::write(&model)?)?;
    files.add("types.rs", &types::write(&model)?)?;
    files.add("enums.rs", &enums::write(&model)?)?;
    files.add("mo.rs", &managed::write(&model)?)?;
    files.add("methods.rs", &methods::write(&model)?)?;
    files.add("props.rs", &properties::write(&model)?)?;
    if check {
        files.check()?;
        println!("vim25/src/generated is current");
        return Ok(());
    }
    let written = files.write()?;
    match written.as_slice() {
        [] => println!("vim25/src/generated was current"),
        names => println!("wrote {} in vim25/src/generated", names.join(", ")),
    }
    Ok(())
}

/// Makes the schema in `vim25/schema`, and its lock, of a dump of the registry.
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
