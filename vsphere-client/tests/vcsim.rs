//! Runs the flows against vcsim, or any other endpoint whose contents may be changed.
//! `VCSIM_URL` is its URL, with user and password:
//!
//! ```console
//! $ vcsim -l 127.0.0.1:8989 -username user -password pass &
//! $ VCSIM_URL=https://user:pass@127.0.0.1:8989/sdk cargo test -p vsphere-client --test vcsim -- --ignored
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail by panicking"
)]

mod flows;

macro_rules! flows {
    ($($name:ident)*) => { $(
        #[tokio::test]
        #[ignore = "requires an endpoint, whose URL is in VCSIM_URL"]
        async fn $name() {
            let url = std::env::var("VCSIM_URL").expect("VCSIM_URL is not set");
            flows::$name(&url).await;
        }
    )* };
}
flows! {
    a_certificate_is_refused_and_then_pinned_by_what_the_error_says
    a_wrong_password_is_said_to_be_wrong
    properties_are_read_alone_together_and_in_pages
    properties_are_read_into_structs
    a_vanished_object_is_reported_among_the_others
    a_machine_lives_and_dies
    a_session_that_was_ended_is_opened_again
    a_task_that_is_over_still_gives_its_result
    things_are_found_by_name_and_by_path
    things_are_found_by_patterns
    files_are_copied_and_moved
    a_file_goes_from_path_to_path
    a_file_is_transferred_directly_if_possible
    virtual_disks_are_files_of_their_own
    a_disk_is_described
    commands_run_on_a_host
    power_that_is_there_already_is_success
    devices_are_added_edited_and_removed
    a_machine_is_registered_again
    a_guest_is_customized
    snapshots_are_found_and_gone_back_to
    the_address_of_a_guest_is_waited_for
    a_file_is_written_listed_read_and_deleted
    other_services_answer_or_are_said_to_be_missing
    a_machine_is_imported_under_a_lease
    an_import_that_fails_leaves_no_lease
    an_ova_is_imported
}
