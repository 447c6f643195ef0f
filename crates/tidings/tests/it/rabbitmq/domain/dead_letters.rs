//! Dead letters: how messages become some, what their handlers do, and how they come back.

use super::*;

#[tokio::test]
async fn a_failing_message_is_retried_dies_and_is_redriven() {
    let Some(mut bed) = Bed::new().await else {
        return;
    };
    let subscriber = Subscriber::new("mail")
        .on(bed.failing(3))
        .retry(RetryPolicy::new(2));
    let server = bed.start(domain(), subscriber).await;
    let event = UserCreated { user_id: 1 };
    server.client().publish(&event).await.unwrap();
    let mut last = None;
    for count in [None, Some(1), Some(2)] {
        let call = bed.call().await;
        assert_eq!(call.count(), count);
        if let Some(before) = last {
            assert!(call.at - before >= RETRY, "{:?}", call.at - before);
        }
        last = Some(call.at);
    }
    let dead = domain::names::dead_letter(Q);
    bed.holds(&dead, 1).await;
    let letter = bed.peek(&dead).await.envelope.headers.clone();
    assert_eq!(letter.text(headers::REASON), Some("max_retries"));
    assert_eq!(letter.int(headers::REDELIVERY_COUNT), Some(3));
    assert_eq!(letter.text(headers::QUEUE), Some(Q));
    let again = |dead: &Call| domain::redrive(dead).ok();
    let redriven = redrive(&*bed.transport, dead.as_str(), again)
        .await
        .unwrap();
    assert_eq!((redriven.moved, redriven.kept), (1, 0));
    let call = bed.call().await;
    assert_eq!(
        (call.count(), call.headers.get(headers::X_DEATH)),
        (None, None)
    );
    bed.holds(&dead, 0).await;
}

/// T3: the broker drops a message that expired where its detour leads.
#[tokio::test]
async fn a_message_that_expired_comes_back_by_every_way() {
    let Some(mut bed) = Bed::new().await else {
        return;
    };
    let expiring = domain().main_ttl(Duration::from_millis(100));
    let built = expiring.clone().build().unwrap();
    let configurer = Configurer::new(&built, &*bed.transport);
    configurer
        .configure(&[attachment(&built)], ClearBefore::NOTHING)
        .await
        .unwrap();
    for _ in 0..3 {
        bed.publish(X, RK, Headers::new()).await;
    }
    let dead = domain::names::dead_letter(Q);
    bed.holds(&dead, 3).await;
    assert!(
        bed.peek(&dead)
            .await
            .envelope
            .headers
            .get(headers::X_DEATH)
            .is_some()
    );
    let subscriber = Subscriber::new("mail").on(bed.failing(1));
    let _server = bed.start(expiring, subscriber).await;
    // As the command of existing systems moves them, as ours do, and as somebody moves them who keeps all headers.
    let mut ways = 0;
    let moves = |dead: &Call| {
        ways += 1;
        match ways {
            1 => Some(domain::requeue(
                dead,
                "retry.acme.shop",
                &domain::names::retry(Q),
            )),
            2 => domain::redrive(dead).ok(),
            _ => Some(Call::new(Address::queue(Q), dead.envelope.clone())),
        }
    };
    let moved = redrive(&*bed.transport, dead.as_str(), moves)
        .await
        .unwrap();
    assert_eq!(moved.moved, 3);
    for _ in 0..4 {
        bed.call().await; // Three messages, and one of them twice.
    }
    bed.holds(Q, 0).await;
    assert_eq!(bed.depth(&dead).await, 0);
}

/// The same, if the one that kept its history is the one that fails.
#[tokio::test]
async fn a_message_with_a_history_survives_its_failure() {
    let Some(mut bed) = Bed::new().await else {
        return;
    };
    let subscriber = Subscriber::new("mail").on(bed.failing(1));
    let _server = bed.start(domain(), subscriber).await;
    let death = Headers::new()
        .with("queue", Q)
        .with("reason", "expired")
        .with("exchange", X)
        .with("count", 1);
    let history = headers_list(death);
    bed.publish("", Q, Headers::new().with(headers::X_DEATH, history))
        .await;
    bed.call().await;
    assert_eq!(bed.call().await.count(), Some(1));
}

fn headers_list(death: Headers) -> HeaderValue {
    HeaderValue::List(vec![HeaderValue::Table(death)])
}

/// T4: existing systems loop as fast as they can, or lose the message.
#[tokio::test]
async fn a_dead_letter_whose_handler_fails_waits_and_is_kept() {
    let counted = Headers::new()
        .with(headers::QUEUE, Q)
        .with(headers::REDELIVERY_COUNT, 6);
    for (headers, count) in [(counted, Some(6)), (Headers::new(), None)] {
        for outcome in [Outcome::Retry, Outcome::Requeue] {
            let Some(mut bed) = Bed::new().await else {
                return;
            };
            let policy = RetryPolicy::new(1).classify_with(move |_| Some(outcome));
            let failing = bed.failing(3);
            let subscriber = Subscriber::new("mail")
                .on(never)
                .on_dead_letters(failing)
                .retry(policy);
            let _server = bed.start(domain(), subscriber).await;
            bed.publish(
                "dead_letter.acme.shop",
                &domain::names::dead_letter(Q),
                headers.clone(),
            )
            .await;
            let mut last = bed.call().await;
            for _ in 0..3 {
                let call = bed.call().await;
                assert!(call.at - last.at >= RETRY, "{:?}", call.at - last.at);
                assert_eq!(call.count(), count, "nothing is counted");
                last = call;
            }
            bed.holds(&domain::names::dead_letter(Q), 0).await;
        }
    }
}
