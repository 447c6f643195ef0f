//! What arrives, and what becomes of tokens in it.

use jiff::Timestamp;
use tidings_core::{
    Call, Deadline, ErrorKind, Outcome, Settlement,
    convention::{Convention, Failed, Plan},
};
use tidings_rpc::{Keys, Rpc};

use crate::requests::{IN_TOKEN, KEY, TOKEN, arrived, attachment, keys, opened, rpc, violations};

const SECRETS: [&str; 3] = ["password", "db.password", "users.password"];

fn lenient() -> Rpc {
    rpc()
        .with_keys(keys())
        .with_secrets("create_site", &SECRETS)
}

fn strict() -> Rpc {
    rpc()
        .with_keys(keys().strict())
        .with_secrets("create_site", &SECRETS)
}

/// A token of somebody else.
fn foreign() -> String {
    Keys::new([Keys::generate()]).unwrap().encrypt("x")
}

#[test]
fn a_request_is_named_by_its_exchange_and_known_by_its_correlation_id() {
    let call = arrived("create_site", "{}");
    let rpc = rpc();
    let attachment = attachment(&rpc);
    let opened = rpc.open(&call, &attachment).unwrap();
    assert_eq!(opened.name, "create_site");
    assert_eq!(opened.id, "3f0c3a3e-9f0e-4d5c-8a43-6a5f7d5b1c11");
    assert_eq!((opened.version, &*opened.kind), (1, "request"));
    assert!(
        opened.occurred_at > Timestamp::UNIX_EPOCH,
        "now, as nobody has said when"
    );

    let mut call = call;
    let fields = call.envelope.properties.fields_mut();
    (fields.correlation_id, fields.timestamp) = (None, Some(7));
    let opened = rpc.open(&call, &attachment).unwrap();
    assert_eq!(opened.id, "");
    assert_eq!(opened.occurred_at, Timestamp::from_second(7).unwrap());
}

#[test]
fn anything_at_all_can_be_opened() {
    for body in ["", "null", "[1]", "{", "\u{0}", "{\"a\": NaN}"] {
        assert_eq!(opened(&rpc(), body).unwrap(), body);
        assert_eq!(opened(&lenient(), body).unwrap(), body);
    }
    let call = arrived("create_site", &b"\xff{}"[..]);
    let rpc = lenient();
    assert_eq!(
        &*rpc.open(&call, &attachment(&rpc)).unwrap().body,
        b"\xff{}"
    );
}

#[test]
fn every_text_that_is_a_member_of_the_request_is_tried() {
    let body =
        format!(r#"{{"name": "bob", "any": "{TOKEN}", "deep": {{"any": "{TOKEN}"}}, "n": 1.0}}"#);
    let read =
        format!(r#"{{"name":"bob","any":"{IN_TOKEN}","deep":{{"any": "{TOKEN}"}},"n":1.0}}"#);
    assert_eq!(opened(&lenient(), &body).unwrap(), read);
    assert_eq!(opened(&strict(), &body).unwrap(), read);
    assert_eq!(
        opened(&rpc(), &body).unwrap(),
        body,
        "without keys nothing is"
    );
}

#[test]
fn deeper_secrets_are_decrypted_where_the_contract_has_them() {
    let body = format!(
        r#"{{"db": {{"password": "{TOKEN}", "name": "{TOKEN}"}}, "users": [{{"password": "{TOKEN}"}}, {{}}]}}"#
    );
    let read = format!(
        r#"{{"db":{{"password":"{IN_TOKEN}","name":"{TOKEN}"}},"users":[{{"password":"{IN_TOKEN}"}},{{}}]}}"#
    );
    assert_eq!(opened(&lenient(), &body).unwrap(), read);
    assert_eq!(opened(&strict(), &body).unwrap(), read);
}

#[test]
fn of_members_with_one_name_the_last_counts() {
    let body = format!(r#"{{"password": "plain", "password": "{TOKEN}"}}"#);
    let read = format!(r#"{{"password":"{IN_TOKEN}"}}"#);
    assert_eq!(opened(&strict(), &body).unwrap(), read);
    let body = format!(r#"{{"password": "{TOKEN}", "password": "plain"}}"#);
    assert_eq!(
        violations(&opened(&strict(), &body).unwrap_err()),
        [("password", "secret_not_encrypted")]
    );
}

/// Lenient: it is passed on as it came. Strict: it is refused for this reason.
fn check(value: &str, code: Option<&str>) {
    for (member, body) in [
        ("password", format!(r#"{{"password": {value}}}"#)),
        (
            "db.password",
            format!(r#"{{"db": {{"password": {value}}}}}"#),
        ),
        (
            "users[1].password",
            format!(r#"{{"users": [{{}}, {{"password": {value}}}]}}"#),
        ),
    ] {
        assert_eq!(opened(&lenient(), &body).unwrap(), body);
        match (opened(&strict(), &body), code) {
            (Ok(read), None) => assert_eq!(read, body),
            (Err(refused), Some(code)) => {
                assert_eq!(refused.kind(), ErrorKind::Invalid);
                assert_eq!(violations(&refused), [(member, code)], "{body}");
                assert!(!refused.chain().contains("gAAAA"), "{}", refused.chain());
                assert!(!refused.chain().contains("hunter2"), "{}", refused.chain());
            }
            (result, _) => unreachable!("{body}: {result:?}"),
        }
    }
}

#[test]
fn what_cannot_be_decrypted_is_passed_on_or_refused() {
    let undecryptable = Some("secret_undecryptable");
    check(&format!("{:?}", foreign()), undecryptable);
    check(
        &format!("{:?}", TOKEN.replace("N_lg", "N_lh")),
        undecryptable,
    );
    let no_text = "gAAAAABqsTuAAAECAwQFBgcICQoLDA0OD55tSZQx";
    let vectors = include_str!("fernet.json");
    let at = vectors
        .find(no_text)
        .expect("the vector of bytes that are no text");
    check(
        &format!("\"{}\"", vectors[at..].split('"').next().unwrap()),
        undecryptable,
    );
}

#[test]
fn what_is_not_encrypted_is_passed_on_or_refused() {
    let not_encrypted = Some("secret_not_encrypted");
    check(r#""hunter2""#, not_encrypted);
    check(r#""""#, not_encrypted);
    check("4711", not_encrypted);
    check("true", not_encrypted);
    check(r#"{"hunter2": 1}"#, not_encrypted);
    check(r#""\ud800""#, not_encrypted);
    check("null", None);
    check("[]", None);
}

#[test]
fn a_foreign_token_is_refused_wherever_it_is_tried() {
    let body = format!(r#"{{"name": "{}"}}"#, foreign());
    assert_eq!(opened(&lenient(), &body).unwrap(), body);
    assert_eq!(
        violations(&opened(&strict(), &body).unwrap_err()),
        [("name", "secret_undecryptable")]
    );
    let deeper = format!(r#"{{"deep": {{"name": "{}"}}}}"#, foreign());
    assert_eq!(opened(&strict(), &deeper).unwrap(), deeper);
}

#[test]
fn every_refused_member_is_named() {
    let body = format!(
        r#"{{"password": 1, "name": "{}", "db": {{"password": "x"}}}}"#,
        foreign()
    );
    assert_eq!(
        violations(&opened(&strict(), &body).unwrap_err()),
        [
            ("password", "secret_not_encrypted"),
            ("name", "secret_undecryptable"),
            ("db.password", "secret_not_encrypted")
        ]
    );
}

#[test]
fn strict_keys_refuse_what_they_cannot_look_into() {
    for body in ["", "[1]", "{", r#"{"password": NaN}"#] {
        let refused = opened(&strict(), body).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Decode, "{body}");
    }
}

#[test]
fn old_tokens_are_refused_once_they_have_an_age() {
    use std::time::Duration;
    use tidings_core::clock::Clock;

    let body = format!(r#"{{"password":"{TOKEN}"}}"#);
    let with = |keys: Keys| rpc().with_keys(keys).with_secrets("create_site", &SECRETS);
    // The token of the specification was made in 2026.
    let aged = || {
        Keys::new([KEY])
            .unwrap()
            .with_clock(Clock::SYSTEM)
            .with_ttl(Duration::ZERO)
    };
    assert_eq!(opened(&with(aged()), &body).unwrap(), body);
    let refused = opened(&with(aged().strict()), &body).unwrap_err();
    assert_eq!(violations(&refused), [("password", "secret_undecryptable")]);
    let ageless = Duration::from_secs(u64::MAX);
    assert!(
        opened(&with(aged().with_ttl(ageless).strict()), &body)
            .unwrap()
            .contains(IN_TOKEN)
    );
}

#[test]
fn a_request_says_how_long_its_caller_waits() {
    let mut call = arrived("create_site", "{}");
    assert_eq!(rpc().deadline(&call), Deadline::NEVER);
    let waits = std::time::Duration::from_secs(300);
    call.envelope.properties.fields_mut().expiration = Some(waits);
    let left = rpc().deadline(&call).remaining().unwrap();
    assert!(left <= waits && left > waits / 2, "{left:?}");
}

#[test]
fn what_nobody_waits_for_is_done_with_unless_it_is_given_back_or_something_is_away() {
    let (rpc, call) = (rpc(), arrived("create_site", "{}"));
    let attachment = attachment(&rpc);
    let check = |kind, outcome, deadline, expected| {
        let error = tidings_core::Error::new(kind, "failed").with_outcome(outcome);
        let mut call: Call = call.clone();
        call.deadline = deadline;
        let plan = rpc.recover(&Failed {
            attachment: &attachment,
            call: &call,
            error: &error,
            delayed_nack: false,
            now: Timestamp::UNIX_EPOCH,
        });
        let Plan::Settle { settlement, .. } = plan else {
            unreachable!("nothing is forwarded on this wire");
        };
        assert_eq!(settlement, expected, "{kind:?} {outcome:?}");
    };
    let (handler, away) = (ErrorKind::Handler, ErrorKind::Unavailable);
    let (over, again) = (
        Deadline::after(std::time::Duration::ZERO),
        Settlement::Nack { delay: None },
    );
    check(handler, Outcome::Fatal, Deadline::NEVER, Settlement::Ack);
    check(handler, Outcome::Retry, Deadline::NEVER, Settlement::Ack);
    check(handler, Outcome::Requeue, Deadline::NEVER, again.clone());
    check(away, Outcome::Retry, Deadline::NEVER, again.clone());
    check(ErrorKind::Full, Outcome::Retry, Deadline::NEVER, again);
    check(away, Outcome::Retry, over, Settlement::Ack);
    check(away, Outcome::Fatal, Deadline::NEVER, Settlement::Ack);
}
