//! Responses recorded from vcsim, one for every managed object type of which it
//! has an object: they decode, and re-encode equal except for redundant `xsi:type`.
//!
//! `cargo xtask record` records them again. Fields that vcsim omits although the schema
//! requires them, and types of which it has no object, are listed in files that are
//! compared exactly; `RECORDED=write cargo test -p vim25 --test recorded`
//! writes them.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod canonical;
mod omitted;
mod structs;
mod xml;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use canonical::Place;
use vim25::schema::{self, Type, TypeKind};
use vim25::soap::{self, Response};
use vim25::types::{RetrieveOptions, RetrieveResult};
use vim25::{Any, ConvertProblem, Limits, Ref, mo};
use xml::Element;

const METHOD: &str = "RetrievePropertiesEx";

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "data", "vcsim"]
        .iter()
        .collect()
}

/// Returns the recorded types, each with its response.
fn recordings() -> Vec<(String, String)> {
    let mut recordings: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "xml"))
        .map(|path| {
            let ty = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (ty, fs::read_to_string(path).unwrap())
        })
        .collect();
    recordings.sort();
    recordings
}

fn decode(xml: &str) -> Any {
    let collector = Ref::<mo::PropertyCollector>::new("propertyCollector");
    let call = collector.retrieve_properties_ex(&[], &RetrieveOptions::default());
    match soap::decode_response(&call, xml.as_bytes(), &Limits::default()) {
        Ok(Response::Value(value)) => value,
        other => panic!("not a page: {other:?}"),
    }
}

/// Returns the result in a message, in canonical form.
fn result(message: &str) -> Vec<String> {
    let envelope = Element::read(message);
    let response = envelope.child("Body").child(&format!("{METHOD}Response"));
    canonical::lines(response.child("returnval"), Place::result(METHOD))
}

/// Compares lines with a file of the recordings, or writes it on request.
fn same_as_file(name: &str, head: &str, lines: &BTreeSet<String>) {
    let path = folder().join(name);
    let mut text = head.to_owned();
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    if std::env::var_os("RECORDED").is_some_and(|value| value == "write") {
        fs::write(path, text).unwrap();
        return;
    }
    let kept = fs::read_to_string(path).unwrap();
    let kept: BTreeSet<String> = kept
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    let new: Vec<_> = lines.difference(&kept).collect();
    let gone: Vec<_> = kept.difference(lines).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "{name} is not current; new: {new:#?}, gone: {gone:#?}"
    );
}

#[test]
fn every_recording_decodes_and_encodes_equal_up_to_redundant_types() {
    for (ty, recorded) in recordings() {
        let page = decode(&recorded);
        let encoded = soap::encode_response(METHOD, &page).unwrap();
        let (recorded, encoded) = (result(&recorded), result(&encoded));
        let differs = recorded.iter().zip(&encoded).find(|(a, b)| a != b);
        assert_eq!(differs, None, "{ty}: recorded, and encoded");
        assert_eq!(recorded.len(), encoded.len(), "{ty}");
        assert_eq!(decode(&soap::encode_response(METHOD, &page).unwrap()), page);
    }
}

#[test]
fn what_vcsim_leaves_out_although_required_is_listed() {
    let mut omitted = BTreeSet::new();
    for (ty, recorded) in recordings() {
        let page: RetrieveResult = decode(&recorded).get().unwrap();
        for object in &page.objects {
            assert_eq!(object.obj.type_name(), ty);
            assert!(object.missing_set.is_empty(), "{ty}: {object:?}");
            let had: Vec<&str> = object.prop_set.iter().map(|p| p.name.as_str()).collect();
            omitted::properties(&ty, &had, &mut omitted);
            for property in &object.prop_set {
                let name = format!("{ty}.{}", property.name);
                omitted::below(property.val.node(), &name, &mut omitted);
            }
        }
    }
    let head = "# What vcsim leaves out although the schema requires it: a property, or after a\n\
                # property a field of an object in its value. Written by tests/recorded.\n";
    same_as_file("omitted.txt", head, &omitted);
}

/// Conversion reports exactly what the tables say is missing.
#[test]
fn every_object_converts_to_its_struct_or_misses_what_is_listed() {
    let (mut converted, mut incomplete) = (0, 0);
    let mut unlisted = BTreeSet::new();
    for (ty, recorded) in recordings() {
        let page: RetrieveResult = decode(&recorded).get().unwrap();
        for property in page.objects.iter().flat_map(|object| &object.prop_set) {
            let place = format!("{ty}.{}", property.name);
            omitted::every_object(property.val.node(), &mut |object, type_name| {
                match structs::convert(object, type_name) {
                    None => {
                        unlisted.insert(type_name.to_owned());
                    }
                    Some(Ok(())) => {
                        let missing = omitted::of(object, type_name);
                        assert!(missing.is_empty(), "{place}: {type_name} {missing:?}");
                        converted += 1;
                    }
                    Some(Err(error)) => {
                        let ConvertProblem::Missing { field } = error.problem() else {
                            panic!("{place}: {type_name}: {error}")
                        };
                        let mut known = false;
                        omitted::every_object(object, &mut |inner, inner_type| {
                            known |= omitted::of(inner, inner_type).contains(field);
                        });
                        assert!(known, "{place}: {type_name}: {error}");
                        incomplete += 1;
                    }
                }
            });
        }
    }
    assert!(unlisted.is_empty(), "not in structs.rs: {unlisted:?}");
    assert!(converted > 1_000, "{converted}");
    assert!(incomplete < converted, "{incomplete} of {converted}");
}

#[test]
fn the_recorded_types_are_those_that_vcsim_has() {
    let list = fs::read_to_string(folder().join("types.txt")).unwrap();
    let listed: Vec<&str> = list
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once(':').unwrap().0)
        .collect();
    let recordings = recordings();
    let recorded: Vec<&str> = recordings.iter().map(|(ty, _)| ty.as_str()).collect();
    assert_eq!(listed, recorded);
    for (ty, xml) in &recordings {
        let page: RetrieveResult = decode(xml).get().unwrap();
        assert!(!page.objects.is_empty(), "{ty}");
    }
    let without = schema::types()
        .filter(|ty| ty.kind() == TypeKind::Managed && ty.namespace() == "urn:vim25")
        .map(Type::name)
        .filter(|ty| !recorded.contains(ty))
        .map(str::to_owned)
        .collect();
    let head = "# The managed object types of which vcsim has no object, abstract ones among\n\
                # them. Written by tests/recorded.\n";
    same_as_file("without.txt", head, &without);
}

#[test]
fn no_key_of_a_session_is_in_a_recording() {
    for (ty, xml) in recordings() {
        for name in xml.split("session[").skip(1) {
            assert!(name.starts_with("key]00000000-0000-0000-0000-"), "{ty}");
        }
    }
    let (_, sessions) = recordings()
        .into_iter()
        .find(|(ty, _)| ty == "SessionManager")
        .unwrap();
    let keys: Vec<&str> = sessions.split("<key>").skip(1).collect();
    assert_eq!(keys.len(), 2, "the list of sessions and the current one");
    for key in keys {
        assert!(key.starts_with("00000000-0000-0000-0000-000000000000<"));
    }
}
