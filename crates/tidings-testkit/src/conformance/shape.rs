//! Shape: every payload, header and property that goes in comes out the same.

use std::time::Duration;

use bytes::Bytes;
use tidings_core::{
    Address, Call, Envelope, HeaderValue, Headers, Settlement,
    properties::Fields,
    topology::{Exchange, Queue, Topology},
    transport::Capability,
};

use super::{trial::Trial, verdict::Verdict};

pub(super) async fn an_empty_payload_arrives_empty(on: &mut Trial) -> Verdict {
    round_trip(on, Envelope::new(Bytes::new())).await
}

pub(super) async fn a_binary_payload_arrives_unchanged(on: &mut Trial) -> Verdict {
    let bytes: Vec<u8> = (0..=255).chain([0, 0, 255, 10, 13]).collect();
    round_trip(on, Envelope::new(bytes)).await
}

pub(super) async fn a_payload_of_a_megabyte_arrives_unchanged(on: &mut Trial) -> Verdict {
    let mut random = fastrand::Rng::with_seed(7);
    let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
        .take(1 << 20)
        .collect();
    round_trip(on, Envelope::new(bytes)).await
}

pub(super) async fn the_content_type_is_kept(on: &mut Trial) -> Verdict {
    let mut envelope = Envelope::new("{}");
    envelope.payload.content_type = Some("application/json".into());
    round_trip(on, envelope.clone()).await?;
    envelope.payload.content_type = Some("x-own/type; charset=ü".into());
    round_trip(on, envelope).await
}

pub(super) async fn every_type_of_header_value_is_kept(on: &mut Trial) -> Verdict {
    let values = [
        HeaderValue::Null,
        HeaderValue::Bool(true),
        HeaderValue::Bool(false),
        HeaderValue::Int(0),
        HeaderValue::Int(-1),
        HeaderValue::Int(i64::MAX),
        HeaderValue::Int(i64::MIN),
        HeaderValue::Float(1.5),
        HeaderValue::Float(3.0),
        HeaderValue::Float(-0.1),
        HeaderValue::Float(f64::MAX),
        HeaderValue::from(""),
        HeaderValue::from("text with ü, 漢字 and \u{1F980}"),
        HeaderValue::Bytes(Bytes::from_static(&[0, 255, 128])),
        HeaderValue::Timestamp(1_790_000_000),
        HeaderValue::List(Vec::new()),
        HeaderValue::List(vec![HeaderValue::Int(1), HeaderValue::from("two")]),
        HeaderValue::Table(Headers::new()),
        HeaderValue::Table(nested(5)),
    ];
    let headers: Headers = values
        .into_iter()
        .enumerate()
        .map(|(number, value)| (format!("h{number}"), value))
        .collect();
    round_trip(on, Envelope::new("m").with_headers(headers)).await
}

fn nested(depth: u32) -> Headers {
    let inner = if depth == 0 {
        HeaderValue::Null
    } else {
        HeaderValue::List(vec![HeaderValue::Table(nested(depth - 1))])
    };
    Headers::new().with("inner", inner)
}

pub(super) async fn a_thousand_headers_are_kept(on: &mut Trial) -> Verdict {
    let headers: Headers = (0..1_000)
        .map(|number| {
            (
                format!("header-{number}"),
                format!("value {number}").repeat(5),
            )
        })
        .collect();
    round_trip(on, Envelope::new("m").with_headers(headers)).await
}

pub(super) async fn every_property_is_kept(on: &mut Trial) -> Verdict {
    // Not `user_id`: brokers may refuse one that is not the connection's.
    let fields = Fields {
        message_id: Some("id-1".into()),
        correlation_id: Some("correlation-1".into()),
        reply_to: Some("replies".into()),
        content_encoding: Some("identity".into()),
        app_id: Some("app".into()),
        user_id: None,
        kind: Some("kind".into()),
        timestamp: Some(1_790_000_000),
        priority: Some(3),
        expiration: Some(Duration::from_secs(3_600)),
    };
    round_trip(on, Envelope::new("m").with_properties(fields)).await?;
    round_trip(on, Envelope::new("m").transient()).await
}

pub(super) async fn names_may_be_in_any_script(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Exchanges])?;
    let (exchange, queue) = ("обмен", "очередь.für.メッセージ \u{1F4EC}");
    let topology = Topology::new()
        .exchange(Exchange::topic(exchange))
        .queue(Queue::new(queue))
        .bind(exchange, queue, "ключ.*");
    on.declare(topology).await?;
    let headers = Headers::new().with("заголовок", "значение");
    let call = Call::new(
        Address::new(exchange, "ключ.один"),
        Envelope::new("m").with_headers(headers),
    );
    on.publish_call(call.clone()).await?;
    let (got, acker) = on.reader(queue, 1).await?.take().await?.split();
    ensure_eq!(got.address, call.address, "address");
    ensure_eq!(got.envelope, call.envelope, "envelope");
    ensure_eq!(got.queue(), queue, "queue");
    on.wait_counts(queue, 0, 1).await?;
    acker.settle(Settlement::Ack).await?;
    Ok(())
}

/// Also after a nack, since brokers store and read it again.
async fn round_trip(on: &Trial, envelope: Envelope) -> Verdict {
    on.queue("q").await?;
    let mut reader = on.reader("q", 1).await?;
    let call = Call::new(Address::queue("q"), envelope.clone());
    on.publish_call(call).await?;
    for how in [Settlement::Nack { delay: None }, Settlement::Ack] {
        let (got, acker) = reader.take().await?.split();
        let same = got.envelope.payload.bytes == envelope.payload.bytes;
        ensure!(
            same,
            "the payload changed: {} bytes went in, {} came out",
            envelope.payload.len(),
            got.envelope.payload.len()
        );
        ensure_eq!(got.envelope, envelope, "envelope");
        acker.settle(how).await?;
    }
    Ok(())
}
