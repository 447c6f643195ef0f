//! Replies: queues for replies that exchanges lead to, for conventions whose replies go the way that the request came.
//!
//! As with an inbox, replies are published without asking that somebody receives them.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::future::join_all;
use tidings_core::{
    Address, ErrorKind, Settlement,
    topology::{Exchange, Queue, Topology},
    transport::{Capability, Transport},
};
use tokio::task::JoinSet;

use super::{
    connection::{Connection, text_call},
    inbox::{Asking, answer, reply_through},
    reader::{Reader, text},
    trial::Trial,
    verdict::{Stop, Verdict, possible, refused},
};

/// Where requests wait, and the key that leads there.
const REQUESTS: &str = "requests";

/// Whoever replies knows only what the request brought: its exchange, and the reply address.
pub(super) async fn replies_come_through_the_exchange_of_the_request(on: &mut Trial) -> Verdict {
    let mut requests = serving(on, &["x"]).await?;
    let mut asking = calling(on, &["x"]).await?;
    let server = on.another().await?;
    for question in ["first", "second"] {
        ask(&mut asking, "x", question).await?;
        answer_one(&server, &mut requests).await?;
        asking.expect(question).await?;
    }
    asking.replies.quiet().await?;
    server.close().await?;
    Ok(())
}

pub(super) async fn many_exchanges_lead_to_one_reply_queue(on: &mut Trial) -> Verdict {
    let exchanges = ["x.1", "x.2", "x.3", "x.4"];
    let mut requests = serving(on, &exchanges).await?;
    let mut asking = calling(on, &exchanges).await?;
    for exchange in exchanges {
        ask(&mut asking, exchange, exchange).await?;
        answer_one(on, &mut requests).await?;
        asking.expect(exchange).await?;
    }
    Ok(())
}

/// Calls that begin at the same moment do not know of each other.
pub(super) async fn routing_twice_delivers_one_copy(on: &mut Trial) -> Verdict {
    let mut requests = serving(on, &["x"]).await?;
    let mut asking = calling(on, &["x"]).await?;
    let (inbox, exchange) = (Arc::clone(&asking.reply_to), Exchange::direct("x"));
    let routed = join_all((0..10).map(|_| on.transport().route_replies(&inbox, &exchange))).await;
    for routed in routed {
        routed?;
    }
    ask(&mut asking, "x", "once").await?;
    answer_one(on, &mut requests).await?;
    asking.expect("once").await?;
    asking.replies.quiet().await
}

pub(super) async fn two_reply_queues_do_not_mix(on: &mut Trial) -> Verdict {
    let mut requests = serving(on, &["x"]).await?;
    let (mut one, mut two) = (calling(on, &["x"]).await?, calling(on, &["x"]).await?);
    ensure!(one.reply_to != two.reply_to, "both have one address");
    for round in 0..5 {
        ask(&mut one, "x", &format!("one {round}")).await?;
        ask(&mut two, "x", &format!("two {round}")).await?;
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

/// Whoever declares it first: both sides do.
pub(super) async fn an_exchange_that_may_be_forgotten_routes_replies(on: &mut Trial) -> Verdict {
    needs(on)?;
    let exchange = Exchange::direct("x.fleeting").transient();
    let mut asking = open(on).await?;
    on.transport()
        .route_replies(&asking.reply_to, &exchange)
        .await?;
    let topology = Topology::new()
        .exchange(exchange)
        .queue(Queue::new(REQUESTS))
        .bind("x.fleeting", REQUESTS, REQUESTS);
    on.declare(topology).await?;
    let mut requests = on.reader(REQUESTS, 1).await?;
    ask(&mut asking, "x.fleeting", "still there?").await?;
    answer_one(on, &mut requests).await?;
    asking.expect("still there?").await
}

/// The refusal names it, and harms nothing that is routed already.
pub(super) async fn an_exchange_of_another_kind_routes_none(on: &mut Trial) -> Verdict {
    let mut requests = serving(on, &["x"]).await?;
    let mut asking = calling(on, &["x"]).await?;
    on.declare(Topology::new().exchange(Exchange::topic("x.topic")))
        .await?;
    let other = Exchange::direct("x.topic");
    let routed = on.transport().route_replies(&asking.reply_to, &other).await;
    let said = refused(routed, ErrorKind::Conflict, "x.topic")?;
    for value in ["topic", "direct"] {
        ensure!(
            said.contains(value),
            "the refusal does not say `{value}`: {said}"
        );
    }
    ask(&mut asking, "x", "unharmed?").await?;
    answer_one(on, &mut requests).await?;
    asking.expect("unharmed?").await
}

/// A thousand calls under way at a time, answered by four servers: each reply is there once.
pub(super) async fn a_thousand_calls_get_their_own_replies(on: &mut Trial) -> Verdict {
    let first = serving(on, &["x"]).await?;
    let mut asking = calling(on, &["x"]).await?;
    let mut servers = JoinSet::new();
    let mut readers = vec![first];
    for _ in 0..3 {
        readers.push(on.reader(REQUESTS, 50).await?);
    }
    for mut requests in readers {
        let connection = Connection::clone(on);
        servers.spawn(async move { while answer_one(&connection, &mut requests).await.is_ok() {} });
    }
    let questions: BTreeSet<_> = (0..1_000).map(|number| format!("call {number}")).collect();
    asking
        .ask_all(&questions, Address::new("x", REQUESTS))
        .await
}

/// Its owner learns of it, nothing leads there any more, and another one works.
pub(super) async fn a_reply_queue_ends_with_its_connection(on: &mut Trial) -> Verdict {
    let mut asking = calling(on, &["x"]).await?;
    let before = Arc::clone(on.transport());
    on.reconnect().await?;
    asking.replies.over().await?;
    ensure_ended(&before, &asking.reply_to).await?;
    on.wait_gone(&asking.reply_to).await?;
    if on.needs(&[Capability::UnroutableDetection]).is_ok() {
        let to = Address::new("x", Arc::clone(&asking.reply_to));
        let late = on.publish_call(text_call(to, "late")).await;
        refused(late, ErrorKind::Unroutable, "x")?;
    }
    let mut requests = serving(on, &["x"]).await?;
    let mut next = calling(on, &["x"]).await?;
    ask(&mut next, "x", "still there?").await?;
    answer_one(on, &mut requests).await?;
    next.expect("still there?").await
}

async fn ensure_ended(transport: &Arc<dyn Transport>, inbox: &Arc<str>) -> Verdict {
    let routed = transport.route_replies(inbox, &Exchange::direct("x")).await;
    match routed.map_err(|error| error.kind()) {
        Err(ErrorKind::Unavailable | ErrorKind::Closed) => Ok(()),
        other => Err(Stop::failed(format_args!(
            "routing to what has ended gives {other:?}"
        ))),
    }
}

fn needs(on: &Trial) -> Verdict {
    on.needs(&[Capability::Exchanges])
}

/// A queue for requests that these exchanges lead to, and its reader.
async fn serving(on: &Trial, exchanges: &[&str]) -> Result<Reader, Stop> {
    needs(on)?;
    let mut topology = Topology::new().queue(Queue::new(REQUESTS));
    for exchange in exchanges {
        topology = topology
            .exchange(Exchange::direct(*exchange))
            .bind(*exchange, REQUESTS, REQUESTS);
    }
    on.declare(topology).await?;
    Ok(on.reader(REQUESTS, 50).await?)
}

/// Somebody with a queue for replies that these exchanges lead to.
async fn calling(on: &Trial, exchanges: &[&str]) -> Result<Asking, Stop> {
    needs(on)?;
    let asking = open(on).await?;
    for exchange in exchanges {
        on.transport()
            .route_replies(&asking.reply_to, &Exchange::direct(*exchange))
            .await?;
    }
    Ok(asking)
}

async fn open(on: &Connection) -> Result<Asking, Stop> {
    let inbox = possible(on.transport().reply_queue().await, "reply queue")?;
    Ok(Asking::over(on, inbox))
}

async fn ask(asking: &mut Asking, exchange: &str, question: &str) -> Verdict {
    let call = asking.question_to(Address::new(exchange, REQUESTS), question);
    asking.publisher.publish(call).await?;
    Ok(())
}

/// Takes one request, replies to it through the exchange that it came from, and acks it.
async fn answer_one(on: &Connection, requests: &mut Reader) -> Verdict {
    let (request, acker) = requests.take().await?.split();
    let reply = reply_through(
        &request.address.exchange,
        &request,
        &answer(&text(&request)),
    )?;
    on.publish_call(reply).await?;
    acker.settle(Settlement::Ack).await?;
    Ok(())
}
