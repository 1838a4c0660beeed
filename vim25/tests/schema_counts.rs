//! The compiled tables are complete: they are counted and compared by name with the
//! schema file.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::collections::BTreeSet;

use serde_json::Value;
use vim25::schema::{self, Type, TypeKind};

/// Reads the schema file, with only those namespaces that were compiled in.
fn schema() -> Vec<Value> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/vsphere-api.json");
    let mut schema: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let Value::Array(mut namespaces) = schema["namespaces"].take() else {
        panic!("no namespaces")
    };
    let vim25 = namespaces.iter_mut().find(|ns| ns["name"] == "vim25");
    add_previews(vim25.unwrap());
    let mut internal = previews()["internal"].take();
    internal["name"] = "internal".into();
    namespaces.push(internal);
    let compiled: BTreeSet<_> = schema::types().map(Type::namespace).collect();
    namespaces.retain(|ns| compiled.contains(ns["uri"].as_str().unwrap()));
    assert_eq!(namespaces.len(), compiled.len());
    namespaces
}

/// Reads what only govmomi has.
fn previews() -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/extras.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn add_previews(vim25: &mut Value) {
    let mut add = |list: &str, owner: Option<&Value>, part: &str, item: &Value| {
        let items = vim25[list].as_array_mut().unwrap();
        let into = match owner {
            None => items,
            Some(owner) => {
                let owner = items
                    .iter_mut()
                    .find(|item| item["name"] == *owner)
                    .unwrap();
                let part = owner.as_object_mut().unwrap().entry(part);
                part.or_insert(Value::Array(Vec::new()))
                    .as_array_mut()
                    .unwrap()
            }
        };
        into.push(item.clone());
    };
    let previews = previews();
    for (part, owners) in [("fields", "data"), ("methods", "managed")] {
        for item in list(&previews, part) {
            add(owners, Some(&item["owner"]), part, item);
        }
    }
    for part in ["data", "enums"] {
        for item in list(&previews, part) {
            add(part, None, "", item);
        }
    }
    for item in list(&previews["internal"], "methods") {
        let mut item = item.clone();
        item["namespace"] = "internal".into();
        add("managed", Some(&item["owner"]), "methods", &item);
    }
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

/// Returns the methods of a namespace: its own, and those that objects of
/// vim25 have there.
fn methods<'a>(schema: &'a [Value], namespace: &'a Value) -> Vec<&'a Value> {
    let short = namespace["name"].as_str().unwrap();
    let mut methods = Vec::new();
    for home in schema {
        for managed in list(home, "managed") {
            methods.extend(list(managed, "methods").iter().filter(|method| {
                let called_in = method.get("namespace").and_then(Value::as_str);
                called_in.unwrap_or(home["name"].as_str().unwrap()) == short
            }));
        }
    }
    methods
}

fn tables(uri: &str, kind: TypeKind) -> Vec<Type> {
    schema::types()
        .filter(|ty| ty.namespace() == uri && ty.kind() == kind)
        .collect()
}

/// Returns the name of a type without the namespace prefix for outside use.
fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

#[test]
fn every_type_and_method_of_the_schema_is_there() {
    let schema = schema();
    for ns in &schema {
        let names_of = |kind| -> BTreeSet<&str> {
            let types = tables(ns["uri"].as_str().unwrap(), kind);
            types.into_iter().map(Type::name).collect()
        };
        assert_eq!(names_of(TypeKind::Data), names(list(ns, "data")));
        assert_eq!(names_of(TypeKind::Enum), names(list(ns, "enums")));
        assert_eq!(names_of(TypeKind::Managed), names(list(ns, "managed")));
        assert_eq!(names_of(TypeKind::Request), names(methods(&schema, ns)));
        assert_eq!(names_of(TypeKind::Response), names(methods(&schema, ns)));
    }
}

/// Data types, enums, managed object types and methods of each service.
#[test]
fn the_counts_of_the_other_services_are_those_of_the_whole_api() {
    let mut compiled = 0;
    for (uri, counts) in [
        ("urn:vsan", [434, 121, 18, 170]),
        ("urn:eam", [162, 14, 5, 23]),
        ("urn:sms", [119, 20, 6, 46]),
        ("urn:pbm", [75, 22, 8, 32]),
        ("urn:vslm", [18, 5, 5, 46]),
        ("urn:internalvim25", [6, 0, 1, 6]),
    ] {
        let kinds = [
            TypeKind::Data,
            TypeKind::Enum,
            TypeKind::Managed,
            TypeKind::Request,
        ];
        let found = kinds.map(|kind| tables(uri, kind).len());
        if found != [0; 4] {
            assert_eq!(found, counts, "{uri}");
            compiled += 1;
        }
    }
    assert_eq!(compiled + 1, schema().len());
}

#[test]
fn the_counts_are_those_of_the_whole_api() {
    let count = |kind| tables("urn:vim25", kind).len();
    // Those of the registry, and the previews from govmomi.
    assert_eq!(count(TypeKind::Data), 3167 + 14);
    assert_eq!(count(TypeKind::Enum), 465 + 5);
    assert_eq!(count(TypeKind::Managed), 156);
    assert_eq!(count(TypeKind::Request), 1092 + 3);
    assert_eq!(count(TypeKind::Response), 1092 + 3);
    let previews = previews();
    let counts = ["data", "enums", "methods", "fields"].map(|part| list(&previews, part).len());
    assert_eq!(counts, [14, 5, 3, 7]);
    let new_fields: usize = list(&previews, "data")
        .iter()
        .map(|d| list(d, "fields").len())
        .sum();
    let own = |kind| {
        tables("urn:vim25", kind)
            .into_iter()
            .map(|ty| ty.own_fields().count())
            .sum::<usize>()
    };
    assert_eq!(own(TypeKind::Data), 8598 + 7 + new_fields);
    assert_eq!(own(TypeKind::Managed), 266);
}

#[test]
fn every_field_property_and_parameter_stands_where_the_schema_has_it() {
    let schema = schema();
    let mut compared = 0;
    let mut compare = |ty: Type, name: &str, members: &[Value], skip: usize| {
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
                    local(declared.trim_end_matches(['[', ']', '?'])),
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
    for ns in &schema {
        for data in list(ns, "data") {
            let name = data["name"].as_str().unwrap();
            let ty = schema::find_in(ns["uri"].as_str().unwrap(), name).unwrap();
            compare(ty, name, list(data, "fields"), 0);
        }
    }
    for managed in schema.iter().flat_map(|ns| list(ns, "managed")) {
        let name = managed["name"].as_str().unwrap();
        let ty = schema::find(TypeKind::Managed, name).unwrap();
        compare(ty, name, list(managed, "properties"), 0);
    }
    for method in schema.iter().flat_map(|ns| methods(&schema, ns)) {
        let name = method["name"].as_str().unwrap();
        let ty = schema::find(TypeKind::Request, name).unwrap();
        compare(ty, name, list(method, "parameters"), 1);
    }
    assert!(
        compared > 8598 + 266,
        "only {compared} members were compared"
    );
}

#[test]
fn bases_and_results_are_those_of_the_schema() {
    let schema = schema();
    let compare = |ty: Type, item: &Value| {
        let base = item.get("base").and_then(Value::as_str).map(local);
        assert_eq!(ty.base().map(Type::name), base, "{ty:?}");
    };
    for ns in &schema {
        for data in list(ns, "data") {
            let uri = ns["uri"].as_str().unwrap();
            let ty = schema::find_in(uri, data["name"].as_str().unwrap());
            compare(ty.unwrap(), data);
        }
        for managed in list(ns, "managed") {
            let ty = schema::find(TypeKind::Managed, managed["name"].as_str().unwrap());
            compare(ty.unwrap(), managed);
        }
    }
    for method in schema.iter().flat_map(|ns| methods(&schema, ns)) {
        let name = method["name"].as_str().unwrap();
        let response = schema::find(TypeKind::Response, name).unwrap();
        let result = response.fields().next();
        assert_eq!(result.is_some(), method.get("returns").is_some(), "{name}");
        if let Some(result) = result {
            assert_eq!(result.name(), "returnval", "{name}");
        }
    }
}
