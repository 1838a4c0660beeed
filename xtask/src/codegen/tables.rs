//! `tables.rs`: the schema as rows of integers over one blob of names.

use std::collections::HashMap;

use anyhow::{Result, ensure};

use super::model::{Kind, Model, Type};
use super::output;
use super::schema::Member;

/// The value of a type id that is none.
const NONE: u16 = u16::MAX;

/// The rows of one namespace while they are written.
#[derive(Default)]
struct Tables {
    names: String,
    offsets: HashMap<String, u32>,
    fields: Vec<String>,
    types: Vec<String>,
}

/// A type row in the making.
struct Row<'a> {
    name: &'a str,
    base: u16,
    /// Number of inherited fields.
    first: usize,
    kind: &'a str,
}

/// The file's text.
pub(crate) fn write(model: &Model<'_>) -> Result<String> {
    let mut tables = Tables::default();
    let mut ends: Vec<usize> = Vec::new();
    let namespace = model.namespace;
    for data in &namespace.data {
        let ancestors = model.ancestors(data)?;
        let row = Row {
            name: &data.name,
            base: model.base(data)?.map_or(NONE, |(_, id)| id),
            first: ancestors.iter().map(|ancestor| ancestor.fields.len()).sum(),
            kind: "Data",
        };
        tables.add(row, members(model, &data.fields)?)?;
    }
    ends.push(tables.types.len());
    for item in &namespace.enums {
        tables.add(
            Row {
                name: &item.name,
                base: NONE,
                first: 0,
                kind: "Enum",
            },
            Vec::new(),
        )?;
    }
    ends.push(tables.types.len());
    for managed in &namespace.managed {
        let ancestors = model.managed_ancestors(managed)?;
        let base = ancestors
            .first()
            .map(|base| model.managed_id(&base.name))
            .transpose()?;
        let row = Row {
            name: &managed.name,
            base: base.unwrap_or(NONE),
            first: ancestors
                .iter()
                .map(|ancestor| ancestor.properties.len())
                .sum(),
            kind: "Managed",
        };
        tables.add(row, members(model, &managed.properties)?)?;
    }
    ends.push(tables.types.len());
    for called in &model.methods {
        ensure!(
            usize::from(called.id - model.first_id) == tables.types.len(),
            "the request of {} has another row than its id",
            called.method.name
        );
        let this = Type {
            kind: Kind::Ref,
            named: Some((model.managed_id(called.owner)?, String::new())),
            poly: false,
            array: false,
            optional: false,
        };
        let mut fields = vec![("_this", this, false)];
        fields.extend(members(model, &called.method.parameters)?);
        let row = Row {
            name: &called.method.name,
            base: NONE,
            first: 0,
            kind: "Request",
        };
        tables.add(row, fields)?;
    }
    ends.push(tables.types.len());
    for called in &model.methods {
        let fields = match &called.method.returns {
            Some(returns) => vec![("returnval", model.ty(returns)?, called.method.secret)],
            None => Vec::new(),
        };
        let row = Row {
            name: &called.method.name,
            base: NONE,
            first: 0,
            kind: "Response",
        };
        tables.add(row, fields)?;
    }
    ends.push(tables.types.len());
    Ok(tables.text(model, &ends))
}

type Field<'a> = (&'a str, Type, bool);

fn members<'a>(model: &Model<'_>, members: &'a [Member]) -> Result<Vec<Field<'a>>> {
    members
        .iter()
        .map(|m| Ok((m.name.as_str(), model.member(m)?, m.secret)))
        .collect()
}

impl Tables {
    fn add(&mut self, row: Row<'_>, fields: Vec<Field<'_>>) -> Result<()> {
        let start = self.fields.len();
        let own = fields.len();
        ensure!(
            start + own < usize::from(NONE),
            "the field rows outgrow their 16 bits"
        );
        for (name, ty, secret) in fields {
            let name = self.name(name)?;
            let id = ty.named.map_or(NONE, |(id, _)| id);
            let flags = u8::from(ty.optional) | u8::from(ty.array) << 1 | u8::from(secret) << 2;
            self.fields.push(format!(
                "f({name}, {}, F::{:?}, {flags})",
                id_text(id),
                ty.kind
            ));
        }
        let name = self.name(row.name)?;
        self.types.push(format!(
            "t({name}, {}, {start}, {own}, {}, T::{})",
            id_text(row.base),
            row.first,
            row.kind
        ));
        Ok(())
    }

    /// The packed position of a name, which is added when it is new.
    fn name(&mut self, name: &str) -> Result<u32> {
        if let Some(&packed) = self.offsets.get(name) {
            return Ok(packed);
        }
        let offset = u32::try_from(self.names.len())?;
        let length = u32::from(u8::try_from(name.len())?);
        ensure!(offset < 1 << 24, "the names outgrow their 24 bits");
        self.names.push_str(name);
        let packed = offset << 8 | length;
        self.offsets.insert(name.to_owned(), packed);
        Ok(packed)
    }

    fn text(&self, model: &Model<'_>, ends: &[usize]) -> String {
        let constant = model.namespace.name.to_uppercase();
        let mut out = format!(
            "//! The tables of `{}`: types, fields and names; see `table` for their meaning.\n\
             \n\
             use crate::table::{{FieldKind as F, FieldRow, NONE, Namespace, Rows, TypeKind as T, TypeRow, f, t}};\n\
             \n\
             /// The tables of `{}`.\n\
             pub(crate) static {constant}: Namespace = Namespace {{\n    \
             uri: {:?},\n    names: NAMES,\n    types: &TYPES,\n    fields: &FIELDS,\n    \
             first_id: {},\n",
            model.namespace.uri, model.namespace.uri, model.namespace.uri, model.first_id
        );
        let mut start = 0;
        for (name, end) in ["data", "enums", "managed", "requests", "responses"]
            .iter()
            .zip(ends)
        {
            out.push_str(&format!(
                "    {name}: Rows {{ start: {start}, end: {end} }},\n"
            ));
            start = *end;
        }
        out.push_str("};\n");
        out.push_str(&format!(
            "\nstatic TYPES: [TypeRow; {}] = [\n",
            self.types.len()
        ));
        out.push_str(&output::wrapped("", &self.types, "];"));
        out.push_str(&format!(
            "\nstatic FIELDS: [FieldRow; {}] = [\n",
            self.fields.len()
        ));
        out.push_str(&output::wrapped("", &self.fields, "];"));
        out.push_str("\nstatic NAMES: &str = \"\\\n");
        for chunk in self.names.as_bytes().chunks(120) {
            out.push_str(&String::from_utf8_lossy(chunk));
            out.push_str("\\\n");
        }
        out.push_str("\";\n");
        out
    }
}

fn id_text(id: u16) -> String {
    if id == NONE {
        "NONE".to_owned()
    } else {
        id.to_string()
    }
}
