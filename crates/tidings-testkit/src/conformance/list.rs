//! The one list of behaviours. A behaviour that is missing here is dead code, and the compiler says so.

use std::fmt;

use tidings_core::transport::BoxFuture;

use super::{
    comparison, delivery, expiry, inbox, load, misuse, recovery, replies, routing, settlement,
    shape, topology, trial::Trial, verdict::Verdict,
};

/// Calls another macro with all groups and their behaviours.
#[doc(hidden)]
#[macro_export]
macro_rules! __for_each_behaviour {
    ([$($callback:tt)*]) => {
        $($callback)*! {
            delivery {
                a_hundred_messages_arrive_once
                subscribing_before_publishing_works_too
                a_new_subscriber_receives_old_messages
                two_queues_stay_separate
                every_bound_queue_gets_every_message
                one_subscriber_sees_the_order_of_publishing
                the_order_of_each_key_is_kept
                publishes_do_not_depend_on_their_completions
                giving_up_on_next_loses_nothing
                a_delivery_tells_where_it_comes_from
                closing_ends_the_subscriptions
                competing_subscribers_share_the_messages
                a_transport_that_works_reports_no_impairment
            }
            load {
                fifty_publishers_and_subscribers_lose_nothing
                twenty_busy_queues_do_not_mix
                subscribers_that_leave_lose_nothing
                subscribers_may_open_and_close_at_once
                many_nacks_lose_nothing
                closing_waits_for_publishes_under_way
                acks_can_be_pipelined
            }
            settlement {
                an_acked_message_never_returns
                a_nacked_message_returns_marked
                only_nacked_messages_return
                a_nacked_message_returns_to_its_place
                a_rejected_message_is_dead_lettered
                without_dead_letters_a_rejected_message_is_dropped
                a_dropped_delivery_returns_marked
                settling_out_of_order_is_safe
                a_prefetch_of_one_waits_for_the_settlement
                never_more_than_the_prefetch_is_unsettled
                a_held_message_goes_to_nobody_else
                an_acker_outlives_its_subscriber
                a_dropped_subscriber_leaves_its_messages_to_the_next
                a_delayed_nack_comes_back_after_the_delay
                a_delayed_nack_holds_back_nothing_else
                a_delay_that_cannot_be_kept_is_no_loss
                settling_after_the_close_is_an_error_and_no_loss
                a_closed_connection_returns_what_it_held
            }
            recovery {
                confirmed_messages_survive_a_restart
                restarts_under_load_lose_nothing_confirmed
                acks_hold_over_a_restart
                rejects_hold_over_a_restart
                unsettled_messages_return_marked_after_a_restart
                nacked_messages_stay_marked_after_a_restart
                delayed_messages_survive_a_restart
                a_retry_loop_survives_a_restart
                the_topology_survives_a_restart
                queues_that_are_not_durable_end_with_the_broker
            }
            topology {
                declaring_twice_changes_nothing
                bindings_may_refer_to_earlier_topologies
                a_different_ttl_is_a_conflict_and_changes_nothing
                a_conflict_leaves_nothing_behind
                other_settings_conflict_too
                another_exchange_kind_is_a_conflict
                an_exclusive_queue_is_refused_to_others
                an_exclusive_queue_ends_with_its_connection
                deleting_takes_the_messages_and_ignores_the_absent
                deleting_a_queue_unbinds_it
                the_status_counts_ready_unsettled_and_subscribers
                the_status_of_all_queues_is_complete
                connections_share_queues_and_messages
            }
            comparison {
                comparing_changes_nothing
                comparing_names_what_is_missing
                comparing_names_every_difference_with_both_values
                what_cannot_be_declared_cannot_be_compared
            }
            inbox {
                a_reply_reaches_the_inbox
                a_reply_may_come_from_another_connection
                two_inboxes_do_not_mix
                a_thousand_replies_find_their_way
                a_new_inbox_gets_no_replies_of_an_old_one
                an_inbox_ends_with_its_connection
            }
            replies {
                replies_come_through_the_exchange_of_the_request
                many_exchanges_lead_to_one_reply_queue
                routing_twice_delivers_one_copy
                two_reply_queues_do_not_mix
                an_exchange_that_may_be_forgotten_routes_replies
                an_exchange_of_another_kind_routes_none
                a_thousand_calls_get_their_own_replies
                a_reply_queue_ends_with_its_connection
            }
            routing {
                the_default_exchange_leads_to_the_queue_named_by_the_key
                direct_exchanges_match_the_whole_key
                fanout_exchanges_match_everything
                topic_exchanges_match_patterns
                overlapping_bindings_deliver_one_copy
                one_message_reaches_every_matching_queue
                a_message_that_no_queue_receives_is_an_error
                a_message_that_need_not_be_received_may_vanish
            }
            expiry {
                an_expired_message_is_dead_lettered_with_its_history
                a_rejected_message_carries_its_history
                a_dead_letter_keeps_its_key_unless_told_otherwise
                without_dead_letters_an_expired_message_is_dropped
                a_message_may_bring_its_own_expiration
                the_shorter_of_two_expirations_applies
                a_message_in_hand_does_not_expire
                a_retry_loop_comes_back_and_counts
                a_retry_loop_loses_nothing
            }
            shape {
                an_empty_payload_arrives_empty
                a_binary_payload_arrives_unchanged
                a_payload_of_a_megabyte_arrives_unchanged
                the_content_type_is_kept
                every_type_of_header_value_is_kept
                a_thousand_headers_are_kept
                every_property_is_kept
                names_may_be_in_any_script
            }
            misuse {
                publishing_to_a_missing_exchange_is_an_error
                subscribing_to_a_missing_queue_is_an_error
                asking_for_a_missing_queue_is_an_error
                empty_and_over_long_names_are_refused
                a_refused_topology_leaves_nothing_behind
                binding_to_what_is_missing_is_an_error
                impossible_ttls_are_refused
                a_topology_that_contradicts_itself_is_refused
                an_over_long_routing_key_is_refused
                a_prefetch_of_zero_counts_as_one
                after_the_close_everything_is_refused_as_closed
                closing_twice_is_fine
            }
        }
    };
}

/// One promise of a transport, and how to check it.
#[derive(Clone, Copy)]
pub struct Behaviour {
    /// The module it is in.
    pub group: &'static str,
    /// What it promises.
    pub name: &'static str,
    pub(super) check: for<'a> fn(&'a mut Trial) -> BoxFuture<'a, Verdict>,
}

impl fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.group, self.name)
    }
}

macro_rules! table {
    ($($group:ident { $($name:ident)* })*) => {
        &[$($(Behaviour {
            group: stringify!($group),
            name: stringify!($name),
            check: |trial| Box::pin($group::$name(trial)),
        },)*)*]
    };
}

const ALL: &[Behaviour] = __for_each_behaviour!([table]);

/// All behaviours, in the order in which they run.
#[must_use]
pub fn behaviours() -> &'static [Behaviour] {
    ALL
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_behaviour_has_its_own_name() {
        let names: BTreeSet<_> = ALL.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
