//! JSON in both byte styles: what is written reads back equal, and Python's spelling is Python's.
//!
//! `golden/python_floats.txt` holds the bits of floats and what CPython's `repr` makes of them.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tidings_core::{ErrorKind, codec::Format};

fn encode(format: Format, value: &impl serde::Serialize) -> String {
    let mut out = Vec::new();
    format.encode(value, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn floats_are_spelled_as_cpython_spells_them() {
    let vectors = include_str!("../golden/python_floats.txt");
    assert!(vectors.lines().count() > 250);
    for line in vectors.lines() {
        let (bits, repr) = line.split_once(' ').unwrap();
        let float = f64::from_bits(u64::from_str_radix(bits, 16).unwrap());
        assert_eq!(encode(Format::PythonJson, &float), repr, "{bits}");
        let back: f64 = Format::PythonJson.decode(repr.as_bytes()).unwrap();
        assert_eq!(back.to_bits(), float.to_bits(), "{repr}");
    }
}

#[test]
fn a_short_float_is_not_made_longer() {
    assert_eq!(encode(Format::PythonJson, &0.1_f32), "0.1");
    assert_eq!(encode(Format::PythonJson, &1e20_f32), "1e+20");
    assert_eq!(encode(Format::PythonJson, &16_777_216_f32), "16777216.0");
}

#[test]
fn a_float_that_json_cannot_say_is_null() {
    for format in [Format::Json, Format::PythonJson] {
        assert_eq!(
            encode(format, &[f64::NAN, f64::INFINITY]).replace(' ', ""),
            "[null,null]"
        );
    }
}

#[test]
fn a_map_whose_keys_are_no_texts_is_refused() {
    let map = std::collections::BTreeMap::from([(vec![1], 2)]);
    let refused = Format::PythonJson.encode(&map, &mut Vec::new());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_field_is_found_wherever_it_is() {
    for (bytes, expected) in [
        (r#"{"id": 1}"#, Some("1")),
        (
            r#" { "a" : {"id": 2} , "id" : [ 1, 2 ] } "#,
            Some("[ 1, 2 ]"),
        ),
        (r#"{"id": 1, "id": null}"#, Some("null")),
        (r#"{"\u0069d": "x"}"#, Some(r#""x""#)),
        (r#"{"ID": 1}"#, None),
        (r#"{"id": }"#, None),
        (r#"{"id": 1"#, None),
        (r#"{"id": 1, "x": +}"#, None),
        (r#""id""#, None),
        ("", None),
    ] {
        assert_eq!(
            Format::Json.field(bytes.as_bytes(), "id"),
            expected,
            "{bytes}"
        );
    }
    assert_eq!(Format::Json.field(b"{\"id\": \"\xff\"}", "id"), None);
}

#[test]
fn deep_nesting_is_refused_and_skipped_without_overflow() {
    let deep = "[".repeat(200_000) + &"]".repeat(200_000);
    let refused = Format::Json.decode::<Value>(deep.as_bytes()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Decode);
    let object = format!(r#"{{"deep": {deep}, "id": 1}}"#);
    assert_eq!(Format::Json.field(object.as_bytes(), "id"), Some("1"));
}

fn value() -> impl Strategy<Value = Value> {
    let float = any::<f64>().prop_filter("JSON has no other", |float| float.is_finite());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        float.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let members = prop::collection::vec((any::<String>(), inner.clone()), 0..5);
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(Value::from),
            members.prop_map(|members| Value::from(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_equal(value in value()) {
        for format in [Format::Json, Format::PythonJson] {
            let text = encode(format, &value);
            prop_assert_eq!(&format.decode::<Value>(text.as_bytes()).unwrap(), &value, "{}", text);
        }
    }

    #[test]
    fn pythons_spelling_is_printable_ascii(value in value()) {
        let text = encode(Format::PythonJson, &value);
        prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
    }

    #[test]
    fn both_styles_say_the_same_of_short_floats(float in any::<f32>()) {
        let [json, python]: [Value; 2] = [Format::Json, Format::PythonJson]
            .map(|format| format.decode(encode(format, &float).as_bytes()).unwrap());
        prop_assert_eq!(json, python);
    }

    #[test]
    fn a_field_is_what_decoding_finds(
        members in prop::collection::vec(("[ab]{1,2}", value()), 0..6),
        name in "[ab]{1,2}",
    ) {
        let object = Value::from(members.into_iter().collect::<Map<_, _>>());
        let text = encode(Format::PythonJson, &object);
        let found = Format::PythonJson
            .field(text.as_bytes(), &name)
            .map(|raw| Format::PythonJson.decode::<Value>(raw.as_bytes()).unwrap());
        prop_assert_eq!(found.as_ref(), object.get(&name));
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        match Format::Json.decode::<Value>(&bytes) {
            Ok(value) => prop_assert_eq!(
                Format::Json.field(&bytes, "a").is_some(),
                value.get("a").is_some()
            ),
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Decode),
        }
    }
}

#[test]
fn members_keep_their_order() {
    let value: Value = json!({"b": 1, "a": {"d": 2, "c": 3}});
    let expected = r#"{"b": 1, "a": {"d": 2, "c": 3}}"#;
    assert_eq!(encode(Format::PythonJson, &value), expected);
}
