//! Properties that hold for every document.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use vmx::{Change, Document, EditError, Encoding, ExtraConfig, Name, Unencodable};

/// Generates bytes that often look like a file.
fn file() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"\n".to_vec()),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        4 => Just(b" = \"".to_vec()),
        4 => Just(b"\"\n".to_vec()),
        4 => "[aAbB]{1,2}".prop_map(String::into_bytes),
        1 => Just(b"=".to_vec()),
        1 => Just(b"#".to_vec()),
        1 => Just(b"|0A".to_vec()),
        1 => Just(b"|C3|A9".to_vec()),
        1 => Just("é".as_bytes().to_vec()),
        1 => Just(b"\n.encoding = \"GBK\"\n".to_vec()),
        1 => Just(b"\n.encoding = \"windows-1252\"\n".to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Generates names that may be written.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[aAbBcC]{1,2}",
        "[^\0 \t#=\r\n.\u{FEFF}][^\0 \t#=\r\n]{0,8}"
    ]
    .prop_filter("VMware keeps it", |name| Name::new(name).is_ok())
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,12}", "[^\0]{0,12}", "[éλ位¥]{1,2}"]
}

#[derive(Debug, Clone)]
enum Edit {
    Set(String, String),
    Insert(String, String, String),
    Remove(String),
    Rename(String, String),
    Transcode(usize),
    RemoveDuplicates,
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (name(), value()).prop_map(|(n, v)| Edit::Set(n, v)),
        (name(), name(), value()).prop_map(|(a, n, v)| Edit::Insert(a, n, v)),
        name().prop_map(Edit::Remove),
        (name(), name()).prop_map(|(a, b)| Edit::Rename(a, b)),
        (0..6usize).prop_map(Edit::Transcode),
        Just(Edit::RemoveDuplicates),
    ]
}

fn apply(document: &mut Document, edit: &Edit) -> Result<Change, EditError> {
    match edit {
        Edit::Set(name, value) => document.set(name, value),
        Edit::Insert(anchor, name, value) => document.insert_after(anchor, name, value),
        Edit::Remove(name) => Ok(document.remove(name)),
        Edit::Rename(from, to) => document.rename(from, to),
        Edit::Transcode(index) => document.transcode(Encoding::all().nth(*index).unwrap()),
        Edit::RemoveDuplicates => Ok(document.remove_duplicates()),
    }
}

proptest! {
    #[test]
    fn parse_then_print_is_identity(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert_eq!(Document::parse_lenient(&bytes[..]).unwrap().to_bytes(), bytes);
    }

    #[test]
    fn parse_then_print_is_identity_of_what_looks_like_a_file(bytes in file()) {
        let document = Document::parse_lenient(&bytes[..]).unwrap();
        prop_assert_eq!(document.to_bytes(), &bytes[..]);
        prop_assert_eq!(Document::parse(&bytes[..]).err(), document.problems().into_iter().next());
    }

    #[test]
    fn lookup_agrees_with_a_search_from_the_top(bytes in file(), name in name()) {
        let document = Document::parse_lenient(bytes).unwrap();
        let searched = document.entries().find(|entry| entry.name() == *name);
        prop_assert_eq!(
            document.entry(&name).map(|entry| entry.position()),
            searched.map(|entry| entry.position())
        );
    }

    #[test]
    fn an_edit_reads_back_also_from_the_printed_file(
        bytes in file(),
        name in name(),
        value in value(),
        upgrade: bool,
    ) {
        let mut document = Document::parse_lenient(bytes).unwrap();
        let choice = if upgrade { Unencodable::Upgrade } else { Unencodable::Refuse };
        document.on_unencodable(choice);
        let others: Vec<_> = texts(&document, &name);
        if document.set(&name, &value).is_ok() {
            for document in [&document, &Document::parse_lenient(document.to_bytes()).unwrap()] {
                let text = document.get(&name).unwrap().text().unwrap();
                prop_assert_eq!(&*text, &*value);
                prop_assert_eq!(&texts(document, &name), &others);
            }
        }
    }

    #[test]
    fn edits_can_be_undone_to_the_byte(bytes in file(), edits in proptest::collection::vec(edit(), 0..8)) {
        let mut document = Document::parse_lenient(&bytes[..]).unwrap();
        let mut changes = Vec::new();
        for edit in &edits {
            let before = document.to_bytes();
            match apply(&mut document, edit) {
                Ok(change) => changes.push((before, change)),
                Err(_) => prop_assert_eq!(document.to_bytes(), before),
            }
        }
        while let Some((before, change)) = changes.pop() {
            document.undo(change).unwrap();
            prop_assert_eq!(document.to_bytes(), before);
        }
    }

    #[test]
    fn an_edit_touches_its_line_alone(bytes in file(), name in name(), value in "[ -~]{0,9}") {
        let mut document = Document::parse_lenient(bytes).unwrap();
        if let Some(entry) = document.entry(&name) {
            let number = entry.position().line;
            let before: Vec<_> = document.lines().map(whole).collect();
            document.set(&name, &value).unwrap();
            let after: Vec<_> = document.lines().map(whole).collect();
            prop_assert_eq!(before.len(), after.len());
            for (index, (before, after)) in before.iter().zip(&after).enumerate() {
                prop_assert!(before == after || index + 1 == number);
            }
        }
    }

    #[test]
    fn extra_config_goes_into_a_file_and_back(
        file in file(),
        pairs in proptest::collection::vec((name(), value()), 0..8),
    ) {
        let mut extra = ExtraConfig::new();
        extra.apply(pairs).unwrap();
        let mut document = Document::parse_lenient(file).unwrap();
        document.on_unencodable(Unencodable::Upgrade);
        // An existing value of the file can be undecodable.
        if document.transcode(Encoding::UTF_8).is_ok() {
            extra.replace_in(&mut document).unwrap();
            prop_assert_eq!(ExtraConfig::from_document(&document).unwrap(), extra);
        }
    }

    #[test]
    fn the_list_of_changes_makes_the_one_of_the_other(
        old in proptest::collection::vec((name(), value()), 0..8),
        new in proptest::collection::vec((name(), value()), 0..8),
    ) {
        let (mut one, mut other) = (ExtraConfig::new(), ExtraConfig::new());
        one.apply(old).unwrap();
        other.apply(new).unwrap();
        let changes = one.changes_to(&other);
        let count = changes.len();
        let applied = one.apply(changes).unwrap();
        prop_assert_eq!(applied.changed.len(), count, "no change was for nothing");
        prop_assert_eq!(one, other);
    }

    #[test]
    fn a_charset_gives_back_what_it_took(text in "[^\0]{0,9}", index in 0..45usize) {
        let Some(encoding) = Encoding::all().nth(index) else { return Ok(()) };
        if let Ok(bytes) = encoding.encode(&text) {
            prop_assert_eq!(&*encoding.decode(&bytes).unwrap(), &*text);
        }
    }
}

fn whole(line: vmx::Line<'_>) -> Vec<u8> {
    [line.content(), line.terminator()].concat()
}

/// Returns the texts of all entries except `name` and metavariables.
fn texts(document: &Document, name: &str) -> Vec<(Vec<u8>, Option<String>)> {
    document
        .entries()
        .filter(|entry| entry.name() != name && !entry.name().is_metavariable())
        .map(|entry| {
            let text = entry.value().text().ok().map(|text| text.into_owned());
            (entry.name().as_bytes().to_vec(), text)
        })
        .collect()
}
