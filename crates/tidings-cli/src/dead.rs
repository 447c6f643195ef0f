//! What a dead letter says about its death: in our headers, in the broker's history, or in its place.

use jiff::Timestamp;
use serde::Serialize;
use tidings::{
    Call, Headers,
    domain::{self, names},
    headers::{self, HeaderValue},
};

/// The reason of a dead letter that says none.
const UNKNOWN: &str = "unknown";

/// The facts of a death.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Facts {
    pub(crate) reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attempts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_failed_at: Option<Timestamp>,
    /// When it became a dead letter, as far as anything tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subscriber: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
}

impl Facts {
    /// What this dead letter says.
    pub(crate) fn of(call: &Call) -> Self {
        let headers = &call.envelope.headers;
        let death = last_death(headers);
        let text = |name| headers.text(name).map(str::to_owned);
        let time = |name| headers.text(name).and_then(|text| text.parse().ok());
        let sent = call.envelope.properties.fields();
        Self {
            reason: reason(headers, death),
            error: text(headers::ERROR),
            attempts: headers
                .int(headers::ATTEMPTS)
                .or_else(|| headers.int(headers::REDELIVERY_COUNT)),
            first_failed_at: time(headers::FIRST_FAILED_AT),
            failed_at: time(headers::LAST_FAILED_AT)
                .or_else(|| death.and_then(died_at))
                .or_else(|| Timestamp::from_second(sent?.timestamp?).ok()),
            subscriber: text(headers::SUBSCRIBER).or_else(|| subscriber(call.queue())),
            host: text(headers::HOST),
        }
    }
}

/// Why: what our consumers say, else the broker, else what the count of failures means.
fn reason(headers: &Headers, death: Option<&Headers>) -> String {
    if let Some(reason) = headers.text(headers::REASON) {
        return reason.to_owned();
    }
    if let Some(reason) = death.and_then(|death| death.text("reason")) {
        return reason.to_owned();
    }
    // Existing consumers give up without a word: what is left is how often they failed.
    if headers.int(headers::REDELIVERY_COUNT).is_some() {
        return domain::MAX_RETRIES.to_owned();
    }
    let first = headers.text(headers::X_FIRST_DEATH_REASON);
    first.unwrap_or(UNKNOWN).to_owned()
}

/// The newest death that was more than the end of a pause: messages die in retry queues to come back.
fn last_death(headers: &Headers) -> Option<&Headers> {
    let deaths = headers.get(headers::X_DEATH)?.as_list()?;
    deaths
        .iter()
        .filter_map(HeaderValue::as_table)
        .find(|death| {
            let queue = death.text("queue").unwrap_or_default();
            !queue.starts_with(names::RETRY_PREFIX)
        })
}

fn died_at(death: &Headers) -> Option<Timestamp> {
    let seconds = match death.get("time")? {
        HeaderValue::Timestamp(seconds) | HeaderValue::Int(seconds) => *seconds,
        _ => return None,
    };
    Timestamp::from_second(seconds).ok()
}

/// Whose queue it is, if its name says so: organization, service, version, kind, message, subscriber.
fn subscriber(queue: &str) -> Option<String> {
    let words: Vec<_> = names::base(queue).split('.').collect();
    match words.as_slice() {
        [_, _, _, "event" | "command", _, subscriber] => Some((*subscriber).to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tidings::{Address, Envelope};

    use super::*;

    const QUEUE: &str = "dead_letter.o.s.1.event.a.mail";

    fn facts(headers: Headers) -> Facts {
        let envelope = Envelope::new("{}").with_headers(headers);
        Facts::of(&Call::new(Address::queue(QUEUE), envelope).with_origin(QUEUE.into(), false))
    }

    fn death(queue: &str, reason: &str, at: i64) -> HeaderValue {
        let table = Headers::new()
            .with("queue", queue)
            .with("reason", reason)
            .with("time", HeaderValue::Timestamp(at));
        HeaderValue::Table(table)
    }

    #[test]
    fn our_own_headers_say_it_all() {
        let facts = facts(
            Headers::new()
                .with("tidings-reason", "fatal")
                .with("tidings-error", "no such user")
                .with("tidings-attempts", 3)
                .with("redelivery_count", 9)
                .with("tidings-last-failed-at", "1970-01-01T00:00:07Z")
                .with("tidings-subscriber", "other"),
        );
        assert_eq!(facts.reason, "fatal");
        assert_eq!(facts.error.as_deref(), Some("no such user"));
        assert_eq!(facts.attempts, Some(3));
        assert_eq!(facts.failed_at.unwrap().as_second(), 7);
        assert_eq!(facts.subscriber.as_deref(), Some("other"));
    }

    #[test]
    fn the_brokers_history_tells_without_the_retries() {
        let retried = death("retry.o.s.1.event.a.mail", "expired", 5);
        let expired = death("o.s.1.event.a.mail", "rejected", 6);
        let list = |deaths| Headers::new().with("x-death", HeaderValue::List(deaths));
        let facts_of_both = facts(list(vec![retried.clone(), expired]));
        assert_eq!(facts_of_both.reason, "rejected");
        assert_eq!(facts_of_both.failed_at.unwrap().as_second(), 6);
        assert_eq!(facts_of_both.subscriber.as_deref(), Some("mail"));

        let only_retried = facts(list(vec![retried]).with("redelivery_count", 6));
        assert_eq!(only_retried.reason, "max_retries");
        assert_eq!(
            (only_retried.attempts, only_retried.failed_at),
            (Some(6), None)
        );
    }

    #[test]
    fn what_nothing_tells_is_unknown() {
        assert_eq!(facts(Headers::new()).reason, "unknown");
        let first = Headers::new().with("x-first-death-reason", "maxlen");
        assert_eq!(facts(first).reason, "maxlen");
        let odd = Headers::new()
            .with("x-death", "text")
            .with("tidings-reason", 7);
        assert_eq!(facts(odd).reason, "unknown");
        assert_eq!(subscriber("dead_letter.store"), None);
    }
}
