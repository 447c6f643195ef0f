//! The copy of a failed message that travels on: same bytes, same headers, and what the next stage must know.
//!
//! Headers of other parties are kept, with one exception: a history of dead-lettering that would make the
//! broker drop the copy.

use std::time::Duration;

use jiff::Timestamp;
use tidings_core::{
    Address, Call, Envelope, HeaderValue, Headers,
    convention::Failed,
    headers::{self, X_DEATH},
};

use crate::{names, place, place::Place};

/// The longest error text in a dead letter, in bytes: headers must fit into one frame of a broker.
const LONGEST_ERROR: usize = 4_096;

/// A copy in the making.
pub(super) struct Copy<'a> {
    failed: &'a Failed<'a>,
    envelope: Envelope,
}

/// What a dead letter says about itself.
pub(super) struct DeadLetter<'a> {
    pub(super) reason: &'static str,
    pub(super) attempts: u32,
    pub(super) host: &'a str,
}

impl<'a> Copy<'a> {
    pub(super) fn of(failed: &'a Failed<'a>, place: Place<'_>) -> Self {
        let mut envelope = failed.call.envelope.clone();
        claim(&mut envelope.headers, failed, place);
        if has_expired_in(&envelope.headers, place) {
            forget_deaths(&mut envelope.headers);
        }
        envelope.headers.remove(headers::NOT_BEFORE);
        Self { failed, envelope }
    }

    /// Sets how often its handling has failed.
    pub(super) fn counted(mut self, attempts: u32) -> Self {
        self.set(headers::REDELIVERY_COUNT, i64::from(attempts));
        self
    }

    /// Remembers when it failed first. Existing systems ignore the header and carry it along.
    pub(super) fn first_failed(mut self) -> Self {
        if self
            .envelope
            .headers
            .text(headers::FIRST_FAILED_AT)
            .is_none()
        {
            self.set(headers::FIRST_FAILED_AT, self.failed.now.to_string());
        }
        self
    }

    /// Not to be handled before the delay is over, however early it comes back.
    pub(super) fn not_before(mut self, now: Timestamp, delay: Duration) -> Self {
        let delay = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        self.set(
            headers::NOT_BEFORE,
            now.as_millisecond().saturating_add(delay),
        );
        self
    }

    /// Leaves its next queue after this long at the latest.
    pub(super) fn expiring(mut self, wait: Duration) -> Self {
        let longest = Duration::from_millis(u64::from(u32::MAX));
        self.envelope.properties.fields_mut().expiration = Some(place::whole(wait).min(longest));
        self
    }

    /// Says why it is dead. Stays until somebody takes it, whatever its publisher said about expiring.
    pub(super) fn dead(mut self, letter: &DeadLetter<'_>) -> Self {
        let failed = self.failed;
        self.set(headers::REASON, letter.reason);
        self.set(headers::ERROR, bounded(failed.error.chain()));
        self.set(headers::ATTEMPTS, i64::from(letter.attempts));
        self.set(headers::LAST_FAILED_AT, failed.now.to_string());
        self.set(headers::SUBSCRIBER, failed.attachment.subscriber.clone());
        self.set(headers::HOST, letter.host);
        if self.envelope.properties.expiration().is_some() {
            self.envelope.properties.fields_mut().expiration = None;
        }
        self
    }

    pub(super) fn to(self, address: Address) -> Box<Call> {
        Box::new(Call::new(address, self.envelope))
    }

    fn set(&mut self, name: &'static str, value: impl Into<HeaderValue>) {
        self.envelope.headers.set(name, value);
    }
}

/// Says to which main queue the message belongs, for whoever shares this queue with us and takes the next delivery.
///
/// In the store nobody routes by it; there it is only set where existing systems set it.
fn claim(headers: &mut Headers, failed: &Failed<'_>, place: Place<'_>) {
    if place.is_store() {
        if headers.is_empty() {
            let key = names::base(&failed.call.address.key);
            headers.set(
                headers::QUEUE,
                format!("{key}.{}", failed.attachment.subscriber),
            );
        }
        return;
    }
    let is_ours = |queue: &str| names::base(queue) == place.base;
    if !headers.text(headers::QUEUE).is_some_and(is_ours) {
        headers.set(headers::QUEUE, place.base);
    }
}

/// Whether the message has once expired in the queue to which its detour leads back. The broker takes that
/// for a cycle and drops the message at the end of the detour.
fn has_expired_in(headers: &Headers, place: Place<'_>) -> bool {
    let back_to = if place.dead {
        names::dead_letter(place.base)
    } else {
        place.base.to_owned()
    };
    let deaths = headers.get(X_DEATH).and_then(HeaderValue::as_list);
    deaths.unwrap_or_default().iter().any(|death| {
        death
            .as_table()
            .and_then(|death| death.text("queue"))
            .is_some_and(|queue| queue == back_to)
    })
}

/// Removes the broker's history of dead-lettering.
pub(crate) fn forget_deaths(headers: &mut Headers) {
    headers.retain(|name| {
        name != X_DEATH && !name.starts_with("x-first-death-") && !name.starts_with("x-last-death-")
    });
}

fn bounded(mut text: String) -> String {
    if text.len() > LONGEST_ERROR {
        text.truncate(text.floor_char_boundary(LONGEST_ERROR));
        text.push('…');
    }
    text
}
