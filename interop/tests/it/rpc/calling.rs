//! Our client, in a process and in a program, calls the real consumer.

use std::process::{Output, Stdio};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tidings::topology::{Exchange, Topology};
use tokio::time::timeout;

use super::{
    KEY, QUEUE, TOKEN,
    bed::{Bed, Settings},
};
use crate::bed::PATIENCE;

/// Runs the role `rpc-client` to its end, with these options after those that name the bed.
async fn role(bed: &Bed, options: &[&str]) -> Output {
    let address = bed.host.address();
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let mut command = bed.program(&["rpc-client", "--host", &host, "--port", &port]);
    command.args(["--queue", QUEUE]).args(options);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = timeout(PATIENCE, command.spawn().unwrap().wait_with_output()).await;
    output.expect("it ends in time").unwrap()
}

/// The same, in the virtual host of the bed.
async fn call(bed: &Bed, exchange: &str, body: &str, seconds: &str) -> Output {
    let name = bed.host.name();
    let options = ["--vhost", name, "--exchange", exchange, "--body", body];
    role(bed, &[&options[..], &["--timeout", seconds]].concat()).await
}

#[track_caller]
fn check_printed(output: &Output, expected: &str) {
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        (output.status.code(), &*printed),
        (Some(0), expected),
        "{output:?}"
    );
}

#[track_caller]
fn check_refused(output: &Output, why: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    let told: Vec<_> = errors
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert!(
        matches!(told[..], [told] if told.contains(why)),
        "{why}: {errors}"
    );
}

const ALL: [&str; 4] = ["acc_echo", "acc_nolock", "acc_slow", "acc_boom"];

#[tokio::test]
async fn the_role_prints_what_the_real_consumer_answers() {
    let Some(bed) = Bed::new().await else { return };
    let Some(_theirs) = bed.theirs(&Settings::of(&ALL)).await else {
        return;
    };
    let (echo, boom, slow, late) = tokio::join!(
        call(&bed, "acc_echo", r#"{"name": "bob"}"#, "10"),
        call(&bed, "acc_boom", "{}", "10"),
        call(&bed, "acc_slow", r#"{"name": "a", "sleep": 1.2}"#, "10"),
        call(&bed, "acc_slow", r#"{"name": "b", "sleep": 1.2}"#, "0.5"),
    );
    check_printed(
        &echo,
        r#"{"success":true,"message":"Echoed é","data":{"name":"bob","amount":1,"note":"café"}}"#,
    );
    check_printed(
        &boom,
        r#"{"success":false,"message":"An unexpected error occurred","data":null}"#,
    );
    let slow: Value = serde_json::from_slice(&slow.stdout).unwrap();
    let took = slow["data"]["ended"].as_f64().unwrap() - slow["data"]["started"].as_f64().unwrap();
    assert!(took >= 1.2, "{slow}");
    assert_eq!(late.status.code(), Some(3), "{late:?}");
    assert!(late.stdout.is_empty(), "{late:?}");
}

#[tokio::test]
async fn the_role_says_in_one_line_why_it_cannot_call() {
    let Some(bed) = Bed::new().await else { return };
    let durable = Topology::new().exchange(Exchange::direct("durable"));
    bed.transport().declare(&durable).await.unwrap();
    let name = bed.host.name();
    let rest = ["--exchange", "acc_echo", "--body", "{}", "--timeout", "10"];
    let password = [&rest[..], &["--vhost", name, "--password", "wrong"]].concat();
    let (password, host, durable) = tokio::join!(
        role(&bed, &password),
        call_in(&bed, "nowhere", &rest),
        call(&bed, "durable", "{}", "10"),
    );
    check_refused(&password, "ACCESS_REFUSED");
    check_refused(&host, "nowhere");
    check_refused(&durable, "durable");
}

async fn call_in(bed: &Bed, host: &str, rest: &[&str]) -> Output {
    role(bed, &[rest, &["--vhost", host]].concat()).await
}

#[tokio::test]
async fn calls_to_the_real_consumer_share_one_connection() {
    let Some(bed) = Bed::new().await else { return };
    let Some(_theirs) = bed.theirs(&Settings::of(&ALL)).await else {
        return;
    };
    let client = bed.client();
    let call = |number| {
        let client = client.clone();
        async move {
            let body = json!({"name": format!("{number}"), "amount": number});
            let reply = client.call_raw("acc_echo", body.to_string()).await.unwrap();
            let reply: Value = serde_json::from_slice(&reply.bytes).unwrap();
            assert_eq!(reply["data"]["amount"], number, "{reply}");
        }
    };
    join_all((0..50).map(call)).await;
    // Without a lock the real consumer answers a bad request twice.
    let refused = client
        .call_raw("acc_nolock", r#"{"n": "x"}"#)
        .await
        .unwrap();
    let refused = String::from_utf8_lossy(&refused.bytes).into_owned();
    assert!(refused.contains("Request validation failed"), "{refused}");
    call(51).await;
    assert_eq!(client.pending(), 0);
}

#[tokio::test]
async fn the_real_consumer_and_ours_share_a_queue() {
    let Some(bed) = Bed::new().await else { return };
    let settings = Settings::of(&["acc_echo", "acc_secret"]);
    let Some(theirs) = bed.theirs(&settings).await else {
        return;
    };
    // Only one of them has the key, which tells who has answered.
    let ours = bed.ours(&settings.host("fernet_key", KEY)).await;
    let mut probe = bed.probe().await;
    for number in 0..60 {
        let body = json!({"login": format!("{number}"), "password": TOKEN});
        probe.send_json("acc_secret", &body).await;
    }
    let mut passwords: Vec<String> = Vec::new();
    let mut logins: Vec<String> = Vec::new();
    for reply in probe.replies(60).await {
        passwords.push(reply["data"]["password"].as_str().unwrap().to_owned());
        logins.push(reply["data"]["login"].as_str().unwrap().to_owned());
    }
    logins.sort_unstable();
    logins.dedup();
    assert_eq!(logins.len(), 60);
    for password in ["sécret", TOKEN] {
        assert!(passwords.iter().any(|seen| seen == password), "{password}");
    }
    probe.has_no_further_reply().await;
    theirs.stop_theirs().await;
    ours.stop().await;
    assert_eq!(bed.queue().await, (0, 0));
}
