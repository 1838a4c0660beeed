//! Reading without being able to list keys.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use guestinfo::vic::ExecutorConfig;
use guestinfo::{Decode, Dialect, Rounds, View};

fn stored(file: &str) -> BTreeMap<String, String> {
    file.lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}

#[test]
fn rounds_read_what_a_listing_reads() {
    for (file, dialect) in [
        (include_str!("vectors/container-vic04.txt"), Dialect::Vic04),
        (include_str!("vectors/container-vic1.txt"), Dialect::Vic1),
    ] {
        let keys = stored(file);
        let expected = Decode::new().view(View::Guest).run::<ExecutorConfig>(&keys);
        let mut rounds = Rounds::<ExecutorConfig>::new(Decode::new().view(View::Guest), dialect);
        let mut asked = Vec::new();
        loop {
            let round = rounds.keys();
            if round.is_empty() {
                break;
            }
            assert!(
                round.iter().all(|key| key.starts_with("guestinfo.")),
                "{round:?}"
            );
            for key in &round {
                rounds.answer(key.clone(), keys.get(key).cloned());
            }
            asked.push(round.len());
        }
        let decoded = rounds.finish();
        assert_eq!(decoded.value, expected.value);
        assert!(decoded.report.is_empty(), "{}", decoded.report);
        // Elements of lists are requested one round after the key that announces them.
        assert!((3..=5).contains(&asked.len()), "{asked:?}");
        assert!(asked.iter().sum::<usize>() < 200, "{asked:?}");
    }
}

#[test]
fn nothing_answered_is_nothing_stored() {
    let rounds = Rounds::<ExecutorConfig>::new(Decode::new(), Dialect::Vic1);
    assert_eq!(rounds.finish().value, ExecutorConfig::default());
}
