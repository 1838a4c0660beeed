//! The list of all cases.

mod bad_networks;
mod events;
mod exports;
mod identity;
mod images;
mod life;
mod logs;
mod networks;
mod parallel;
mod signals;
mod store;
mod streams;

use std::pin::Pin;

use super::Case;
use super::check::{Bench, Check};
use crate::Capability::{
    Attach, DiskContents, Events, GuestKeys, Images, LaterConnect, Logs, Networks, Signals, Store,
    Suspend,
};

pub(super) type Run = for<'a> fn(Bench<'a>) -> Pin<Box<dyn Future<Output = Check> + Send + 'a>>;

/// Creates a case from an async function over `&Bench`. Everything that the case created is removed
/// afterwards. If that fails, the case fails, unless it failed already.
macro_rules! case {
    ($room:ident :: $name:ident $(, needs $($needed:ident),+)?) => {
        Case {
            name: stringify!($name),
            needs: &[$($($needed),+)?],
            run: |bench| Box::pin(async move {
                let held = $room::$name(&bench).await;
                let cleared = bench.clear().await;
                held.and(cleared)
            }),
        }
    };
}

pub(super) static ALL: &[Case] = &[
    case!(identity::what_was_asked_for_is_read_back),
    case!(identity::an_id_and_a_name_are_given_once),
    case!(identity::removing_frees_id_and_name),
    case!(identity::a_bad_field_is_named_and_nothing_is_made),
    case!(identity::an_unknown_network_is_named),
    case!(identity::an_unknown_id_is_not_found),
    case!(identity::state_lives_in_the_back_end),
    case!(life::start_tells_what_is_known),
    case!(life::a_process_that_ends_at_once_is_stopped_with_its_exit, needs GuestKeys),
    case!(life::a_launch_that_fails_says_why, needs GuestKeys),
    case!(life::a_container_can_be_started_again),
    case!(life::a_new_run_forgets_the_exit_of_the_last, needs GuestKeys),
    case!(life::only_one_start_is_the_first),
    case!(life::a_start_is_no_end_for_anybody),
    case!(life::a_dropped_stop_leaves_the_process_running),
    case!(life::a_stop_that_switches_off_ends_with_kill),
    case!(life::an_edit_changes_what_it_names),
    case!(life::an_edit_is_refused_in_the_wrong_state),
    case!(life::a_change_made_while_on_is_kept_or_refused),
    case!(life::pause_and_resume, needs Suspend),
    case!(life::start_is_refused_while_on),
    case!(life::stop_is_idempotent),
    case!(life::stop_is_refused_before_the_first_start),
    case!(life::remove_is_refused_while_on),
    case!(life::wait_sees_the_end_from_before_the_start, needs GuestKeys),
    case!(life::wait_ends_when_the_container_is_removed),
    case!(signals::kill_ends_a_process),
    case!(signals::a_signal_ends_a_process_that_heeds_it, needs GuestKeys, Signals),
    case!(signals::stop_asks_first, needs GuestKeys, Signals),
    case!(signals::a_signal_is_refused_while_off),
    case!(parallel::of_many_starts_one_wins),
    case!(parallel::of_many_creates_with_one_name_one_wins),
    case!(parallel::containers_do_not_wait_for_each_other),
    case!(parallel::many_waiters_get_the_same_exit),
    case!(parallel::a_dropped_start_leaves_a_container_that_works),
    case!(images::an_import_is_described_and_removed, needs Images),
    case!(images::an_image_that_is_there_is_not_read_again, needs Images),
    case!(images::images_with_the_same_layers_live_apart, needs Images),
    case!(images::of_many_imports_all_succeed, needs Images),
    case!(images::a_damaged_layer_is_refused_and_nothing_is_listed, needs Images),
    case!(images::an_image_for_another_platform_is_refused_unread, needs Images),
    case!(images::a_dropped_import_can_be_repeated, needs Images),
    case!(images::an_image_in_use_is_not_removed, needs Images),
    case!(exports::the_files_of_an_image_are_read_back, needs Images, DiskContents),
    case!(exports::an_export_is_dropped_repeated_and_outlives_the_image, needs Images, DiskContents),
    case!(networks::a_scope_is_described_and_removed, needs Networks),
    case!(bad_networks::a_bad_scope_is_refused_and_nothing_is_made, needs Networks),
    case!(bad_networks::a_bad_connection_is_refused_and_nothing_is_changed, needs Networks),
    case!(networks::a_scope_in_use_is_not_removed, needs Networks),
    case!(networks::addresses_are_unique_and_kept_while_stopped, needs Networks),
    case!(networks::a_freed_address_rests, needs Networks),
    case!(networks::an_address_in_use_is_refused, needs Networks),
    case!(networks::a_full_scope_is_exhausted, needs Networks),
    case!(networks::a_failed_create_loses_no_address, needs Networks),
    case!(networks::of_many_creates_each_has_its_own_address, needs Networks),
    case!(networks::names_are_resolved_within_a_scope, needs Networks),
    case!(networks::an_external_scope_without_pools_assigns_nothing, needs Networks),
    case!(networks::a_port_is_published_once, needs Networks),
    case!(networks::a_stopped_container_is_connected_and_disconnected, needs Networks, LaterConnect),
    case!(store::a_value_is_read_back_listed_and_deleted, needs Store),
    case!(store::a_precondition_that_fails_changes_nothing, needs Store),
    case!(store::of_many_changes_of_one_revision_one_wins, needs Store),
    case!(store::a_bad_key_or_value_is_refused, needs Store),
    case!(store::values_stay_with_the_host, needs Store),
    case!(events::a_life_is_told_in_order, needs Events),
    case!(events::an_end_is_told_with_its_exit, needs Events, GuestKeys),
    case!(streams::all_output_arrives_from_the_first_byte_to_the_last, needs Attach, GuestKeys),
    case!(streams::every_reader_gets_all_output, needs Attach, GuestKeys),
    case!(streams::only_requested_output_arrives, needs Attach, GuestKeys),
    case!(streams::input_has_one_holder, needs Attach, GuestKeys),
    case!(streams::detaching_leaves_the_process_and_its_input, needs Attach, GuestKeys),
    case!(streams::a_slow_reader_slows_the_process, needs Attach, GuestKeys),
    case!(streams::a_terminal_has_the_size_that_was_set, needs Attach, GuestKeys),
    case!(streams::output_ends_with_the_container, needs Attach, GuestKeys),
    case!(streams::nobody_has_the_streams_of_an_unknown_id, needs Attach),
    case!(streams::a_running_process_is_attached_to_after_a_restart, needs Attach, GuestKeys),
    case!(logs::a_log_has_the_output_of_all_runs, needs Logs, GuestKeys),
    case!(logs::a_log_is_cut_by_lines_and_times, needs Logs, GuestKeys),
    case!(logs::a_log_tells_the_streams_apart, needs Logs, Attach, GuestKeys),
    case!(logs::a_log_is_followed_until_the_end, needs Logs, Attach, GuestKeys),
    case!(logs::a_log_survives_a_restart, needs Logs, GuestKeys),
];
