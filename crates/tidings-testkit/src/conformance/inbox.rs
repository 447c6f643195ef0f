//! Inbox: an address for replies that belongs to a connection, and what comes back through it.
//!
//! Replies go to the address that arrived with the request, never to the one that was sent: a broker may
//! rewrite it on the way. And they are published without asking that somebody receives them: the one who waited
//! may be gone, and brokers do not count such an address as a queue.

use std::{collections::BTreeSet, sync::Arc};

use tidings_core::{
    Address, Call, Delivery, Envelope, Headers, Settlement,
    properties::Fields,
    transport::{Inbox, Publisher},
};
use tokio::task::JoinSet;

use super::{
    connection::Connection,
    reader::{Reader, text},
    trial::Trial,
    verdict::{Stop, Verdict, possible},
};

/// Where requests go.
const REQUESTS: &str = "requests";

pub(super) async fn a_reply_reaches_the_inbox(on: &mut Trial) -> Verdict {
    let mut asking = Asking::open(on).await?;
    on.queue(REQUESTS).await?;
    asking.ask("what?").await?;
    let (request, acker) = on.reader(REQUESTS, 1).await?.take().await?.split();
    ensure_eq!(
        request.envelope.properties.correlation_id().map(|id| &**id),
        Some("what?"),
        "correlation id of the request"
    );
    let mut that = reply(&request, "that")?;
    that.envelope.headers = Headers::new().with("own", "header");
    on.publish_call(that).await?;
    acker.settle(Settlement::Ack).await?;
    let delivery = asking.replies.take().await?;
    let got = &delivery.call().envelope;
    ensure_eq!(text(delivery.call()), "that", "payload of the reply");
    ensure_eq!(
        got.headers.text("own"),
        Some("header"),
        "header of the reply"
    );
    ensure_eq!(correlation(&delivery)?, "what?", "request of the reply");
    delivery.settle(Settlement::Ack).await?;
    asking.replies.quiet().await
}

/// Whoever has the request can reply, from wherever it is.
pub(super) async fn a_reply_may_come_from_another_connection(on: &mut Trial) -> Verdict {
    let mut asking = Asking::open(on).await?;
    on.queue(REQUESTS).await?;
    let server = on.another().await?;
    let mut requests = server.reader(REQUESTS, 1).await?;
    for question in ["first", "second"] {
        asking.ask(question).await?;
        answer_one(&server, &mut requests).await?;
        asking.expect(question).await?;
    }
    drop(requests);
    server.close().await?;
    Ok(())
}

/// Two inboxes of one connection, whose questions are answered in turns.
pub(super) async fn two_inboxes_do_not_mix(on: &mut Trial) -> Verdict {
    let (mut one, mut two) = (Asking::open(on).await?, Asking::open(on).await?);
    on.queue(REQUESTS).await?;
    let mut requests = on.reader(REQUESTS, 10).await?;
    for round in 0..5 {
        one.ask(&format!("one {round}")).await?;
        two.ask(&format!("two {round}")).await?;
    }
    for _ in 0..10 {
        answer_one(on, &mut requests).await?;
    }
    for round in 0..5 {
        two.expect(&format!("two {round}")).await?;
        one.expect(&format!("one {round}")).await?;
    }
    one.replies.quiet().await?;
    two.replies.quiet().await
}

/// A thousand questions under way at a time, answered by four servers: each answer is there once.
pub(super) async fn a_thousand_replies_find_their_way(on: &mut Trial) -> Verdict {
    let mut asking = Asking::open(on).await?;
    on.queue(REQUESTS).await?;
    let mut servers = JoinSet::new();
    for _ in 0..4 {
        let connection = Connection::clone(on);
        let mut requests = on.reader(REQUESTS, 50).await?;
        servers.spawn(async move {
            loop {
                if answer_one(&connection, &mut requests).await.is_err() {
                    return;
                }
            }
        });
    }
    let questions: BTreeSet<_> = (0..1_000)
        .map(|number| format!("question {number}"))
        .collect();
    asking.ask_all(&questions, Address::queue(REQUESTS)).await
}

/// An inbox that was dropped takes its replies along: they do not come to the next one.
pub(super) async fn a_new_inbox_gets_no_replies_of_an_old_one(on: &mut Trial) -> Verdict {
    let mut old = Asking::open(on).await?;
    on.queue(REQUESTS).await?;
    old.ask("too late").await?;
    drop(old);
    let mut new = Asking::open(on).await?;
    let mut requests = on.reader(REQUESTS, 1).await?;
    answer_one(on, &mut requests).await?;
    new.replies.quiet().await?;
    new.ask("in time").await?;
    answer_one(on, &mut requests).await?;
    new.expect("in time").await
}

/// Its owner learns of it, and whoever replies too late does no harm to itself.
pub(super) async fn an_inbox_ends_with_its_connection(on: &mut Trial) -> Verdict {
    let mut asking = Asking::open(on).await?;
    on.queue(REQUESTS).await?;
    asking.ask("nobody waits").await?;
    on.reconnect().await?;
    asking.replies.over().await?;
    let mut requests = on.reader(REQUESTS, 1).await?;
    answer_one(on, &mut requests).await?;
    // The connection of the late reply still works.
    let mut next = Asking::open(on).await?;
    next.ask("still there?").await?;
    answer_one(on, &mut requests).await?;
    next.expect("still there?").await
}

/// Somebody who asks and waits for answers.
pub(super) struct Asking {
    pub(super) reply_to: Arc<str>,
    pub(super) publisher: Arc<dyn Publisher>,
    pub(super) replies: Reader,
}

impl Asking {
    async fn open(on: &Connection) -> Result<Self, Stop> {
        let inbox = possible(on.transport().inbox().await, "inbox")?;
        Ok(Self::over(on, inbox))
    }

    /// Asks through this inbox of the connection.
    pub(super) fn over(on: &Connection, inbox: Inbox) -> Self {
        Self {
            reply_to: inbox.reply_to,
            publisher: inbox.publisher,
            replies: on.reading(inbox.replies, "of an inbox"),
        }
    }

    fn question(&self, text: &str) -> Call {
        self.question_to(Address::queue(REQUESTS), text)
    }

    pub(super) fn question_to(&self, to: Address, text: &str) -> Call {
        let properties = Fields {
            reply_to: Some(Arc::clone(&self.reply_to)),
            correlation_id: Some(text.into()),
            ..Fields::default()
        };
        let envelope = Envelope::new(text.to_owned()).with_properties(properties);
        Call::new(to, envelope)
    }

    async fn ask(&mut self, text: &str) -> Verdict {
        self.publisher.publish(self.question(text)).await?;
        Ok(())
    }

    /// Asks all of these at a time; each answer must be there once.
    pub(super) async fn ask_all(&mut self, questions: &BTreeSet<String>, to: Address) -> Verdict {
        let asked: Vec<_> = questions
            .iter()
            .map(|question| {
                let call = self.question_to(to.clone(), question);
                self.publisher.publish(call)
            })
            .collect();
        let mut answered = BTreeSet::new();
        for _ in 0..questions.len() {
            let delivery = self.replies.take().await?;
            let question = correlation(&delivery)?;
            ensure_eq!(text(delivery.call()), answer(&question), "the answer");
            ensure!(
                answered.insert(question.clone()),
                "`{question}` was answered twice"
            );
            delivery.settle(Settlement::Ack).await?;
        }
        ensure!(answered == *questions, "an answer to what nobody asked");
        for asked in asked {
            asked.await?;
        }
        Ok(())
    }

    /// The next reply must answer this question.
    pub(super) async fn expect(&mut self, question: &str) -> Verdict {
        let delivery = self.replies.take_text(&answer(question)).await?;
        ensure_eq!(correlation(&delivery)?, question, "request of the reply");
        delivery.settle(Settlement::Ack).await?;
        Ok(())
    }
}

/// Takes one request and replies to it.
async fn answer_one(on: &Connection, requests: &mut Reader) -> Verdict {
    let (request, acker) = requests.take().await?.split();
    let reply = reply(&request, &answer(&text(&request)))?;
    on.publish_call(reply).await?;
    acker.settle(Settlement::Ack).await?;
    Ok(())
}

pub(super) fn answer(question: &str) -> String {
    format!("an answer to {question}")
}

fn reply(request: &Call, text: &str) -> Result<Call, Stop> {
    reply_through("", request, text)
}

/// A reply by way of an exchange.
pub(super) fn reply_through(exchange: &str, request: &Call, text: &str) -> Result<Call, Stop> {
    let properties = &request.envelope.properties;
    let Some(to) = properties.reply_to() else {
        return Err(Stop::failed("the request arrived without a reply address"));
    };
    let fields = Fields {
        correlation_id: properties.correlation_id().cloned(),
        ..Fields::default()
    };
    let envelope = Envelope::new(text.to_owned()).with_properties(fields);
    let to = Address::new(exchange, Arc::clone(to));
    Ok(Call::new(to, envelope).unroutable_is_fine())
}

fn correlation(delivery: &Delivery) -> Result<String, Stop> {
    let id = delivery.call().envelope.properties.correlation_id();
    id.map(ToString::to_string)
        .ok_or_else(|| Stop::failed("a reply arrived without its correlation id"))
}
