//! Publishing to a real broker: what is confirmed is there, and what the broker refuses harms nobody else.

use std::{collections::HashSet, sync::Arc};

use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, ExchangeKind,
    message::Delivery,
    options::{
        BasicConsumeOptions, BasicGetOptions, ExchangeDeclareOptions, QueueBindOptions,
        QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};
use tidings_core::{
    Address, Call, Completion, Deadline, Envelope, ErrorKind, Result,
    transport::{Publisher, Transport},
};
use tidings_rabbitmq::RabbitMq;

use crate::bed::{Bed, bed};

pub(crate) const QUEUE: &str = "arrivals";

/// A transport, its publisher, and a plain client with the queue that everything goes to.
pub(crate) struct Scene {
    pub(crate) rabbitmq: RabbitMq,
    publisher: Arc<dyn Publisher>,
    channel: Channel,
}

impl Scene {
    pub(crate) async fn open(bed: &Bed) -> Self {
        Self::open_as(bed, &bed.url()).await
    }

    pub(crate) async fn open_as(bed: &Bed, url: &str) -> Self {
        let channel = bed.channel().await;
        declare_queue(&channel, FieldTable::default()).await;
        let rabbitmq = RabbitMq::from_url(url).await.unwrap();
        let publisher = rabbitmq.publisher().await.unwrap();
        Self {
            rabbitmq,
            publisher,
            channel,
        }
    }

    pub(crate) fn publish(&self, address: &Address, number: u32) -> Completion {
        let envelope = Envelope::new(number.to_string());
        self.publisher.publish(Call::new(address.clone(), envelope))
    }

    async fn kind(&self, call: Call) -> Result<(), ErrorKind> {
        kind(self.publisher.publish(call)).await
    }

    /// Everything in the queue, as numbers, in order. Takes it out.
    pub(crate) async fn arrived(&self) -> Vec<u32> {
        let (name, none) = (QUEUE.into(), FieldTable::default());
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let queue = self.channel.queue_declare(name, options, none.clone());
        let count = queue.await.unwrap().message_count();
        let options = BasicConsumeOptions {
            no_ack: true,
            ..BasicConsumeOptions::default()
        };
        let consuming = self
            .channel
            .basic_consume(QUEUE.into(), "look".into(), options, none);
        let deliveries = consuming.await.unwrap();
        let deliveries = deliveries.take(usize::try_from(count).unwrap());
        let number = |delivery: lapin::Result<Delivery>| {
            let data = delivery.unwrap().data;
            std::str::from_utf8(&data).unwrap().parse::<u32>().unwrap()
        };
        deliveries.map(number).collect().await
    }

    pub(crate) async fn close(self) {
        let deadline = Deadline::after(std::time::Duration::from_secs(10));
        self.rabbitmq.close(deadline).await.unwrap();
    }
}

async fn declare_queue(channel: &Channel, arguments: FieldTable) {
    let options = QueueDeclareOptions::durable();
    let declared = channel
        .queue_declare(QUEUE.into(), options, arguments)
        .await;
    declared.unwrap();
}

async fn kind(completion: Completion) -> Result<(), ErrorKind> {
    completion.await.map_err(|error| error.kind())
}

/// In the order in which each number came for the first time.
pub(crate) fn first_arrivals(numbers: &[u32]) -> Vec<u32> {
    let mut seen = HashSet::new();
    let firsts = numbers.iter().copied();
    firsts.filter(|number| seen.insert(*number)).collect()
}

#[tokio::test]
async fn a_fresh_message_carries_its_delivery_mode_and_nothing_else() {
    let Some(bed) = bed().await else { return };
    let scene = Scene::open(&bed).await;
    scene.publish(&Address::queue(QUEUE), 1).await.unwrap();
    let got = scene
        .channel
        .basic_get(QUEUE.into(), BasicGetOptions { no_ack: true })
        .await;
    let message = got.unwrap().expect("it was confirmed");
    let expected = BasicProperties::default().with_delivery_mode(2);
    assert_eq!(message.delivery.properties, expected);
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_publishes_arrive_in_order() {
    const COUNT: u32 = 50_000;
    let Some(bed) = bed().await else { return };
    let scene = Scene::open(&bed).await;
    let address = Address::queue(QUEUE);
    let answers: Vec<_> = (0..COUNT)
        .map(|number| scene.publish(&address, number))
        .collect();
    for answer in answers {
        answer.await.unwrap();
    }
    assert_eq!(scene.arrived().await, Vec::from_iter(0..COUNT));
    scene.close().await;
}

/// lapin attaches a returned message to whichever confirm comes next: each must be told of its own fate all the same.
#[tokio::test(flavor = "multi_thread")]
async fn unroutable_publishes_are_told_from_their_neighbours() {
    let Some(bed) = bed().await else { return };
    let scene = Scene::open(&bed).await;
    let (there, nowhere) = (Address::queue(QUEUE), Address::queue("nowhere"));
    let mut answers = Vec::new();
    for number in 0..20_000_u32 {
        let is_lost = fastrand::u8(..) < 50;
        let address = if is_lost { &nowhere } else { &there };
        answers.push((number, is_lost, scene.publish(address, number)));
    }
    let mut expected = Vec::new();
    for (number, is_lost, answer) in answers {
        if is_lost {
            assert_eq!(kind(answer).await, Err(ErrorKind::Unroutable), "{number}");
        } else {
            assert_eq!(kind(answer).await, Ok(()), "{number}");
            expected.push(number);
        }
    }
    assert_eq!(scene.arrived().await, expected);
    let call = Call::new(nowhere, Envelope::new("1")).unroutable_is_fine();
    assert_eq!(scene.kind(call).await, Ok(()));
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishes_to_a_missing_exchange_harm_no_others() {
    let Some(bed) = bed().await else { return };
    let scene = Scene::open(&bed).await;
    let (there, missing) = (Address::queue(QUEUE), Address::new("missing", "key"));
    let mut answers = Vec::new();
    for number in 0..10_000_u32 {
        answers.push((Ok(()), scene.publish(&there, number)));
        if number % 10 == 0 {
            let not_found = Err(ErrorKind::NotFound);
            answers.push((not_found, scene.publish(&missing, number)));
        }
    }
    for (expected, answer) in answers {
        assert_eq!(kind(answer).await, expected);
    }
    let arrived = first_arrivals(&scene.arrived().await);
    assert_eq!(arrived, Vec::from_iter(0..10_000));

    let (name, kind) = ("missing".into(), ExchangeKind::Fanout);
    let (options, none) = (ExchangeDeclareOptions::default(), FieldTable::default());
    let declared = scene
        .channel
        .exchange_declare(name, kind, options, none)
        .await;
    declared.unwrap();
    let error = scene.publish(&missing, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unroutable, "it is there now");
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_that_the_broker_objects_to_harms_no_others() {
    let Some(bed) = bed().await else { return };
    let scene = Scene::open(&bed).await;
    let address = Address::queue(QUEUE);
    let mut bad = Call::new(address.clone(), Envelope::new("666"));
    bad.envelope.properties.fields_mut().user_id = Some("somebody else".into());
    let before: Vec<_> = (0..300).map(|it| scene.publish(&address, it)).collect();
    let refused = scene.publisher.publish(bad);
    let after: Vec<_> = (300..600).map(|it| scene.publish(&address, it)).collect();
    let error = refused.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert!(error.to_string().contains("user_id"), "{error}");
    for answer in before.into_iter().chain(after) {
        answer.await.unwrap();
    }
    let arrived = first_arrivals(&scene.arrived().await);
    assert_eq!(arrived, Vec::from_iter(0..600));
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_beyond_the_brokers_limit_harms_no_others() {
    let Some(bed) = bed().await else { return };
    let scene = Scene::open(&bed).await;
    let address = Address::queue(QUEUE);
    let before = scene.publish(&address, 1);
    let large = Envelope::new(vec![b'x'; (128 << 20) + 1]);
    let refused = scene
        .publisher
        .publish(Call::new(address.clone(), large.clone()));
    let after = scene.publish(&address, 2);
    let error = refused.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse, "{error}");
    before.await.unwrap();
    after.await.unwrap();
    let again = scene.kind(Call::new(address, large)).await;
    assert_eq!(again, Err(ErrorKind::Misuse));
    assert_eq!(first_arrivals(&scene.arrived().await), [1, 2]);
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_exchange_harms_no_others() {
    let Some(bed) = bed().await else { return };
    let user = format!("writer-{}", bed.host.name());
    let path = format!("/api/users/{user}");
    bed.host
        .put(&path, r#"{"password": "secret", "tags": ""}"#)
        .await;
    let permissions = r#"{"configure": "", "write": "amq.default", "read": ".*"}"#;
    let granted = format!("/api/permissions/{{}}/{user}");
    bed.host.put(&granted, permissions).await;
    let scene = Scene::open_as(&bed, &bed.url_as(&user, "secret")).await;
    let (there, denied) = (Address::queue(QUEUE), Address::new("amq.topic", "key"));
    let mut answers = Vec::new();
    for number in 0..1_000_u32 {
        answers.push((Ok(()), scene.publish(&there, number)));
        answers.push((Err(ErrorKind::Denied), scene.publish(&denied, number)));
    }
    for (expected, answer) in answers {
        assert_eq!(kind(answer).await, expected);
    }
    let arrived = first_arrivals(&scene.arrived().await);
    assert_eq!(arrived, Vec::from_iter(0..1_000));
    scene.close().await;
    bed.host.delete(&path).await;
}

#[tokio::test]
async fn a_full_queue_is_an_error_of_its_own() {
    let Some(bed) = bed().await else { return };
    let scene = Scene::open(&bed).await;
    let address = Address::queue(QUEUE);
    let options = QueueDeleteOptions::default();
    let deleted = scene.channel.queue_delete(QUEUE.into(), options).await;
    deleted.unwrap();
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(1));
    let reject = AMQPValue::LongString("reject-publish".into());
    arguments.insert("x-overflow".into(), reject);
    declare_queue(&scene.channel, arguments).await;
    scene.publish(&address, 1).await.unwrap();
    let full = Call::new(address, Envelope::new("2"));
    assert_eq!(scene.kind(full).await, Err(ErrorKind::Full));
    scene.close().await;
}

#[tokio::test]
async fn a_name_that_amqp_cannot_carry_is_refused_at_once() {
    let Some(bed) = bed().await else { return };
    let scene = Scene::open(&bed).await;
    let long = "x".repeat(256);
    for address in [Address::queue(&*long), Address::new(&*long, "key")] {
        let refused = scene.publish(&address, 1);
        assert!(refused.is_ready());
        assert_eq!(kind(refused).await, Err(ErrorKind::Misuse));
    }
    let mut header = Call::new(Address::queue(QUEUE), Envelope::new("1"));
    header.envelope.headers.set(long, "value");
    assert_eq!(scene.kind(header).await, Err(ErrorKind::Misuse));
    scene.publish(&Address::queue(QUEUE), 1).await.unwrap();
    scene.close().await;
}

#[tokio::test]
async fn what_several_publishers_of_one_task_send_stays_in_order() {
    let Some(bed) = bed().await else { return };
    let scene = Scene::open(&bed).await;
    let exchange = "orders";
    let (options, none) = (ExchangeDeclareOptions::default(), FieldTable::default());
    let declared = scene
        .channel
        .exchange_declare(exchange.into(), ExchangeKind::Direct, options, none.clone())
        .await;
    declared.unwrap();
    let options = QueueBindOptions::default();
    let bound = scene
        .channel
        .queue_bind(QUEUE.into(), exchange.into(), "key".into(), options, none)
        .await;
    bound.unwrap();
    let other = scene.rabbitmq.publisher().await.unwrap();
    let (direct, bound) = (Address::queue(QUEUE), Address::new(exchange, "key"));
    let mut answers = Vec::new();
    for number in (0..2_000_u32).step_by(2) {
        answers.push(scene.publish(&direct, number));
        let envelope = Envelope::new((number + 1).to_string());
        answers.push(other.publish(Call::new(bound.clone(), envelope)));
    }
    for answer in answers {
        answer.await.unwrap();
    }
    assert_eq!(scene.arrived().await, Vec::from_iter(0..2_000));
    scene.close().await;
}
