//! Documents: what is kept, what is read, and what an edit changes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use vmx::{Document, EditError, Encoding, ParseErrorKind, ParseOptions, Source, Unencodable};

fn lenient(bytes: &[u8]) -> Document {
    Document::parse_lenient(bytes).unwrap()
}

fn text(document: &Document) -> String {
    String::from_utf8(document.to_bytes()).unwrap()
}

#[test]
fn an_untouched_document_is_printed_byte_for_byte() {
    for bytes in [
        &b""[..],
        b"\n",
        b"\r\r\n\n\r",
        b"a = \"x\"",
        b"\xEF\xBB\xBFa = \"x\"\r\n",
        b"\xEF\xBB\xBF",
        b"\xEF\xBB\xBF\xEF\xBB\xBFa=1",
        b"#!/usr/bin/vmware\n\n# note\n\ta=\tx # y\nA = \"|0a|0A\"\nprose line\na b = \"x\"\n",
        b"a = \"x\"\0tail \" # =\nb = \"\xFF\xFE\"\rc = 1",
        b"= x\n\"\n\0\n",
    ] {
        let document = lenient(bytes);
        assert_eq!(document.to_bytes(), bytes);
        let mut printed = Vec::new();
        document.print(&mut printed).unwrap();
        assert_eq!(printed, bytes);
    }
}

#[test]
fn names_have_no_case_and_the_first_of_two_counts() {
    let document = lenient(b"MemSize = \"1\"\nmemsize = \"2\"\n");
    assert_eq!(document.get("MEMSIZE").unwrap().integer(), Ok(1));
    assert_eq!(document.entries().count(), 2);
    let problems = document.problems();
    assert_eq!(problems.len(), 1);
    assert_eq!(
        *problems[0].kind(),
        ParseErrorKind::Duplicate {
            name: "memsize".into(),
            first: 1
        }
    );
    assert_eq!(problems[0].position().line, 2);
    assert_eq!(
        Document::parse(document.to_bytes()).unwrap_err(),
        problems[0]
    );
}

#[test]
fn lenient_parsing_reports_all_problems_at_once() {
    let document = lenient(
        b".encoding = \"UTF-8\"\nnotes\na = \"x\nb = \"\xFF\"\nB = two words\n= 1\nc = \"x\"y\nb=\n.encoding = \"GBK\"\n",
    );
    let lines: Vec<_> = document
        .problems()
        .iter()
        .map(|p| p.position().line)
        .collect();
    assert_eq!(lines, [2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn a_carriage_return_ends_a_line_of_a_file_only() {
    let bytes = &b"a = \"x\"\rb = \"y\"\r"[..];
    assert_eq!(lenient(bytes).entries().count(), 2);
    let buffer = ParseOptions::new()
        .source(Source::Buffer)
        .parse(&b"a = \"x\ry\"\n"[..])
        .unwrap();
    assert_eq!(buffer.get("a").unwrap().text().unwrap(), "x\ry");
}

#[test]
fn an_edit_rewrites_its_line_and_no_other() {
    let mut document =
        lenient(b"# head\r\n  memsize=1024 # small\r\n\r\njunk line\r\nb = \"|41\"\r\n");
    document.set("memSize", "2048").unwrap();
    assert_eq!(
        text(&document),
        "# head\r\nmemsize = \"2048\"\r\n\r\njunk line\r\nb = \"|41\"\r\n"
    );
    // The entry already has this value.
    assert!(document.set("B", "A").unwrap().is_empty());
}

#[test]
fn new_entries_are_set_apart_once_and_end_as_their_neighbours() {
    let mut document = lenient(b"a = \"1\"\r\nb = \"2\"");
    document.set("c", "3\n\"|\t").unwrap();
    document.set("d", "").unwrap();
    assert_eq!(
        text(&document),
        "a = \"1\"\r\nb = \"2\"\r\n\r\nc = \"3|0A|22|7C\t\"\r\nd = \"\"\r\n"
    );
    assert_eq!(document.get("C").unwrap().text().unwrap(), "3\n\"|\t");

    let mut empty = lenient(b"");
    empty.set("a", "1").unwrap();
    assert_eq!(text(&empty), "a = \"1\"\n");
}

#[test]
fn versions_of_the_file_go_to_its_head() {
    let mut document = lenient(b"#!/usr/bin/vmware\n# by hand\n.encoding = \"UTF-8\"\na = \"1\"\n");
    document.set("virtualHW.version", "20").unwrap();
    document.set("config.version", "8").unwrap();
    document.remove("virtualHW.version");
    let change = document.set("virtualHW.version", "21").unwrap();
    assert_eq!(
        text(&document),
        "#!/usr/bin/vmware\n# by hand\n.encoding = \"UTF-8\"\nconfig.version = \"8\"\n\
         virtualHW.version = \"21\"\na = \"1\"\n"
    );
    assert_eq!(document.get("a").unwrap().integer(), Ok(1));
    document.undo(change).unwrap();
    assert!(!document.contains("virtualHW.version"));
}

#[test]
fn insert_rename_and_remove() {
    let mut document = lenient(b"a=1\nb=2\nB=3\nc=4\n");
    document.insert_after("A", "a2", "x").unwrap();
    document.rename("c", "d").unwrap();
    document.remove("b");
    document.remove("no such");
    assert_eq!(text(&document), "a=1\na2 = \"x\"\nd = \"4\"\n");
    assert_eq!(document.get("d").unwrap().integer(), Ok(4));
    assert!(!document.contains("b") && !document.contains("c"));

    let refused = |result: Result<_, EditError>| result.unwrap_err().to_string();
    assert_eq!(
        refused(document.insert_after("zz", "y", "")),
        "no entry `zz`"
    );
    assert_eq!(
        refused(document.insert_after("a", "D", "")),
        "an entry `d` exists already"
    );
    assert_eq!(
        refused(document.rename("a", "d")),
        "an entry `d` exists already"
    );
    assert_eq!(refused(document.rename("zz", "y")), "no entry `zz`");
    assert!(document.rename("a", ".encoding").is_err());
    document.rename("d", "D").unwrap();
    assert_eq!(text(&document), "a=1\na2 = \"x\"\nD = \"4\"\n");

    let mut hidden = lenient(b"a = \"x|00y\"\n");
    hidden.rename("a", "b").unwrap();
    assert_eq!(text(&hidden), "b = \"x|00y\"\n");
}

#[test]
fn duplicates_can_be_repaired() {
    let mut document = lenient(b"a=1\nA=2\nb=3\na=4\n");
    document.remove_duplicates();
    assert_eq!(text(&document), "a=1\nb=3\n");
    assert!(document.problems().is_empty());
}

#[test]
fn what_would_break_the_file_is_refused_and_changes_nothing() {
    let bytes = b"a = \"1\"";
    let mut document = lenient(bytes);
    for name in [
        "",
        "a b",
        "a\tb",
        "a\0",
        "a#",
        "a=",
        "a\nb = \"x\"",
        "a\r",
        ".foo",
    ] {
        assert!(document.set(name, "x").is_err(), "{name:?}");
        assert!(document.insert_after("a", name, "x").is_err(), "{name:?}");
        assert!(document.rename("a", name).is_err(), "{name:?}");
    }
    assert!(document.set("b", "x\0y").is_err());
    assert_eq!(document.to_bytes(), bytes);
}

#[test]
fn the_declared_encoding_wins_wherever_it_stands() {
    let document = Document::parse(&b"a = \"\xCE\xBB\"\n.Encoding = \"cp936\"\n"[..]).unwrap();
    assert_eq!(document.get("a").unwrap().text().unwrap(), "位");
    assert_eq!(document.encoding().unwrap().name(), "GBK");

    let old = Document::parse(&b"config.encoding = \"GBK\"\na = \"\xCE\xBB\"\n"[..]).unwrap();
    assert_eq!(old.get("a").unwrap().text().unwrap(), "位");
}

#[test]
fn a_value_the_charset_cannot_hold_is_refused_or_upgrades_the_file() {
    let bytes = b"#!/x\n.encoding = \"windows-1252\"\na = \"caf\xE9\" # e\nb = x\n";
    let mut document = Document::parse(&bytes[..]).unwrap();
    assert_eq!(
        document.set("b", "λ").unwrap_err().to_string(),
        "value of `b` holds 'λ', which windows-1252 cannot hold; transcode the file to UTF-8"
    );
    assert_eq!(document.to_bytes(), bytes);

    let change = document
        .on_unencodable(Unencodable::Upgrade)
        .set("b", "λ")
        .unwrap();
    assert_eq!(
        text(&document),
        "#!/x\n.encoding = \"UTF-8\"\na = \"café\"\nb = \"λ\"\n"
    );
    document.undo(change).unwrap();
    assert_eq!(document.to_bytes(), bytes);
}

#[test]
fn a_file_that_declares_nothing_declares_what_it_needs() {
    let mut document = lenient(b"# a\na = \"x\"\n");
    document.set("a", "plain").unwrap();
    assert_eq!(text(&document), "# a\na = \"plain\"\n");
    document.set("a", "λ").unwrap();
    assert_eq!(text(&document), "# a\n.encoding = \"UTF-8\"\na = \"λ\"\n");
}

#[test]
fn an_unknown_encoding_leaves_ascii_readable() {
    let mut document = lenient(b".encoding = \"klingon\"\na = \"x\"\nb = \"\xE9\"\n");
    assert!(document.encoding().is_err());
    assert_eq!(document.get("a").unwrap().text().unwrap(), "x");
    assert!(document.get("b").unwrap().text().is_err());
    document.set("a", "y").unwrap();
    assert!(matches!(
        document.set("a", "λ"),
        Err(EditError::Encoding { .. })
    ));
    assert!(document.transcode(Encoding::UTF_8).is_err());
    document.remove("b");
    document.set(".encoding", "utf8").unwrap();
    assert_eq!(text(&document), ".encoding = \"UTF-8\"\na = \"y\"\n");
}

#[test]
fn changes_are_undone_last_first() {
    let bytes = b"b=2\na=1 # one";
    let mut document = lenient(bytes);
    let first = document.set("new", "λ").unwrap();
    let second = document.remove("a");
    let third = document.rename("b", "c").unwrap();
    let other = document.clone();
    assert!(matches!(document.undo(first), Err(EditError::NotTheLast)));
    let mut other = other;
    let fourth = other.set("x", "1").unwrap();
    assert!(matches!(document.undo(fourth), Err(EditError::NotTheLast)));
    document.undo(third).unwrap();
    document.undo(second).unwrap();
    assert_eq!(document.get("a").unwrap().integer(), Ok(1));
}

#[test]
fn excerpts_show_no_secret_and_no_control_character() {
    let document = lenient(
        b"vnc.password = \"hunter2\nRemoteDisplay.vnc.password = \"hunter2\"\nremotedisplay.vnc.password = \"hunter2\"\n\x1B[31mred\nmy.token = \"hunter2\xFF\"\n",
    );
    let problems = document.problems();
    assert_eq!(problems.len(), 4);
    for problem in &problems {
        let shown = format!("{problem}{problem:?}{}", problem.excerpt());
        assert!(
            !shown.contains("hunter2") && !shown.contains('\x1B'),
            "{shown}"
        );
    }
    assert!(!format!("{document:?}").contains("hunter2"));
    assert!(!format!("{:?}", document.get("remotedisplay.vnc.password")).contains("hunter2"));
}

#[test]
fn the_caret_stands_below_the_place() {
    let long = format!("{}= \"x\" y # {}\n", "n".repeat(200), "z".repeat(300));
    let document = lenient(long.as_bytes());
    let problem = &document.problems()[0];
    let excerpt = problem.excerpt();
    let (line, caret) = excerpt.split_once('\n').unwrap();
    let column = caret.chars().position(|c| c == '^').unwrap();
    assert_eq!(line.chars().nth(column), Some('y'), "{excerpt}");
    assert!(line.chars().count() < 120);
    assert_eq!(&long.as_bytes()[problem.span()][..1], b"y");
}
