//! Messages on their way in, as lax and as strict as existing systems.

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};
use tidings_core::{
    Error, ErrorKind, Kind,
    convention::{Attachment, Convention, Interest, Opened},
};
use tidings_domain::Domain;

use crate::golden::{arrived, cases, string, text};

fn domain() -> Domain {
    Domain::new("o", "s").unwrap()
}

fn attachment(kind: Option<Kind>) -> Attachment {
    let interest = match kind {
        Some(kind) => Interest::Named {
            name: "user.created".into(),
            version: 1,
            kind,
        },
        None => Interest::All,
    };
    let domain = domain();
    domain
        .attach("sub", &interest, &domain.retry_policy())
        .unwrap()
}

fn event() -> Attachment {
    attachment(Some(Kind::Event))
}

fn refusal(bytes: impl Into<Vec<u8>>) -> Error {
    domain().open(&arrived(bytes.into()), &event()).unwrap_err()
}

/// The time as the wire writes it.
fn written(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC)
        .strftime("%Y-%m-%d %H:%M:%S%.6f")
        .to_string()
}

/// What was read, in the form of the vectors; generated members as they are named there.
fn formatted(opened: &Opened<'_>, before: Timestamp, body: &str) -> Value {
    let generated_id = !body.contains(&*opened.id);
    let generated_time = opened.occurred_at >= before;
    let occurred_on = written(opened.occurred_at);
    json!({
        "id": if generated_id { "<generated id>" } else { &opened.id },
        "type": opened.name,
        "type_message": opened.kind,
        "version": opened.version,
        // Python does not pad years; such text could not be read again, so ours is.
        "occurred_on": if generated_time { "<generated occurred_on>" } else { occurred_on.trim_start_matches("000") },
        "attributes": serde_json::from_slice::<Value>(&opened.body).unwrap(),
        "meta": serde_json::from_str::<Value>(&opened.meta).unwrap(),
    })
}

/// Broken on the Python side only, by attributes named like internals of its classes.
const PYTHON_ONLY: [&str; 2] = [
    "attributes {'_message_id': 'h'}",
    "attributes {'format': 1}",
];

#[test]
fn reads_and_refuses_as_the_wire_does() {
    let cases = cases("decode_vectors.json");
    assert_eq!(cases.len(), 87);
    for case in &cases {
        let (name, body) = (string(case, "case"), string(case, "body"));
        let delivery = arrived(body.to_owned());
        let before = Timestamp::now();
        let opened = domain().open(&delivery, &event());
        let expected = &case["as_event"]["ok"];
        if PYTHON_ONLY.contains(&name) {
            assert!(opened.is_ok(), "{name}: ordinary data here");
        } else if expected.is_null() {
            let error = opened.map(|opened| opened.to_metadata()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode, "{name}");
            assert!(error.to_string().contains("expected "), "{name}: {error}");
        } else if expected == "<NaN kept>" {
            assert_eq!(&*opened.unwrap().body, br#"{"x":null}"#);
        } else {
            let opened = opened.unwrap_or_else(|error| panic!("{name} {body}: {error}"));
            assert_eq!(formatted(&opened, before, body), *expected, "{name} {body}");
        }
    }
}

#[test]
fn takes_a_missing_kind_from_the_queue() {
    for case in cases("decode_vectors.json") {
        let delivery = arrived(string(&case, "body").to_owned());
        for (kind, member) in [
            (Some(Kind::Command), "as_command_type_message"),
            (None, "as_message_type_message"),
        ] {
            if let Some(expected) = case[member].as_str() {
                let opened = domain()
                    .open(&delivery, &attachment(kind))
                    .unwrap()
                    .to_metadata();
                assert_eq!(opened.kind, expected, "{case}");
            }
        }
    }
}

#[test]
fn borrows_the_usual_message() {
    let delivery = arrived(text("body_minimal_user_created.json").into_bytes());
    let opened = domain().open(&delivery, &event()).unwrap();
    for (what, is_borrowed) in [
        ("id", matches!(opened.id, std::borrow::Cow::Borrowed(_))),
        ("name", matches!(opened.name, std::borrow::Cow::Borrowed(_))),
        ("kind", matches!(opened.kind, std::borrow::Cow::Borrowed(_))),
        ("meta", matches!(opened.meta, std::borrow::Cow::Borrowed(_))),
        ("body", matches!(opened.body, std::borrow::Cow::Borrowed(_))),
    ] {
        assert!(is_borrowed, "{what}");
    }
    assert_eq!(
        &*opened.body,
        br#"{"user_id":"9f74b5c0-2196-4a27-a03f-cb92d66e2bbd"}"#
    );
}

#[test]
fn names_the_member_what_it_is_and_what_is_expected() {
    let check = |body: &str, expected: &str| assert_eq!(refusal(body).to_string(), expected);
    check(
        "",
        "the body is empty, not JSON: expected a value at byte 0, it ends there",
    );
    check(
        "{'data':{}}",
        "the body is not JSON: expected a member name in double quotes at byte 1, found '\\''",
    );
    check(
        "[]",
        "the body is a list: expected an object with the member `data`",
    );
    check("{}", "member `data` is missing: expected an object");
    check(
        r#"{"data": 7}"#,
        "member `data` is a number: expected an object",
    );
    check(
        r#"{"data": {"id": "not"}}"#,
        "member `data.id` is a text of 3 bytes: expected a UUID",
    );
    check(
        r#"{"data": {"version": null}}"#,
        "member `data.version` is null: expected an integer of at most 64 bits",
    );
    check(
        r#"{"data": {"occurred_on": "2024-05-06T07:08:09Z"}}"#,
        "member `data.occurred_on` is a text of 20 bytes: expected UTC as `YYYY-MM-DD HH:MM:SS.ffffff`",
    );
    check(
        r#"{"data": {"attributes": []}}"#,
        "member `data.attributes` is a list: expected an object",
    );
}

#[test]
fn reads_versions_as_python_makes_integers() {
    let version = |version: &str| {
        let delivery = arrived(format!(r#"{{"data": {{"version": {version}}}}}"#));
        domain()
            .open(&delivery, &event())
            .ok()
            .map(|opened| opened.version)
    };
    assert_eq!(version("-2.9"), Some(-2));
    assert_eq!(version("1e3"), Some(1000));
    assert_eq!(version(r#""+1_000""#), Some(1000));
    assert_eq!(version(r#""\t-7\n""#), Some(-7));
    assert_eq!(version("false"), Some(0));
    for refused in [
        r#""1__0""#,
        r#""_1""#,
        r#""+-1""#,
        "1e30",
        "9223372036854775808",
        "NaN",
        "[1]",
        "{}",
    ] {
        assert_eq!(version(refused), None, "{refused}");
    }
}

#[test]
fn reads_names_of_any_type_as_text() {
    let name = |name: &str| {
        let delivery = arrived(format!(r#"{{"data": {{"type": {name}}}}}"#));
        let opened = domain().open(&delivery, &event()).unwrap();
        opened.name.into_owned()
    };
    assert_eq!(name("true"), "True");
    assert_eq!(name("1.50"), "1.5");
    assert_eq!(name("1e400"), "inf");
    assert_eq!(name("-0"), "0");
    assert_eq!(name(r#""us\u0065r""#), "user");
    assert_eq!(name(r#""a\ud800b""#), "a\u{fffd}b");
    assert_eq!(name("[1]"), "[1]");
}

#[test]
fn finds_members_whose_names_are_escaped() {
    let delivery = arrived(r#"{"d\u0061ta": {"typ\u0065": "x"}}"#);
    assert_eq!(domain().open(&delivery, &event()).unwrap().name, "x");
}

#[test]
fn makes_what_only_python_reads_readable() {
    let body = r#"{"data": {"meta": [NaN], "attributes": {"a": -Infinity, "b": "\udc00 \ud83d\ude00", "c": [1, Infinity]}}}"#;
    let delivery = arrived(body);
    let opened = domain().open(&delivery, &event()).unwrap();
    assert_eq!(opened.meta, "[null]");
    let fields: Value = serde_json::from_slice(&opened.body).unwrap();
    assert_eq!(
        fields,
        json!({"a": null, "b": "\u{fffd} 😀", "c": [1, null]})
    );
}

#[test]
fn reads_wider_encodings() {
    let wide: Vec<u8> =
        r#"{"data": {"type": "é"}}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let opened = domain()
        .open(&arrived(wide), &event())
        .unwrap()
        .to_metadata();
    assert_eq!(opened.name, "é");
    assert!(
        refusal(&b"{\"data\": {\"type\": \"\xe9\"}}"[..])
            .to_string()
            .contains("not UTF-8")
    );
}

/// A second of work at most if it is linear, hours if it is not.
#[test]
fn survives_deep_and_huge_bodies() {
    let nested = format!(r#"{{"data": {{"meta": {}"#, "[".repeat(4_000_000));
    assert!(refusal(nested).to_string().contains("levels of nesting"));
    assert_eq!(
        refusal(r#"{"data":"#.repeat(1_000_000)).kind(),
        ErrorKind::Decode
    );
    assert_eq!(refusal("{".repeat(4_000_000)).kind(), ErrorKind::Decode);
    for repeated in [
        r#""meta": NaN, "#,
        r#""x\u0061": {"a": [{}]}, "#,
        r#""meta": "\ud800", "#,
        r#""version": "1", "#,
    ] {
        let body = format!(
            r#"{{"data": {{{}"version": 3}}}}"#,
            repeated.repeat(200_000)
        );
        assert_eq!(domain().open(&arrived(body), &event()).unwrap().version, 3);
    }
    let digits = format!(r#"{{"data": {{"version": {}}}}}"#, "9".repeat(2_000_000));
    assert!(refusal(digits).to_string().len() < 200);
}
