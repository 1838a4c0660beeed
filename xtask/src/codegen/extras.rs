//! Adds items that are in govmomi but not in the registry, from
//! `vim25/schema/extras.json`, which is maintained by hand. Each item is marked as such,
//! and its documentation says so. Undocumented methods and their types form a namespace of
//! their own.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::model::{INTERNAL, VIM25};
use super::schema::{Data, Enum, Managed, Member, Method, Namespace, Schema};

#[derive(Deserialize)]
struct Extras {
    data: Vec<Data>,
    enums: Vec<Enum>,
    methods: Vec<Of<Method>>,
    fields: Vec<Of<Member>>,
    /// Values that enums of the registry lack.
    #[serde(default)]
    values: Vec<Of<Values>>,
    /// Secret fields that the registry does not mark.
    #[serde(default)]
    secrets: Vec<Of<Secret>>,
    /// The namespace of undocumented methods.
    internal: Option<Internal>,
}

#[derive(Deserialize)]
struct Internal {
    uri: String,
    data: Vec<Data>,
    managed: Vec<Managed>,
    /// The undocumented methods of managed object types of vim25.
    methods: Vec<Of<Method>>,
}

#[derive(Deserialize)]
struct Values {
    values: Vec<String>,
}

#[derive(Deserialize)]
struct Secret {
    field: String,
}

/// An addition to a type of the registry.
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

fn merge(schema: &mut Schema, mut extras: Extras) -> Result<()> {
    if let Some(mut internal) = extras.internal.take() {
        for Of { owner, mut item } in internal.methods {
            item.namespace = Some(INTERNAL.to_owned());
            extras.methods.push(Of { owner, item });
        }
        for data in &mut internal.data {
            data.preview = true;
        }
        for method in internal.managed.iter_mut().flat_map(|m| &mut m.methods) {
            method.preview = true;
        }
        schema.namespaces.push(Namespace {
            name: INTERNAL.to_owned(),
            uri: internal.uri,
            data: internal.data,
            enums: Vec::new(),
            managed: internal.managed,
        });
    }
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
        // The model refuses duplicate names, so they are not checked here.
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
    for Of { owner, item } in extras.values {
        let found = vim25.enums.iter_mut().find(|found| found.name == owner);
        let found = found.with_context(|| format!("no enum is called {owner}"))?;
        for value in item.values {
            ensure!(
                !found.values.contains(&value),
                "the registry has {owner}.{value} by now"
            );
            found.values.push(value);
        }
    }
    for Of { owner, item } in extras.secrets {
        let data = vim25.data.iter_mut().find(|data| data.name == owner);
        let field = data
            .and_then(|data| {
                data.fields
                    .iter_mut()
                    .find(|field| field.name == item.field)
            })
            .with_context(|| format!("no field is called {owner}.{}", item.field))?;
        ensure!(
            !field.secret,
            "the schema marks {owner}.{} by now",
            item.field
        );
        field.secret = true;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot run should stop")]

    use super::*;

    fn schema() -> Schema {
        serde_json::from_str(
            r#"{"header":{"about":"","sources":[],"corrections":[]},
                "versions":{"v1":"1.0"},
                "namespaces":[{"name":"vim25","uri":"urn:vim25","data":[
                    {"name":"Spec","vmodl":"vim.Spec","since":"v1",
                     "fields":[{"name":"token","type":"string"}]}],
                 "enums":[{"name":"Color","vmodl":"vim.Color","since":"v1","values":["red"]}],
                 "managed":[]}]}"#,
        )
        .unwrap()
    }

    fn merged(more: &str) -> Result<Schema> {
        let text = format!(r#"{{"data":[],"enums":[],"methods":[],"fields":[],{more}}}"#);
        let mut schema = schema();
        merge(&mut schema, serde_json::from_str(&text)?)?;
        Ok(schema)
    }

    #[test]
    fn an_enum_gains_a_value() {
        let schema = merged(r#""values":[{"owner":"Color","values":["blue"]}]"#).unwrap();
        assert_eq!(schema.namespaces[0].enums[0].values, ["red", "blue"]);
        for (more, reason) in [
            (
                r#""values":[{"owner":"Color","values":["red"]}]"#,
                "has Color.red",
            ),
            (
                r#""values":[{"owner":"Taste","values":["sour"]}]"#,
                "no enum is called Taste",
            ),
        ] {
            let error = merged(more).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn an_undocumented_method_is_in_a_namespace_of_its_own() {
        let mut schema = schema();
        schema.namespaces[0].managed.push(
            serde_json::from_str(r#"{"name":"Host","vmodl":"vim.Host","since":"v1"}"#).unwrap(),
        );
        let text = r#"{"data":[],"enums":[],"methods":[],"fields":[],"internal":{
            "uri":"urn:internal","data":[],"managed":[],
            "methods":[{"owner":"Host","name":"Explode","since":""}]}}"#;
        merge(&mut schema, serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(schema.namespaces[1].uri, "urn:internal");
        let method = &schema.namespaces[0].managed[0].methods[0];
        assert_eq!(method.namespace.as_deref(), Some(INTERNAL));
        assert!(method.preview);
    }

    #[test]
    fn a_field_becomes_a_secret() {
        let schema = merged(r#""secrets":[{"owner":"Spec","field":"token"}]"#).unwrap();
        assert!(schema.namespaces[0].data[0].fields[0].secret);
        let error = merged(r#""secrets":[{"owner":"Spec","field":"pin"}]"#).unwrap_err();
        assert!(error.to_string().contains("no field is called Spec.pin"));
    }
}
