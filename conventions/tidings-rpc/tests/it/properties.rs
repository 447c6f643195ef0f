//! What must hold for every body.

use proptest::{collection::vec, prelude::*};
use serde_json::{Map, Value};
use tidings_core::{Error, ErrorKind, Kind, Payload, Reply, convention::Convention};
use tidings_rpc::Rpc;

use crate::requests::{TOKEN, arrived, attachment, keys, rpc, sealed};

const SECRETS: [&str; 3] = ["a", "b.a", "b.b.c"];

fn conventions() -> [Rpc; 3] {
    [
        rpc(),
        rpc().with_keys(keys()),
        rpc().with_keys(keys().strict()),
    ]
    .map(|rpc| rpc.with_secrets("create_site", &SECRETS))
}

/// Bytes that are nearly JSON: the interesting half of all bytes.
fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let token = || Just(format!("\"{TOKEN}\""));
    let piece = prop_oneof![
        any::<Vec<u8>>(),
        token().prop_map(String::into_bytes),
        any_object().prop_map(|object| Value::from(object).to_string().into_bytes()),
        "[{}\\[\\]:,\"\\\\abu0-9ntd8. ]{0,20}".prop_map(String::into_bytes),
    ];
    vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn any_object() -> impl Strategy<Value = Map<String, Value>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(Value::from(TOKEN)),
    ];
    let name = || prop_oneof!["[abc]", any::<String>()];
    let value = leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((name(), inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    });
    vec((name(), value), 0..5).prop_map(|pairs| pairs.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_opened_answered_and_redacted(body in any_body()) {
        let call = arrived("create_site", body.clone());
        for rpc in conventions() {
            let error = match rpc.open(&call, &attachment(&rpc)) {
                Ok(_) => Error::new(ErrorKind::Handler, "failed"),
                Err(error) => error,
            };
            let answer = rpc.answer(&call, Err(&error)).unwrap().unwrap();
            let read: Value = serde_json::from_slice(&answer.envelope.payload.bytes).unwrap();
            prop_assert_eq!(&read["success"], &Value::from(false));
            prop_assert!(rpc.redact_body(&call).is_object());
            let echo = Reply::payload(Payload::json(body.clone()));
            prop_assert!(rpc.answer(&call, Ok(&echo)).unwrap().is_some());
        }
    }

    #[test]
    fn what_was_sealed_is_opened_to_what_it_was(object in any_object()) {
        // A secret that is not a text is refused where it would leave; a token is taken for encrypted.
        let plain = Value::from(object).to_string().replace(TOKEN, "no token");
        let rpc = rpc().with_keys(keys()).with_secrets("create_site", &SECRETS);
        if let Ok(call) = sealed(&rpc, Kind::Call, &plain, &SECRETS) {
            let opened = rpc.open(&call, &attachment(&rpc)).unwrap();
            let read: Value = serde_json::from_slice(&opened.body).unwrap();
            prop_assert_eq!(read, serde_json::from_str::<Value>(&plain).unwrap());
        }
    }

    #[test]
    fn without_tokens_no_byte_changes(object in any_object()) {
        let plain = Value::from(object).to_string().replace(TOKEN, "no token");
        let call = arrived("create_site", plain.clone());
        let rpc = rpc().with_keys(keys());
        let opened = rpc.open(&call, &attachment(&rpc)).unwrap();
        prop_assert_eq!(&*opened.body, plain.as_bytes());
    }

    #[test]
    fn what_strict_keys_accept_lenient_ones_read_alike(body in any_body()) {
        let call = arrived("create_site", body);
        let [_, lenient, strict] = conventions();
        if let Ok(opened) = strict.open(&call, &attachment(&strict)) {
            let alike = lenient.open(&call, &attachment(&lenient)).unwrap();
            prop_assert_eq!(opened.body, alike.body);
        }
    }

    #[test]
    fn tokens_of_any_text_are_read_again(text: String) {
        prop_assert_eq!(keys().decrypt(&keys().encrypt(&text)), Some(text));
    }

    #[test]
    fn no_text_makes_the_reader_of_tokens_fail(text in "[gA-Za-z0-9_=+/ -]{90,300}") {
        let _read = keys().decrypt(&text);
        let _read = keys().decrypt(&format!("gAAAAAB{text}"));
    }
}
