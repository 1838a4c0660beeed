//! What govmomi has and the registry has not: `vim25/schema/extras.json`, kept
//! by hand. Each item is marked, and its documentation says so.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::model::VIM25;
use super::schema::{Data, Enum, Member, Method, Schema};

#[derive(Deserialize)]
struct Extras {
    data: Vec<Data>,
    enums: Vec<Enum>,
    methods: Vec<Of<Method>>,
    fields: Vec<Of<Member>>,
}

/// Part of a type that the registry has.
#[derive(Deserialize)]
struct Of<T> {
    owner: String,
    #[serde(flatten)]
    item: T,
}

/// Adds the extras in `folder` to the schema.
pub(crate) fn add(schema: &mut Schema, folder: &Path) -> Result<()> {
    let file = folder.join("extras.json");
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("read the extras {}", file.display()))?;
    let extras: Extras = serde_json::from_str(&text)
        .with_context(|| format!("parse the extras {}", file.display()))?;
    merge(schema, extras).with_context(|| format!("merge {}", file.display()))
}

fn merge(schema: &mut Schema, extras: Extras) -> Result<()> {
    let vim25 = schema.namespaces.iter_mut().find(|ns| ns.name == VIM25);
    let vim25 = vim25.context("the schema has no namespace vim25")?;
    for Of { owner, mut item } in extras.fields {
        let data = vim25.data.iter_mut().find(|data| data.name == owner);
        let data = data.with_context(|| format!("no data type is called {owner}"))?;
        ensure!(
            !data.fields.iter().any(|field| field.name == item.name),
            "the registry has {owner}.{} by now",
            item.name
        );
        item.preview = true;
        data.fields.push(item);
    }
    for Of { owner, mut item } in extras.methods {
        let managed = vim25
            .managed
            .iter_mut()
            .find(|managed| managed.name == owner);
        let managed = managed.with_context(|| format!("no managed type is called {owner}"))?;
        item.preview = true;
        // That it is new is seen by the model, which refuses a name that stands twice.
        managed.methods.push(item);
    }
    for mut item in extras.data {
        item.preview = true;
        let place = vim25
            .data
            .binary_search_by(|data| data.name.cmp(&item.name));
        match place {
            Ok(_) => anyhow::bail!("the registry has {} by now", item.name),
            Err(place) => vim25.data.insert(place, item),
        }
    }
    for mut item in extras.enums {
        item.preview = true;
        let place = vim25
            .enums
            .binary_search_by(|found| found.name.cmp(&item.name));
        match place {
            Ok(_) => anyhow::bail!("the registry has {} by now", item.name),
            Err(place) => vim25.enums.insert(place, item),
        }
    }
    Ok(())
}
