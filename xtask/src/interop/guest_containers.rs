//! Containers of the simulator that require subordinate ids, or taps. The checks are tests of
//! `simulator/guests`, which print why they cannot run.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use super::built::Built;
use super::debian::Package;
use super::report::Report;
use crate::process::output;

/// The tests that require subordinate ids. They run as another user, without root.
const SUB_IDS: [&str; 3] = [
    "processes_run_as_other_users",
    "files_of_other_users_are_unpacked_read_and_deleted",
    "whole_path::files_of_an_images_user_have_their_owner_in_archives_and_on_the_disk",
];

/// The tests that require network cards, which are taps.
const TAPS: [&str; 2] = [
    "containers_reach_each_other_on_their_network_only_and_not_after_the_end",
    "a_card_that_is_disconnected_while_the_container_runs_carries_nothing",
];

/// The tests that run without taps, with or without root.
const RELAYS: [&str; 2] = [
    "without_taps_published_ports_are_relayed_and_the_rest_is_missing_by_name",
    "without_root_containers_have_cards_or_a_relay",
];

/// How the tests begin a line on standard error with the reason why they cannot run.
const REASONS: [&str; 2] = ["NOT RUN: ", "SKIPPED: "];

/// Runs the checks. The programs for subordinate ids are downloaded if necessary.
pub(super) fn checks(report: &mut Report, built: &Built, folder: &Path) {
    let programs = Package::uidmap(folder);
    for test in SUB_IDS {
        let name = name("users without root", test);
        match &programs {
            Err(reason) => report.not_run(&name, reason),
            Ok(programs) => report.check_if_possible(&name, || {
                let mut command = built.test("guests", "it")?;
                run(programs.on_path(&mut command), &format!("sub_ids::{test}"))
            }),
        }
    }
    let taps = TAPS.map(|test| ("taps", test));
    let relays = RELAYS.map(|test| ("no taps", test));
    for (about, test) in taps.into_iter().chain(relays) {
        report.check_if_possible(&name(about, test), || {
            run(
                &mut built.test("guests", "it")?,
                &format!("network::{test}"),
            )
        });
    }
}

fn name(about: &str, test: &str) -> String {
    let title = test.rsplit("::").next().unwrap_or(test);
    format!("containers, {about}: {}", title.replace('_', " "))
}

/// Runs one test, which must exist. Returns the reason if the test could not run.
fn run(command: &mut Command, test: &str) -> Result<Option<String>> {
    let ran = output(command.args(["--exact", "--nocapture", test]))?;
    let printed = String::from_utf8_lossy(&ran.stdout);
    let errors = String::from_utf8_lossy(&ran.stderr);
    ensure!(
        ran.status.success() && printed.contains("1 passed"),
        "the test failed or does not exist: {printed}{errors}"
    );
    Ok(reason(&errors).map(ToOwned::to_owned))
}

/// Returns the reason in what a test printed.
fn reason(errors: &str) -> Option<&str> {
    let mut reasons = errors.lines().filter_map(|line| {
        let mut prefixes = REASONS.iter();
        prefixes.find_map(|prefix| line.strip_prefix(prefix))
    });
    reasons.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_that_of_the_test() {
        let text = "a warning\nNOT RUN: sub_ids::users: newuidmap is missing\n";
        assert_eq!(reason(text), Some("sub_ids::users: newuidmap is missing"));
        assert_eq!(reason("SKIPPED: [\"no tap\"]\n"), Some("[\"no tap\"]"));
        assert_eq!(reason("it is NOT RUN: here\n"), None);
    }
}
