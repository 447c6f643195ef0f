//! Which messages are kept in order.

use tidings_core::{convention::Convention, retry_policy::RetryPolicy};
use tidings_router::OrderKey;

use crate::bench::{Notes, Plain, UserCreated, call, route};

fn key(of: &OrderKey, body: &str) -> Option<u64> {
    let route = route(async |_: UserCreated| {}, &Notes::default());
    let attachment = Plain.attach("bench", route.interest(), &RetryPolicy::new(0));
    of.of(&call(body), &Plain, &attachment.unwrap())
}

#[test]
fn by_a_field_compares_its_value_alone() {
    let by_user = OrderKey::field("user");
    let ada = key(&by_user, r#"{"user": "ada", "n": 1}"#);
    assert!(ada.is_some());
    for equal in [
        r#"{"n":2,"user":"ada"}"#,
        r#"{"nested": {"user": "bob"}, "user" : "ada" }"#,
        r#"{"user": "bob", "user": "ada"}"#,
        r#"{"\u0075ser": "ada"}"#,
    ] {
        assert_eq!(key(&by_user, equal), ada, "{equal}");
    }
    for other in [
        r#"{"user": "bob"}"#,
        r#"{"user": null}"#,
        r#"{"user": ["ada"]}"#,
    ] {
        let other_key = key(&by_user, other);
        assert!(other_key.is_some() && other_key != ada, "{other}");
    }
}

#[test]
fn by_a_field_that_is_not_there_has_no_key() {
    let by_user = OrderKey::field("user");
    for none in ["", "?", "[]", "{}", r#"{"User": 1}"#, r#"{"user": "a"#] {
        assert_eq!(key(&by_user, none), None, "{none}");
    }
}

#[test]
fn by_a_function_asks_the_function() {
    let by_length = OrderKey::by(|call| {
        let length = call.envelope.payload.len();
        (length > 0).then_some(length)
    });
    assert_eq!(key(&by_length, "ab"), key(&by_length, "cd"));
    assert_ne!(key(&by_length, "ab"), key(&by_length, "abc"));
    assert_eq!(key(&by_length, ""), None);
}

#[test]
fn all_has_one_key_for_every_message() {
    let all = OrderKey::all();
    assert!(key(&all, "").is_some());
    assert_eq!(key(&all, ""), key(&all, "?"));
}
