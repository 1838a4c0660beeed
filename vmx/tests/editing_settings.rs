//! Every setting of the view can be written, read back and undone.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod settings;

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use vmx::view::VirtualMachineFile;
use vmx::{Document, Encoding, Unencodable};

use self::settings::{Input, OTHERS, SETTINGS, Setting, delete};

const TEXTS: &[&str] = &["", "plain", "lsilogic", "a|22 \"b\" # = \\ \n", "位é"];
const NUMBERS: &[i64] = &[0, 1, 2, 3, 7, -1, i64::MIN, i64::MAX];

fn all() -> impl Iterator<Item = &'static (&'static str, Setting)> {
    SETTINGS.iter().chain(OTHERS)
}

#[test]
fn what_is_written_is_read_back_and_makes_no_fault() {
    let mut document = Document::new();
    for (name, setting) in all() {
        for (text, number) in TEXTS
            .iter()
            .flat_map(|t| NUMBERS.iter().map(move |n| (t, *n)))
        {
            let input = Input {
                text,
                number,
                bus: 1,
                unit: 2,
            };
            let before = document.to_bytes();
            let Some(change) = setting(&mut document, input) else {
                // The variable part of a name cannot contain every character.
                assert!(text.contains('\n'), "{name} {text:?}");
                continue;
            };
            let faults = VirtualMachineFile::new(&document).faults();
            assert!(faults.is_empty(), "{name} {text:?} {number}: {faults:?}");
            document.undo(change).unwrap();
            assert_eq!(document.to_bytes(), before, "{name}");
            setting(&mut document, input).unwrap();
        }
    }
    let again = Document::parse(document.to_bytes()).unwrap();
    assert_eq!(VirtualMachineFile::new(&again).faults(), []);
}

#[test]
fn what_is_not_of_its_type_is_a_fault_and_reads_as_none() {
    // A text setting accepts everything but bytes that are not valid text.
    let mut taken = 0;
    for (name, setting) in all() {
        let mut document = Document::new();
        let input = Input {
            text: "x",
            number: 1,
            bus: 0,
            unit: 0,
        };
        setting(&mut document, input).unwrap();
        let key = document.entries().nth(1).unwrap().name().to_string();
        let bytes = [
            &b".encoding = \"UTF-8\"\n"[..],
            key.as_bytes(),
            b" = \"\xFF\"\n",
        ]
        .concat();
        let document = Document::parse_lenient(bytes).unwrap();
        let faults = VirtualMachineFile::new(&document).faults();
        assert_eq!(faults.len(), 1, "{name}");
        assert_eq!(
            faults[0].name().to_lowercase(),
            key.to_lowercase(),
            "{name}"
        );
        taken += 1;
    }
    assert!(taken > 200);
}

/// Fails if a setting is added to the view but not to the list, which the fuzz target
/// uses too.
#[test]
fn every_editor_is_in_the_list() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/view");
    let mut editors = 0;
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let mut view = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("settings! { ") {
                view = rest.split(' ').next().unwrap();
            }
            let Some(editor) = editor(line) else { continue };
            let names: Vec<_> = all().map(|(name, _)| *name).collect();
            let known = names.contains(&&*format!("{view}::{editor}"))
                || names
                    .iter()
                    .any(|name| name.rsplit(':').next() == Some(editor));
            assert!(known, "{view}::{editor}");
            editors += 1;
        }
    }
    assert_eq!(editors, SETTINGS.len() + OTHERS.len());
}

/// Matches `get set_get: Type = "key"`, `pub fn set_get(` and
/// `get get_mut: Type = "a" "b"`.
fn editor(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if let Some(function) = line.strip_prefix("pub fn ") {
        let name = function.split(['(', '<']).next()?;
        return (name.starts_with("set_") || name == "filters_mut").then_some(name);
    }
    let (names, value) = line.split_once(": ")?;
    let (_, editor) = names.split_once(' ')?;
    let is_setting = value.contains(" = \"");
    let is_editor = editor.starts_with("set_") || editor.ends_with("_mut");
    (is_setting && is_editor && !editor.contains(' ')).then_some(editor)
}

proptest! {
    #[test]
    fn a_setting_is_written_into_any_file_and_taken_back(
        index in 0..SETTINGS.len() + OTHERS.len(),
        text in prop_oneof!["[ -~]{0,9}", "[^\0]{0,9}", "[éλ位]{1,2}"],
        number: i64,
        places in (0..4u8, 0..20u8),
        utf_8: bool,
        head in "[aA]=[é|]?\n?",
    ) {
        let mut document = Document::parse_lenient(head.as_bytes()).unwrap();
        document.on_unencodable(if utf_8 { Unencodable::Upgrade } else { Unencodable::Refuse });
        if !utf_8 {
            let _ = document.transcode(Encoding::for_label("windows-1252").unwrap());
        }
        let before = document.to_bytes();
        let (bus, unit) = places;
        let input = Input { text: &text, number, bus, unit };
        let changes = [
            (all().nth(index).unwrap().1)(&mut document, input),
            delete(&mut document, Input { number: number.rem_euclid(10), ..input }),
        ];
        for change in changes.into_iter().rev().flatten() {
            document.undo(change).unwrap();
        }
        prop_assert_eq!(document.to_bytes(), before);
    }
}
