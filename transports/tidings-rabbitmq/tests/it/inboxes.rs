//! Inboxes on a real broker: direct ones, and queues for replies as deployed clients have them.

use std::sync::Arc;

use serde_json::{Value, json};
use tidings_core::{
    Address, Call, Deadline, Envelope, ErrorKind, Result,
    topology::{Exchange, Topology},
    transport::{Inbox, Subscriber, Subscription, Transport, Vanished},
};
use tidings_rabbitmq::RabbitMq;
use tokio::time::timeout;

use crate::{
    bed::{Bed, bed, until},
    consuming::{LIMIT, ack, declare, next, number, open, open_behind_a_proxy},
    refusals::{remove, user},
};

/// Sends back what is in the requests, to where they want it.
async fn reply(transport: &RabbitMq, requests: &mut Box<dyn Subscriber>) {
    let request = next(requests).await;
    let to = request.call().envelope.properties.reply_to().unwrap();
    let mut reply = Call::new(
        Address::queue(Arc::clone(to)),
        request.call().envelope.clone(),
    );
    reply.envelope.properties.fields_mut().reply_to = None;
    let publisher = transport.publisher().await.unwrap();
    // For the broker, a direct reply is routed to no queue.
    publisher.publish(reply.unroutable_is_fine()).await.unwrap();
    ack(request).await;
}

/// An inbox once there is a connection again, which may take longer on a busy machine than one attempt may.
async fn inbox_of(transport: &RabbitMq) -> Inbox {
    let opening = async {
        loop {
            match transport.inbox().await {
                Ok(inbox) => return inbox,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
            }
        }
    };
    timeout(LIMIT, opening).await.unwrap()
}

fn request(inbox: &Inbox, number: u32) -> Call {
    let mut envelope = Envelope::new(number.to_be_bytes().to_vec());
    let fields = envelope.properties.fields_mut();
    fields.reply_to = Some(Arc::clone(&inbox.reply_to));
    Call::new(Address::queue("requests"), envelope)
}

#[tokio::test]
async fn a_direct_inbox_gets_the_replies_without_a_queue_of_its_own() {
    let Some(bed) = bed().await else { return };
    let channel = bed.channel().await;
    declare(&channel, "requests").await;
    let transport = open(&bed).await;
    let mut requests = transport
        .subscribe(Subscription::to("requests"))
        .await
        .unwrap();
    let mut inbox = transport.inbox().await.unwrap();
    for expected in 0..100 {
        inbox
            .publisher
            .publish(request(&inbox, expected))
            .await
            .unwrap();
        reply(&transport, &mut requests).await;
        let reply = next(&mut inbox.replies).await;
        assert_eq!(number(&reply), expected);
        ack(reply).await;
    }
    transport.close(Deadline::after(LIMIT)).await.unwrap();
    assert!(inbox.replies.next().await.unwrap().is_err());
    assert!(inbox.replies.next().await.is_none());
}

#[tokio::test]
async fn a_direct_inbox_ends_with_its_connection() {
    let Some(bed) = bed().await else { return };
    let channel = bed.channel().await;
    declare(&channel, "requests").await;
    let (proxy, transport) = open_behind_a_proxy(&bed).await;
    let mut inbox = transport.inbox().await.unwrap();
    proxy.reset().await;
    let error = timeout(LIMIT, inbox.replies.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(inbox.replies.next().await.is_none());
    let late = inbox
        .publisher
        .publish(request(&inbox, 1))
        .await
        .unwrap_err();
    assert!(late.to_string().contains("inbox"), "{late}");
    let mut requests = transport
        .subscribe(Subscription::to("requests"))
        .await
        .unwrap();
    let mut another = inbox_of(&transport).await;
    another
        .publisher
        .publish(request(&another, 2))
        .await
        .unwrap();
    reply(&transport, &mut requests).await;
    assert_eq!(number(&next(&mut another.replies).await), 2);
}

/// The queues for replies that there are, as the HTTP API tells of them.
async fn reply_queues(bed: &Bed) -> Vec<Value> {
    let queues = bed.host.get("/api/queues/{}").await;
    let is_ours = |queue: &&Value| {
        let name = queue["name"].as_str().unwrap_or_default();
        name.starts_with("amq.gen")
    };
    let queues = queues.as_array().into_iter().flatten();
    queues.filter(is_ours).cloned().collect()
}

fn action(name: &str) -> Exchange {
    Exchange::direct(name).transient()
}

/// Publishes a reply as a server does: through the exchange, to the address.
async fn reply_through(transport: &RabbitMq, exchange: &str, inbox: &Inbox) {
    let to = Address::new(exchange, Arc::clone(&inbox.reply_to));
    let call = Call::new(to, Envelope::new(7_u32.to_be_bytes().to_vec()));
    let publisher = transport.publisher().await.unwrap();
    publisher.publish(call).await.unwrap();
}

#[tokio::test]
async fn a_reply_queue_looks_as_that_of_a_deployed_client() {
    let Some(bed) = bed().await else { return };
    let transport = open(&bed).await;
    let mut inbox = transport.reply_queue().await.unwrap();
    let exchange = action("dx_example");
    transport
        .route_replies(&inbox.reply_to, &exchange)
        .await
        .unwrap();
    let name: &str = &inbox.reply_to;
    let mut queue = bed.host.get(&format!("/api/queues/{{}}/{name}")).await;
    // RabbitMQ 4 names the type that nobody has asked for.
    if let Some(arguments) = queue["arguments"].as_object_mut() {
        arguments.remove("x-queue-type");
    }
    for (setting, value) in [
        ("exclusive", json!(true)),
        ("durable", json!(false)),
        ("auto_delete", json!(false)),
        ("arguments", json!({})),
    ] {
        assert_eq!(queue[setting], value, "{setting}");
    }
    let bindings = bed.host.get("/api/exchanges/{}/dx_example/bindings/source");
    let bindings = bindings.await;
    assert_eq!(bindings.as_array().unwrap().len(), 1, "{bindings}");
    assert_eq!(bindings[0]["destination"], name);
    assert_eq!(bindings[0]["routing_key"], name);
    let exchange = bed.host.get("/api/exchanges/{}/dx_example").await;
    assert_eq!(exchange["type"], "direct");
    assert_eq!(exchange["durable"], json!(false));
    until("its consumer is seen, and takes without acks", async || {
        let consumers = bed.host.get("/api/consumers/{}").await;
        consumers[0]["ack_required"] == json!(false) && consumers[0]["queue"]["name"] == name
    })
    .await;
    reply_through(&transport, "dx_example", &inbox).await;
    assert_eq!(number(&next(&mut inbox.replies).await), 7);
}

#[tokio::test]
async fn the_permissions_of_deployed_clients_are_enough_for_calls() {
    let Some(bed) = bed().await else { return };
    let may = r"^(dx_example|amq\\.gen.*)$";
    let permissions = format!(r#"{{"configure": "{may}", "write": "{may}", "read": "{may}"}}"#);
    let user = user(&bed, Some(&permissions)).await;
    let caller = RabbitMq::from_url(&bed.url_as(&user, "s3cret")).await;
    let caller = caller.unwrap();
    let mut inbox = caller.reply_queue().await.unwrap();
    let exchange = action("dx_example");
    caller
        .route_replies(&inbox.reply_to, &exchange)
        .await
        .unwrap();
    reply_through(&open(&bed).await, "dx_example", &inbox).await;
    assert_eq!(number(&next(&mut inbox.replies).await), 7);
    let other = action("dx_other");
    let denied = caller.route_replies(&inbox.reply_to, &other);
    let denied = denied.await.unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::Denied, "{denied}");
    assert!(denied.to_string().contains("`dx_other`"), "{denied}");
    caller.close(Deadline::after(LIMIT)).await.unwrap();
    remove(&bed, &user).await;
}

#[tokio::test]
async fn an_exchange_with_another_durability_is_refused_with_both_values() {
    let Some(bed) = bed().await else { return };
    let lasting = r#"{"type": "direct", "durable": true}"#;
    bed.host.put("/api/exchanges/{}/lasting", lasting).await;
    let fleeting = r#"{"type": "direct", "durable": false}"#;
    bed.host.put("/api/exchanges/{}/fleeting", fleeting).await;
    let transport = open(&bed).await;
    let inbox = transport.reply_queue().await.unwrap();
    for (exchange, expected) in [
        (
            action("lasting"),
            "exchange `lasting` exists with durable true, this declaration wants false: change the setting or delete the exchange",
        ),
        (
            Exchange::direct("fleeting"),
            "exchange `fleeting` exists with durable false, this declaration wants true: change the setting or delete the exchange",
        ),
    ] {
        let routed = transport.route_replies(&inbox.reply_to, &exchange).await;
        let declared = transport
            .declare(&Topology::new().exchange(exchange.clone()))
            .await;
        for refused in [routed, declared] {
            let refused = refused.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Conflict);
            assert_eq!(refused.to_string(), expected);
        }
    }
    let fleeting = Topology::new().exchange(action("fleeting"));
    assert_eq!(transport.compare(&fleeting).await.unwrap(), []);
}

#[tokio::test]
async fn a_reply_queue_goes_with_its_reader() {
    let Some(bed) = bed().await else { return };
    let transport = open(&bed).await;
    let kept = transport.reply_queue().await.unwrap();
    let Inbox {
        reply_to, replies, ..
    } = transport.reply_queue().await.unwrap();
    assert_eq!(reply_queues(&bed).await.len(), 2);
    drop(replies);
    until("the other one is deleted", async || {
        let left = reply_queues(&bed).await;
        left.len() == 1 && left[0]["name"] == *kept.reply_to
    })
    .await;
    let refused = transport.route_replies(&reply_to, &action("x")).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.to_string().contains(&*reply_to), "{refused}");
    assert_eq!(transport.impairments(), []);
}

#[tokio::test]
async fn a_reply_queue_ends_with_its_connection_and_the_exchange_comes_back() {
    let Some(bed) = bed().await else { return };
    let (proxy, transport) = open_behind_a_proxy(&bed).await;
    let mut inbox = transport.reply_queue().await.unwrap();
    transport
        .route_replies(&inbox.reply_to, &action("dx_example"))
        .await
        .unwrap();
    bed.host.delete("/api/exchanges/{}/dx_example").await;
    proxy.reset().await;
    let ended = timeout(LIMIT, inbox.replies.next()).await.unwrap();
    assert_eq!(ended.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(inbox.replies.next().await.is_none());
    let routed = transport
        .route_replies(&inbox.reply_to, &action("dx_example"))
        .await;
    assert_eq!(routed.unwrap_err().kind(), ErrorKind::Unavailable);

    let mut another = transport.reply_queue().await.unwrap();
    let exchange = bed.host.get("/api/exchanges/{}/dx_example").await;
    assert_eq!(exchange["durable"], json!(false), "{exchange}");
    until("only the queue of the new connection is left", async || {
        let left = reply_queues(&bed).await;
        left.len() == 1 && left[0]["name"] == *another.reply_to
    })
    .await;
    transport
        .route_replies(&another.reply_to, &action("dx_example"))
        .await
        .unwrap();
    reply_through(&transport, "dx_example", &another).await;
    assert_eq!(number(&next(&mut another.replies).await), 7);
}

#[tokio::test]
async fn an_exchange_that_vanishes_takes_no_requests_to_others_along() {
    let Some(bed) = bed().await else { return };
    let transport = open(&bed).await;
    let mut inbox = transport.reply_queue().await.unwrap();
    let both = [action("kept"), action("gone")];
    for exchange in &both {
        let routed = transport.route_replies(&inbox.reply_to, exchange);
        routed.await.unwrap();
    }
    let ask = |exchange: &str| {
        let to = Address::new(exchange, "requests");
        let request = Call::new(to, Envelope::new("?")).unroutable_is_fine();
        inbox.publisher.publish(request)
    };
    ask("kept").await.unwrap();
    ask("gone").await.unwrap();
    bed.host.delete("/api/exchanges/{}/gone").await;
    ask("gone").await.unwrap();
    ask("kept").await.unwrap();
    let (news, _) = next(&mut inbox.replies).await.split();
    let Vanished { why } = news.extensions.get().unwrap();
    assert!(why.contains("does not exist"), "{why}");
    assert_eq!(&*news.address.exchange, "gone");
    let late = ask("gone").await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::NotFound, "{late}");
    assert!(late.to_string().contains("`gone`"), "{late}");
    ask("kept").await.unwrap();
    let routed = transport.route_replies(&inbox.reply_to, &both[1]);
    routed.await.unwrap();
    ask("gone").await.unwrap();
    for exchange in ["kept", "gone"] {
        reply_through(&transport, exchange, &inbox).await;
        assert_eq!(number(&next(&mut inbox.replies).await), 7);
    }
}

async fn open_and_route(transport: &RabbitMq) -> Result<Inbox> {
    let inbox = transport.reply_queue().await?;
    transport
        .route_replies(&inbox.reply_to, &action("x"))
        .await?;
    Ok(inbox)
}

/// Calls go on while the connection is lost again and again: each ends, and afterwards everything is as before.
#[tokio::test(flavor = "multi_thread")]
async fn reply_queues_that_are_opened_while_connections_end_leave_nothing_behind() {
    let Some(bed) = bed().await else { return };
    let (proxy, transport) = open_behind_a_proxy(&bed).await;
    for _ in 0..5 {
        let opening = async {
            for _ in 0..20 {
                let opened = open_and_route(&transport).await;
                let failed = opened.err().map(|error| error.kind());
                let is_expected = matches!(failed, None | Some(ErrorKind::Unavailable));
                assert!(is_expected, "{failed:?}");
            }
        };
        tokio::join!(opening, proxy.reset());
    }
    until("no reply queue is left", async || {
        reply_queues(&bed).await.is_empty()
    })
    .await;
    let mut inbox = transport.reply_queue().await.unwrap();
    transport
        .route_replies(&inbox.reply_to, &action("x"))
        .await
        .unwrap();
    reply_through(&transport, "x", &inbox).await;
    assert_eq!(number(&next(&mut inbox.replies).await), 7);
}
