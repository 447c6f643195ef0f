//! Faults on purpose: what the operator asks for happens, and nothing is lost by it.

use std::{env::VarError, time::Duration};

use tidings::{
    ErrorKind, RetryPolicy, Router, Subscriber,
    layers::{ChaosConfig, ChaosLayer, PublishChaos},
    testing::TestServer,
};
use tokio::time::Instant;

use crate::world::{UserCreated, domain, publish, queue};

async fn fine(_event: UserCreated) {}

async fn start(chaos: &[(&str, &str)]) -> TestServer {
    let variables = |name: &str| {
        chaos
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned())
            .ok_or(VarError::NotPresent)
    };
    let chaos = ChaosLayer::new(ChaosConfig::from_vars(variables).unwrap()).unwrap();
    let router =
        Router::new().subscriber(Subscriber::new("fine").on(fine).retry(RetryPolicy::new(2)));
    TestServer::start_with(domain(), router, |builder| builder.chaos(chaos))
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn simulated_failures_take_the_way_of_real_ones() {
    let test = start(&[("MESSAGE_CHAOS_PERCENTAGE_SIMULATE_FAILURES", "1.0")]).await;
    publish(&test, 1).await.unwrap();
    test.rest().await.unwrap();
    assert!(
        test.handled("fine").is_empty(),
        "the handler was never called"
    );
    let letters = test.dead_letters("fine");
    assert_eq!(
        (letters[0].reason.as_str(), letters[0].attempts),
        ("max_retries", 3)
    );
}

#[tokio::test(start_paused = true)]
async fn simulated_nacks_leave_the_message_in_its_queue() {
    let test = start(&[("MESSAGE_CHAOS_PERCENTAGE_SIMULATE_NACK", "1.0")]).await;
    publish(&test, 1).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(test.handled("fine").is_empty());
    assert!(test.dead_letters("fine").is_empty());
    let status = test.queue(&queue("fine")).await.unwrap();
    assert_eq!(status.depth(), 1);
}

#[tokio::test(start_paused = true)]
async fn protected_routing_keys_are_spared() {
    let test = start(&[
        ("MESSAGE_CHAOS_PERCENTAGE_SIMULATE_FAILURES", "1"),
        ("MESSAGE_CHAOS_PERCENTAGE_SIMULATE_NACK", "1"),
        (
            "MESSAGE_CHAOS_PROTECTED_ROUTING_KEYS",
            "store,acme.shop.1.event.user_created",
        ),
    ])
    .await;
    publish(&test, 1).await.unwrap();
    test.rest().await.unwrap();
    assert_eq!(test.handled("fine").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_delay_comes_before_the_handler() {
    let test = start(&[("MESSAGE_CHAOS_DELAY_BEFORE_EVENT_HANDLER_SECONDS", "2")]).await;
    let began = Instant::now();
    publish(&test, 1).await.unwrap();
    test.rest().await.unwrap();
    assert_eq!(test.handled("fine").len(), 1);
    assert!(began.elapsed() >= Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn simulated_publish_failures_reach_the_publisher_only() {
    let router = Router::new().on("fine", fine);
    let chaos = PublishChaos::new(1.0).unwrap();
    let wrap = move |publisher| chaos.around(publisher);
    let test = TestServer::start_with(domain(), router, |builder| builder.publish_through(wrap))
        .await
        .unwrap();
    let error = publish(&test, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("chaos"), "{error}");
    test.rest().await.unwrap();
    assert!(test.handled("fine").is_empty());
}

#[test]
fn nonsense_is_refused_with_the_name_of_the_variable() {
    let name = "MESSAGE_CHAOS_PERCENTAGE_SIMULATE_NACK";
    for value in ["1.5", "-0.1", "much", "NaN"] {
        let error = ChaosConfig::from_vars(|asked| {
            (asked == name)
                .then(|| value.to_owned())
                .ok_or(VarError::NotPresent)
        })
        .unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}
