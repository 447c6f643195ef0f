//! The suite passes on a transport that keeps its promises and fails, where it should, on each that does not.

use std::sync::Arc;

use tidings_core::{
    Result,
    transport::{BoxFuture, Transport},
};
use tidings_testkit::{
    broken::{Broken, Defect},
    conformance::{self, Broker, Harness, Time},
};

use crate::reference::Hub;

/// The reference transport, with or without a defect.
#[derive(Clone, Copy, Debug, Default)]
struct Reference {
    defect: Option<Defect>,
    forgets_in_a_restart: bool,
    /// Promises as little as a broker over a network may.
    promises_little: bool,
}

struct ReferenceBroker {
    hub: Arc<Hub>,
    settings: Reference,
}

impl Harness for Reference {
    fn time(&self) -> Time {
        Time::Virtual
    }

    fn settlements_are_confirmed(&self) -> bool {
        !self.promises_little
    }

    fn nacked_messages_keep_their_place(&self) -> bool {
        !self.promises_little
    }

    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Broker>>> {
        let broker = ReferenceBroker {
            hub: Arc::default(),
            settings: *self,
        };
        Box::pin(async { Ok(Box::new(broker) as Box<dyn Broker>) })
    }
}

impl ReferenceBroker {
    fn transport(&self) -> Arc<dyn Transport> {
        match self.settings.defect {
            Some(defect) => Arc::new(Broken::new(self.hub.connect(), defect)),
            None => self.hub.connect(),
        }
    }
}

impl std::fmt::Debug for ReferenceBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReferenceBroker")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Broker for ReferenceBroker {
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn Transport>>> {
        let transport = self.transport();
        Box::pin(async { Ok(transport) })
    }

    fn connect_another(&self) -> Option<BoxFuture<'_, Result<Arc<dyn Transport>>>> {
        Some(self.connect())
    }

    fn restart(&self) -> Option<BoxFuture<'_, Result<()>>> {
        self.hub.restart(self.settings.forgets_in_a_restart);
        Some(Box::pin(async { Ok(()) }))
    }
}

tidings_testkit::conformance_suite!(reference, Reference::default());

#[test]
fn runs_as_a_list_and_names_what_it_skipped() {
    let report = conformance::run_group(&Reference::default(), "expiry").unwrap();
    report.verdict().unwrap();
    assert!(report.passed().is_empty(), "{report}");
    assert_eq!(report.skipped().len(), report.rows.len());
    assert!(report.to_string().contains("no QueueTtl"), "{report}");
}

#[test]
fn whoever_promises_little_is_asked_for_no_more() {
    let harness = Reference {
        promises_little: true,
        ..Reference::default()
    };
    for group in ["recovery", "settlement"] {
        let report = conformance::run_group(&harness, group).unwrap();
        report.verdict().unwrap();
        assert!(report.passed().len() > 5, "{report}");
    }
}

#[test]
fn holds_under_stress() {
    let harness: Arc<dyn Harness> = Arc::new(Reference::default());
    let report = conformance::stress(&harness, 3).unwrap();
    report.verdict().unwrap();
}

/// The behaviours must fail, and with them nothing that has nothing to do with the defect.
#[track_caller]
fn check(defect: Defect, must_fail: &[&str], must_pass: &[&str]) {
    let harness = Reference {
        defect: Some(defect),
        ..Reference::default()
    };
    check_harness(harness, must_fail, must_pass);
}

#[track_caller]
fn check_harness(broken: Reference, must_fail: &[&str], must_pass: &[&str]) {
    let report = conformance::run_all(&broken).expect("a runtime starts");
    let failed = report.failed();
    for behaviour in must_fail {
        assert!(
            failed.iter().any(|name| name == behaviour),
            "{broken:?} went unnoticed by {behaviour}; failed: {failed:#?}"
        );
    }
    let passed = report.passed();
    for behaviour in must_pass {
        assert!(
            passed.iter().any(|name| name == behaviour),
            "{broken:?} broke {behaviour}:\n{report}"
        );
    }
}

#[test]
fn notices_lost_messages() {
    check(
        Defect::LosesEvery(7),
        &[
            "delivery::a_hundred_messages_arrive_once",
            "load::fifty_publishers_and_subscribers_lose_nothing",
            "load::closing_waits_for_publishes_under_way",
            "recovery::restarts_under_load_lose_nothing_confirmed",
            "inbox::a_thousand_replies_find_their_way",
        ],
        &[
            "misuse::closing_twice_is_fine",
            "settlement::an_acked_message_never_returns",
        ],
    );
}

#[test]
fn notices_doubled_messages() {
    check(
        Defect::DoublesEvery(7),
        &[
            "delivery::a_hundred_messages_arrive_once",
            "delivery::one_subscriber_sees_the_order_of_publishing",
        ],
        &["settlement::an_acked_message_never_returns"],
    );
}

#[test]
fn notices_confirms_before_storing() {
    check(
        Defect::ConfirmsBeforeStoring,
        &[
            "delivery::two_queues_stay_separate",
            "settlement::an_acked_message_never_returns",
        ],
        &["misuse::closing_twice_is_fine"],
    );
}

#[test]
fn notices_acks_before_handling() {
    check(
        Defect::AcksOnDelivery,
        &[
            "settlement::a_nacked_message_returns_marked",
            "settlement::a_dropped_delivery_returns_marked",
            "settlement::a_prefetch_of_one_waits_for_the_settlement",
        ],
        &["delivery::a_hundred_messages_arrive_once"],
    );
}

#[test]
fn notices_forgotten_acks() {
    check(
        Defect::ForgetsAcks,
        &[
            "settlement::an_acked_message_never_returns",
            "load::acks_can_be_pipelined",
        ],
        &["misuse::closing_twice_is_fine"],
    );
}

#[test]
fn notices_lost_nacks() {
    check(
        Defect::LosesNacked,
        &[
            "settlement::a_nacked_message_returns_marked",
            "settlement::a_dropped_subscriber_leaves_its_messages_to_the_next",
            "load::many_nacks_lose_nothing",
        ],
        &["delivery::a_hundred_messages_arrive_once"],
    );
}

#[test]
fn notices_hidden_redeliveries() {
    check(
        Defect::HidesRedelivery,
        &[
            "settlement::a_nacked_message_returns_marked",
            "settlement::only_nacked_messages_return",
            "recovery::nacked_messages_stay_marked_after_a_restart",
        ],
        &["load::many_nacks_lose_nothing"],
    );
}

#[test]
fn notices_an_ignored_prefetch() {
    check(
        Defect::IgnoresPrefetch,
        &[
            "settlement::a_prefetch_of_one_waits_for_the_settlement",
            "settlement::never_more_than_the_prefetch_is_unsettled",
        ],
        &["delivery::a_hundred_messages_arrive_once"],
    );
}

#[test]
fn notices_a_wrong_order() {
    check(
        Defect::Reorders,
        &[
            "delivery::one_subscriber_sees_the_order_of_publishing",
            "delivery::the_order_of_each_key_is_kept",
        ],
        &["misuse::closing_twice_is_fine"],
    );
}

#[test]
fn notices_what_a_restart_forgets() {
    let broken = Reference {
        forgets_in_a_restart: true,
        ..Reference::default()
    };
    check_harness(
        broken,
        &[
            "recovery::confirmed_messages_survive_a_restart",
            "recovery::restarts_under_load_lose_nothing_confirmed",
            "recovery::unsettled_messages_return_marked_after_a_restart",
            "recovery::acks_hold_over_a_restart",
        ],
        &[
            "recovery::queues_that_are_not_durable_end_with_the_broker",
            "load::fifty_publishers_and_subscribers_lose_nothing",
        ],
    );
}
