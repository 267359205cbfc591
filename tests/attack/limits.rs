//! Every limit, and the tests that attack it.
//!
//! Invariant: a constant of `src/limits.rs` that is not in the table fails a test, and so does a test that is in the
//! table and nowhere else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A limit, and who attacks it.
const TABLE: &[(&str, &[&str])] = &[
    ("SERVED_MAX", &["the_last_few_files_count_and_the_last_few_pages_of_each_level"]),
    ("SERVED_IDLE", &["it_is_kept_for_a_while_when_nothing_more_is_asked_for"]),
    ("ORPHANS_MAX", &["many_files_that_no_group_names_are_left_alone"]),
    ("COLLECT_RATE", &["what_is_printed_means_the_same_as_a_file"]),
    ("COLLECT_RATE_MIN", &["bad_values_are_errors_that_name_them"]),
    ("LEAF", &["an_open_speaks_of_leaves_that_exist"]),
    ("BLOCK_LEAVES", &["an_open_speaks_of_leaves_that_exist"]),
    ("LEAVES", &["messages_keep_the_rules"]),
    ("BLOCK", &["an_open_speaks_of_leaves_that_exist", "every_rule_once"]),
    ("LOG_BLOCK_MAX", &["a_damaged_leaf_is_noticed_and_the_block_can_be_put_again"]),
    ("INLINE_BLOCK_MAX", &["texts_and_bytes_of_messages_have_an_end"]),
    ("FRAME_BODY_MAX", &["heads_that_break_a_rule_are_refused"]),
    ("FRAME_HEAD", &["frames_that_are_no_frames"]),
    ("TRANSPORT_RECORD_MAX", &["a_length_is_judged_before_its_bytes_come"]),
    (
        "SEGMENTS_REMOVED_AT_ONCE",
        &["segments_are_removed_some_at_a_time_and_written_anew_in_small_groups"],
    ),
    ("COPIES_BYTES_MAX", &["segments_are_removed_some_at_a_time_and_written_anew_in_small_groups"]),
    ("COPIES_MAX", &["segments_are_removed_some_at_a_time_and_written_anew_in_small_groups"]),
    ("COMPACT_RATE", &["segments_are_removed_some_at_a_time_and_written_anew_in_small_groups"]),
    (
        "REMOVE_RATE",
        &["where_there_is_room_segments_go_one_after_the_other_no_faster_than_they_may"],
    ),
    (
        "COMPACT_AGAIN",
        &["without_room_more_is_written_anew_and_with_none_at_all_it_is_tried_again_later"],
    ),
    ("RECORD_MAX", &["lists_of_a_record_have_an_end", "texts_and_bytes_of_messages_have_an_end"]),
    ("NAME_MAX", &["names_out_of_bounds_are_usage_errors"]),
    ("PARENTS_MAX", &["lists_of_a_record_have_an_end"]),
    ("RECORD_BLOCKS_MAX", &["lists_of_a_record_have_an_end"]),
    ("PAGE_ENTRIES_MAX", &["pages_keep_the_rules"]),
    ("PAGE_DEPTH_MAX", &["pages_keep_the_rules"]),
    ("PUT_RECORDS_MAX", &["lists_of_messages_have_an_end"]),
    ("OFFER_BLOCKS_MAX", &["lists_of_messages_have_an_end"]),
    ("NETWORK_ADDRESS_MAX", &["texts_and_bytes_of_messages_have_an_end"]),
    ("NODE_ADDRESSES_MAX", &["texts_and_bytes_of_messages_have_an_end"]),
    ("PEERS_MAX", &["of_too_many_peers_some_are_known_and_a_few_are_dialled_at_a_time"]),
    ("CANDIDATES_MAX", &["one_source_claims_little_and_crowds_out_nobody_who_claims_less"]),
    (
        "CANDIDATES_PER_SOURCE_MAX",
        &["one_source_claims_little_and_crowds_out_nobody_who_claims_less"],
    ),
    ("CANDIDATE_ATTEMPTS", &["who_has_failed_gives_way_to_who_is_new"]),
    (
        "CANDIDATE_BURST",
        &["who_does_not_answer_is_tried_ever_more_rarely_and_forgotten_in_the_end"],
    ),
    ("CANDIDATE_PERIOD", &["who_lies_about_a_thousand_nodes_is_believed_by_nobody"]),
    ("CANDIDATE_FIRST", &["an_address_that_does_not_answer_is_left_alone_whoever_names_it"]),
    ("CANDIDATE_LAST", &["an_address_that_does_not_answer_is_left_alone_whoever_names_it"]),
    ("MESSAGE_PRESENCES_MAX", &["lists_of_messages_have_an_end"]),
    ("REDIAL_SHARE", &["the_dead_are_dialled_ever_more_rarely_and_forgotten_in_the_end"]),
    ("REDIAL_DEAD", &["the_dead_are_dialled_ever_more_rarely_and_forgotten_in_the_end"]),
    ("FORGET_AFTER", &["the_dead_are_dialled_ever_more_rarely_and_forgotten_in_the_end"]),
    ("SEEN_WRITTEN_AFTER", &["many_changes_are_written_once_and_the_earliest_time_holds"]),
    ("SEEN_WRITTEN_EVERY", &["whoever_is_connected_is_written_down_now_and_then"]),
    ("KNOWN_FOLDERS_MAX", &["they_are_few_and_trials_go_first"]),
    ("KNOWN_FOLDER_PATH_MAX", &["they_are_few_and_trials_go_first"]),
    ("LOOKUP_WORKERS", &["a_resolver_that_does_not_answer_holds_four_threads_and_no_more"]),
    (
        "LOOKUP_TIMEOUT",
        &["a_name_that_the_resolver_does_not_answer_is_given_up_in_time_and_so_it_is_said"],
    ),
    ("LOOKUPS_MAX", &["a_resolver_that_does_not_answer_holds_four_threads_and_no_more"]),
    ("TROUBLE_MAX", &["why_a_node_cannot_be_reached_is_known_until_it_is"]),
    ("MESSAGE_PEERS_MAX", &["lists_of_messages_have_an_end"]),
    ("JUDGED_MAX", &["a_record_is_judged_once_and_no_more_are_remembered_than_the_bound"]),
    ("GRANTS_MAX", &["no_more_grants_are_kept_than_the_bound"]),
    (
        "LIST_BARREN_MAX",
        &[
            "a_list_that_tells_the_same_twice_ends",
            "a_verification_that_turns_back_or_tells_nothing_ends",
        ],
    ),
    ("ORDER_WAITS_MAX", &["a_list_waits_while_names_are_put_in_order_but_not_for_ever"]),
    ("PAST_LOOKS_MAX", &["of_many_names_the_few_that_are_deleted_are_found_in_bounded_answers"]),
    ("PAST_BARREN_MAX", &["a_list_of_versions_that_goes_on_and_tells_nothing_ends"]),
    ("VERIFY_BAD_MAX", &["no_more_damage_is_kept_than_the_bound"]),
    ("MESSAGE_RECORDS_MAX", &["lists_of_messages_have_an_end"]),
    ("NAMES_QUESTION_MAX", &["a_question_for_names_has_an_end"]),
    ("FOLDERS_TOLD_MAX", &["what_is_written_is_read_and_nothing_else"]),
    ("MESSAGE_IDS_MAX", &["lists_of_messages_have_an_end"]),
    ("MESSAGE_RANGES_MAX", &["lists_of_messages_have_an_end"]),
    ("MESSAGE_VERSIONS_MAX", &["lists_of_messages_have_an_end"]),
    ("MESSAGE_TEXT_MAX", &["texts_and_bytes_of_messages_have_an_end"]),
    ("EXTENSIONS_MAX", &["lists_of_a_record_have_an_end"]),
    ("CONTENT_TYPE_MAX", &["a_changed_one_decodes_to_itself_or_not_at_all"]),
    ("ATTRIBUTES_MAX", &["too_much_or_out_of_order_is_refused"]),
    (
        "CONNECTIONS_MAX",
        &[
            "idle_members_cost_a_little_memory_and_no_time",
            "members_beyond_the_last_descriptor_are_sent_away_and_the_others_stay",
            "without_descriptors_a_daemon_waits_and_then_goes_on",
        ],
    ),
    (
        "STRANGERS_MAX",
        &[
            "of_too_many_strangers_the_fullest_prefix_loses_one",
            "bogus_connections_keep_nobody_out",
        ],
    ),
    (
        "ENTRANTS_PER_ADDRESS_MAX",
        &[
            "of_seventeen_strangers_of_a_machine_the_oldest_gives_way_and_loopback_brings_more",
            "handshakes_that_do_not_go_on_keep_nobody_out",
        ],
    ),
    (
        "HANDSHAKES_MAX",
        &[
            "handshakes_that_do_not_go_on_keep_nobody_out",
            "of_too_many_peers_some_are_known_and_a_few_are_dialled_at_a_time",
        ],
    ),
    (
        "HANDSHAKE_TIMEOUT",
        &[
            "a_handshake_ends_in_time_or_the_connection_does",
            "silent_strangers_are_sent_away_and_keep_nobody_out",
        ],
    ),
    ("PING_AFTER", &["an_idle_connection_pings_and_lives"]),
    ("DEAD_AFTER", &["a_silent_peer_is_given_up"]),
    (
        "PROGRESS_PERIOD",
        &["what_was_begun_must_go_on", "members_who_drip_a_byte_a_second_are_cut_off_in_time"],
    ),
    ("PROGRESS_BYTES", &["who_is_slow_but_fast_enough_is_waited_for"]),
    ("REKEY_AFTER", &["keys_change_on_both_sides_at_the_same_record"]),
    ("OUTBOX_MAX", &["a_client_that_asks_and_does_not_read_is_not_read_from"]),
    ("OUTBOX_HARD_MAX", &["answers_that_nobody_reads_do_not_pile_up"]),
    ("WANTS_MAX", &["too_much_at_once_ends_the_connection"]),
    ("ANSWERS_UNDER_WAY", &["answers_that_nobody_reads_do_not_pile_up"]),
    (
        "REQUESTS_MAX",
        &[
            "answers_that_nobody_reads_do_not_pile_up",
            "requests_of_nodes_are_counted_as_those_of_clients",
        ],
    ),
    ("PEER_TIMEOUT", &["offers_behind_which_is_nothing", "a_frozen_peer_delays_nobody"]),
    ("COMING_MAX", &["a_block_that_is_said_to_be_coming_is_waited_for_but_not_for_ever"]),
    ("COMING_PERIOD", &["who_reads_over_a_slow_line_is_told_that_it_comes"]),
    ("LAST_SOURCE_TIMEOUT", &["who_is_late_is_waited_for_if_nobody_else_can_be_asked"]),
    ("SHORT_BATCH", &["whoever_has_news_is_asked_for_everything_once_in_bounded_batches"]),
    (
        "VAIN_MAX",
        &[
            "what_is_remembered_has_a_bound_and_that_there_was_more_is_known",
            "who_asked_for_more_than_is_remembered_learns_that_something_has_come",
        ],
    ),
    ("TOMBSTONES_MAX", &["a_name_with_very_many_heads_is_deleted_though_it_is_not_cleared"]),
    ("REMAINS_MAX", &["what_is_left_of_very_many_damaged_records_has_a_bound"]),
    ("REMAINS_HASHED_MAX", &["what_is_hashed_for_damage_has_a_bound"]),
    ("START_MISSING_MAX", &["what_is_beyond_the_bound_is_left_to_a_walk"]),
    ("SEGMENT_GAP_MAX", &["a_name_far_beyond_the_others_is_none_of_ours"]),
    ("SEGMENTS_REMOVED_MAX", &["with_very_many_holes_the_next_wait_for_the_oldest"]),
    ("SHOWN_MAX", &["the_greatest_version_of_a_name_is_remembered_and_of_names_the_last"]),
    ("SUSPECTS_MAX", &["a_flood_of_suspicions_is_looked_at_a_few_at_a_time"]),
    ("LEAVES_A_SECOND_MIN", &["too_little_in_a_period_is_slow"]),
    ("HELD_QUESTIONS_MAX", &["a_node_that_takes_no_answers_keeps_its_connection"]),
    ("FOREGROUND_RUN", &["the_foreground_never_stops_the_background_for_good"]),
    ("RANGE_TIMEOUT", &["what_is_withheld_is_asked_of_another"]),
    ("PACE_PERIOD", &["a_node_that_drips_is_left_for_one_that_does_not"]),
    ("PACE_PERIOD_ALONE", &["a_node_that_drips_is_left_also_when_nobody_waits"]),
    ("SLOW_FORGIVEN", &["who_was_slow_is_forgiven_in_time_and_forgotten_for_others"]),
    ("RETENTION_DEFAULT", &["what_nobody_has_set_has_a_default"]),
    ("SETTING_SECONDS_MAX", &["what_is_no_setting_sets_nothing"]),
    ("KEEP_VERSIONS_MAX", &["what_is_no_setting_sets_nothing"]),
    ("BOUND_LOOKS", &["very_many_go_in_steps_when_the_bound_is_set"]),
    (
        "BOUND_REFUSED",
        &["what_is_let_go_for_the_bound_is_refused_for_a_while_and_counts_as_of_no_step"],
    ),
    ("GRACE_DEFAULT", &["what_nobody_has_set_has_a_default"]),
    ("PERMIT_LIFE", &["a_permit_is_good_for_an_hour"]),
    ("PERMIT_LIFE_MAX", &["without_a_permit_nothing_is_taken_in"]),
    ("OPERATION_TIMEOUT", &["silence_about_one_operation_ends_it_whatever_else_moves"]),
    ("OPERATION_AHEAD", &["an_operation_waits_no_longer_than_for_what_may_lie_ahead"]),
    ("OPERATION_RATE", &["a_trickle_for_others_excuses_no_silence"]),
    ("QUESTION_PAGES_MAX", &["a_question_about_a_long_file_reads_a_few_pages"]),
    ("QUESTIONS_MAX", &["many_questions_at_once_are_answered_by_what_is_known"]),
    ("GATEWAY_PULSE", &["a_program_that_is_busy_for_11_seconds_is_not_the_nodes_fault"]),
    ("GATEWAY_EVENTS_MAX", &["of_what_a_slow_program_does_not_take_little_is_kept"]),
    ("HANDLE_COMMANDS_MAX", &["a_program_that_gives_more_than_the_loop_takes_waits"]),
    ("HANDLE_EVENTS_MAX", &["a_program_that_takes_nothing_is_told_no_more_and_calls_when_it_does"]),
    (
        "HANDLES_WAITING_MAX",
        &["of_those_who_wait_for_a_handle_there_are_few_and_none_waits_for_a_loop_that_has_ended"],
    ),
    ("GATEWAY_ABANDONED", &["a_gateway_that_was_left_is_closed_in_the_end"]),
    ("DRAIN_TIMEOUT", &["signals_end_a_daemon_well"]),
    ("INSTANCES_MAX", &["of_many_nodes_with_one_key_a_few_are_let_in"]),
    ("INSTANCE_ANSWER", &["the_connection_of_an_earlier_start_that_does_not_answer_is_closed"]),
    ("TWINS_TOLD_MAX", &["lists_of_messages_have_an_end"]),
    ("CHANGED_TRIES_MAX", &["a_retry_ends_by_count_and_by_time"]),
    ("REDIAL_FIRST", &["of_too_many_peers_some_are_known_and_a_few_are_dialled_at_a_time"]),
    ("REDIAL_LAST", &["of_too_many_peers_some_are_known_and_a_few_are_dialled_at_a_time"]),
    ("RECONCILE_PERIOD", &["a_node_that_was_away_gets_puts_and_deletes"]),
    ("FUTURE_MAX", &["a_put_dated_over_a_day_ahead_is_refused_whatever_the_heads_say"]),
    ("CALENDAR_MIN", &["a_client_signs_no_time_that_its_own_calendar_does_not_believe"]),
    ("STAMP_LEAD", &["records_that_may_not_be_are_refused_and_leave_nothing"]),
    ("GROUP_BLOCKS_MAX", &["many_operations_run_at_once"]),
    (
        "GROUP_RECORDS_MAX",
        &["a_flood_of_records_goes_in_groups_of_the_permitted_size_and_no_put_is_torn"],
    ),
    ("GROUP_BYTES_MAX", &["what_waits_to_be_checked_has_a_bound"]),
    ("GROUP_WINDOW", &["two_nodes_and_no_faults"]),
    ("AT_ONCE_ITEMS_MAX", &["whatever_is_not_good_comes_back"]),
    ("AT_ONCE_BYTES_MAX", &["few_checks_are_done_at_once_if_there_is_time"]),
    (
        "SEGMENTS_OPEN_MAX",
        &["members_beyond_the_last_descriptor_are_sent_away_and_the_others_stay"],
    ),
    ("DRAFTS_OPEN_MAX", &["any_number_of_blocks_may_be_half_written"]),
    (
        "DESCRIPTORS_OTHER",
        &["members_beyond_the_last_descriptor_are_sent_away_and_the_others_stay"],
    ),
    ("REMOVED_OPEN_MAX", &["few_of_many_removed_files_are_kept_open"]),
    (
        "DESCRIPTORS_PER_WORKER",
        &["members_beyond_the_last_descriptor_are_sent_away_and_the_others_stay"],
    ),
    ("CONNECTIONS_MIN", &["too_few_descriptors_are_told_at_the_start"]),
    ("RESERVE_FILES", &["files_are_set_aside_as_bytes_are"]),
    ("JOURNAL_MAX", &["nobody_waits_for_a_reader_and_what_is_dropped_is_told"]),
    ("JOURNAL_LINE_MAX", &["nobody_waits_for_a_reader_and_what_is_dropped_is_told"]),
    ("JOURNAL_TIMEOUT", &["a_daemon_whose_log_nobody_reads_serves_and_ends"]),
    ("COMPARE_QUESTIONS_MAX", &["what_is_kept_has_a_bound"]),
    ("COMPARE_AWAITED_MAX", &["what_is_kept_has_a_bound"]),
    ("COMPARE_STACK_MAX", &["what_is_kept_has_a_bound"]),
    ("COMPARE_IDS", &["of_thousands_of_records_only_those_are_sent_that_differ"]),
    ("COMPARE_PARTS", &["of_thousands_of_records_only_those_are_sent_that_differ"]),
    ("SEGMENT", &["a_store_survives_reopening"]),
    ("RESERVE", &["no_room_is_said_and_reads_still_work"]),
    ("RESERVE_PERCENT", &["no_room_is_said_and_reads_still_work"]),
    (
        "MEMORY_DEFAULT",
        &[
            "blocks_that_nobody_reads_hold_no_memory",
            "streams_that_are_opened_and_do_not_go_on",
            "announced_and_never_sent_holds_nobody_up_for_long",
        ],
    ),
    ("MEMORY_MIN", &["bad_values_are_errors_that_name_them"]),
    ("CONTROL_MEMORY", &["frames_that_are_announced_and_do_not_come"]),
    ("MEMORY_IDLE", &["memory_does_not_grow_with_a_file"]),
    ("EXPIRY_STEP", &["what_is_superseded_expires_in_steps_and_what_is_a_head_never_does"]),
    ("SUPERSEDED_MIN", &["what_is_superseded_expires_in_steps_and_what_is_a_head_never_does"]),
    ("TOMBSTONE_LIFE", &["a_tombstone_stays_long_and_never_leaves_a_file_alone_that_it_hides"]),
    ("EXPIRED_KNOWN", &["the_id_of_what_has_expired_is_known_for_a_while"]),
    ("EXPIRED_MAX", &["of_too_many_ids_those_that_expired_first_are_forgotten"]),
    ("EXPIRED_AT_ONCE", &["many_go_in_batches_and_what_could_not_be_written_goes_later"]),
    ("PORT", &["no_option_at_all_works"]),
    ("CONFIG_FILE_MAX", &["wrong_usage_is_said_so"]),
    ("SMALL_FILE_MAX", &["damaged_keys_are_not_used"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The names of all tests below a folder.
fn tests_below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_below(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(path).unwrap();
            let after = text.split("#[test]").skip(1);
            let name = |rest: &str| Some(rest.split_once("fn ")?.1.split_once('(')?.0.to_owned());
            found.extend(after.filter_map(name));
        }
    }
}

#[test]
fn every_limit_is_attacked() {
    let text = fs::read_to_string(root().join("src/limits.rs")).unwrap();
    let constants = text.lines().filter_map(|line| line.strip_prefix("pub const "));
    let constants: BTreeSet<&str> = constants.map(|line| line.split(':').next().unwrap()).collect();
    let table: BTreeSet<&str> = TABLE.iter().map(|(limit, _)| *limit).collect();
    let missing: Vec<_> = constants.symmetric_difference(&table).collect();
    assert!(missing.is_empty(), "in src/limits.rs or in the table alone: {missing:?}");
}

#[test]
fn every_attack_is_a_test() {
    let mut tests = BTreeSet::new();
    tests_below(&root().join("src"), &mut tests);
    tests_below(&root().join("tests"), &mut tests);
    for (limit, attacks) in TABLE {
        assert!(!attacks.is_empty(), "nobody attacks {limit}");
        for attack in *attacks {
            assert!(tests.contains(*attack), "{limit}: there is no test {attack}");
        }
    }
}
