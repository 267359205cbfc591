//! Who finds which seeded bug.

use Finder::{Seeds, Test};
use dfsd::seeded::Bug;

/// What must fail when the bug is on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Finder {
    /// One of so many seeds of the simulator, from 0 on.
    Seeds(u64),
    /// This test.
    Test(&'static str),
}

const BETWEEN_GROUPS: &str = "sim::keep_versions::between_two_groups_a_start_finds_nothing_as_a_head_that_was_superseded_or_discarded";
const COLLECTING_NODE: &str = "crash::calls::every_call_of_a_node_that_collects_fails_and_all_goes_that_is_to_go_and_nothing_else";

/// Every bug once.
pub(super) const FINDERS: &[(Bug, Finder)] = &[
    (
        Bug::CompareUnlike,
        Test("sim::expiry::who_was_cut_off_while_another_retention_was_set_brings_nothing_back"),
    ),
    (Bug::ForgetSettings, Test("sim::expiry::where_it_is_not_known_what_is_set_nothing_expires")),
    (
        Bug::TrustDraft,
        Test("daemon::ranges::a_get_goes_on_with_what_is_there_and_fetches_what_is_not"),
    ),
    (
        Bug::SweepPendingPut,
        Test("sim::collection::a_put_that_takes_long_finds_what_it_was_told_of"),
    ),
    (
        Bug::SweepServed,
        Test("sim::collection::what_somebody_has_begun_to_read_stays_though_it_is_deleted"),
    ),
    (
        Bug::CopyDroppedBare,
        Test("sim::collection::who_came_since_a_block_went_lacks_it_though_the_log_says_so_behind"),
    ),
    (
        Bug::DropHeld,
        Test("sim::collection::a_block_that_comes_again_while_its_file_waits_to_go_stays"),
    ),
    (
        Bug::TrustOldPages,
        Test(
            "sim::collection::a_start_does_not_take_a_file_for_whole_whose_blocks_have_gone_before_its_record_came",
        ),
    ),
    (
        Bug::SweepQueued,
        Test(
            "sim::collection::what_a_put_on_its_way_to_the_disk_names_is_there_when_it_is_durable",
        ),
    ),
    (Bug::KeepGrace, Test("sim::collection::another_grace_holds_for_what_is_there")),
    (
        Bug::SweepOverMissingPage,
        Test("sim::collection::as_long_as_a_page_is_not_here_nothing_is_collected"),
    ),
    (
        Bug::SweepBeforeGrace,
        Test(
            "sim::collection::what_a_put_that_was_broken_off_has_brought_goes_after_the_grace_and_not_before",
        ),
    ),
    (Bug::IgnoreOffset, Test("sim::client::ranges::any_part_of_a_file_is_read_from_a_node")),
    (
        Bug::OpenAllPages,
        Test("sim::client::ranges::a_part_costs_one_path_of_pages_and_the_leaves_that_it_touches"),
    ),
    (Bug::BelieveBadIndex, Test("crash::indexes::an_index_that_is_damaged_anywhere_is_none")),
    (
        Bug::BelieveStaleIndex,
        Test("crash::indexes::the_index_of_a_segment_that_ended_elsewhere_is_none"),
    ),
    (
        Bug::IndexWithoutGraves,
        Test("crash::indexes::a_start_finds_by_indexes_what_it_finds_in_groups"),
    ),
    (
        Bug::ExpireHead,
        Test("sim::expiry::what_is_superseded_goes_on_every_node_and_what_is_not_stays"),
    ),
    (
        Bug::IgnoreCut,
        Test("sim::expiry::two_nodes_whose_calendars_are_hours_apart_agree_and_are_at_rest"),
    ),
    (
        Bug::BoundOnlyOnce,
        Test("sim::keep_versions::of_each_name_the_newest_stay_and_the_others_go_on_every_node"),
    ),
    (
        Bug::LeaveFutureParents,
        Test(
            "sim::future::with_what_is_discarded_that_is_discarded_which_it_supersedes_in_the_future",
        ),
    ),
    (Bug::BoundNotDiscarded, Test(BETWEEN_GROUPS)),
    (Bug::DiscarderFirst, Test(BETWEEN_GROUPS)),
    (Bug::GreatestFirst, Test(BETWEEN_GROUPS)),
    (
        Bug::CountBeyond,
        Test(
            "sim::keep_versions::what_one_has_let_go_and_the_other_holds_is_neither_told_of_nor_sent",
        ),
    ),
    (
        Bug::LeaveHidden,
        Test(
            "sim::expiry::what_comes_back_beside_a_deletion_stays_hidden_and_goes_when_it_is_deleted",
        ),
    ),
    (Bug::AcceptExpired, Test("sim::expiry::what_comes_late_and_has_expired_is_not_written_again")),
    (Bug::SkipFlush, Seeds(10)),
    (Bug::FlushLogAlone, Test("sim::disk::whenever_the_power_goes_what_a_start_finds_is_whole")),
    (
        Bug::IgnoreFlushError,
        Test("sim::disk::what_a_failed_flush_has_not_flushed_is_not_acknowledged"),
    ),
    (Bug::SkipVerdict, Seeds(20)),
    (
        Bug::SkipWitness,
        Test("sim::disk::rot_in_a_block_does_not_make_the_group_void_that_brought_it"),
    ),
    (Bug::BelieveLastGroup, Test("sim::disk::whenever_the_power_goes_what_a_start_finds_is_whole")),
    (Bug::BelieveTornFrame, Test("sim::disk::of_a_torn_group_nothing_is_believed")),
    (
        Bug::StopAtDamage,
        Test("sim::promises::rot_in_one_place_of_the_log_costs_what_is_there_and_no_more"),
    ),
    (Bug::ForgetPeers, Test("sim::promises::nodes_that_all_start_anew_find_each_other")),
    (Bug::AnswerBeforeCommit, Seeds(10)),
    (
        Bug::AcceptWithoutBlocks,
        Test("sim::hostile::records_that_may_not_be_are_refused_and_leave_nothing"),
    ),
    (Bug::PushToFirst, Test("sim::promises::a_new_record_reaches_every_node_at_once")),
    (Bug::DropLastId, Test("sim::replication::a_late_node_and_a_wiped_node_get_everything")),
    (Bug::CompareCounts, Test("sim::promises::who_has_as_many_records_may_still_lack_some")),
    (
        Bug::CompareOnce,
        Test("sim::comparison::records_that_cannot_be_read_now_are_sent_when_they_can"),
    ),
    (
        Bug::SkipLeafCheck,
        Test("sim::hostile::a_damaged_leaf_is_noticed_and_the_block_can_be_put_again"),
    ),
    (
        Bug::SkipSmallCheck,
        Test("sim::hostile::a_damaged_leaf_is_noticed_and_the_block_can_be_put_again"),
    ),
    (
        Bug::SkipReadCheck,
        Test("sim::client::hostile::a_bad_leaf_is_asked_for_again_and_never_handed_out"),
    ),
    (
        Bug::TrustHeldBlock,
        Test("sim::promises::a_held_block_that_has_rotted_is_written_again_when_it_is_put_again"),
    ),
    (Bug::ReadFromFirst, Test("sim::promises::any_run_of_leaves_is_read_from_where_it_begins")),
    (Bug::PassPrefix, Test("sim::client::hostile::a_missing_block_is_temporary")),
    (Bug::KeyFromContext, Seeds(10)),
    (Bug::SealNothing, Seeds(10)),
    (
        Bug::SkipSealCheck,
        Test("sim::client::forger::what_is_signed_and_not_sealed_with_the_data_key_is_damaged"),
    ),
    (
        Bug::AcceptUnsignedGrant,
        Test("sim::promises::a_grant_that_the_root_did_not_sign_grants_nothing"),
    ),
    (
        Bug::AcceptForgery,
        Test("sim::hostile::records_that_may_not_be_are_refused_and_leave_nothing"),
    ),
    (
        Bug::KeepReservation,
        Test("sim::hostile::a_damaged_leaf_is_noticed_and_the_block_can_be_put_again"),
    ),
    (Bug::KeepReaderMemory, Test("sim::promises::a_reader_that_goes_away_leaves_no_memory_behind")),
    (
        Bug::ForgetMemoryWaiters,
        Test("sim::promises::a_reader_that_found_no_memory_is_served_when_there_is_some"),
    ),
    (Bug::ForgetPaused, Test("sim::promises::who_was_not_read_from_is_told_when_he_is")),
    (
        Bug::LoseRedial,
        Test("sim::promises::a_node_that_was_away_for_long_is_dialled_when_it_is_back"),
    ),
    (
        Bug::WaitForever,
        Test("sim::hostile::a_damaged_leaf_is_noticed_and_the_block_can_be_put_again"),
    ),
    (Bug::LoseFailedFetch, Test("sim::exhaustion::a_lie_about_a_length_costs_nobody_a_connection")),
    (
        Bug::LeaveHeads,
        Test("sim::client::heads::a_deleted_name_ends_with_one_head_however_many_it_had"),
    ),
    (Bug::DropInSilence, Test("sim::comparison::what_was_dropped_for_want_of_room_comes_soon")),
    (
        Bug::WalkPagesAtStart,
        Test("sim::short::a_start_walks_no_pages_and_knows_of_each_file_what_it_lacks"),
    ),
    (
        Bug::BelieveHeldPages,
        Test("sim::short::a_start_walks_no_pages_and_knows_of_each_file_what_it_lacks"),
    ),
    (
        Bug::JudgeBeforehand,
        Test("sim::short::a_start_looks_through_nothing_that_it_can_judge_by_what_it_reads"),
    ),
    (
        Bug::ForgetRemains,
        Test("sim::remains::a_damaged_record_hides_what_was_before_it_after_a_start_too"),
    ),
    (
        Bug::PassClaims,
        Test("sim::room::what_a_peer_claims_beside_a_record_is_passed_on_as_far_as_it_can_be_so"),
    ),
    (
        Bug::LeaveRemains,
        Test("sim::damaged_group::of_a_damaged_group_everything_else_is_read_after_a_start"),
    ),
    (
        Bug::ForgetRotten,
        Test("sim::damaged_group::of_a_damaged_group_everything_else_is_read_after_a_start"),
    ),
    (
        Bug::BelieveRemains,
        Test("sim::damaged_group::what_looks_like_items_in_a_block_is_not_believed"),
    ),
    (
        Bug::BelieveUnsigned,
        Test("sim::damaged_group::what_looks_like_items_in_a_block_is_not_believed"),
    ),
    (Bug::HideLogDamage, Test("sim::remains::what_nobody_can_decode_is_told_at_every_start")),
    (Bug::NewcomerMakesGood, Test("sim::remains::what_nobody_can_decode_is_told_at_every_start")),
    (
        Bug::MadeGoodForEver,
        Test("sim::remains::what_nobody_could_decode_is_made_good_by_a_node_that_has_it"),
    ),
    (Bug::RetryAll, Test("sim::short::what_nobody_has_is_left_alone_however_much_it_is")),
    (Bug::KeepArrivals, Test("sim::short::who_asked_in_vain_is_told_when_it_comes")),
    (
        Bug::SuspectRecords,
        Test("sim::short::a_damaged_page_costs_the_same_however_many_files_have_pages"),
    ),
    (Bug::ForgetRetry, Test("sim::short::the_holder_that_comes_back_is_asked_for_everything")),
    (
        Bug::UnboundedWants,
        Test("sim::promises::who_wants_without_end_and_reads_nothing_is_cut_off"),
    ),
    (Bug::ReviveDeleted, Seeds(20)),
    (Bug::ShowLastCome, Seeds(20)),
    (Bug::DropLesserVersion, Seeds(20)),
    (Bug::TellOneHead, Test("sim::promises::of_two_versions_at_once_both_are_told")),
    (
        Bug::TellGreatestHeads,
        Test("sim::promises::of_many_versions_at_once_the_greatest_and_the_least_are_told"),
    ),
    (Bug::ForgetDamaged, Test("sim::refusals::a_rotten_version_never_gives_way_to_the_one_before")),
    (Bug::HideUnreadNames, Test("sim::client::in_order::names_that_cannot_be_read_are_counted")),
    (Bug::HideDamaged, Test("sim::refusals::a_rotten_version_never_gives_way_to_the_one_before")),
    (Bug::StampBelowParents, Test("sim::promises::a_new_version_follows_one_from_the_future")),
    (Bug::FollowAnyClock, Test("sim::promises::a_clock_far_ahead_is_not_followed")),
    (
        Bug::BelieveAnySigner,
        Test("sim::client::forger::what_a_key_without_a_grant_has_signed_is_refused"),
    ),
    (Bug::SkipSignature, Test("sim::client::forger::what_nobody_has_signed_is_refused")),
    (Bug::TrustBatch, Test("sim::client::forger::what_nobody_has_signed_is_refused")),
    (Bug::EqualFactors, Test("sim::client::forger::errors_of_two_signatures_do_not_cancel_out")),
    (
        Bug::BelieveAnyGrant,
        Test("sim::client::forger::a_grant_that_the_root_has_not_signed_is_none"),
    ),
    (Bug::RepeatList, Test("sim::client::forger::a_list_that_tells_the_same_twice_ends")),
    (Bug::TurnBackList, Test("sim::client::forger::a_list_that_turns_back_ends")),
    (Bug::BarrenList, Test("sim::client::forger::a_list_that_tells_the_same_twice_ends")),
    (
        Bug::EndlessSweep,
        Test("sim::client::hostile::a_verification_that_turns_back_or_tells_nothing_ends"),
    ),
    (Bug::UnboundedNodeWants, Test("sim::client::hostile::a_node_that_wants_without_end_is_left")),
    (Bug::KeepGrants, Test("sim::client::files::what_another_writer_puts_is_read_by_everybody")),
    (
        Bug::ExcuseBusy,
        Test(
            "sim::client::deadlines::what_others_get_excuses_the_silence_about_one_as_long_as_it_may_be_behind_them",
        ),
    ),
    (Bug::ExcuseTrickle, Test("sim::client::deadlines::a_trickle_for_others_excuses_no_silence")),
    (
        Bug::CountSentAgain,
        Test("sim::client::deadlines::a_node_that_wants_the_same_again_and_again_is_silent"),
    ),
    (
        Bug::EndAtFirstFailure,
        Test("sim::client::elsewhere::a_get_that_one_node_fails_goes_on_at_another"),
    ),
    (Bug::WalkForQuestions, Test("sim::pages::a_question_about_a_long_file_reads_a_few_pages")),
    (Bug::HurryPrograms, Test("embed::a_program_that_is_busy_for_100_seconds_loses_nothing")),
    (Bug::BlameNode, Test("embed::a_program_that_is_busy_for_11_seconds_is_not_the_nodes_fault")),
    (Bug::MissClosing, Test("embed::when_the_node_closes_everything_ends_once_and_nothing_begins")),
    (Bug::KeepAbandoned, Test("embed::a_gateway_that_was_left_is_closed_in_the_end")),
    (Bug::CountRecordOnly, Test("sim::promises::who_has_the_record_alone_is_no_holder")),
    (Bug::IgnoreExisting, Test("sim::promises::a_put_that_must_be_new_is_refused_by_the_node_too")),
    (
        Bug::IgnoreCondition,
        Test("sim::conditions::a_condition_on_heads_that_have_changed_is_refused"),
    ),
    (
        Bug::CheckConditionAgainstCatalogAlone,
        Test("sim::conditions::a_version_below_what_is_known_is_refused_if_it_is_to_be_the_newest"),
    ),
    (Bug::BlameSilence, Test("embed::what_a_client_sends_while_the_process_sleeps_is_not_late")),
    (Bug::ForgetRefusal, Test("sim::rest::a_node_without_room_is_left_in_peace_until_it_has_some")),
    (Bug::CompareInVain, Test("sim::rest::a_node_without_room_is_left_in_peace_until_it_has_some")),
    (
        Bug::PushWithoutPace,
        Test(
            "sim::links::who_takes_nothing_for_a_while_is_sent_no_more_than_may_wait_and_gets_all_in_the_end",
        ),
    ),
    (
        Bug::ForgetAbandoned,
        Test("sim::links::what_a_silent_node_brings_late_is_taken_for_what_it_is"),
    ),
    (Bug::EncodeAnyLength, Test("attack::lists::whatever_is_too_long_is_cut_and_nobody_dies")),
    (
        Bug::BelieveRumours,
        Test("sim::rumours::who_lies_about_a_thousand_nodes_is_believed_by_nobody"),
    ),
    (
        Bug::PassRumoursOn,
        Test("sim::rumours::who_lies_about_a_thousand_nodes_is_believed_by_nobody"),
    ),
    (
        Bug::DialUnbounded,
        Test("sim::rumours::who_lies_about_a_thousand_nodes_is_believed_by_nobody"),
    ),
    (
        Bug::SkipPresenceCheck,
        Test("sim::rumours::an_address_that_its_node_did_not_sign_ends_the_connection"),
    ),
    (
        Bug::CountWhatFits,
        Test("sim::rumours::two_hundred_peers_that_hold_a_file_are_counted_and_a_part_is_named"),
    ),
    (Bug::FutureIsHead, Test("sim::future::a_version_dated_in_the_future_takes_no_name_away")),
    (Bug::FollowClientClock, Test("sim::future::a_clients_clock_moves_nobodys")),
    (
        Bug::TakeFuture,
        Test("sim::future::a_put_dated_over_a_day_ahead_is_refused_whatever_the_heads_say"),
    ),
    (
        Bug::SignFuture,
        Test("sim::future::a_client_signs_no_time_that_its_own_calendar_does_not_believe"),
    ),
    (Bug::IntroduceNobody, Test("sim::replication::a_late_node_and_a_wiped_node_get_everything")),
    (
        Bug::ReplayAccepted,
        Test("attack::accept_limits::a_first_message_that_was_recorded_is_worth_nothing"),
    ),
    (
        Bug::HandshakesUncounted,
        Test("attack::accept_limits::handshakes_that_do_not_go_on_keep_nobody_out"),
    ),
    (
        Bug::NewestUnauthenticatedRefused,
        Test(
            "attack::accept_limits::of_seventeen_strangers_of_a_machine_the_oldest_gives_way_and_loopback_brings_more",
        ),
    ),
    (
        Bug::OldestUnauthenticatedGoes,
        Test("attack::accept_limits::of_too_many_strangers_the_fullest_prefix_loses_one"),
    ),
    (Bug::TwinsFight, Test("sim::twins::two_nodes_with_one_key_both_stay_and_are_told_of")),
    (
        Bug::BusyIsWrongNetwork,
        Test(
            "sim::client::hostile::only_a_refusal_is_another_network_and_an_end_or_no_answer_may_be_tried_again",
        ),
    ),
    (Bug::IgnorePermit, Test("sim::permits::without_a_permit_nothing_is_taken_in")),
    (Bug::PermitForAnyAddress, Test("sim::permits::without_a_permit_nothing_is_taken_in")),
    (Bug::AcceptOldPermit, Test("sim::permits::a_permit_is_good_for_an_hour")),
    (
        Bug::WantEndsNode,
        Test(
            "sim::exhaustion::a_block_for_which_there_is_no_descriptor_is_refused_alone_and_may_come_later",
        ),
    ),
    (
        Bug::UnopenedIsNew,
        Test("sim::disk::a_block_that_is_put_again_survives_want_of_descriptors_and_of_room"),
    ),
    (Bug::IgnoreOtherVolume, Test("sim::disk::what_lies_on_two_file_systems_is_refused_by_name")),
    (Bug::IgnoreLostFolder, Test("sim::disk::once_a_folder_is_gone_nothing_is_acknowledged")),
    (
        Bug::SkipLogFlushAfterSync,
        Test("sim::disk::a_flush_of_everything_that_fails_in_silence_is_noticed"),
    ),
    (Bug::ForgetInodes, Test("sim::disk::files_are_set_aside_as_bytes_are")),
    (Bug::ForgetRole, Test("daemon::refusals::a_key_that_is_lost_is_missed_by_its_name")),
    (
        Bug::WaitForLogReader,
        Test("daemon::journal::nobody_waits_for_a_reader_and_what_is_dropped_is_told"),
    ),
    (
        Bug::DropLinesInSilence,
        Test("daemon::journal::nobody_waits_for_a_reader_and_what_is_dropped_is_told"),
    ),
    (Bug::VerifyWithoutBound, Test("sim::floods::of_a_flood_of_verifying_one_part_is_under_way")),
    (Bug::TrustSlowSource, Test("sim::dripping::a_node_that_drips_is_left_for_one_that_does_not")),
    (
        Bug::VerifyInFront,
        Test("sim::floods::a_flood_in_the_background_is_behind_what_somebody_waits_for"),
    ),
    (
        Bug::StarveBackground,
        Test("sim::floods::a_flood_that_somebody_waits_for_does_not_stop_the_background"),
    ),
    (Bug::UncountedNodes, Test("sim::floods::requests_of_nodes_are_counted_as_those_of_clients")),
    (Bug::TrustWithheld, Test("sim::dripping::what_is_withheld_is_asked_of_another")),
    (Bug::ForgetSlow, Test("sim::dripping::who_was_slow_is_asked_last_also_when_it_connects_anew")),
    (
        Bug::DropLateLeaves,
        Test("sim::dripping::what_comes_late_of_who_is_slow_is_taken_if_nobody_else_has_it"),
    ),
    (
        Bug::TornFromTheFirst,
        Test("sim::remains::rot_at_the_end_of_the_log_is_not_taken_for_a_torn_group"),
    ),
    (
        Bug::GuessFromTheWhole,
        Test(
            "sim::remains::a_damaged_record_that_cannot_be_read_as_a_whole_hides_what_was_before_it",
        ),
    ),
    (
        Bug::BelieveComing,
        Test(
            "sim::client::deadlines::a_block_that_is_said_to_be_coming_is_waited_for_but_not_for_ever",
        ),
    ),
    (
        Bug::WaitWithoutAWord,
        Test("sim::dripping::who_reads_over_a_slow_line_is_told_that_it_comes"),
    ),
    (
        Bug::GiveUpTheLast,
        Test("sim::dripping::who_is_late_is_waited_for_if_nobody_else_can_be_asked"),
    ),
    (
        Bug::ReadInTurn,
        Test("sim::dripping::what_is_read_is_asked_for_before_what_nobody_waits_for"),
    ),
    (
        Bug::AnswerWithoutPace,
        Test("sim::floods::a_node_that_takes_no_answers_keeps_its_connection"),
    ),
    (
        Bug::PastAsPresent,
        Test(
            "sim::sync::who_joins_says_that_it_is_synchronising_until_it_lists_what_the_others_list",
        ),
    ),
    (Bug::ToldIsKnown, Test("sim::sync::who_is_told_of_all_has_heard_of_it_when_it_is_durable")),
    (Bug::PastFirst, Test("sim::sync::what_stands_is_sent_before_what_was_once")),
    (Bug::FetchPastFirst, Test("sim::sync::blocks_of_what_was_once_are_fetched_last")),
    (Bug::BelieveArguments, Test("daemon::refusals::what_was_typed_does_nothing_to_the_terminal")),
    (Bug::DieOfFileLimit, Test("daemon::limits::a_file_that_may_not_grow_is_no_room_and_no_end")),
    (
        Bug::ForgetNetwork,
        Test("daemon::keys::a_lost_network_key_comes_back_with_a_ticket_of_its_network_alone"),
    ),
    (
        Bug::BelieveNames,
        Test("daemon::oddities::what_only_has_a_segments_name_keeps_no_daemon_from_starting"),
    ),
    (Bug::KeepRoom, Test("sim::disk::a_full_disk_is_started_from")),
    (Bug::DamagedIsAbsent, Test("daemon::damage::damage_in_the_log_is_told_as_damage_each_time")),
    (Bug::UnlinkFirst, Test("crash::no_power_cut_loses_what_was_promised_or_shows_a_part")),
    (Bug::CopyNoExpired, Test("crash::no_power_cut_loses_what_was_promised_or_shows_a_part")),
    (Bug::UnlinkUnflushed, Test("crash::no_power_cut_loses_what_was_promised_or_shows_a_part")),
    (Bug::DropFirst, Test("crash::no_power_cut_loses_what_was_promised_or_shows_a_part")),
    (Bug::HeadWithoutRemoved, Test("crash::no_power_cut_loses_what_was_promised_or_shows_a_part")),
    (Bug::ForgetNotDropped, Test(COLLECTING_NODE)),
    (Bug::CompactOnce, Test(COLLECTING_NODE)),
    (Bug::ExpireOnce, Test(COLLECTING_NODE)),
    (Bug::ReadRemoved, Test("crash::no_power_cut_loses_what_was_promised_or_shows_a_part")),
    (Bug::VerdictFirst, Test("crash::no_power_cut_loses_what_was_promised_or_shows_a_part")),
    (
        Bug::ShowDespiteNewer,
        Test(
            "sim::room::a_newer_version_that_could_not_be_stored_does_not_make_the_older_the_present_one",
        ),
    ),
    (
        Bug::PassWithoutBound,
        Test("sim::room::a_peer_is_asked_for_no_more_than_it_bears_however_many_read"),
    ),
    (
        Bug::TakeBackShown,
        Test("sim::room::what_was_shown_and_is_not_kept_does_not_give_way_to_what_was_before"),
    ),
    (
        Bug::ServeOwnOnly,
        Test("sim::room::what_there_is_no_room_for_is_read_through_the_node_and_not_kept"),
    ),
    (
        Bug::ForgetBlockRefusal,
        Test("sim::room::a_block_that_there_was_no_room_for_comes_when_there_is"),
    ),
    (Bug::PassWhatIsLate, Test("sim::room::what_comes_late_for_a_reader_goes_to_nobody")),
    (Bug::ForgetMode, Test("daemon::trees::what_is_unchanged_is_not_stored_again")),
    (
        Bug::BeginAnywhere,
        Test(
            "daemon::start::a_folder_that_is_empty_by_mistake_is_refused_until_it_is_said_what_is_meant",
        ),
    ),
    (
        Bug::SkipAtPageEnd,
        Test("sim::client::versions::of_few_versions_none_is_left_out_wherever_an_answer_ends"),
    ),
    (
        Bug::RestoreWithoutParents,
        Test(
            "sim::client::versions::of_two_concurrent_versions_the_one_that_is_not_shown_is_listed_and_restored",
        ),
    ),
    (
        Bug::RestoreOverUnseen,
        Test("sim::client::versions::nothing_is_restored_over_what_others_have_stored_since"),
    ),
    (
        Bug::EndlessVersions,
        Test("sim::client::versions::a_list_of_versions_that_turns_back_or_repeats_ends"),
    ),
    (
        Bug::CountNoCopies,
        Test("sim::compaction::what_is_kept_is_there_and_what_is_not_takes_no_room"),
    ),
    (
        Bug::RemoveWhileRead,
        Test("sim::compaction::a_segment_in_which_somebody_reads_stays_as_long"),
    ),
    (Bug::CopyTheDead, Test("sim::compaction::what_is_lost_while_it_is_written_anew_stays_lost")),
    (
        Bug::ForgetGraves,
        Test(
            "sim::compaction::what_was_lost_is_still_known_to_be_when_the_segment_that_said_so_is_gone",
        ),
    ),
    (
        Bug::LoseAgain,
        Test("sim::lost::what_is_put_again_while_it_is_found_damaged_is_here_after_a_start"),
    ),
    (
        Bug::MissForEver,
        Test("sim::lost::what_was_lost_is_not_missed_when_no_file_needs_it_any_more"),
    ),
    (
        Bug::RemoveUnlisted,
        Test("daemon::sync::nothing_is_removed_while_the_list_may_be_incomplete"),
    ),
];
