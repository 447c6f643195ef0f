//! The real client is served by us as by the real consumer.

use serde_json::{Value, json};

use super::{
    KEY, TOKEN,
    bed::{Bed, Settings},
    clients::Clients,
};

fn settings() -> Settings {
    Settings::of(&[
        "acc_echo",
        "acc_boom",
        "acc_badreturn",
        "acc_secret",
        "dx_example",
    ])
    .host("fernet_key", KEY)
}

/// What the handlers get through, with what deployed consumers let pass.
fn calls() -> Vec<(&'static str, Value)> {
    let secret = json!({"password": TOKEN, "nested": {"b": [1, null, 2.5], "a": "é", "c": TOKEN}});
    vec![
        ("acc_echo", json!({"name": "bob"})),
        (
            "acc_echo",
            json!({"name": "Zoë \u{1F600} \"/\\ \u{7f}\u{2028}\u{1}\n", "amount": "3"}),
        ),
        (
            "acc_echo",
            json!({"name": "", "amount": 2.0, "unknown": [1]}),
        ),
        ("acc_echo", json!({"name": "a", "amount": "3.0"})),
        ("acc_echo", json!({"name": "b", "amount": true})),
        (
            "acc_echo",
            json!({"name": "c", "amount": 9_007_199_254_740_993_u64}),
        ),
        ("acc_echo", json!({"name": TOKEN})),
        ("acc_boom", json!({})),
        ("acc_badreturn", json!({"name": "x"})),
        ("acc_secret", json!({"password": "plain"})),
        ("acc_secret", secret),
        ("dx_example", json!({"favourite_food": "onion"})),
    ]
}

#[tokio::test]
async fn the_real_client_gets_the_bytes_that_it_gets_from_the_real_consumer() {
    let Some(bed) = Bed::new().await else { return };
    let Some(mut clients) = Clients::open(&bed) else {
        return;
    };
    let calls = calls();
    let Some(theirs) = bed.theirs(&settings()).await else {
        return;
    };
    let expected = clients.call_all(&calls).await;
    theirs.stop_theirs().await;
    let ours = bed.ours(&settings()).await;
    let answered = clients.call_all(&calls).await;
    for ((call, expected), answered) in calls.iter().zip(&expected).zip(&answered) {
        assert_eq!(answered.reply(), expected.reply(), "{call:?}");
    }
    let secret = answered[10].reply();
    assert!(secret.contains(r#""password":"sécret""#), "{secret}");
    ours.stop().await;
}

/// `{}` tells nobody anything, and two replies to one request hide each other.
#[tokio::test]
async fn a_refused_caller_is_told_why_and_once() {
    let Some(bed) = Bed::new().await else { return };
    let settings = Settings::of(&["acc_echo", "acc_nolock"]);
    let mut probe = bed.probe().await;
    let (name, n) = (json!({"name": 5, "amount": "no"}), json!({"n": "x"}));
    if let Some(theirs) = bed.theirs(&settings).await {
        let refused = r#"{"success":false,"message":"Request validation failed","data":{}}"#;
        assert_eq!(probe.ask_json("acc_echo", &name).await, refused);
        assert_eq!(probe.ask_json("acc_nolock", &n).await, refused);
        assert_eq!(
            probe.replies(1).await[0]["message"],
            "An unexpected error occurred"
        );
        theirs.stop_theirs().await;
        // With the request that was never acked.
        bed.delete_queue().await;
    }
    let ours = bed.ours(&settings).await;
    let told = concat!(
        r#"{"success":false,"message":"Request validation failed","data":{"errors":["#,
        r#"{"location":["name"],"message":"Input should be a valid string","type":"string_type"},"#,
        r#"{"location":["amount"],"message":"Input should be a valid integer, unable to parse string as an integer","type":"int_parsing"}]}}"#
    );
    assert_eq!(probe.ask_json("acc_echo", &name).await, told);
    let told = probe.ask_json("acc_nolock", &n).await;
    assert!(told.contains(r#""location":["n"]"#), "{told}");
    probe.has_no_further_reply().await;
    ours.stop().await;
}

#[tokio::test]
async fn many_real_clients_are_served_at_once() {
    let Some(bed) = Bed::new().await else { return };
    let Some(mut clients) = Clients::open(&bed) else {
        return;
    };
    let _ours = bed.ours(&settings()).await;
    let call = |number| ("acc_echo", json!({"name": format!("client {number}")}));
    let calls: Vec<_> = (0..40).map(call).collect();
    let answers = clients.call_all(&calls).await;
    for (call, answer) in calls.iter().zip(answers) {
        let reply: Value = serde_json::from_str(answer.reply()).unwrap();
        assert_eq!(reply["data"]["name"], call.1["name"], "{reply}");
    }
}

#[tokio::test]
async fn the_real_client_meets_its_own_errors_where_nobody_serves() {
    let Some(bed) = Bed::new().await else { return };
    let Some(mut clients) = Clients::open(&bed) else {
        return;
    };
    let orders = vec![
        json!({"exchange": "acc_echo", "body": {"name": "bob"}, "timeout": 1}),
        json!({"exchange": "acc_echo", "body": {"name": "bob"}, "mandatory": true}),
    ];
    let ours = bed.ours(&settings()).await;
    let mandatory = json!({"exchange": "acc_echo", "body": {"name": "bob"}, "mandatory": true});
    let served = clients.order(vec![mandatory]).await;
    assert!(served[0].reply().contains("bob"), "{served:?}");
    ours.stop().await;
    bed.delete_queue().await;
    let answers = clients.order(orders).await;
    let failed: Vec<_> = answers.into_iter().map(|answer| answer.outcome).collect();
    let expected = ["TimeoutError", "MessageUnroutable"].map(|error| Err(error.to_owned()));
    assert_eq!(failed, expected);
}
