//! Replies to addresses that somebody has made up, among replies to those who wait.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::FutureExt;
use tidings_core::{
    Address, Call, Envelope, ErrorKind,
    transport::{Inbox, Subscriber, Subscription, Transport},
};
use tidings_rabbitmq::RabbitMq;
use tokio::time::timeout;

use crate::{
    bed::bed,
    consuming::{ack, declare, next, number, open},
    refusals::{remove, user},
};

const PREFIX: &str = "amq.rabbitmq.reply-to.";

/// How long a hundred calls may take while somebody makes addresses up. Each used to cost four seconds.
const SOON: Duration = Duration::from_secs(15);

/// Asks, and returns the address that the broker has given to whoever answers.
async fn ask(inbox: &Inbox, requests: &mut Box<dyn Subscriber>, number: u32) -> String {
    let mut envelope = Envelope::new(number.to_be_bytes().to_vec());
    envelope.properties.fields_mut().reply_to = Some(inbox.reply_to.clone());
    let request = Call::new(Address::queue("requests"), envelope);
    inbox.publisher.publish(request).await.unwrap();
    let request = next(requests).await;
    let properties = &request.call().envelope.properties;
    let address = properties.reply_to().unwrap().to_string();
    ack(request).await;
    address
}

fn reply(to: &str, number: u32) -> Call {
    let envelope = Envelope::new(number.to_be_bytes().to_vec());
    Call::new(Address::queue(to), envelope).unroutable_is_fine()
}

/// The process that an address names, with another node or other numbers.
fn changed(real: &str, node: Option<&str>, numbers: Option<[u32; 2]>) -> String {
    let (process, key) = real[PREFIX.len()..].split_once('.').unwrap();
    let mut term = STANDARD.decode(process).unwrap();
    let at = term.len() - 12;
    if let Some([first, second]) = numbers {
        term[at..at + 4].copy_from_slice(&first.to_be_bytes());
        term[at + 4..at + 8].copy_from_slice(&second.to_be_bytes());
    }
    if let Some(node) = node {
        let numbers = term.split_off(at);
        term = vec![131, 88, 119, u8::try_from(node.len()).unwrap()];
        term.extend(node.as_bytes());
        term.extend(numbers);
    }
    format!("{PREFIX}{}.{key}", STANDARD.encode(term))
}

/// All kinds of addresses at which nobody waits.
fn made_up(real: &str, number: u32) -> String {
    match number % 8 {
        0 => format!("{PREFIX}g2g=.x"),
        1 => changed(real, Some(&format!("reply@{number}")), None),
        2 => changed(real, None, Some([number, 8_000])),
        3 => changed(real, None, Some([u32::MAX, u32::MAX])),
        4 => changed(real, Some("rabbit@nowhere"), None),
        5 => format!("{real}."),
        6 => changed(real, None, Some([1 << 27, 1 << 20])),
        _ => format!("{real}{number}"),
    }
}

#[tokio::test]
async fn addresses_that_are_made_up_cost_nobody_else_anything() {
    let Some(bed) = bed().await else { return };
    declare(&bed.channel().await, "requests").await;
    let (server, caller) = (open(&bed).await, open(&bed).await);
    let requests = server.subscribe(Subscription::to("requests")).await;
    let (mut requests, mut inbox) = (requests.unwrap(), caller.inbox().await.unwrap());
    // It ends with the connection on which the server publishes.
    let mut canary = server.inbox().await.unwrap();
    let publisher = server.publisher().await.unwrap();
    let mut nowhere = Vec::new();
    let calls = async {
        for expected in 0..100 {
            let real = ask(&inbox, &mut requests, expected).await;
            nowhere.push(publisher.publish(reply(&made_up(&real, expected), expected)));
            publisher.publish(reply(&real, expected)).await.unwrap();
            let reply = next(&mut inbox.replies).await;
            assert_eq!(number(&reply), expected);
            ack(reply).await;
        }
    };
    timeout(SOON, calls).await.expect("callers wait for others");
    for (number, reply) in (0..).zip(nowhere) {
        match timeout(SOON, reply).await.unwrap() {
            // RabbitMQ drops what is for a process that is gone.
            Ok(()) => assert!(![0, 5].contains(&(number % 8)), "{number}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{number}: {error}"),
        }
    }
    assert!(canary.replies.next().now_or_never().is_none());
    assert_eq!(server.impairments(), []);
}

/// An answer that is given up is lost. Connections that are up do not notice another password, new ones do.
#[tokio::test]
async fn an_answer_whose_address_cannot_be_tried_may_be_sent_later() {
    const ALL: &str = r#"{"configure": ".*", "write": ".*", "read": ".*"}"#;
    let Some(bed) = bed().await else { return };
    declare(&bed.channel().await, "requests").await;
    let user = user(&bed, Some(ALL)).await;
    let url = bed.url_as(&user, "s3cret");
    let server = RabbitMq::from_url(&format!("{url}?confirm_timeout_ms=500")).await;
    let (server, caller) = (server.unwrap(), open(&bed).await);
    let requests = server.subscribe(Subscription::to("requests")).await;
    let (mut requests, mut inbox) = (requests.unwrap(), caller.inbox().await.unwrap());
    let publisher = server.publisher().await.unwrap();
    let address = ask(&inbox, &mut requests, 1).await;
    let set_password = async |password: &str| {
        let body = format!(r#"{{"password": "{password}", "tags": ""}}"#);
        bed.host.put(&format!("/api/users/{user}"), &body).await;
    };
    set_password("another").await;
    let error = publisher.publish(reply(&address, 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    for word in ["cannot be tried", &user] {
        assert!(error.to_string().contains(word), "{error}");
    }
    set_password("s3cret").await;
    publisher.publish(reply(&address, 2)).await.unwrap();
    let answer = next(&mut inbox.replies).await;
    assert_eq!(number(&answer), 2);
    ack(answer).await;
    remove(&bed, &user).await;
}
