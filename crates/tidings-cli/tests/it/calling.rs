//! `tidings call`: what is sent, what is printed, and the exit codes.

use std::sync::Arc;

use serde_json::{Value, json};
use tidings::{
    Address, Call, Envelope, Settlement,
    tasks::Tasks,
    topology::{Exchange, Queue, Topology},
    transport::{Fields, Payload, Subscription, Transport},
};

use crate::bed::Bed;

const KEY: &str = "ZycOtLSOfBSztarunksiEdAjYklBvQ82Jgq0_7Vd7jg=";

/// Answers with what the request says in its member `answer`, or with the request itself; `null` is no answer.
async fn consumer(bed: &Bed) -> Tasks {
    let transport = bed.transport().await;
    let topology = Topology::new()
        .exchange(Exchange::direct("act").transient())
        .queue(Queue::new("web1"))
        .bind("act", "web1", "web1");
    transport.declare(&topology).await.unwrap();
    let tasks = Tasks::new();
    tasks.spawn("consumer", serve(transport));
    tasks
}

async fn serve(transport: Arc<dyn Transport>) {
    let publisher = transport.publisher().await.unwrap();
    let mut requests = transport.subscribe(Subscription::to("web1")).await.unwrap();
    while let Some(Ok(delivery)) = requests.next().await {
        let (request, acker) = delivery.split();
        if let Some(answer) = answer(&request) {
            publisher.publish(answer).await.unwrap();
        }
        acker.settle(Settlement::Ack).await.unwrap();
    }
}

fn answer(request: &Call) -> Option<Call> {
    let body: Value = serde_json::from_slice(&request.envelope.payload.bytes).unwrap();
    let text = match &body["answer"] {
        Value::Null if body.get("answer").is_some() => return None,
        Value::Null => json!({"success": true, "message": "Seen", "data": body}).to_string(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let properties = &request.envelope.properties;
    let mut envelope = Envelope::default().transient();
    envelope.payload = Payload::json(text);
    envelope.properties = Fields {
        correlation_id: properties.correlation_id().cloned(),
        ..Fields::default()
    }
    .into();
    let to = Address::new("act", properties.reply_to()?.clone());
    Some(Call::new(to, envelope).unroutable_is_fine())
}

async fn answers_and_exit_codes(bed: Bed) {
    let tasks = consumer(&bed).await;
    let call = ["call", "act", "--queue", "web1"];
    let ran = bed.run(&[&call[..], &[r#"{"a":1}"#]].concat()).await.ok();
    assert_eq!(ran.json()["data"], json!({"a": 1}));
    assert!(ran.out.lines().count() > 3, "laid out: {ran:#?}");
    let ran = bed
        .type_into(
            &[&call[..], &["-", "--output", "json"]].concat(),
            r#"{"a":1}"#,
        )
        .await
        .ok();
    assert_eq!(ran.out.lines().count(), 1);

    let failure = r#"{"answer":{"success":false,"message":"No room","data":null}}"#;
    let ran = bed.run(&[&call[..], &[failure]].concat()).await;
    ran.ended(10).says("No room");
    let odd = r#"{"answer":"caf\u00e9\n "}"#;
    let ran = bed.run(&[&call[..], &[odd, "--raw"]].concat()).await.ok();
    assert_eq!(ran.out, "caf\u{e9}\n ");
    let silent = [r#"{"answer":null}"#, "--timeout", "0.2"];
    let ran = bed.run(&[&call[..], &silent].concat()).await;
    ran.failed(11, "no answer from queue `web1` to `act`");

    let impatient = ["{}", "--timeout", "0"];
    bed.run(&[&call[..], &impatient].concat())
        .await
        .failed(2, "leaves no time for an answer");
    let nobody = ["call", "act", "--queue", "web9", "{}"];
    bed.run(&nobody).await.failed(7, "web9");
    bed.run(&["call", "act", "--queue", "web1", "[1]"])
        .await
        .failed(9, "no JSON object");
    tasks.abort();
}

#[tokio::test]
async fn an_answer_is_printed_and_the_exit_code_says_what_it_means() {
    answers_and_exit_codes(Bed::embedded()).await;
}

#[cfg(feature = "rabbitmq")]
#[tokio::test]
async fn the_same_on_rabbitmq() {
    if let Some(bed) = Bed::rabbitmq().await {
        answers_and_exit_codes(bed).await;
    }
}

#[tokio::test]
async fn an_example_fits_its_schema_and_a_seed_makes_it_again() {
    let bed = Bed::embedded();
    bed.write(
        "schema.json",
        r#"{"type": "object", "required": ["size"], "properties": {"size": {"type": "integer", "minimum": 7, "maximum": 900000}}}"#,
    );
    let example = [
        "call",
        "act",
        "--queue",
        "web1",
        "--example",
        "--schema",
        "schema.json",
        "--dry-run",
    ];
    let ran = bed.bare(&[&example[..], &["--seed", "5"]].concat());
    let one = crate::bed::Ran::of(ran, "").await.ok().json();
    assert!(one["size"].as_u64() >= Some(7), "{one}");
    let again = bed.run(&[&example[..], &["--seed", "5"]].concat()).await;
    assert_eq!(again.ok().json(), one);

    bed.write("schema.json", "false");
    bed.run(&example).await.failed(8, "nothing is allowed");
    bed.write("schema.json", "{");
    bed.run(&example).await.failed(9, "it is no JSON");
    let missing = ["call", "act", "--queue", "web1"];
    assert!(bed.run(&missing).await.ended(2).err.contains("REQUEST"));
}

#[tokio::test]
async fn a_secret_leaves_encrypted_and_a_bad_key_is_not_shown() {
    let bed = Bed::embedded();
    let tasks = consumer(&bed).await;
    bed.write("keys.txt", &format!("# of this month\n{KEY}\n"));
    let call = [
        "call", "act", "--queue", "web1", "--keys", "keys.txt", "--secret", "password",
    ];
    let request = r#"{"user":"ada","password":"hunter2"}"#;
    let ran = bed.run(&[&call[..], &[request]].concat()).await.ok();
    let seen = ran.json();
    assert_eq!(seen["data"]["user"], "ada");
    let token = seen["data"]["password"].as_str().unwrap();
    let keys = tidings::rpc::Keys::new([KEY]).unwrap();
    assert_eq!(keys.decrypt(token).as_deref(), Some("hunter2"));
    tasks.abort();

    let ran = bed
        .run(&[&call[..], &["--dry-run", request]].concat())
        .await;
    let shown = ran.ok().json();
    assert_eq!(shown["user"], "ada");
    let token = shown["password"].as_str().unwrap();
    assert_eq!(keys.decrypt(token).as_deref(), Some("hunter2"));

    bed.write("keys.txt", "hunter3");
    let ran = bed.run(&[&call[..], &[request]].concat()).await;
    assert!(!ran.err.contains("hunter"), "{ran:#?}");
    ran.failed(2, "keys.txt");
}
