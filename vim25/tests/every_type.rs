//! Every type of the schema, with every field set: as a document, as XML, as
//! JSON and back, always equal.
#![cfg(feature = "json")]
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod sample;

use sample::object;
use vim25::schema::{self, Field, FieldKind, Type, TypeKind};
use vim25::soap::{self, Response};
use vim25::types::ObjectContent;
use vim25::{Any, Limits, Ref, mo};

fn data_types() -> impl Iterator<Item = Type> {
    schema::types().filter(|ty| ty.kind() == TypeKind::Data)
}

/// Returns the value after encoding and decoding it as XML, as the value of a property.
fn through_xml(value: &Any) -> Any {
    all_through_xml(std::slice::from_ref(value)).remove(0)
}

fn all_through_xml(values: &[Any]) -> Vec<Any> {
    let mut content = ObjectContent {
        obj: Ref::from_wire("Folder", "f"),
        ..Default::default()
    };
    content
        .prop_set
        .extend(values.iter().map(|value| vim25::types::DynamicProperty {
            name: "p".into(),
            val: value.clone(),
        }));
    let page = Any::new(&vec![content]);
    let xml = soap::encode_response("RetrieveProperties", &page).unwrap();
    let call = Ref::<mo::PropertyCollector>::new("pc").retrieve_properties(&[]);
    let Response::Value(back) =
        soap::decode_response(&call, xml.as_bytes(), &Limits::default()).unwrap()
    else {
        panic!("{xml}")
    };
    let mut objects: Vec<ObjectContent> = back.get().unwrap();
    let properties = objects.remove(0).prop_set.into_iter();
    properties.map(|property| property.val).collect()
}

#[test]
fn every_type_survives_xml_and_json_with_every_field_set() {
    let mut count = 0;
    for ty in data_types() {
        let text = object(ty, 2).to_string();
        let value = Any::from_json(&text).unwrap_or_else(|error| panic!("{ty:?}: {error}"));
        value
            .check()
            .unwrap_or_else(|error| panic!("{ty:?}: {error}"));
        assert_eq!(value.type_name(), ty.name());
        let xml = through_xml(&value);
        assert_eq!(xml, value, "{ty:?} through XML");
        assert_eq!(
            Any::from_json(&xml.to_json()).unwrap(),
            value,
            "{ty:?} through JSON"
        );
        count += 1;
    }
    // Those of the registry, and the previews.
    let mut expected = 3_167 + 14;
    for (compiled, types) in [
        (cfg!(feature = "vsan"), 434),
        (cfg!(feature = "eam"), 162),
        (cfg!(feature = "sms"), 119),
        (cfg!(feature = "pbm"), 75),
        (cfg!(feature = "vslm"), 18),
        (cfg!(feature = "internal"), 6),
    ] {
        expected += if compiled { types } else { 0 };
    }
    assert_eq!(count, expected);
}

/// What a path leads to stands alone, as the value of a property: it must name its
/// type on the wire, whatever it is and wherever it was.
#[test]
fn a_value_at_any_path_keeps_its_type() {
    // Two names stand in more than one namespace; JSON knows only the first.
    for ty in data_types().filter(|ty| schema::find(TypeKind::Data, ty.name()) == Some(*ty)) {
        let value = Any::from_json(&object(ty, 1).to_string()).unwrap();
        let mut all = Vec::new();
        for field in ty.fields() {
            let mut at = |path: &str| {
                let found = value.at(path).unwrap_or_else(|| panic!("{ty:?}.{path}"));
                all.push(found.clone());
                found
            };
            let found = at(field.name());
            // Items with a key are not found by their position.
            let is_keyed = field
                .declared()
                .is_some_and(|ty| ty.fields().any(|field| field.name() == "key"));
            if is_keyed {
                continue;
            }
            let item = field.is_list().then(|| {
                let item = at(&format!("{}[0]", field.name()));
                assert_eq!(found.type_name(), format!("ArrayOf{}", array_of(field)));
                item
            });
            let item = item.unwrap_or(found);
            if field.kind() != FieldKind::Any {
                assert_eq!(item.type_name(), declared(field), "{ty:?}.{}", field.name());
            }
        }
        assert_eq!(all_through_xml(&all), all, "{ty:?}");
    }
}

/// Returns the name of a field's type where the place does not determine it.
fn declared(field: Field) -> &'static str {
    match field.kind() {
        FieldKind::String => "string",
        FieldKind::Bool => "boolean",
        FieldKind::Byte => "byte",
        FieldKind::Short => "short",
        FieldKind::Int => "int",
        FieldKind::Long => "long",
        FieldKind::Float => "float",
        FieldKind::Double => "double",
        FieldKind::DateTime => "dateTime",
        FieldKind::Binary => "base64Binary",
        FieldKind::Uri => "anyURI",
        FieldKind::Ref => "ManagedObjectReference",
        FieldKind::Any => "anyType",
        FieldKind::Enum | FieldKind::Object => field.declared().unwrap().name(),
    }
}

fn array_of(field: Field) -> String {
    let name = declared(field);
    let (first, rest) = name.split_at(1);
    format!("{}{rest}", first.to_uppercase())
}

#[test]
fn what_the_schema_does_not_know_survives_json() {
    let text = r#"{"_typeName":"VirtualHardware","numCPU":2,"memoryMB":64,"device":[{"_typeName":"VirtualVmxnet9","key":4000,"warp":{"factor":{"_typeName":"int","_value":9},"lane":["a","b"]}}],"state":{"_typeName":"WarpState","_value":"on"}}"#;
    let value = Any::from_json(text).unwrap();
    assert_eq!(value.to_json(), text);
    assert_eq!(
        value
            .node()
            .path("device[4000].warp.factor")
            .unwrap()
            .as_i64(),
        Some(9)
    );
}

/// Numbers, booleans and lists without a type next to them were an error, or came back
/// as something else.
#[test]
fn unknown_numbers_booleans_and_lists_survive_json() {
    for member in [
        "5",
        "-9223372036854775808",
        "1.5",
        "true",
        "false",
        "null",
        r#""a""#,
        "[]",
        r#"["a"]"#,
        "[1,2]",
        "[[]]",
        r#"[["a","b"],["c"]]"#,
        r#"{"deep":[true],"none":[]}"#,
        r#"{"_typeName":"WarpCount","_value":5}"#,
        r#"{"_typeName":"ArrayOfWarp","_value":[1]}"#,
    ] {
        let text = format!(r#"{{"_typeName":"VirtualHardware","numCPU":2,"warp":{member}}}"#);
        let value = Any::from_json(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(value.to_json(), text);
    }
}

/// As elements they have no type, as those of a newer server have none.
#[test]
fn unknown_numbers_booleans_and_lists_are_elements_in_xml() {
    let text = r#"{"_typeName":"VirtualHardware","a":5,"b":true,"c":["x"],"d":[],"e":[[1,2],[3]],"f":{"_typeName":"WarpCount","_value":5}}"#;
    let xml = soap::encode_response("QueryOptions", &Any::from_json(text).unwrap()).unwrap();
    let inner =
        r#"<a>5</a><b>true</b><c>x</c><e>1</e><e>2</e><e>3</e><f xsi:type="WarpCount">5</f>"#;
    assert!(xml.contains(inner), "{xml}");
}

#[test]
fn what_is_no_value_is_refused_with_its_place() {
    for (text, place) in [
        ("{", ""),
        (
            r#"{"_typeName":"VirtualHardware","numCPU":"two"}"#,
            "numCPU",
        ),
        (
            r#"{"_typeName":"VirtualHardware","numCPU":4294967296}"#,
            "numCPU",
        ),
        (
            r#"{"_typeName":"VirtualHardware","device":[{"key":"x"}]}"#,
            "device.key",
        ),
        (r#"{"_typeName":5}"#, ""),
    ] {
        assert_eq!(Any::from_json(text).unwrap_err().path(), place, "{text}");
    }
}

/// A name in JSON can be any text; as an element it must not open another one.
#[test]
fn a_name_that_is_no_element_is_not_written() {
    for name in ["a><b", "a b", "", "/a"] {
        let json = format!(r#"{{"_typeName":"VirtualHardware","{name}":"x"}}"#);
        let value = Any::from_json(&json).unwrap();
        let error = soap::encode_response("QueryOptions", &value).unwrap_err();
        assert!(
            matches!(error.problem(), vim25::EncodeProblem::NotAName(_)),
            "{name}: {error}"
        );
    }
}
