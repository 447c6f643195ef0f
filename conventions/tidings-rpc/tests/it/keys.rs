//! Keys and tokens, against what the reference implementation makes of them.

use std::time::Duration;

use serde::Deserialize;
use tidings_core::{ErrorKind, clock::Clock};
use tidings_rpc::Keys;

use crate::requests::{IN_TOKEN, KEY, TOKEN};

/// Written by `tests/python/fernet_vectors.py`.
#[derive(Deserialize)]
struct Vectors {
    keys: [String; 2],
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    what: String,
    text: String,
    /// What each of the keys makes of it, in hexadecimal.
    reads: [Option<String>; 2],
}

fn text(hexadecimal: &str) -> Option<String> {
    let byte = |index| u8::from_str_radix(&hexadecimal[index..index + 2], 16).unwrap();
    let bytes = (0..hexadecimal.len()).step_by(2).map(byte).collect();
    String::from_utf8(bytes).ok()
}

#[test]
fn tokens_are_read_as_the_reference_reads_them() {
    let Vectors { keys, vectors } = serde_json::from_str(include_str!("fernet.json")).unwrap();
    assert!(vectors.len() > 40);
    for Vector {
        what,
        text: token,
        reads,
    } in &vectors
    {
        for (key, expected) in keys.iter().zip(reads) {
            let read = Keys::new([key]).unwrap().decrypt(token);
            let expected = expected.as_deref().and_then(text);
            assert_eq!(read, expected, "{what}: {token}");
        }
        let both = Keys::new(&keys).unwrap().decrypt(token);
        let expected = reads.iter().flatten().next();
        assert_eq!(
            both,
            expected.and_then(|bytes| text(bytes)),
            "{what}: {token}"
        );
    }
}

#[test]
fn the_vector_of_the_specification_is_read() {
    assert_eq!(
        Keys::new([KEY]).unwrap().decrypt(TOKEN).as_deref(),
        Some(IN_TOKEN)
    );
}

#[test]
fn the_first_key_encrypts_and_every_key_decrypts() {
    let (old, new) = (Keys::generate(), Keys::generate());
    let [before, during, after] =
        [vec![&old], vec![&new, &old], vec![&new]].map(|keys| Keys::new(keys).unwrap());
    let (early, late) = (before.encrypt("x"), during.encrypt("x"));
    assert_ne!(early, late, "every token is new");
    assert_eq!(during.decrypt(&early).as_deref(), Some("x"));
    assert_eq!(after.decrypt(&late).as_deref(), Some("x"));
    assert_eq!(before.decrypt(&late), None);
    assert_eq!(after.decrypt(&early), None);
}

#[tokio::test(start_paused = true)]
async fn a_token_lives_as_long_as_it_is_told() {
    let keys = Keys::new([KEY]).unwrap().with_clock(Clock::of_runtime());
    let aged = keys.clone().with_ttl(Duration::from_secs(300));
    let token = keys.encrypt("x");
    tokio::time::advance(Duration::from_secs(299)).await;
    assert!(aged.decrypt(&token).is_some());
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(aged.decrypt(&token).is_none());
    assert!(keys.decrypt(&token).is_some(), "on this wire it has no age");
}

#[tokio::test(start_paused = true)]
async fn a_token_may_come_a_minute_early() {
    let behind = Clock::of_runtime();
    let aged = |clock| {
        Keys::new([KEY])
            .unwrap()
            .with_clock(clock)
            .with_ttl(Duration::from_secs(300))
    };
    tokio::time::advance(Duration::from_secs(58)).await;
    let early = aged(behind).encrypt("x");
    // This clock has not seen the minute pass: it starts at the system's time.
    assert!(aged(Clock::of_runtime()).decrypt(&early).is_some());
    tokio::time::advance(Duration::from_secs(10)).await;
    let earlier = aged(behind).encrypt("x");
    assert!(aged(Clock::of_runtime()).decrypt(&earlier).is_none());
}

#[test]
fn what_is_no_key_is_told_and_not_shown() {
    let long = "A".repeat(44);
    for wrong in ["", "hunter2", &KEY[..40], &long] {
        let error = Keys::new([KEY, wrong]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse, "{wrong}");
        let text = format!("{error} {error:?}");
        assert!(text.contains("key number 2"), "{text}");
        assert!(wrong.is_empty() || !text.contains(wrong), "{text}");
        assert!(!text.contains(KEY), "{text}");
    }
    assert_eq!(Keys::new::<&str>([]).unwrap_err().kind(), ErrorKind::Misuse);
    assert!(
        Keys::new([format!("{KEY}\n")]).is_ok(),
        "as the reference takes it"
    );
}

#[test]
fn nothing_secret_is_shown() {
    let keys = Keys::new([KEY]).unwrap();
    let rpc = crate::requests::rpc().with_keys(keys.clone());
    for shown in [format!("{keys:?}"), format!("{rpc:?}"), format!("{rpc:#?}")] {
        assert!(
            shown.contains("keys: 1") && !shown.contains("Zyc") && !shown.contains("103"),
            "{shown}"
        );
    }
}
