//! What leaves.

use tidings_core::{ErrorKind, Kind, error::Result};
use tidings_rpc::Rpc;

use crate::requests::{IN_TOKEN, TOKEN, keys, opened, rpc, sealed};

fn body(rpc: &Rpc, body: &str, secrets: &[&str]) -> Result<String> {
    let call = sealed(rpc, Kind::Call, body, secrets)?;
    let bytes = call.envelope.payload.bytes.to_vec();
    Ok(String::from_utf8(bytes).unwrap())
}

#[test]
fn a_request_is_what_a_deployed_client_sends() {
    let call = sealed(&rpc(), Kind::Call, r#"{"domain":"example.com"}"#, &[]).unwrap();
    assert_eq!(call.address.to_string(), "create_site/web1");
    let envelope = &call.envelope;
    assert_eq!(
        envelope.payload.content_type.as_deref(),
        Some("application/json")
    );
    assert_eq!(&envelope.payload.bytes[..], br#"{"domain":"example.com"}"#);
    assert!(!envelope.persistent && envelope.headers.is_empty() && envelope.properties.is_empty());
    assert!(call.mandatory, "a queue that does not exist is told");
}

#[test]
fn events_and_commands_are_no_requests() {
    for kind in [Kind::Event, Kind::Command] {
        let refused = sealed(&rpc(), kind, "{}", &[]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Misuse);
    }
}

#[test]
fn secrets_leave_encrypted_and_the_rest_as_it_was() {
    let plain = r#"{"name": "b\u006fb", "password": "s\u00e9cret", "db": {"root": {"pin": "4711"}, "size": 1.50}, "pins": ["1", null, "2"], "none": null}"#;
    let secrets = ["password", "db.root.pin", "pins", "none", "absent"];
    let rpc = rpc().with_keys(keys());
    let sealed = body(&rpc, plain, &secrets).unwrap();
    for secret in ["cret", "4711", "\"1\"", "\"2\""] {
        assert!(!sealed.contains(secret), "{sealed}");
    }
    assert!(
        sealed.starts_with(r#"{"name":"b\u006fb","password":"gAAAA"#),
        "{sealed}"
    );
    assert!(sealed.contains(r#""size":1.50"#), "{sealed}");
    assert!(sealed.ends_with(r#""none":null}"#), "{sealed}");

    let reader = rpc.with_secrets("create_site", &secrets);
    let read: serde_json::Value = serde_json::from_str(&opened(&reader, &sealed).unwrap()).unwrap();
    let was: serde_json::Value = serde_json::from_str(plain).unwrap();
    assert_eq!(read, was);
}

#[test]
fn secrets_of_whoever_has_no_keys_leave_as_they_are() {
    let plain = r#"{"password": "x"}"#;
    assert_eq!(body(&rpc(), plain, &["password"]).unwrap(), plain);
}

#[test]
fn what_is_encrypted_already_is_not_encrypted_again() {
    let by_hand = format!(r#"{{"password": "{TOKEN}"}}"#);
    let rpc = rpc().with_keys(keys());
    assert_eq!(body(&rpc, &by_hand, &["password"]).unwrap(), by_hand);
    assert!(opened(&rpc, &by_hand).unwrap().contains(IN_TOKEN));
}

#[test]
fn deeper_secrets_may_be_left_to_servers_that_do_not_know_them() {
    let rpc = rpc().with_keys(keys().top_level_only());
    let plain = r#"{"db":{"password":"x"},"password":null}"#;
    assert_eq!(
        body(&rpc, plain, &["db.password", "password"]).unwrap(),
        plain
    );
    let sealed = body(
        &rpc,
        r#"{"db":{"password":"x"},"password":"y"}"#,
        &["db.password", "password"],
    );
    assert!(
        sealed
            .unwrap()
            .starts_with(r#"{"db":{"password":"x"},"password":"gAAAA"#)
    );
}

#[test]
fn a_secret_that_is_no_text_does_not_leave_in_the_clear() {
    let rpc = rpc().with_keys(keys());
    for (plain, named) in [
        (r#"{"pin": 4711}"#, "`pin`"),
        (r#"{"pin": {"a": "x"}}"#, "`pin`"),
        (r#"{"pin": ["x", true]}"#, "`pin[1]`"),
        (r#"{"pin": "\ud800"}"#, "`pin`"),
        (r#"["pin"]"#, "JSON object"),
    ] {
        let refused = body(&rpc, plain, &["pin"]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{plain}");
        let text = refused.to_string();
        assert!(
            text.contains("`create_site`") && text.contains(named),
            "{text}"
        );
        assert!(!text.contains("4711"), "{text}");
    }
}
