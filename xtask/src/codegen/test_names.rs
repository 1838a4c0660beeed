//! Generates the names of all structs, for a test that fills each of them.

use super::model::Model;
use super::{names, output};

/// Generates the file: one list per namespace, for a macro of the test.
pub(crate) fn write(vim25: &Model<'_>, others: &[Model<'_>]) -> String {
    let mut out = String::from("// The data types of each namespace.\n");
    for model in [vim25].into_iter().chain(others) {
        let (name, uri) = (&model.namespace.name, &model.namespace.uri);
        let module = if model.is_vim25() {
            "vim25::types".to_owned()
        } else {
            out.push_str(&format!("\n#[cfg(feature = {name:?})]"));
            format!("vim25::{name}::types")
        };
        let types = model.namespace.data.iter();
        let types: Vec<String> = types.map(|data| names::type_name(&data.name)).collect();
        out.push('\n');
        let open = format!("every_struct!(every_struct_of_{name}, {uri:?}, {module}, {{");
        out.push_str(&output::wrapped(&open, &types, "});"));
    }
    out
}
