//! A failed handling in one line, for the tests of what becomes of it.

use jiff::Timestamp;
use tidings_core::{
    Address, Call, Envelope, Error, Headers, Kind,
    convention::{Attachment, Convention, Failed, Fate, Interest, Plan},
    retry_policy::RetryPolicy,
};
use tidings_domain::Domain;

pub(crate) const RK: &str = "o.s.1.event.user_created";
pub(crate) const Q: &str = "o.s.1.event.user_created.send_mail_on_user_created";

pub(crate) fn domain() -> Domain {
    Domain::builder("o", "s").host("box").build().unwrap()
}

pub(crate) fn main_queue() -> Interest {
    Interest::Named {
        name: "user.created".into(),
        version: 1,
        kind: Kind::Event,
    }
}

pub(crate) fn dead_letters() -> Interest {
    Interest::DeadLetters(Box::new(main_queue()))
}

pub(crate) fn attach(interest: &Interest, retry: &RetryPolicy) -> Attachment {
    let name = if *interest == Interest::All {
        "store_on_message"
    } else {
        "send_mail_on_user_created"
    };
    domain().attach(name, interest, retry).unwrap()
}

pub(crate) fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

pub(crate) fn call(key: &str, headers: Headers) -> Call {
    Call::new(
        Address::new("o.s", key),
        Envelope::new("{}").with_headers(headers),
    )
}

/// A failed handling on a transport without delayed nacks.
pub(crate) fn recover(attachment: &Attachment, call: &Call, error: &Error) -> Plan {
    let failed = Failed {
        attachment,
        call,
        error,
        delayed_nack: false,
        now: now(),
    };
    domain().recover(&failed)
}

pub(crate) fn forwarded(plan: Plan) -> (Call, Fate) {
    match plan {
        Plan::Forward { call, fate } => (*call, fate),
        other @ Plan::Settle { .. } => panic!("not forwarded: {other:?}"),
    }
}

pub(crate) fn reason(fate: &Fate) -> &str {
    match fate {
        Fate::DeadLettered { reason } => reason,
        other => panic!("no dead letter: {other:?}"),
    }
}
