//! The merge rules of extraConfig, and reading it from and writing it to files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use vmx::{Document, ExtraConfig};

fn of(pairs: &[(&str, &str)]) -> ExtraConfig {
    pairs.iter().copied().collect()
}

fn pairs(extra: &ExtraConfig) -> Vec<(&str, &str)> {
    extra.iter().collect()
}

#[test]
fn the_rules_of_the_server() {
    let mut extra = of(&[("One", "1"), ("two", "2")]);
    let applied = extra
        .apply([
            ("ONE", "11"),
            ("three", "3"),
            ("absent", ""),
            ("two", "2"),
            ("displayName", "x"),
            ("ethernet0.networkName", "y"),
            ("THREE", "33"),
        ])
        .unwrap();
    assert_eq!(
        pairs(&extra),
        [("One", "11"), ("two", "2"), ("three", "33")]
    );
    assert_eq!(applied.changed, ["One", "three", "three"]);
    assert_eq!(applied.ignored, ["displayName", "ethernet0.networkName"]);
}

#[test]
fn a_removed_key_comes_back_at_the_end() {
    let mut extra = of(&[("a", "1"), ("b", "2")]);
    extra
        .apply([("A", ""), ("a", "3"), ("b", ""), ("b", "")])
        .unwrap();
    assert_eq!(pairs(&extra), [("a", "3")]);
    assert_eq!(extra.get("A"), Some("3"));
    extra.apply([("a", "")]).unwrap();
    assert!(extra.is_empty() && extra.get("a").is_none());
}

#[test]
fn nothing_is_applied_if_one_change_is_refused() {
    let mut extra = of(&[("a", "1")]);
    let error = extra.apply([("a", "2"), ("b\nc", "3")]).unwrap_err();
    assert!(error.to_string().contains("line break"), "{error}");
    assert!(extra.apply([("a", "2"), ("b", "x\0")]).is_err());
    assert_eq!(pairs(&extra), [("a", "1")]);
}

#[test]
fn the_smallest_list_of_changes() {
    let old = of(&[("a", "1"), ("B", "2"), ("c", "3")]);
    let new = of(&[("c", "3"), ("b", "22"), ("d", "4")]);
    let changes = old.changes_to(&new);
    let shown: Vec<_> = changes
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    assert_eq!(shown, [("a", ""), ("b", "22"), ("d", "4")]);
    let mut old = old;
    old.apply(changes).unwrap();
    assert_eq!(old, new);
    assert!(old.changes_to(&new).is_empty());
}

#[test]
fn a_file_takes_it_and_gives_it_back() {
    let bytes =
        b".encoding = \"UTF-8\"\ndisplayName = \"x\"\nanswer.a = \"1\"\nscsi0:0.redo = \"\"\n";
    let mut document = Document::parse(&bytes[..]).unwrap();
    let mut extra = ExtraConfig::from_document(&document).unwrap();
    assert_eq!(pairs(&extra), [("answer.a", "1"), ("scsi0:0.redo", "")]);
    extra.replace_in(&mut document).unwrap();
    assert_eq!(document.to_bytes(), bytes);

    extra
        .apply([("answer.A", ""), ("guestinfo./s|ab/cmd/Path", "/hello\n")])
        .unwrap();
    let mut kept = document.clone();
    extra.write_to(&mut kept).unwrap();
    assert!(kept.contains("answer.a"));
    extra.replace_in(&mut document).unwrap();
    assert_eq!(
        String::from_utf8(document.to_bytes()).unwrap(),
        ".encoding = \"UTF-8\"\ndisplayName = \"x\"\nscsi0:0.redo = \"\"\n\n\
         guestinfo./s|ab/cmd/Path = \"/hello|0A\"\n"
    );
    let again = Document::parse(document.to_bytes()).unwrap();
    assert_eq!(ExtraConfig::from_document(&again).unwrap(), extra);
}

#[test]
fn an_empty_value_of_a_file_is_kept_changed_or_removed() {
    let extra = of(&[("scsi0:0.redo", ""), ("a", "1")]);
    let mut changed = extra.clone();
    changed.apply([("SCSI0:0.redo", "x")]).unwrap();
    assert_eq!(pairs(&changed), [("scsi0:0.redo", "x"), ("a", "1")]);
    let mut removed = extra.clone();
    let applied = removed.apply([("scsi0:0.redo", ""), ("b", "")]).unwrap();
    assert_eq!(applied.changed, ["scsi0:0.redo"]);
    assert_eq!(pairs(&removed), [("a", "1")]);
    // No change to the server can express that.
    assert!(removed.changes_to(&extra).is_empty());
}

#[test]
fn what_the_interface_does_not_show() {
    let extra = of(&[
        ("guestinfo.ovfEnv", "<x/>"),
        ("vmx.log", "1"),
        ("a", "b"),
        ("memSize", "4"),
    ]);
    assert_eq!(extra.visible().collect::<Vec<_>>(), [("a", "b")]);
    assert!(!format!("{extra:?}").contains("<x/>"));
}
