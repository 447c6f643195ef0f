//! What depends on the broker, on RabbitMQ: each case has a virtual host of its own. Without a broker they say so.

use crate::{
    bed::{Bed, DOMAIN, Ran},
    deadletters, publishing, queues, requeue, tailing, topology,
};

/// Runs a case on a virtual host of its own.
async fn check(case: impl AsyncFn(&Bed)) {
    if let Some(bed) = Bed::rabbitmq().await {
        case(&bed).await;
    }
}

/// Runs a case on a virtual host with the queues of the subscribers.
async fn check_applied(case: impl AsyncFn(&Bed)) {
    if let Some(bed) = Bed::rabbitmq().await {
        case(&bed.applied().await).await;
    }
}

#[tokio::test]
async fn declares_what_is_missing_and_nothing_twice() {
    check(topology::declares).await;
}

#[tokio::test]
async fn other_settings_are_refused_as_a_whole() {
    check(topology::refuses).await;
}

#[tokio::test]
async fn clears_after_asking() {
    check(topology::clears).await;
}

#[tokio::test]
async fn raw_messages_arrive_as_they_were_typed() {
    check_applied(publishing::raw).await;
}

#[tokio::test]
async fn domain_messages_are_written_as_a_service_writes_them() {
    check_applied(publishing::domain).await;
}

#[tokio::test]
async fn what_no_queue_would_receive_is_an_error() {
    check_applied(publishing::unroutable).await;
}

#[tokio::test]
async fn looks_into_a_queue_and_gives_everything_back() {
    check_applied(tailing::looks).await;
}

#[tokio::test]
async fn follows_an_exchange_without_taking_from_anybody() {
    check_applied(tailing::follows).await;
}

#[tokio::test]
async fn an_interrupt_gives_back_what_was_shown() {
    check_applied(tailing::interrupts).await;
}

#[tokio::test]
async fn a_queue_that_does_not_exist_is_an_error() {
    check_applied(queues::missing).await;
}

#[tokio::test]
async fn lists_dead_letters_by_reason() {
    check_applied(deadletters::lists).await;
}

#[tokio::test]
async fn requeues_dead_letters_as_if_they_had_never_failed() {
    check_applied(deadletters::requeues).await;
}

#[tokio::test]
async fn drops_exactly_what_was_counted() {
    check_applied(deadletters::drops).await;
}

#[tokio::test]
async fn a_thousand_dead_letters_are_no_burden() {
    check_applied(deadletters::thousand).await;
}

#[tokio::test]
async fn a_crash_while_requeuing_repeats_a_few_and_loses_none() {
    check_applied(deadletters::crashes).await;
}

#[tokio::test]
async fn empties_a_queue_with_the_options_of_existing_scripts() {
    check(requeue::empties).await;
}

#[tokio::test]
async fn what_had_expired_comes_back() {
    check(requeue::comes_back).await;
}

#[tokio::test]
async fn what_cannot_be_moved_stays() {
    check(requeue::stays).await;
}

#[tokio::test]
async fn a_wrong_url_says_what_is_wrong() {
    check(async |bed: &Bed| {
        let host = bed.host.as_ref().unwrap();
        let check = async |url: String, code| {
            let ran = Ran::of(bed.bare(&["queues", "--url", &url]), "").await;
            assert!(!ran.err.contains("secret"), "{ran:#?}");
            ran.failed(code, "cannot open");
        };
        let (place, name) = (host.address(), host.name());
        check(format!("amqp://guest:secret@{place}/{name}"), 12).await;
        check(format!("amqp://guest:guest@{place}/no-such-host"), 6).await;
        check(format!("amqp://guest:secret@127.0.0.1:1/{name}"), 3).await;
    })
    .await;
}

/// What may be wrong at first has a number each.
#[tokio::test]
async fn whoever_may_not_is_told_from_whoever_is_not_known() {
    check(async |bed: &Bed| {
        let host = bed.host.as_ref().unwrap();
        let (place, name) = (host.address(), host.name());
        let user = format!("{name}-user");
        let body = r#"{"password": "s3cret", "tags": ""}"#;
        host.put(&format!("/api/users/{user}"), body).await;
        let apply = async |bed: &Bed, url: &str| {
            let apply = [&["topology", "apply", "--url", url], &DOMAIN[..]].concat();
            Ran::of(bed.bare(&apply), "").await
        };
        let url = format!("amqp://{user}:s3cret@{place}/{name}");
        let ran = apply(bed, &url).await;
        ran.failed(4, "set_permissions");
        let only_mine = r#"{"configure": "^mine", "write": "^mine", "read": "^mine"}"#;
        let path = format!("/api/permissions/{{}}/{user}");
        host.put(&path, only_mine).await;
        let ran = apply(bed, &url).await;
        ran.failed(4, "set_permissions");
        let ran = apply(bed, &url.replace("s3cret", "secret")).await;
        ran.failed(12, "correct user and password");
        let ran = apply(bed, &url.replace("amqp://", "ampq://")).await;
        ran.failed(2, "no transport is registered for `ampq:`");
        host.delete(&format!("/api/users/{user}")).await;
    })
    .await;
}

#[tokio::test]
async fn the_variables_of_existing_deployments_name_the_broker() {
    check(async |bed: &Bed| {
        let address = bed.host.as_ref().unwrap().address();
        let mut command = bed.bare(&["queues", "no-such-queue"]);
        command
            .env("RABBITMQ_HOST", address.ip().to_string())
            .env("RABBITMQ_PORT", address.port().to_string());
        Ran::of(command, "").await.failed(6, "no-such-queue");
    })
    .await;
}
