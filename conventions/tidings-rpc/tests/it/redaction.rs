//! What others than the handler see.

use serde_json::json;
use tidings_rpc::MASK;

use crate::requests::{TOKEN, arrived, keys, rpc};

#[test]
fn whatever_came_encrypted_is_hidden() {
    let rpc = rpc().with_keys(keys());
    let call = arrived(
        "create_site",
        format!(r#"{{"name": "bob", "note": "{TOKEN}"}}"#),
    );
    let understood = json!({"name": "bob", "note": "sécret", "size": 20});
    assert_eq!(
        rpc.redact(&call, understood),
        json!({"name": "bob", "note": MASK, "size": 20})
    );
    assert_eq!(rpc.redact_body(&call), json!({"name": "bob", "note": MASK}));
}

#[test]
fn the_contracts_secrets_are_hidden_whether_or_not_they_came_encrypted() {
    let rpc = rpc().with_secrets("create_site", &["pin", "db.pin"]);
    let body = json!({"pin": 4711, "db": {"pin": "x", "host": "y"}, "password": "z"});
    let call = arrived("create_site", body.to_string());
    let hidden = json!({"pin": MASK, "db": {"pin": MASK, "host": "y"}, "password": MASK});
    assert_eq!(rpc.redact(&call, body.clone()), hidden);
    assert_eq!(rpc.redact_body(&call), hidden);
    let other = arrived("delete_site", body.to_string());
    assert_eq!(rpc.redact_body(&other)["pin"], 4711, "of another contract");
}

#[test]
fn a_body_that_cannot_be_looked_into_is_not_shown() {
    let call = arrived("create_site", "{\"password\": \"hunter2\"");
    assert_eq!(rpc().redact_body(&call), json!({"undecodable_bytes": 22}));
}

#[test]
fn answers_do_not_tell_what_requests_hide() {
    let rpc = rpc().with_secrets("create_site", &["db.pin"]);
    let answer = json!({"success": true, "message": "Made", "data": {"pin": "x", "id": 7}});
    assert_eq!(
        rpc.redact_answer("create_site", answer),
        json!({"success": true, "message": "Made", "data": {"pin": MASK, "id": 7}})
    );
}
