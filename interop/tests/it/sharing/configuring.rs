//! Who declares first does not matter, as long as both want the same; `clear` removes what either has made.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use tidings::{
    Deadline, Domain, Kind,
    convention::{Convention, Interest},
    domain::{Configurer, QueueConfig},
};

use super::{EXCHANGE, Shared};
use crate::bed::{MAIL, PATIENCE, QUEUE, Ran, USER_CREATED, golden};

/// TTLs by rules: of the mail queue both, of the store one, of all others the defaults.
const RULES: &str = r#"{
    "mail": {"when_queue_contains": "*.send_mail_on_*", "use": {"retry_ttl": 700, "main_ttl": 80000}},
    "store": {"when_queue_contains": "?tore", "use": {"main_ttl": 90000}}
}"#;

pub(super) async fn all(shared: &mut Shared) {
    what_each_declares_is_as_captured(shared).await;
    other_ttls_are_agreed_upon_as_well(shared).await;
    rules_mean_the_same_to_both(shared).await;
    different_ttls_are_a_conflict_that_says_so(shared).await;
    another_organization_leaves_the_store_alone(shared).await;
    clearing_removes_what_the_other_has_made(shared).await;
}

async fn what_each_declares_is_as_captured(shared: &mut Shared) {
    let captured = captured_topology();
    shared.begin("what we declare is as captured").await;
    shared.ours.configure(&[]).await;
    assert_eq!(topology(shared).await, captured);
    shared.desk.ask("configure", json!({})).await;
    assert_eq!(topology(shared).await, captured, "petisco adds nothing");

    shared.begin("what petisco declares is as captured").await;
    shared.desk.ask("configure", json!({})).await;
    assert_eq!(topology(shared).await, captured);
    shared.ours.configure(&[]).await;
    assert_eq!(topology(shared).await, captured, "we add nothing");
}

async fn other_ttls_are_agreed_upon_as_well(shared: &mut Shared) {
    let (theirs, ours) = (
        json!({"retry_ttl": 700, "main_ttl": 0}),
        ["--retry-ttl", "700", "--main-ttl", "0"],
    );
    shared.begin("other TTLs, petisco first").await;
    shared.desk.ask("configure", theirs.clone()).await;
    shared.ours.configure(&ours).await;
    shared.begin("other TTLs, we first").await;
    shared.ours.configure(&ours).await;
    shared.desk.ask("configure", theirs).await;
}

async fn rules_mean_the_same_to_both(shared: &mut Shared) {
    let rules: Value = serde_json::from_str(RULES).unwrap();
    let theirs = json!({ "rules": rules });
    shared.begin("rules, petisco first").await;
    shared.desk.ask("configure", theirs.clone()).await;
    let made = topology(shared).await;
    declare_with_rules(shared).await;
    assert_eq!(topology(shared).await, made);
    shared.begin("rules, we first").await;
    declare_with_rules(shared).await;
    assert_eq!(topology(shared).await, made);
    shared.desk.ask("configure", theirs).await;
}

/// `configure` with rules, for which the program has no option.
async fn declare_with_rules(shared: &Shared) {
    let config = QueueConfig::new()
        .with_main_ttl(Duration::from_secs(5))
        .with_rules_json(RULES)
        .unwrap();
    let domain = Domain::builder("petacc", "registration").queue_config(config);
    let domain = domain.build().unwrap();
    let mut topology = domain.topology();
    for (subscriber, interest) in captured_subscribers() {
        let attached = domain.attach(&subscriber, &interest, &domain.retry_policy());
        topology.merge(attached.unwrap().topology);
    }
    let transport = shared.ours.open().await;
    transport.declare(&topology).await.unwrap();
    transport.close(Deadline::after(PATIENCE)).await.unwrap();
}

/// The subscribers of the captured topology, and what each receives.
fn captured_subscribers() -> Vec<(String, Interest)> {
    let file = fs::read_to_string(golden("subscribers.json")).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    let mut subscribers = Vec::new();
    for subscriber in file.as_array().unwrap() {
        for message in subscriber["messages"].as_array().into_iter().flatten() {
            let kind = match &message["type"] {
                kind if kind == "command" => Kind::Command,
                _ => Kind::Event,
            };
            let interest = Interest::Named {
                name: message["name"].as_str().unwrap().to_owned(),
                version: message["version"].as_i64().unwrap(),
                kind,
            };
            subscribers.push((subscriber["name"].as_str().unwrap().to_owned(), interest));
        }
    }
    subscribers
}

async fn different_ttls_are_a_conflict_that_says_so(shared: &mut Shared) {
    shared.begin("different TTLs are a conflict").await;
    shared.desk.ask("configure", json!({})).await;
    let before = topology(shared).await;
    let ran = shared.ours.run(&["configure", "--retry-ttl", "6000"]).await;
    let retry = format!("retry.{QUEUE}");
    for part in [&*retry, "retry.store", "message TTL", "5000 ms", "6000 ms"] {
        assert!(ran.errors.contains(part), "{part}: {}", ran.errors);
    }
    ran.refused("exists with");
    let ran = shared.ours.run(&["configure", "--main-ttl", "0"]).await;
    assert!(ran.errors.contains(QUEUE), "{}", ran.errors);
    ran.refused("exists with message TTL 5000 ms");
    assert_eq!(topology(shared).await, before, "nothing was half done");

    shared.begin("petisco refuses our TTLs").await;
    shared.ours.configure(&["--main-ttl", "0"]).await;
    let refused = shared.desk.try_ask("configure", json!({})).await;
    let refused = refused.unwrap_err();
    assert!(refused.contains("PRECONDITION_FAILED"), "{refused}");
}

/// The store has one name for all organizations of a virtual host.
async fn another_organization_leaves_the_store_alone(shared: &mut Shared) {
    shared
        .begin("another organization leaves the store alone")
        .await;
    shared.desk.ask("configure", json!({})).await;
    let before = topology(shared).await;
    let other = async |arguments: &[&str]| {
        let mut command = shared.ours.command(arguments);
        command.env("ACC_ORG", "acme");
        Ran::of(command.spawn().unwrap()).await
    };
    let refused = other(&["configure"]).await;
    refused.refused("the store on this virtual host belongs to organization `petacc`");
    other(&["configure", "--no-store"]).await.printed("ok");
    let transport = shared.ours.open().await;
    let domain = Domain::new("acme", "registration").unwrap();
    let cleared = Configurer::new(&domain, &*transport).clear(&[]).await;
    let kept = cleared.unwrap().kept_store_of;
    transport.close(Deadline::after(PATIENCE)).await.unwrap();
    assert_eq!(kept.as_deref(), Some("petacc"));
    // The queues of its subscribers were not named, and AMQP lists none.
    let left = topology(shared).await.to_string();
    assert!(
        before["exchanges"]
            .as_array()
            .unwrap()
            .iter()
            .all(|it| left.contains(&it.to_string()))
    );
    assert!(left.contains(r#""name":"store""#), "{left}");
}

async fn clearing_removes_what_the_other_has_made(shared: &mut Shared) {
    let nothing = json!({"exchanges": [], "queues": [], "bindings": []});
    shared.begin("we clear what petisco has made").await;
    shared
        .desk
        .ask("configure", json!({"main_ttl": 0, "retry_ttl": 60}))
        .await;
    shared.desk.publish(&[USER_CREATED]).await;
    // So that there is also what only we make: where failed dead letters wait.
    fail(shared, &["--max-retries", "0"]).await;
    fail(shared, &["--dead-letter"]).await;
    for _ in 0..2 {
        let ran = shared.ours.run(&["clear"]).await;
        assert_eq!(ran.printed("ok").code, Some(0));
        assert_eq!(topology(shared).await, nothing);
    }
    let ran = shared.ours.consume(&[], 1).await;
    ran.refused("have the queues been configured?");

    shared.begin("petisco clears what we have made").await;
    shared.ours.configure(&[]).await;
    for _ in 0..2 {
        shared.desk.ask("clear", json!({})).await;
        assert_eq!(topology(shared).await, nothing);
    }
}

async fn fail(shared: &Shared, options: &[&str]) {
    let plan = json!({ MAIL: "F" }).to_string();
    let fixed = ["--only", MAIL, "--plan", &plan];
    let ran = shared.ours.consume(&[&fixed, options].concat(), 1).await;
    assert_eq!(ran.acts(MAIL).0, "F");
}

/// What exists, in one order.
async fn topology(shared: &mut Shared) -> Value {
    sorted(shared.desk.ask("topology", json!({})).await)
}

fn captured_topology() -> Value {
    let captured = fs::read_to_string(golden("topology.json")).unwrap();
    let captured = captured
        .replace("<ORG>.<SVC>", EXCHANGE)
        .replace("<ORG>", "petacc");
    sorted(serde_json::from_str(&captured).unwrap())
}

fn sorted(mut topology: Value) -> Value {
    for things in topology.as_object_mut().unwrap().values_mut() {
        things.as_array_mut().unwrap().sort_by_key(Value::to_string);
    }
    topology
}
