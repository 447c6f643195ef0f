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

/// Every spelling has the key of the first, and nothing among `others` has it.
#[track_caller]
fn check(spellings: &[&str], others: &[&str]) {
    let by_user = OrderKey::field("user");
    let of = |value: &str| {
        let key = key(&by_user, &format!(r#"{{"n": 1, "user": {value}}}"#));
        assert!(key.is_some(), "{value} has no key");
        key
    };
    for spelling in spellings {
        assert_eq!(of(spelling), of(spellings[0]), "{spelling}");
    }
    for other in others {
        assert_ne!(of(other), of(spellings[0]), "{other}");
    }
}

#[test]
fn by_a_field_a_string_is_the_same_however_it_is_escaped() {
    check(
        &[r#""é""#, r#""\u00e9""#, r#""\u00E9""#],
        &[r#""e""#, r#""É""#, r#""u00e9""#, r#""\\u00e9""#],
    );
    check(&[r#""a/b""#, r#""a\/b""#, r#""\u0061/b""#], &[r#""ab""#]);
    check(&[r#""😀""#, r#""\ud83d\ude00""#], &[r#""\ud83d""#]);
    check(&[r#""""#], &["null", r#""null""#]);
    check(&[r#""1""#], &["1"]);
}

#[test]
fn by_a_field_a_number_is_the_same_however_it_is_written() {
    check(
        &["1", "1.0", "1e0", "1E+0", "10e-1", "0.1e1", "0.01E2"],
        &["-1", "10", "1.1", "11", "0", "0.1", "true"],
    );
    check(&["0", "-0", "0.0", "0e7", "-0.00E-3"], &["1", "0.1"]);
    check(&["-2.50", "-25e-1", "-0.25E1"], &["2.5", "-2.05", "-25"]);
    check(&["1200", "1.2e3", "12E2"], &["120", "12"]);
    check(&["9007199254740993"], &["9007199254740992"]);
    check(&["1e300", "10e299"], &["1e301"]);
    check(&["1e99999999999999999999"], &["1", "1e9"]);
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
