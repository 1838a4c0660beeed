//! `tables.rs`: the schema as rows of integers and one string that contains all names.
//! `fields` and `types` in the runtime's `table.rs` unpack the integers: constructor
//! calls would take the compiler more time than the rows do.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context, Result, ensure};

use super::declared::{Kind, Type};
use super::model::Model;
use super::output;
use super::schema::Member;

/// The type id that means "no type".
const NONE: u16 = u16::MAX;

/// The rows of one namespace, during generation.
struct Tables {
    names: Names,
    fields: Vec<u64>,
    /// The positions of each row in `fields`.
    places: HashMap<u64, Vec<usize>>,
    types: Vec<String>,
}

/// A type row before it is packed.
struct Row<'a> {
    name: &'a str,
    base: u16,
    /// The number of inherited fields.
    first: usize,
    kind: RowKind,
}

/// The kind of a type row, in the order of `TypeKind`.
#[derive(Clone, Copy)]
enum RowKind {
    Data,
    Enum,
    Managed,
    Request,
    Response,
}

/// Generates the file.
pub(crate) fn write(model: &Model<'_>) -> Result<String> {
    let mut tables = Tables {
        names: Names::of(&all_names(model)),
        fields: Vec::new(),
        places: HashMap::new(),
        types: Vec::new(),
    };
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
        let mut rows = Vec::new();
        for (name, ty, secret) in fields {
            let name = self.names.packed(name)?;
            let id = ty.named.map_or(NONE, |(id, _)| id);
            let flags = u8::from(ty.optional) | u8::from(ty.array) << 1 | u8::from(secret) << 2;
            let rest = u32::from(id) << 16 | (ty.kind as u32) << 8 | u32::from(flags);
            rows.push(u64::from(name) << 32 | u64::from(rest));
        }
        let start = u16::try_from(self.place(&rows))?;
        ensure!(start < NONE, "the field rows outgrow their 16 bits");
        let (own, first) = (u8::try_from(rows.len())?, u8::try_from(row.first)?);
        let head = u64::from(self.names.packed(row.name)?) << 32
            | u64::from(row.base) << 16
            | u64::from(start);
        let counts = u64::from(own) << 16 | u64::from(first) << 8 | row.kind as u64;
        self.types.push(format!("{head:#x}, {counts:#x}"));
        Ok(())
    }

    /// Returns the position at which these rows are consecutive in the table. Hundreds of
    /// methods have the same parameters or results and share rows.
    fn place(&mut self, rows: &[u64]) -> usize {
        let Some(first) = rows.first() else { return 0 };
        let starts = self.places.get(first).into_iter().flatten();
        for &start in starts {
            if self.fields[start..].starts_with(rows) {
                return start;
            }
        }
        let start = self.fields.len();
        for row in rows {
            self.places.entry(*row).or_default().push(self.fields.len());
            self.fields.push(*row);
        }
        start
    }

    fn text(&self, model: &Model<'_>, ends: &[usize]) -> String {
        let constant = model.namespace.name.to_uppercase();
        let mut out = format!(
            "//! The tables of `{}`: types, fields and names; `table` documents them.\n\
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
        let fields: Vec<String> = self.fields.iter().map(|row| format!("{row:#x}")).collect();
        out.push_str(&output::wrapped("", &fields, "]);"));
        out.push_str("\nstatic NAMES: &str = \"\\\n");
        for chunk in self.names.blob.as_bytes().chunks(120) {
            out.push_str(&String::from_utf8_lossy(chunk));
            out.push_str("\\\n");
        }
        out.push_str("\";\n");
        out
    }
}

/// Returns all names of a namespace.
fn all_names<'m>(model: &'m Model<'_>) -> BTreeSet<&'m str> {
    let namespace = model.namespace;
    let mut names = BTreeSet::from(["_this", "returnval"]);
    for data in &namespace.data {
        names.insert(&data.name);
        names.extend(data.fields.iter().map(|field| field.name.as_str()));
    }
    names.extend(namespace.enums.iter().map(|item| item.name.as_str()));
    for managed in &namespace.managed {
        names.insert(&managed.name);
        names.extend(managed.properties.iter().map(|p| p.name.as_str()));
    }
    for called in &model.methods {
        names.insert(&called.method.name);
        names.extend(called.method.parameters.iter().map(|p| p.name.as_str()));
    }
    names
}

/// All names in one string. A name that is part of another one shares its text.
struct Names {
    blob: String,
    offsets: HashMap<String, usize>,
}

impl Names {
    fn of(names: &BTreeSet<&str>) -> Self {
        let mut by_length: Vec<&str> = names.iter().copied().collect();
        by_length.sort_by_key(|name| std::cmp::Reverse(name.len()));
        let (mut blob, mut offsets) = (String::new(), HashMap::new());
        for name in by_length {
            let offset = blob.find(name).unwrap_or_else(|| {
                blob.push_str(name);
                blob.len() - name.len()
            });
            offsets.insert(name.to_owned(), offset);
        }
        Self { blob, offsets }
    }

    /// Returns the offset of a name shifted left by 8, plus its length.
    fn packed(&self, name: &str) -> Result<u32> {
        let offset = self
            .offsets
            .get(name)
            .with_context(|| format!("{name} was not collected"))?;
        ensure!(*offset < 1 << 24, "the names outgrow their 24 bits");
        Ok(u32::try_from(*offset)? << 8 | u32::from(u8::try_from(name.len())?))
    }
}
