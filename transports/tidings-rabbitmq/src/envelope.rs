//! A call as AMQP has it: properties, headers and a payload, and back.
//!
//! A message without headers has no header table at all on the wire, and a property that is not set is not sent: a
//! fresh domain message carries its delivery mode and nothing else, as the Python services expect (`T1` of their
//! specification). Exchange and routing key travel beside all this, in the method.

use std::{borrow::Cow, sync::Arc, time::Duration};

use lapin::{
    BasicProperties,
    message::Delivery,
    types::{FieldTable, ShortString},
};
use tidings_core::{
    Address, Call, Envelope, Headers, Payload, Properties, Result,
    headers::{X_ACQUIRED_COUNT, X_DELIVERY_COUNT},
    properties::Fields,
};

use crate::notation::{from_table, misuse, seconds_of, short, timestamp, to_table};

/// The delivery mode of a message that survives a restart. Its absence means the opposite.
const PERSISTENT: u8 = 2;

/// The longest time that RabbitMQ accepts: beyond it, it closes the channel.
const LONGEST_EXPIRATION: u128 = u32::MAX as u128;

/// Everything of an envelope but the payload.
///
/// # Errors
/// [`Misuse`](tidings_core::ErrorKind::Misuse) that names what AMQP cannot carry: a text of more than 255 bytes, headers
/// that are too large or nested too deep, an expiration of more than 49 days, a time before 1970.
pub(crate) fn properties(envelope: &Envelope) -> Result<BasicProperties> {
    let mut properties = BasicProperties::default();
    if envelope.persistent {
        properties = properties.with_delivery_mode(PERSISTENT);
    }
    if let Some(content_type) = &envelope.payload.content_type {
        properties = properties.with_content_type(short(content_type, "the content type")?);
    }
    if !envelope.headers.is_empty() {
        properties = properties.with_headers(to_table(&envelope.headers)?);
    }
    match envelope.properties.fields() {
        Some(fields) => with_fields(properties, fields),
        None => Ok(properties),
    }
}

fn with_fields(mut properties: BasicProperties, fields: &Fields) -> Result<BasicProperties> {
    type Set = fn(BasicProperties, ShortString) -> BasicProperties;
    let texts: [(&Option<Arc<str>>, Set, &str); 7] = [
        (
            &fields.message_id,
            BasicProperties::with_message_id,
            "the message id",
        ),
        (
            &fields.correlation_id,
            BasicProperties::with_correlation_id,
            "the correlation id",
        ),
        (
            &fields.reply_to,
            BasicProperties::with_reply_to,
            "the reply address",
        ),
        (
            &fields.content_encoding,
            BasicProperties::with_content_encoding,
            "the content encoding",
        ),
        (
            &fields.app_id,
            BasicProperties::with_app_id,
            "the application id",
        ),
        (
            &fields.user_id,
            BasicProperties::with_user_id,
            "the user id",
        ),
        (&fields.kind, BasicProperties::with_type, "the type"),
    ];
    for (text, set, what) in texts {
        if let Some(text) = text {
            properties = set(properties, short(text, what)?);
        }
    }
    if let Some(seconds) = fields.timestamp {
        properties = properties.with_timestamp(timestamp(seconds, "the timestamp")?);
    }
    if let Some(priority) = fields.priority {
        properties = properties.with_priority(priority);
    }
    if let Some(expiration) = fields.expiration {
        properties = properties.with_expiration(milliseconds(expiration)?);
    }
    Ok(properties)
}

/// RabbitMQ wants milliseconds, as text. A part of one counts as one.
fn milliseconds(expiration: Duration) -> Result<ShortString> {
    let millis = expiration.as_nanos().div_ceil(1_000_000);
    if millis > LONGEST_EXPIRATION {
        return Err(misuse(format_args!(
            "an expiration of {expiration:?} is longer than the 49 days that RabbitMQ can wait: shorten it or set none"
        )));
    }
    Ok(ShortString::from(millis.to_string()))
}

/// The names that recur in the deliveries of one queue, kept so that most messages allocate none.
#[derive(Debug)]
pub(crate) struct Names {
    queue: Arc<str>,
    exchange: Arc<str>,
    key: Arc<str>,
}

impl Names {
    /// For the deliveries of this queue.
    pub(crate) fn of(queue: Arc<str>) -> Self {
        let none: Arc<str> = "".into();
        Self {
            queue,
            exchange: Arc::clone(&none),
            key: none,
        }
    }

    fn address(&mut self, exchange: &str, key: &str) -> Address {
        Address {
            exchange: recall(&mut self.exchange, exchange),
            key: recall(&mut self.key, key),
        }
    }
}

fn recall(last: &mut Arc<str>, name: &str) -> Arc<str> {
    if **last != *name {
        *last = name.into();
    }
    Arc::clone(last)
}

/// What a peer sent, whatever it is. What AMQP knows and we do not is left out.
pub(crate) fn call(delivery: Delivery, names: &mut Names) -> Call {
    let Delivery {
        exchange,
        routing_key,
        redelivered,
        properties,
        data,
        ..
    } = delivery;
    let address = names.address(exchange.as_str(), routing_key.as_str());
    let content_type = properties.content_type().as_ref();
    let envelope = Envelope {
        payload: Payload {
            bytes: data.into(),
            content_type: content_type.map(|text| media_type(text.as_str())),
        },
        headers: properties
            .headers()
            .as_ref()
            .map_or_else(Headers::new, read_headers),
        persistent: *properties.delivery_mode() == Some(PERSISTENT),
        properties: read_properties(&properties),
    };
    Call::new(address, envelope).with_origin(Arc::clone(&names.queue), redelivered)
}

/// A quorum queue adds its own count to what it delivers again. That is no header of the message: whoever published the
/// copy of one that failed would take it for one.
fn read_headers(table: &FieldTable) -> Headers {
    let mut headers = from_table(table);
    headers.retain(|name| name != X_DELIVERY_COUNT && name != X_ACQUIRED_COUNT);
    headers
}

/// Nearly all messages are JSON: that needs no allocation.
fn media_type(text: &str) -> Cow<'static, str> {
    const JSON: &str = "application/json";
    if text == JSON {
        Cow::Borrowed(JSON)
    } else {
        Cow::Owned(text.to_owned())
    }
}

fn read_properties(properties: &BasicProperties) -> Properties {
    let text = |text: &Option<ShortString>| text.as_ref().map(|text| Arc::from(text.as_str()));
    let fields = Fields {
        message_id: text(properties.message_id()),
        correlation_id: text(properties.correlation_id()),
        reply_to: text(properties.reply_to()),
        content_encoding: text(properties.content_encoding()),
        app_id: text(properties.app_id()),
        user_id: text(properties.user_id()),
        kind: text(properties.kind()),
        timestamp: properties.timestamp().map(seconds_of),
        priority: *properties.priority(),
        expiration: properties.expiration().as_ref().and_then(read_expiration),
    };
    // An allocation that most messages can do without.
    if fields == Fields::default() {
        Properties::new()
    } else {
        fields.into()
    }
}

/// RabbitMQ lets nobody write anything else than milliseconds; other brokers might.
fn read_expiration(text: &ShortString) -> Option<Duration> {
    text.as_str().parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};
    use tidings_core::{ErrorKind, HeaderValue};

    use super::*;

    fn text() -> impl Strategy<Value = String> {
        ".{0,12}"
    }

    /// Values in the order in which AMQP tables come back: by name.
    fn table(inner: impl Strategy<Value = HeaderValue>) -> impl Strategy<Value = Headers> {
        vec((text(), inner), 0..5).prop_map(|mut pairs| {
            pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
            pairs.into_iter().collect()
        })
    }

    fn value() -> impl Strategy<Value = HeaderValue> {
        let leaf = prop_oneof![
            Just(HeaderValue::Null),
            any::<bool>().prop_map(HeaderValue::Bool),
            any::<i64>().prop_map(HeaderValue::Int),
            any::<i32>().prop_map(|number| HeaderValue::Float(f64::from(number) / 3.0)),
            text().prop_map(HeaderValue::from),
            vec(any::<u8>(), 0..9).prop_map(|bytes| HeaderValue::Bytes(bytes.into())),
            (0..i64::MAX).prop_map(HeaderValue::Timestamp),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(HeaderValue::List),
                table(inner).prop_map(HeaderValue::Table),
            ]
        })
    }

    fn fields() -> impl Strategy<Value = Fields> {
        let text = || option::of(text().prop_map(Arc::<str>::from));
        let texts = (text(), text(), text(), text(), text(), text(), text());
        let millis = any::<u32>().prop_map(|millis| Duration::from_millis(millis.into()));
        let numbers = (
            option::of(0..i64::MAX),
            any::<Option<u8>>(),
            option::of(millis),
        );
        (texts, numbers).prop_map(|(texts, (timestamp, priority, expiration))| Fields {
            message_id: texts.0,
            correlation_id: texts.1,
            reply_to: texts.2,
            content_encoding: texts.3,
            app_id: texts.4,
            user_id: texts.5,
            kind: texts.6,
            timestamp,
            priority,
            expiration,
        })
    }

    fn delivered(envelope: &Envelope) -> Delivery {
        let bytes = envelope.payload.bytes.to_vec();
        let mut delivery = Delivery::mock(7, "exchange".into(), "key".into(), true, bytes);
        delivery.properties = properties(envelope).unwrap();
        delivery
    }

    proptest! {
        #[test]
        fn what_is_published_is_received(
            bytes in vec(any::<u8>(), 0..40),
            content_type in prop_oneof![Just(None), Just(Some("application/json".to_owned())), text().prop_map(Some)],
            headers in table(value()),
            fields in fields(),
            persistent in any::<bool>(),
        ) {
            let mut envelope = Envelope::new(bytes).with_headers(headers).with_properties(fields);
            envelope.payload.content_type = content_type.map(Cow::Owned);
            envelope.persistent = persistent;
            let call = call(delivered(&envelope), &mut Names::of("queue".into()));
            prop_assert_eq!(&call.envelope, &envelope);
            prop_assert_eq!(&call.address, &Address::new("exchange", "key"));
            prop_assert!(call.is_redelivered() && call.queue() == "queue");
        }
    }

    #[test]
    fn a_domain_message_carries_its_delivery_mode_and_nothing_else() {
        let written = properties(&Envelope::new("{}")).unwrap();
        assert_eq!(written.bitmask(), 0x1000);
        assert_eq!(*written.delivery_mode(), Some(2));
        let transient = properties(&Envelope::new("{}").transient()).unwrap();
        assert_eq!(transient.bitmask(), 0);
        let mut asked = Envelope::new("{}");
        asked.properties.fields_mut();
        assert_eq!(
            properties(&asked).unwrap().bitmask(),
            0x1000,
            "looking is not setting"
        );
    }

    #[test]
    fn what_amqp_cannot_carry_is_refused_by_name() {
        let check = |set: &dyn Fn(&mut Fields), named: &str| {
            let mut envelope = Envelope::new("");
            set(envelope.properties.fields_mut());
            let error = properties(&envelope).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse);
            assert!(error.to_string().contains(named), "{error}");
        };
        let long: Arc<str> = "x".repeat(256).into();
        check(
            &|fields| fields.message_id = Some(Arc::clone(&long)),
            "the message id",
        );
        check(&|fields| fields.kind = Some(Arc::clone(&long)), "the type");
        check(&|fields| fields.timestamp = Some(-1), "the timestamp");
        check(&|fields| fields.expiration = Some(Duration::MAX), "49 days");
    }

    #[test]
    fn expirations_are_whole_milliseconds() {
        let check = |expiration: Duration, expected: &str| {
            assert_eq!(milliseconds(expiration).unwrap().as_str(), expected);
        };
        check(Duration::ZERO, "0");
        check(Duration::from_micros(1), "1");
        check(Duration::from_millis(2_500), "2500");
        assert_eq!(
            read_expiration(&"2500".into()),
            Some(Duration::from_millis(2_500))
        );
        for foreign in ["", "-1", "soon", "99999999999999999999"] {
            assert_eq!(read_expiration(&foreign.into()), None, "{foreign}");
        }
    }

    #[test]
    fn messages_of_one_queue_share_their_names() {
        let mut names = Names::of("queue".into());
        let mut next = || call(delivered(&Envelope::new("x")), &mut names);
        let (first, second) = (next(), next());
        assert!(Arc::ptr_eq(
            &first.address.exchange,
            &second.address.exchange
        ));
        assert!(Arc::ptr_eq(&first.address.key, &second.address.key));
    }
}
