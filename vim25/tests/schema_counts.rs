//! Nothing of the schema is missing: the tables that were compiled in are
//! counted and compared by name against the schema file.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::collections::BTreeSet;

use serde_json::Value;
use vim25::schema::{self, Type, TypeKind};

/// The `urn:vim25` part of the schema file.
fn vim25() -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/vsphere-api.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let namespaces = schema["namespaces"].as_array().unwrap();
    namespaces
        .iter()
        .find(|ns| ns["uri"] == "urn:vim25")
        .unwrap()
        .clone()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .map_or(&[], |list| list.as_array().unwrap().as_slice())
}

fn names<'a>(values: impl IntoIterator<Item = &'a Value>) -> BTreeSet<&'a str> {
    values
        .into_iter()
        .map(|value| value["name"].as_str().unwrap())
        .collect()
}

/// The methods that are called in the namespace itself.
fn methods(schema: &Value) -> Vec<&Value> {
    list(schema, "managed")
        .iter()
        .flat_map(|managed| list(managed, "methods"))
        .filter(|method| method.get("namespace").is_none())
        .collect()
}

fn tables(kind: TypeKind) -> Vec<Type> {
    schema::types()
        .filter(|ty| ty.namespace() == "urn:vim25" && ty.kind() == kind)
        .collect()
}

fn table_names(kind: TypeKind) -> BTreeSet<&'static str> {
    tables(kind).into_iter().map(Type::name).collect()
}

#[test]
fn every_type_and_method_of_the_schema_is_there() {
    let schema = vim25();
    assert_eq!(table_names(TypeKind::Data), names(list(&schema, "data")));
    assert_eq!(table_names(TypeKind::Enum), names(list(&schema, "enums")));
    assert_eq!(
        table_names(TypeKind::Managed),
        names(list(&schema, "managed"))
    );
    assert_eq!(table_names(TypeKind::Request), names(methods(&schema)));
    assert_eq!(table_names(TypeKind::Response), names(methods(&schema)));
}

#[test]
fn the_counts_are_those_of_the_whole_api() {
    let count = |kind| tables(kind).len();
    assert_eq!(count(TypeKind::Data), 3167);
    assert_eq!(count(TypeKind::Enum), 465);
    assert_eq!(count(TypeKind::Managed), 156);
    assert_eq!(count(TypeKind::Request), 1092);
    assert_eq!(count(TypeKind::Response), 1092);
    let own = |kind| {
        tables(kind)
            .into_iter()
            .map(|ty| ty.own_fields().count())
            .sum::<usize>()
    };
    assert_eq!(own(TypeKind::Data), 8598);
    assert_eq!(own(TypeKind::Managed), 266);
}

#[test]
fn every_field_property_and_parameter_stands_where_the_schema_has_it() {
    let schema = vim25();
    let mut compared = 0;
    let mut compare = |kind, name: &str, members: &[Value], skip: usize| {
        let ty = schema::find(kind, name).unwrap();
        let mut fields = ty.own_fields().skip(skip);
        for member in members {
            let declared = member["type"].as_str().unwrap();
            let field = fields.next().unwrap();
            assert_eq!(field.name(), member["name"].as_str().unwrap(), "in {name}");
            assert_eq!(
                field.is_optional(),
                declared.ends_with('?'),
                "{name}.{field:?}"
            );
            assert_eq!(field.is_list(), declared.contains("[]"), "{name}.{field:?}");
            assert_eq!(
                field.is_secret(),
                member["secret"] == true,
                "{name}.{field:?}"
            );
            if let Some(ty) = field.declared() {
                assert_eq!(
                    ty.name(),
                    declared.trim_end_matches(['[', ']', '?']),
                    "{name}.{field:?}"
                );
            }
            compared += 1;
        }
        assert!(
            fields.next().is_none(),
            "{name} has more fields than the schema"
        );
    };
    for data in list(&schema, "data") {
        compare(
            TypeKind::Data,
            data["name"].as_str().unwrap(),
            list(data, "fields"),
            0,
        );
    }
    for managed in list(&schema, "managed") {
        compare(
            TypeKind::Managed,
            managed["name"].as_str().unwrap(),
            list(managed, "properties"),
            0,
        );
    }
    for method in methods(&schema) {
        compare(
            TypeKind::Request,
            method["name"].as_str().unwrap(),
            list(method, "parameters"),
            1,
        );
    }
    assert!(
        compared > 8598 + 266,
        "only {compared} members were compared"
    );
}

#[test]
fn bases_and_results_are_those_of_the_schema() {
    let schema = vim25();
    for (kind, key) in [(TypeKind::Data, "data"), (TypeKind::Managed, "managed")] {
        for item in list(&schema, key) {
            let ty = schema::find(kind, item["name"].as_str().unwrap()).unwrap();
            assert_eq!(
                ty.base().map(Type::name),
                item.get("base").and_then(Value::as_str),
                "{ty:?}"
            );
        }
    }
    for method in methods(&schema) {
        let name = method["name"].as_str().unwrap();
        let response = schema::find(TypeKind::Response, name).unwrap();
        let result = response.fields().next();
        assert_eq!(result.is_some(), method.get("returns").is_some(), "{name}");
        if let Some(result) = result {
            assert_eq!(result.name(), "returnval", "{name}");
        }
    }
}
