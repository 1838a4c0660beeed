//! `tables.rs`: the schema as rows of integers over one blob of names.

use std::collections::HashMap;

use anyhow::{Result, ensure};

use super::declared::{Kind, Type};
use super::model::Model;
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
    kind: RowKind,
}

/// What a type row describes, in the order of `TypeKind`.
#[derive(Clone, Copy)]
enum RowKind {
    Data,
    Enum,
    Managed,
    Request,
    Response,
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
            base: ancestors.first().map_or(NONE, |base| base.id),
            first: ancestors.iter().map(|a| a.item.fields.len()).sum(),
            kind: RowKind::Data,
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
                kind: RowKind::Enum,
            },
            Vec::new(),
        )?;
    }
    ends.push(tables.types.len());
    for managed in &namespace.managed {
        let ancestors = model.managed_ancestors(managed)?;
        let row = Row {
            name: &managed.name,
            base: ancestors.first().map_or(NONE, |base| base.id),
            first: ancestors.iter().map(|a| a.item.properties.len()).sum(),
            kind: RowKind::Managed,
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
            named: Some((called.owner.id, String::new())),
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
            kind: RowKind::Request,
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
            kind: RowKind::Response,
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
            let rest = u32::from(id) << 16 | (ty.kind as u32) << 8 | u32::from(flags);
            self.fields.push(word(name, rest));
        }
        let name = self.name(row.name)?;
        let (start, own) = (u16::try_from(start)?, u16::try_from(own)?);
        let first = u32::from(u16::try_from(row.first)?);
        self.types.push(format!(
            "{}, {}",
            word(name, u32::from(row.base) << 16 | u32::from(start)),
            word(u32::from(own), first << 16 | row.kind as u32)
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
             use crate::table::{{FieldRow, Namespace, Rows, TypeRow, fields, types}};\n\
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
            "\nstatic TYPES: [TypeRow; {}] = types([\n",
            self.types.len()
        ));
        out.push_str(&output::wrapped("", &self.types, "]);"));
        out.push_str(&format!(
            "\nstatic FIELDS: [FieldRow; {}] = fields([\n",
            self.fields.len()
        ));
        out.push_str(&output::wrapped("", &self.fields, "]);"));
        out.push_str("\nstatic NAMES: &str = \"\\\n");
        for chunk in self.names.as_bytes().chunks(120) {
            out.push_str(&String::from_utf8_lossy(chunk));
            out.push_str("\\\n");
        }
        out.push_str("\";\n");
        out
    }
}

/// Two halves of a word, as `fields` and `types` of the runtime's `table.rs` take
/// them apart. Calls in their place would cost the compiler more than the rows do.
fn word(high: u32, low: u32) -> String {
    format!("{:#x}", u64::from(high) << 32 | u64::from(low))
}
