//! Requests that no client should send: the server lives on, and whoever can be told is told once.

use serde_json::{Value, json};

use super::{
    KEY,
    bed::{Bed, Settings},
    probe::text,
};

#[tokio::test]
async fn bodies_that_are_no_request_are_refused_once_and_leave_the_server_alive() {
    let Some(bed) = Bed::new().await else { return };
    let settings = Settings::of(&["acc_echo"]).host("fernet_key", KEY);
    let mut ours = bed.ours(&settings).await;
    let mut probe = bed.probe().await;
    let bodies: [&[u8]; 9] = [
        b"{\"name\": ",
        b"\xff\xfe{}",
        b"{\"name\": \"\xc3\x28\"}",
        b"",
        b"[]",
        b"null",
        b"7",
        b"\"text\"",
        b"{\"name\": \"lone \\ud800 surrogate\"}",
    ];
    for body in bodies {
        let shown = String::from_utf8_lossy(body).into_owned();
        let reply = probe.ask(probe.request("acc_echo", body)).await;
        let reply: Value = serde_json::from_str(&reply).unwrap();
        assert_eq!(reply["success"], false, "{shown}: {reply}");
        assert_eq!(
            reply["message"], "Request validation failed",
            "{shown}: {reply}"
        );
        let errors = reply["data"]["errors"].as_array();
        assert!(
            errors.is_some_and(|errors| !errors.is_empty()),
            "{shown}: {reply}"
        );
    }
    probe.has_no_further_reply().await;
    assert!(ours.is_alive());
    ours.stop().await;
    assert_eq!(bed.queue().await, (0, 0));
}

#[tokio::test]
async fn requests_that_nobody_can_be_told_about_leave_the_server_alive() {
    let Some(bed) = Bed::new().await else { return };
    let mut ours = bed.ours(&Settings::of(&["acc_echo"])).await;
    let mut probe = bed.probe().await;
    for body in [r#"{"name": "bob"}"#, "no JSON"] {
        for reply_to in [None, Some("".into()), Some("gone".into())] {
            let mut request = probe.request("acc_echo", body);
            request.fields.reply_to = reply_to;
            probe.send(request).await;
        }
        let mut request = probe.request("acc_echo", body);
        request.fields.reply_to = None;
        request.fields.correlation_id = None;
        probe.send(request).await;
    }
    probe.has_no_further_reply().await;
    assert!(ours.is_alive());
    ours.stop().await;
    assert_eq!(bed.queue().await, (0, 0));
}

#[tokio::test]
async fn without_a_correlation_id_the_reply_has_none() {
    let Some(bed) = Bed::new().await else { return };
    let ours = bed.ours(&Settings::of(&["acc_echo"])).await;
    let mut probe = bed.probe().await;
    for (body, part) in [
        (r#"{"name": "bob"}"#, r#""success":true"#),
        ("no JSON", r#""success":false"#),
    ] {
        let mut request = probe.request("acc_echo", body);
        request.fields.correlation_id = None;
        probe.send(request).await;
        let reply = probe.reply().await;
        assert_eq!(reply.envelope.properties.correlation_id(), None);
        assert!(text(&reply).contains(part), "{}", text(&reply));
    }
    probe.has_no_further_reply().await;
    ours.stop().await;
}

/// In the real consumer each of them takes up a slot for good if the exchange has a lock attribute.
#[tokio::test]
async fn refused_requests_take_no_slot_with_them() {
    let Some(bed) = Bed::new().await else { return };
    let settings = Settings::of(&["acc_echo", "acc_nolock"]).lanes(2);
    let ours = bed.ours(&settings).await;
    let mut probe = bed.probe().await;
    for exchange in ["acc_echo", "acc_nolock"] {
        for _ in 0..20 {
            probe
                .send_json(exchange, &json!({"name": 5, "n": "x"}))
                .await;
        }
        for reply in probe.replies(20).await {
            assert_eq!(reply["message"], "Request validation failed", "{reply}");
        }
    }
    probe.has_no_further_reply().await;
    ours.stop().await;
    assert_eq!(bed.queue().await, (0, 0));
}

/// In the real consumer its callers hang, each with a slot.
#[tokio::test]
async fn callers_of_an_exchange_without_a_handler_are_told_at_once() {
    let Some(bed) = Bed::new().await else { return };
    let settings = Settings::of(&["acc_echo", "acc_unhandled"]).lanes(1);
    let ours = bed.ours(&settings).await;
    let mut probe = bed.probe().await;
    for _ in 0..3 {
        let reply = probe.ask_json("acc_unhandled", &json!({})).await;
        let expected =
            r#"{"success":false,"message":"No handler for exchange `acc_unhandled`","data":null}"#;
        assert_eq!(reply, expected);
    }
    probe.has_no_further_reply().await;
    ours.stop().await;
    assert_eq!(bed.queue().await, (0, 0));
}
