//! Messages that no handler should see.

use tidings::{
    Address, AnyMessage, Call, Envelope, ErrorKind, HandlerError, Router, testing::TestServer,
};

use crate::world::{InvoiceIssued, UserCreated, publish, queue, start};

async fn never(_event: UserCreated) -> Result<(), HandlerError> {
    Ok(())
}

async fn inject(test: &TestServer, queue: &str, body: &'static [u8]) {
    let call = Call::new(Address::queue(queue), Envelope::new(body));
    test.client().publish_call(call).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn undecodable_bodies_become_dead_letters_on_the_first_delivery() {
    let bodies: [&[u8]; 7] = [
        b"",
        b"not json",
        b"\xff\xfe\x00",
        b"[]",
        br#"{"data": null}"#,
        br#"{"data": {"version": "x"}}"#,
        br#"{"data": {"attributes": {"user_id": "text"}}}"#,
    ];
    let test = start(Router::new().on("never", never)).await;
    for body in bodies {
        inject(&test, &queue("never"), body).await;
    }
    test.rest().await.unwrap();
    let letters = test.dead_letters("never");
    assert_eq!(letters.len(), bodies.len());
    for letter in &letters {
        assert_eq!(
            (letter.reason.as_str(), letter.attempts),
            ("undecodable", 1),
            "{letter:?}"
        );
        assert!(!letter.error.is_empty());
    }
    let bodies_kept = letters
        .iter()
        .zip(bodies)
        .all(|(letter, body)| letter.call.envelope.payload.bytes == body);
    assert!(bodies_kept, "a dead letter keeps the body as it was");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_breaks_its_rules_is_refused_on_both_shores() {
    async fn bill(_event: InvoiceIssued) {}
    let test = start(Router::new().on("bill", bill)).await;
    let refused = test
        .client()
        .publish(&InvoiceIssued {
            number: String::new(),
        })
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("`number`"), "{refused}");

    let queue = "acme.shop.1.event.invoice_issued.bill";
    inject(
        &test,
        queue,
        br#"{"data": {"type": "invoice.issued", "attributes": {"number": ""}}}"#,
    )
    .await;
    test.rest().await.unwrap();
    assert_eq!(test.dead_letters("bill")[0].reason, "invalid");
}

#[tokio::test(start_paused = true)]
async fn good_messages_pass_between_bad_ones() {
    let test = start(Router::new().on("never", never)).await;
    for id in 0..50 {
        inject(&test, &queue("never"), b"garbage").await;
        publish(&test, id).await.unwrap();
    }
    test.rest().await.unwrap();
    let handled = test
        .handled("never")
        .into_iter()
        .filter(|attempt| attempt.result.is_ok())
        .count();
    assert_eq!((handled, test.dead_letters("never").len()), (50, 50));
}

#[tokio::test(start_paused = true)]
async fn the_store_dead_letters_what_it_cannot_read() {
    async fn keep(_message: AnyMessage) {}
    let test = start(Router::new().on("keep", keep)).await;
    inject(&test, "store", b"garbage").await;
    test.rest().await.unwrap();
    assert_eq!(test.dead_letters("keep").len(), 1);
    assert_eq!(test.queue("dead_letter.store").await.unwrap().ready, 1);
}
