//! Checks that any bytes parse and print unchanged, and that edits read back and can be
//! undone.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use vmx::{Change, Document, ExtraConfig, ParseOptions, Policy, Source, Unencodable};

use self::settings::{Input as Written, OTHERS, SETTINGS};

#[path = "../../tests/settings/mod.rs"]
mod settings;
mod view;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    buffer: bool,
    upgrade: bool,
    edits: Vec<Edit<'a>>,
    bytes: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum Edit<'a> {
    Set(Target<'a>, &'a str),
    InsertAfter(Target<'a>, &'a str, &'a str),
    Remove(Target<'a>),
    Rename(Target<'a>, &'a str),
    Transcode(&'a str),
    RemoveDuplicates,
    RemoveWhere(&'a str),
    /// Sets any setting of the view.
    Setting(u16, Values<'a>),
    /// Deletes any device.
    Delete(u8, Values<'a>),
}

/// The input from which values and device names are made.
#[derive(Arbitrary, Debug)]
struct Values<'a> {
    text: &'a str,
    number: i64,
    bus: u8,
    unit: u8,
}

impl<'a> Values<'a> {
    fn written(&self) -> Written<'a> {
        Written {
            text: self.text,
            number: self.number,
            bus: self.bus,
            unit: self.unit,
        }
    }
}

/// A name from the input, or the name of an existing entry.
#[derive(Arbitrary, Debug)]
enum Target<'a> {
    New(&'a str),
    Old(u8),
}

impl Target<'_> {
    fn name(&self, document: &Document) -> Vec<u8> {
        match self {
            Self::New(name) => name.as_bytes().to_vec(),
            Self::Old(index) => document
                .entries()
                .nth(usize::from(*index))
                .map_or(Vec::new(), |entry| entry.name().as_bytes().to_vec()),
        }
    }
}

fuzz_target!(|input: Input<'_>| {
    let source = if input.buffer {
        Source::Buffer
    } else {
        Source::File
    };
    let options = ParseOptions::new().source(source);
    let mut document = options
        .policy(Policy::Lenient)
        .parse(input.bytes)
        .expect("lenient parsing takes any bytes");
    assert_eq!(document.to_bytes(), input.bytes);

    let _ = vmx::FileKind::of(input.bytes);
    let problems = document.problems();
    let strict = options.parse(input.bytes).err();
    assert_eq!(strict, problems.first().cloned());
    for problem in &problems {
        assert!(problem.span().end <= input.bytes.len());
        let _ = (problem.to_string(), problem.excerpt());
    }
    read(&document);

    document.on_unencodable(if input.upgrade {
        Unencodable::Upgrade
    } else {
        Unencodable::Refuse
    });
    let mut changes = Vec::new();
    for edit in &input.edits {
        let before = document.to_bytes();
        match apply(&mut document, edit) {
            Some(change) => changes.push(change),
            None => assert_eq!(
                document.to_bytes(),
                before,
                "a refused edit changes nothing"
            ),
        }
    }
    read(&document);
    for change in changes.into_iter().rev() {
        document
            .undo(change)
            .expect("the last change can be undone");
    }
    assert_eq!(document.to_bytes(), input.bytes);
});

/// Calls everything that only reads.
fn read(document: &Document) {
    for entry in document.entries() {
        let value = entry.value();
        let _ = (
            value.text(),
            value.boolean(),
            value.tristate(),
            value.integer(),
            value.float(),
        );
        let _ = (
            entry.comment(),
            entry.name().to_string(),
            format!("{entry:?}"),
        );
        let first = document
            .entry(entry.name().as_bytes())
            .expect("a name that is there is found");
        assert_eq!(first.name(), entry.name());
        assert!(first.is_first());
    }
    for line in document.lines() {
        let _ = (line.kind(), line.content(), line.terminator());
    }
    let mut before = None;
    for finding in document.check() {
        assert!(before <= Some((finding.effect, finding.reader)));
        before = Some((finding.effect, finding.reader));
        let _ = finding.to_string();
    }
    view::read(document);
    let _ = (document.kind(), format!("{document:?}"));
    let snapshots = vmx::Snapshots::new(document);
    let _ = (
        snapshots.all(),
        snapshots.current(),
        snapshots.needs_consolidation(),
    );
    let mut printed = Vec::new();
    document.print(&mut printed).expect("memory takes all");
    assert_eq!(printed, document.to_bytes());
    assert!(document.diff(document).is_empty());
    if let Ok(extra) = ExtraConfig::from_document(document) {
        assert!(extra.visible().count() <= extra.len());
        let mut made = ExtraConfig::new();
        if made.apply(ExtraConfig::new().changes_to(&extra)).is_ok() {
            // `ExtraConfig` cannot express a change to an empty value.
            assert!(
                made.iter()
                    .all(|(key, value)| extra.get(key) == Some(value))
            );
            assert!(made.changes_to(&extra).is_empty());
        }
        let mut copy = document.clone();
        if extra.replace_in(&mut copy).is_ok() {
            assert_eq!(ExtraConfig::from_document(&copy).ok(), Some(extra));
        }
    }
}

fn apply(document: &mut Document, edit: &Edit<'_>) -> Option<Change> {
    match edit {
        Edit::Set(target, value) => {
            let name = target.name(document);
            let change = document.set(&name, value).ok()?;
            if !name.eq_ignore_ascii_case(b".encoding") {
                reads_back(document, &name, value);
            }
            Some(change)
        }
        Edit::InsertAfter(target, name, value) => {
            let change = document
                .insert_after(target.name(document), name, value)
                .ok()?;
            reads_back(document, name.as_bytes(), value);
            Some(change)
        }
        Edit::Remove(target) => {
            let name = target.name(document);
            let change = document.remove(&name);
            assert!(!document.contains(&name));
            Some(change)
        }
        Edit::Rename(target, to) => {
            let from = target.name(document);
            let value = document.get(&from).map(|value| value.bytes().into_owned());
            let change = document.rename(&from, to).ok()?;
            assert_eq!(
                document.get(to).map(|value| value.bytes().into_owned()),
                value
            );
            Some(change)
        }
        Edit::Transcode(label) => {
            let encoding = vmx::Encoding::for_label(label).ok()?;
            let texts = |document: &Document| {
                let declares = |name: vmx::Name<'_>| name.is_metavariable();
                let entries = document.entries().filter(|entry| !declares(entry.name()));
                entries
                    .map(|e| e.value().text().ok().map(|t| t.into_owned()))
                    .collect::<Vec<_>>()
            };
            let before = texts(document);
            let change = document.transcode(encoding).ok()?;
            assert_eq!(texts(document), before);
            Some(change)
        }
        Edit::RemoveDuplicates => {
            let change = document.remove_duplicates();
            let duplicate =
                |p: &vmx::ParseError| matches!(p.kind(), vmx::ParseErrorKind::Duplicate { .. });
            assert!(!document.problems().iter().any(duplicate));
            Some(change)
        }
        Edit::RemoveWhere(prefix) => {
            let change = document.remove_where(|name| name.starts_with(prefix));
            assert!(
                !document
                    .entries()
                    .any(|entry| entry.name().starts_with(prefix))
            );
            Some(change)
        }
        Edit::Setting(index, values) => {
            let mut all = SETTINGS.iter().chain(OTHERS);
            let index = usize::from(*index) % (SETTINGS.len() + OTHERS.len());
            let (_, setting) = all.nth(index)?;
            setting(document, values.written())
        }
        Edit::Delete(kind, values) => {
            let number = i64::from(*kind % 9);
            settings::delete(
                document,
                Written {
                    number,
                    ..values.written()
                },
            )
        }
    }
}

/// Checks that the value can be read, also after the file was written and read again.
fn reads_back(document: &Document, name: &[u8], value: &str) {
    let text = |document: &Document| {
        document
            .get(name)
            .and_then(|found| found.text().ok().map(|text| text.into_owned()))
    };
    assert_eq!(text(document).as_deref(), Some(value));
    // Two cases are excluded: in a file that begins with two byte order marks, the second
    // one changes its meaning when its line moves; and a buffer may contain CR in names.
    let bytes = document.to_bytes();
    if !bytes.windows(3).any(|window| window == b"\xEF\xBB\xBF") && !bytes.contains(&b'\r') {
        let again = Document::parse_lenient(bytes).expect("lenient parsing takes any bytes");
        assert_eq!(text(&again).as_deref(), Some(value));
    }
}
