#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

use super::*;
use crate::vsphere::derive_state::Power;
use crate::vsphere::record::Keys;

fn vm(name: &str) -> Vm {
    Ref::new(name)
}

/// Returns a machine in its nth state.
fn machine(name: &str, nth: usize) -> Machine {
    Machine {
        name: format!("name of {name}"),
        power: Power::Off,
        keys: Keys::from([("state".to_owned(), nth.to_string())]).into(),
        change_version: Some(nth.to_string()),
        uuid: Some(Uuid::new_v5(&Uuid::nil(), name.as_bytes())),
        ..Machine::unknown(vm(name))
    }
}

fn state(content: &Content, name: &str) -> Option<usize> {
    let seen = content.get(&vm(name))?;
    seen.keys.unpack().get("state")?.parse().ok()
}

#[test]
fn machines_are_found_by_uuid_and_name_until_they_leave() {
    let mut content = Content::default();
    content.report(machine("a", 1));
    content.report(machine("b", 1));
    let uuid = machine("a", 1).uuid.unwrap();
    assert_eq!(content.by_uuid(uuid).unwrap().vm, vm("a"));
    let mut renamed = machine("a", 2);
    renamed.name = "another".to_owned();
    content.report(renamed);
    assert!(content.named("name of a").is_empty());
    assert_eq!(content.named("another").len(), 1);
    content.left(&vm("a"));
    assert!(content.by_uuid(uuid).is_none());
    assert!(content.named("another").is_empty());
    assert_eq!(content.all().len(), 1);
}

#[test]
fn a_report_that_may_be_older_than_a_read_is_not_believed() {
    let mut content = Content::default();
    let start = Instant::now();
    content.report(machine("a", 1));
    content.read(machine("a", 3), start);
    // The endpoint sent this report before the read.
    assert_eq!(content.report(machine("a", 2)), Verdict::Doubtful);
    assert_eq!(state(&content, "a"), Some(3));
    assert_eq!(content.report(machine("a", 3)), Verdict::Taken);
    // From here on, reports are newer than the read again.
    assert_eq!(content.report(machine("a", 4)), Verdict::Taken);
    assert_eq!(state(&content, "a"), Some(4));
}

#[test]
fn only_a_reported_state_is_the_basis_of_the_next_report() {
    let mut content = Content::default();
    assert_eq!(content.last_report(&vm("a")), None);
    content.report(machine("a", 1));
    content.read(machine("a", 3), Instant::now());
    assert_eq!(content.last_report(&vm("a")), Some(machine("a", 1)));
    assert_eq!(content.report(machine("a", 2)), Verdict::Doubtful);
    assert_eq!(content.last_report(&vm("a")), Some(machine("a", 2)));
    content.read(machine("a", 4), Instant::now());
    assert_eq!(content.last_report(&vm("a")), Some(machine("a", 2)));
    assert_eq!(content.report(machine("a", 4)), Verdict::Taken);
    assert_eq!(content.last_report(&vm("a")), Some(machine("a", 4)));
    content.left(&vm("a"));
    assert_eq!(content.last_report(&vm("a")), None);
    // A machine that was read before its first report has none.
    content.read(machine("b", 1), Instant::now());
    assert_eq!(content.last_report(&vm("b")), None);
}

#[test]
fn a_read_that_shows_what_is_known_needs_no_confirmation() {
    let mut content = Content::default();
    content.report(machine("a", 1));
    content.read(machine("a", 1), Instant::now());
    assert_eq!(content.first_unconfirmed(), None);
    assert_eq!(content.report(machine("a", 2)), Verdict::Taken);
}

#[test]
fn of_two_reads_the_one_sent_later_wins() {
    let mut content = Content::default();
    let first = Instant::now();
    let second = first + Duration::from_millis(1);
    content.read(machine("a", 2), second);
    content.read(machine("a", 1), first);
    assert_eq!(state(&content, "a"), Some(2));
}

#[test]
fn a_machine_that_is_not_reported_again_is_read_again() {
    let mut content = Content::default();
    let first = Instant::now();
    let later = first + Duration::from_secs(1);
    content.read(machine("a", 1), first);
    assert_eq!(content.unconfirmed(later), [vm("a")]);
    content.read_again(machine("a", 1), later);
    assert_eq!(content.first_unconfirmed(), None);
    // A machine that changed in between stays unconfirmed.
    content.read(machine("b", 1), first);
    content.read_again(machine("b", 2), later);
    assert_eq!(state(&content, "b"), Some(2));
    assert_eq!(content.first_unconfirmed(), Some(later));
}

#[test]
fn a_destroyed_machine_does_not_come_back() {
    let mut content = Content::default();
    content.report(machine("a", 1));
    content.destroyed(&vm("a"), Instant::now());
    content.report(machine("a", 2));
    content.read(machine("a", 2), Instant::now());
    assert_eq!(state(&content, "a"), None);
    content.left(&vm("a"));
    assert!(content.destroyed.is_empty());
    // A destroyed machine that is never reported as removed is forgotten after a while.
    let now = Instant::now();
    content.destroyed(&vm("b"), now);
    content.destroyed(&vm("c"), now + REPORTED_WITHIN);
    assert_eq!(content.destroyed.len(), 1);
}

#[test]
fn what_is_not_reported_after_a_lost_session_is_gone() {
    let mut content = Content::default();
    for name in ["a", "b"] {
        content.report(machine(name, 1));
    }
    let watched = content.subscribe(&vm("b")).unwrap();
    // This machine is read after the reports were collected.
    content.read(machine("new", 1), Instant::now());
    content.retain(|reported| *reported == vm("a"));
    assert_eq!(state(&content, "b"), None);
    assert!(watched.has_changed().is_err());
    assert!(state(&content, "a").is_some() && state(&content, "new").is_some());
}

#[test]
fn only_a_change_of_keys_is_a_revision() {
    let mut content = Content::default();
    content.report(machine("a", 1));
    let before = content.revision();
    let mut on = machine("a", 1);
    on.power = Power::On;
    content.report(on);
    assert_eq!(content.revision(), before);
    content.report(machine("a", 2));
    let changed = content.revision();
    assert_ne!(changed, before);
    content.left(&vm("a"));
    assert_ne!(content.revision(), changed);
}

#[test]
fn latest_changes_are_told_one_by_one_and_many_as_all() {
    let told = |content: &Content, revision| {
        let mut told: Vec<_> = content
            .changed_since(revision)?
            .into_iter()
            .map(|(vm, seen)| (vm.value().to_owned(), seen.is_some()))
            .collect();
        told.sort_unstable();
        Some(told)
    };
    let mut content = Content::default();
    let start = content.revision();
    content.report(machine("a", 1));
    content.report(machine("b", 1));
    let filled = content.revision();
    content.report(machine("b", 2));
    // The same keys in another state are no change.
    content.report(machine("b", 2));
    content.left(&vm("a"));
    let changed = Some(vec![("a".to_owned(), false), ("b".to_owned(), true)]);
    assert_eq!(told(&content, filled), changed);
    assert_eq!(told(&content, start), changed);
    assert_eq!(told(&content, content.revision()), Some(vec![]));
    for nth in 0..=LATEST_MAX {
        content.report(machine("b", nth));
    }
    assert_eq!(told(&content, filled), None);
    let last = content.revision();
    content.clear();
    assert_eq!(told(&content, last), None);
    assert_eq!(told(&content, content.revision() + 1), None);
}

#[test]
fn the_content_is_complete_once_all_machines_were_reported() {
    let mut content = Content::default();
    content.report(machine("a", 1));
    assert!(content.complete().is_none());
    content.retain(|_| true);
    assert_eq!(content.complete().unwrap().len(), 1);
    content.clear();
    assert!(content.complete().is_none());
}

#[test]
fn machines_share_the_names_of_their_keys() {
    let mut content = Content::default();
    for name in ["a", "b"] {
        content.report(machine(name, 1));
    }
    let [a, b] = ["a", "b"].map(|name| content.get(&vm(name)).unwrap());
    assert!(a.keys.shares_names_with(&b.keys));
}
