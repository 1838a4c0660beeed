//! Arbitrary values of arbitrary types, converted to XML, JSON and structs and back,
//! are always equal.
#![cfg(feature = "json")]
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};
use vim25::schema::{self, Field, FieldKind, Type, TypeKind};
use vim25::soap::{self, Response};
use vim25::types::{
    ClusterConfigSpecEx, HostConfigInfo, VirtualMachineConfigInfo, VirtualMachineConfigSpec,
};
use vim25::{Any, DataObject, Limits, Ref, Timestamp, mo};

static DATA: LazyLock<Vec<Type>> = LazyLock::new(|| {
    let types = schema::types().filter(|ty| ty.kind() == TypeKind::Data);
    // Two names exist in several namespaces; JSON uses only the first.
    types
        .filter(|ty| schema::find(TypeKind::Data, ty.name()) == Some(*ty))
        .collect()
});

/// Maps each type to itself and all types derived from it.
static FAMILIES: LazyLock<BTreeMap<&str, Vec<Type>>> = LazyLock::new(|| {
    let mut families: BTreeMap<&str, Vec<Type>> = BTreeMap::new();
    for ty in &*DATA {
        let mut base = Some(*ty);
        while let Some(found) = base {
            families.entry(found.name()).or_default().push(*ty);
            base = found.base();
        }
    }
    families
});

/// Any characters that XML can carry, with unusual ones preferred.
fn text() -> BoxedStrategy<String> {
    prop_oneof![
        "[ -~]{0,12}",
        "[&<>\"'\r\n\t \\]\u{e9}\u{65e5}\u{1f980}-]{0,6}",
        "[^\u{0}-\u{8}\u{b}\u{c}\u{e}-\u{1f}\u{fffe}\u{ffff}]{0,6}",
    ]
    .boxed()
}

fn scalar(kind: FieldKind) -> BoxedStrategy<Value> {
    match kind {
        FieldKind::Bool => any::<bool>().prop_map(Value::from).boxed(),
        FieldKind::Byte => any::<i8>().prop_map(Value::from).boxed(),
        FieldKind::Short => any::<i16>().prop_map(Value::from).boxed(),
        FieldKind::Int => any::<i32>().prop_map(Value::from).boxed(),
        FieldKind::Long => any::<i64>().prop_map(Value::from).boxed(),
        // Except for values that equal nothing, not even themselves.
        FieldKind::Float => (-1.0e30f32..1.0e30).prop_map(|f| json!(f)).boxed(),
        FieldKind::Double => (-1.0e300f64..1.0e300).prop_map(|f| json!(f)).boxed(),
        FieldKind::DateTime => (-62_135_596_800_i64..253_402_207_200, 0..1_000_000_000_i32)
            .prop_map(|(second, nano)| json!(Timestamp::new(second, nano).unwrap().to_string()))
            .boxed(),
        FieldKind::Binary => "([A-Za-z0-9+/]{4}){0,4}".prop_map(Value::from).boxed(),
        FieldKind::Enum => "[a-zA-Z0-9_]{1,12}".prop_map(Value::from).boxed(),
        _ => text().prop_map(Value::from).boxed(),
    }
}

fn one(field: Field, depth: u32, any_namespace: bool) -> BoxedStrategy<Value> {
    match field.kind() {
        FieldKind::Ref => {
            let ty = field.declared().map_or("ManagedEntity", Type::name);
            let reference = move |value| json!({"_typeName": "ManagedObjectReference", "type": ty, "value": value});
            "[a-z]{1,6}-[0-9]{1,5}".prop_map(reference).boxed()
        }
        FieldKind::Object => {
            let declared = field.declared().unwrap();
            let family = FAMILIES.get(declared.name()).cloned();
            let mut types = family.unwrap_or_else(|| vec![declared]);
            types.retain(|ty| any_namespace || ty.namespace() == declared.namespace());
            let object = move |ty| object(ty, depth.saturating_sub(1), any_namespace);
            select(types).prop_flat_map(object).boxed()
        }
        FieldKind::Any => prop_oneof![
            any::<i32>().prop_map(|n| json!({"_typeName": "int", "_value": n})),
            text().prop_map(|t| json!({"_typeName": "string", "_value": t})),
            vec(any::<i64>(), 0..4).prop_map(|n| json!({"_typeName": "ArrayOfLong", "_value": n})),
            vec(text(), 0..4).prop_map(|t| json!({"_typeName": "ArrayOfString", "_value": t})),
        ]
        .boxed(),
        kind => scalar(kind),
    }
}

/// Returns an object of the type: its required fields, and some others while there is
/// depth left. vim25 structs store a field inline whose subtypes are only in other
/// namespaces, so those subtypes are omitted where structs are created.
fn object(ty: Type, depth: u32, any_namespace: bool) -> BoxedStrategy<Value> {
    let fields: Vec<Field> = ty.fields().collect();
    let chance = if depth == 0 { 0.0 } else { 0.3 };
    let members: Vec<BoxedStrategy<Option<Value>>> = fields
        .iter()
        .map(|field| {
            let value = one(*field, depth, any_namespace);
            match (field.is_list(), field.is_required()) {
                (true, _) if depth == 0 => Just(None).boxed(),
                (true, _) => vec(value, 0..3)
                    .prop_map(|items| (!items.is_empty()).then(|| json!(items)))
                    .boxed(),
                (false, true) => value.prop_map(Some).boxed(),
                (false, false) if depth == 0 => Just(None).boxed(),
                (false, false) => proptest::option::weighted(chance, value).boxed(),
            }
        })
        .collect();
    let name = move |members: Vec<Option<Value>>| {
        let mut object = Map::from_iter([("_typeName".to_owned(), json!(ty.name()))]);
        for (field, value) in fields.iter().zip(members) {
            if let Some(value) = value {
                object.insert(field.name().to_owned(), value);
            }
        }
        Value::Object(object)
    };
    members.prop_map(name).boxed()
}

/// Returns the value after encoding and decoding it as the result of a method.
fn through_xml(value: &Any) -> Any {
    let call = Ref::<mo::PropertyCollector>::new("c").check_for_updates(None);
    let xml = soap::encode_response(call.method(), value).unwrap();
    match soap::decode_response(&call, xml.as_bytes(), &Limits::default()) {
        Ok(Response::Value(back)) => back,
        other => panic!("{other:?}: {xml}"),
    }
}

fn struct_survives<T: DataObject + PartialEq + std::fmt::Debug>(json: &Value) {
    let value = Any::from_json(&json.to_string()).unwrap();
    let typed: T = value.get().unwrap();
    let sent = Any::new(&typed);
    let difference = vim25::difference("", value.node(), sent.node());
    assert!(difference.is_empty(), "{difference:?}");
    assert_eq!(through_xml(&sent).get::<T>().unwrap(), typed);
}

fn of(name: &'static str) -> BoxedStrategy<Value> {
    object(schema::find(TypeKind::Data, name).unwrap(), 2, false)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_value_of_any_type_survives_xml_and_json(
        json in select(DATA.clone()).prop_flat_map(|ty| object(ty, 2, true))
    ) {
        let value = Any::from_json(&json.to_string()).unwrap();
        let back = through_xml(&value);
        let difference = vim25::difference("", value.node(), back.node());
        prop_assert!(back == value, "{difference:?}");
        let back = Any::from_json(&back.to_json()).unwrap();
        prop_assert!(back == value, "{back:?} is not {value:?}");
        let mut packer = vim25::Packer::default();
        for _ in 0..2 {
            let packed = packer.pack(&[value.clone(), Any::new(&7_i32)]);
            prop_assert_eq!(packer.unpack(&packed), [value.clone(), Any::new(&7_i32)]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn large_structs_survive_with_whatever_they_hold(
        info in of("VirtualMachineConfigInfo"),
        spec in of("VirtualMachineConfigSpec"),
        host in of("HostConfigInfo"),
        cluster in of("ClusterConfigSpecEx"),
    ) {
        struct_survives::<VirtualMachineConfigInfo>(&info);
        struct_survives::<VirtualMachineConfigSpec>(&spec);
        struct_survives::<HostConfigInfo>(&host);
        struct_survives::<ClusterConfigSpecEx>(&cluster);
    }
}
