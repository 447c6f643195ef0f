//! A server with the wrong key: as deployed ones if it is lenient, and a refusal if it is strict.

use serde_json::{Value, json};

use super::{
    KEY, OTHER_KEY, TOKEN,
    bed::{Bed, Settings},
};

fn settings(key: Value) -> Settings {
    Settings::of(&["acc_echo", "acc_secret"]).host("fernet_key", key)
}

#[tokio::test]
async fn a_lenient_server_passes_on_what_it_cannot_decrypt() {
    let Some(bed) = Bed::new().await else { return };
    let ours = bed.ours(&settings(OTHER_KEY.into())).await;
    let mut probe = bed.probe().await;
    let reply = probe
        .ask_json("acc_secret", &json!({"password": TOKEN}))
        .await;
    assert!(reply.contains(TOKEN), "{reply}");
    ours.stop().await;
    // Keys are replaced one after the other: whoever has both understands both.
    let _ours = bed.ours(&settings(json!([OTHER_KEY, KEY]))).await;
    let reply = probe
        .ask_json("acc_secret", &json!({"password": TOKEN}))
        .await;
    assert!(reply.contains("sécret"), "{reply}");
}

#[tokio::test]
async fn a_strict_server_refuses_what_it_cannot_decrypt_and_what_is_not_encrypted() {
    let Some(bed) = Bed::new().await else { return };
    let strict = |key: &str| settings(key.into()).host("fernet_strict", true);
    let ours = bed.ours(&strict(OTHER_KEY)).await;
    let mut probe = bed.probe().await;
    for password in [TOKEN, "in the clear"] {
        let reply = probe
            .ask_json("acc_secret", &json!({"password": password}))
            .await;
        let told: Value = serde_json::from_str(&reply).unwrap();
        assert_eq!(told["message"], "Request validation failed", "{reply}");
        assert_eq!(
            told["data"]["errors"][0]["location"],
            json!(["password"]),
            "{reply}"
        );
        assert!(!reply.contains(password), "{reply}");
    }
    ours.stop().await;
    let _ours = bed.ours(&strict(KEY)).await;
    let reply = probe
        .ask_json("acc_secret", &json!({"password": TOKEN}))
        .await;
    assert!(reply.contains("sécret"), "{reply}");
}
