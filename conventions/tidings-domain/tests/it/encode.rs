//! The bytes of messages on their way out.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tidings_core::{
    Call, ErrorKind, Kind,
    codec::Format,
    convention::{Convention, Outgoing},
    error::Result,
};
use tidings_domain::Domain;

use crate::golden::{cases, string, text};

const ID: &str = "3b1c1a52-7b0c-4f63-9f7b-0a2f5b8d5f10";

#[derive(Serialize)]
struct One<T> {
    x: T,
}

fn domain() -> Domain {
    Domain::new("petacc", "registration").unwrap()
}

fn seal(name: &str, id: Option<&str>, fields: &impl Serialize) -> Result<Call> {
    let occurred_at: Timestamp = "2024-05-06T07:08:09.123456Z".parse().unwrap();
    domain().seal(&Outgoing {
        name,
        version: 1,
        kind: Kind::Event,
        id,
        occurred_at: Some(occurred_at),
        meta: &Map::new(),
        secrets: &[],
        body: &|format: Format, out: &mut Vec<u8>| format.encode(fields, out),
    })
}

fn body(call: &Call) -> &str {
    std::str::from_utf8(&call.envelope.payload.bytes).unwrap()
}

/// Writes the attribute `x` with this value and finds the vector's bytes.
fn check(attribute: &str, x: impl Serialize) {
    let cases = cases("encode_vectors.json");
    let case = cases
        .iter()
        .find(|case| case["attribute"] == attribute)
        .unwrap();
    let call = seal("m", Some(ID), &One { x }).unwrap();
    assert_eq!(body(&call), string(case, "bytes"), "{attribute}");
}

#[test]
fn writes_the_bytes_of_the_wire() {
    assert_eq!(cases("encode_vectors.json").len(), 17, "one check for each");
    check("str unicode", "ñ€😀/\"\\\u{2028}\u{1}");
    check("int", 1);
    check("bigint", 1_180_591_620_717_411_303_424_u128);
    check("float", 1.0);
    check("1e16", 1e16);
    check("1e21", 1e21);
    check("1e-7", 1e-7);
    check("0.1+0.2", 0.1 + 0.2);
    check("-0.0", -0.0);
    check("bool", true);
    check("None", None::<u8>);
    check("list", json!([1, "a", null]));
    check("tuple", (1, 2));
    check("dict", json!({"b": 1, "a": 2}));
    check("datetime naive", "2024-01-02 03:04:05.000006");
    check(
        "datetime +05:00 (offset dropped)",
        "2024-01-01 00:00:00.000000",
    );
    check("uuid", "9f74b5c0-2196-4a27-a03f-cb92d66e2bbd");
}

#[test]
fn publishes_again_what_was_captured() {
    for line in text("published_raw.jsonl").lines() {
        let capture: Value = serde_json::from_str(line).unwrap();
        let message: Value = serde_json::from_str(string(&capture["body"], "text")).unwrap();
        let data = &message["data"];
        let occurred_on = format!("{}Z", string(data, "occurred_on").replace(' ', "T"));
        let call = domain()
            .seal(&Outgoing {
                name: string(data, "type"),
                version: data["version"].as_i64().unwrap(),
                kind: if data["type_message"] == "command" {
                    Kind::Command
                } else {
                    Kind::Event
                },
                id: data["id"].as_str(),
                occurred_at: Some(occurred_on.parse().unwrap()),
                meta: data["meta"].as_object().unwrap(),
                secrets: &[],
                body: &|format: Format, out: &mut Vec<u8>| format.encode(&data["attributes"], out),
            })
            .unwrap();
        assert_eq!(body(&call), string(&capture["body"], "text"));
        assert_eq!(&*call.address.exchange, string(&capture, "exchange"));
        assert_eq!(&*call.address.key, string(&capture, "routing_key"));
        assert!(
            call.envelope.headers.is_empty(),
            "a header would cost the message its retries"
        );
        assert!(call.envelope.properties.is_empty());
        assert!(call.envelope.persistent && call.mandatory);
    }
}

#[test]
fn gives_each_message_an_id_of_its_own() {
    let [one, two] = [(); 2].map(|()| seal("m", None, &json!({})).unwrap());
    let id = |call: &Call| {
        let message: Value = serde_json::from_str(body(call)).unwrap();
        uuid::Uuid::parse_str(string(&message["data"], "id")).unwrap()
    };
    assert_ne!(id(&one), id(&two));
    assert_eq!(id(&one).get_version_num(), 4);
}

#[test]
fn writes_fields_as_an_object_or_not_at_all() {
    let unit = seal("m", Some(ID), &()).unwrap();
    assert!(body(&unit).contains(r#""attributes": {}, "meta": {}"#));
    for fields in [json!([1]), json!("x"), json!(1)] {
        let error = seal("m", Some(ID), &fields).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("named fields"), "{error}");
    }
}

#[test]
fn refuses_what_receivers_would_refuse() {
    let error = seal("m", Some("7"), &json!({})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("not a UUID"), "{error}");
    let error = seal(&"x".repeat(250), None, &json!({})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
}

#[test]
fn writes_what_json_cannot_say_as_null() {
    let call = seal(
        "m",
        Some(ID),
        &One {
            x: [f64::NAN, f64::INFINITY],
        },
    )
    .unwrap();
    assert!(body(&call).contains(r#""attributes": {"x": [null, null]}"#));
}

#[test]
fn leaves_nothing_of_one_message_in_the_next() {
    let domain = domain();
    let write = |version, kind, fields: &dyn Fn(&mut Vec<u8>) -> Result<()>| {
        domain.seal(&Outgoing {
            name: "m",
            version,
            kind,
            id: Some(ID),
            occurred_at: Some(Timestamp::UNIX_EPOCH),
            meta: &Map::new(),
            secrets: &[],
            body: &|_, out: &mut Vec<u8>| fields(out),
        })
    };
    let put = |text: &'static str| {
        move |out: &mut Vec<u8>| {
            out.extend_from_slice(text.as_bytes());
            Ok(())
        }
    };
    let first = write(1, Kind::Event, &put(r#"{"long": "text"}"#)).unwrap();
    write(1, Kind::Event, &put("[]")).unwrap_err();
    // Fields that publish something themselves while they are written.
    let inside = |out: &mut Vec<u8>| {
        let inner = write(2, Kind::Command, &put("{}"))?;
        assert_eq!(&*inner.address.key, "petacc.registration.2.command.m");
        assert!(body(&inner).contains(r#""type_message": "command", "version": 2"#));
        put(r#"{"x": 1}"#)(out)
    };
    let second = write(1, Kind::Event, &inside).unwrap();
    assert_eq!(
        body(&second),
        body(&first).replace(r#"{"long": "text"}"#, r#"{"x": 1}"#)
    );
    assert_eq!(&*second.address.key, "petacc.registration.1.event.m");
}
