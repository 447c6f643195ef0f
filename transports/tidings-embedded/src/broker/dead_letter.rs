//! What a message takes with it when it dies in a queue: RabbitMQ's headers, and the history that finds cycles.

use std::sync::Arc;

use tidings_core::{
    Address, Envelope, HeaderValue, Headers,
    headers::{X_DEATH, X_FIRST_DEATH_EXCHANGE, X_FIRST_DEATH_QUEUE, X_FIRST_DEATH_REASON},
};

/// Why a message leaves its queue for the dead-letter exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Expired,
    Rejected,
}

impl Reason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Rejected => "rejected",
        }
    }
}

/// The queues in which a message has died since it was published, latest last, each queue and reason once.
///
/// Cycles are found with this and not with `x-death`, because clients send that header, too: a consumer that
/// publishes a message again with its headers would otherwise see it dropped as a cycle. It is kept in memory
/// only; after a restart a cycle is found one round later.
pub(crate) type History = Option<Box<Vec<(Arc<str>, Reason)>>>;

/// Notes a death.
pub(crate) fn note(history: &mut History, queue: &Arc<str>, reason: Reason) {
    let deaths = history.get_or_insert_default();
    deaths.retain(|(name, why)| !(name == queue && *why == reason));
    deaths.push((Arc::clone(queue), reason));
}

/// Whether a message that goes to `queue` by dead-lettering has been there before and came all the way by
/// itself, without a consumer rejecting it. Such a message would circle for ever.
pub(crate) fn is_cycle(history: &History, queue: &str) -> bool {
    let deaths = history.as_deref().map_or(&[][..], Vec::as_slice);
    let Some(last) = deaths.iter().rposition(|(name, _)| &**name == queue) else {
        return false;
    };
    deaths[last..]
        .iter()
        .all(|(_, reason)| *reason == Reason::Expired)
}

/// A death, for the headers.
#[derive(Debug)]
pub(crate) struct Death<'a> {
    pub(crate) queue: &'a Arc<str>,
    pub(crate) reason: Reason,
    /// Where the message had been sent when it came into the queue.
    pub(crate) address: &'a Address,
    /// Seconds since the Unix epoch.
    pub(crate) time: i64,
}

/// Writes a death into the envelope: `x-death` with the latest first and one table per queue and reason, the
/// three `x-first-death-*` once; takes its own expiration away, because it would expire again at once.
pub(crate) fn bury(envelope: &mut Envelope, death: &Death<'_>) {
    let expiration = envelope.properties.expiration();
    if expiration.is_some() {
        envelope.properties.fields_mut().expiration = None;
    }
    let headers = &mut envelope.headers;
    let tables = update(
        headers.get(X_DEATH),
        death,
        expiration.map(|it| it.as_millis().to_string()),
    );
    headers.set(X_DEATH, HeaderValue::List(tables));
    if headers.get(X_FIRST_DEATH_REASON).is_none() {
        headers.set(X_FIRST_DEATH_EXCHANGE, Arc::clone(&death.address.exchange));
        headers.set(X_FIRST_DEATH_QUEUE, Arc::clone(death.queue));
        headers.set(X_FIRST_DEATH_REASON, death.reason.as_str());
    }
}

fn update(
    before: Option<&HeaderValue>,
    death: &Death<'_>,
    expiration: Option<String>,
) -> Vec<HeaderValue> {
    // A client may have sent anything under this name; what is not a list of tables is replaced.
    let Some(before) = before.and_then(HeaderValue::as_list) else {
        return vec![HeaderValue::Table(table(death, expiration))];
    };
    let same = |value: &&HeaderValue| {
        value.as_table().is_some_and(|table| {
            table.text("queue") == Some(death.queue)
                && table.text("reason") == Some(death.reason.as_str())
        })
    };
    let newest = match before.iter().find(same).and_then(HeaderValue::as_table) {
        Some(known) => {
            let mut known = known.clone();
            let count = known.int("count").unwrap_or(0).max(0);
            known.set("count", count.saturating_add(1));
            known
        }
        None => table(death, expiration),
    };
    // RabbitMQ sorts the fields of a table that it adds to an existing list, and only then.
    let newest = sorted(&newest);
    let others = before.iter().filter(|value| !same(value)).cloned();
    std::iter::once(HeaderValue::Table(newest))
        .chain(others)
        .collect()
}

fn table(death: &Death<'_>, expiration: Option<String>) -> Headers {
    let key = HeaderValue::Text(Arc::clone(&death.address.key));
    let mut table = Headers::new()
        .with("count", 1)
        .with("reason", death.reason.as_str())
        .with("queue", Arc::clone(death.queue))
        .with("time", HeaderValue::Timestamp(death.time))
        .with("exchange", Arc::clone(&death.address.exchange))
        .with("routing-keys", HeaderValue::List(vec![key]));
    if let Some(expiration) = expiration {
        table.set("original-expiration", expiration);
    }
    table
}

fn sorted(table: &Headers) -> Headers {
    let mut fields: Vec<_> = table
        .iter()
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect();
    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
    fields.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn die(envelope: &mut Envelope, queue: &str, reason: Reason, time: i64) {
        let queue: Arc<str> = queue.into();
        let address = Address::new("retry.acme", Arc::clone(&queue));
        bury(
            envelope,
            &Death {
                queue: &queue,
                reason,
                address: &address,
                time,
            },
        );
    }

    fn deaths(envelope: &Envelope) -> Vec<(String, String, i64, i64)> {
        let list = envelope
            .headers
            .get(X_DEATH)
            .and_then(HeaderValue::as_list)
            .unwrap();
        let row = |value: &HeaderValue| {
            let table = value.as_table().unwrap();
            let Some(HeaderValue::Timestamp(time)) = table.get("time") else {
                panic!("time is a timestamp");
            };
            (
                table.text("queue").unwrap().to_owned(),
                table.text("reason").unwrap().to_owned(),
                table.int("count").unwrap(),
                *time,
            )
        };
        list.iter().map(row).collect()
    }

    fn names(table: &Headers) -> Vec<&str> {
        table.iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn the_first_death_looks_as_rabbitmq_writes_it() {
        let mut envelope = Envelope::new("{}").with_headers(
            Headers::new()
                .with("queue", "q")
                .with("redelivery_count", 1),
        );
        die(&mut envelope, "retry.q", Reason::Expired, 1_000);
        assert_eq!(
            names(&envelope.headers),
            [
                "queue",
                "redelivery_count",
                X_DEATH,
                X_FIRST_DEATH_EXCHANGE,
                X_FIRST_DEATH_QUEUE,
                X_FIRST_DEATH_REASON
            ]
        );
        let list = envelope
            .headers
            .get(X_DEATH)
            .and_then(HeaderValue::as_list)
            .unwrap();
        let table = list[0].as_table().unwrap();
        assert_eq!(
            names(table),
            [
                "count",
                "reason",
                "queue",
                "time",
                "exchange",
                "routing-keys"
            ]
        );
        assert_eq!(table.text("exchange"), Some("retry.acme"));
        assert_eq!(
            table.get("routing-keys"),
            Some(&HeaderValue::List(vec!["retry.q".into()]))
        );
        assert_eq!(
            envelope.headers.text(X_FIRST_DEATH_EXCHANGE),
            Some("retry.acme")
        );
    }

    #[test]
    fn a_second_death_of_the_same_kind_counts_keeps_its_time_and_is_sorted() {
        let mut envelope = Envelope::default();
        die(&mut envelope, "retry.q", Reason::Expired, 1_000);
        die(&mut envelope, "retry.q", Reason::Expired, 2_000);
        assert_eq!(
            deaths(&envelope),
            [("retry.q".into(), "expired".into(), 2, 1_000)]
        );
        let list = envelope
            .headers
            .get(X_DEATH)
            .and_then(HeaderValue::as_list)
            .unwrap();
        assert_eq!(
            names(list[0].as_table().unwrap()),
            [
                "count",
                "exchange",
                "queue",
                "reason",
                "routing-keys",
                "time"
            ]
        );
    }

    #[test]
    fn other_deaths_follow_the_latest_and_the_first_stays() {
        let mut envelope = Envelope::default();
        die(&mut envelope, "a", Reason::Expired, 1);
        die(&mut envelope, "a", Reason::Rejected, 2);
        die(&mut envelope, "b", Reason::Expired, 3);
        die(&mut envelope, "a", Reason::Expired, 4);
        assert_eq!(
            deaths(&envelope),
            [
                ("a".into(), "expired".into(), 2, 1),
                ("b".into(), "expired".into(), 1, 3),
                ("a".into(), "rejected".into(), 1, 2),
            ]
        );
        assert_eq!(envelope.headers.text(X_FIRST_DEATH_REASON), Some("expired"));
        assert_eq!(envelope.headers.text(X_FIRST_DEATH_QUEUE), Some("a"));
    }

    #[test]
    fn its_own_expiration_is_taken_away_and_remembered() {
        let mut envelope = Envelope::default();
        envelope.properties.fields_mut().expiration = Some(Duration::from_millis(250));
        die(&mut envelope, "q", Reason::Expired, 1);
        assert_eq!(envelope.properties.expiration(), None);
        let list = envelope
            .headers
            .get(X_DEATH)
            .and_then(HeaderValue::as_list)
            .unwrap();
        assert_eq!(
            list[0].as_table().unwrap().text("original-expiration"),
            Some("250")
        );
    }

    #[test]
    fn whatever_a_client_sent_as_x_death_is_survived() {
        for sent in [
            HeaderValue::Null,
            HeaderValue::List(vec![HeaderValue::Int(1)]),
            HeaderValue::List(vec![HeaderValue::Table(
                Headers::new()
                    .with("queue", "q")
                    .with("reason", "expired")
                    .with("count", i64::MAX),
            )]),
        ] {
            let mut envelope = Envelope::default().with_headers(Headers::new().with(X_DEATH, sent));
            die(&mut envelope, "q", Reason::Expired, 1);
            let list = envelope
                .headers
                .get(X_DEATH)
                .and_then(HeaderValue::as_list)
                .unwrap();
            assert!(list[0].as_table().unwrap().int("count").unwrap() >= 1);
        }
    }

    fn check_cycle(deaths: &[(&str, Reason)], queue: &str, expected: bool) {
        let mut history = None;
        for (name, reason) in deaths {
            note(&mut history, &Arc::from(*name), *reason);
        }
        assert_eq!(is_cycle(&history, queue), expected, "{deaths:?} to {queue}");
    }

    #[test]
    fn only_a_way_without_a_rejection_is_a_cycle() {
        use Reason::{Expired, Rejected};
        check_cycle(&[], "a", false);
        check_cycle(&[("b", Expired)], "a", false);
        check_cycle(&[("a", Expired)], "a", true);
        check_cycle(&[("a", Expired), ("b", Expired)], "a", true);
        check_cycle(&[("a", Rejected), ("b", Expired)], "a", false);
        check_cycle(&[("a", Expired), ("b", Rejected)], "a", false);
        check_cycle(
            &[("b", Rejected), ("a", Expired), ("b", Expired)],
            "a",
            true,
        );
        check_cycle(
            &[("a", Expired), ("a", Rejected), ("a", Expired)],
            "a",
            true,
        );
    }
}
