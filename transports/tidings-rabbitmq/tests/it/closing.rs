//! What the log says when a transport is closed: nothing that needs anybody's attention.

use std::{fmt, time::Duration};

use tidings_core::{
    Address, Call, Deadline, Envelope, Settlement,
    topology::{Queue, Topology},
    transport::{Subscription, Transport},
};
use tidings_testkit::process::Process;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::{bed::bed, consuming::open};

/// Tells the child that it is one. lapin has threads of its own, so what they log can only be seen by a whole process.
const CHILD: &str = "TIDINGS_TEST_CLOSING";
const LIMIT: Duration = Duration::from_secs(60);
const END: &str = "closed";

#[tokio::test]
async fn closing_in_order_is_no_error() {
    if is_child() {
        return close_everything().await;
    }
    let Some(_bed) = bed().await else { return };
    let program = std::env::current_exe().unwrap();
    let test = [
        "closing::closing_in_order_is_no_error",
        "--exact",
        "--nocapture",
    ];
    let mut child = Process::spawn(program, test, &[(CHILD, "1")]).unwrap();
    let mut said = Vec::new();
    loop {
        let line = child.line(LIMIT).await.unwrap().expect("it ends in order");
        if line == END {
            break;
        }
        said.extend(line.starts_with("ERROR").then_some(line));
    }
    assert!(said.is_empty(), "{said:#?}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is how the child knows that it is one"
)]
fn is_child() -> bool {
    std::env::var(CHILD).is_ok()
}

/// With everything open that has a channel.
async fn close_everything() {
    let Some(bed) = bed().await else { return };
    let transport = open(&bed).await;
    let queue = Topology::new().queue(Queue::new("q"));
    transport.declare(&queue).await.unwrap();
    let publisher = transport.publisher().await.unwrap();
    let call = Call::new(Address::queue("q"), Envelope::new("m"));
    publisher.publish(call).await.unwrap();
    let subscribed = transport.subscribe(Subscription::to("q")).await;
    let mut subscriber = subscribed.unwrap();
    let delivery = subscriber.next().await.unwrap().unwrap();
    delivery.settle(Settlement::Ack).await.unwrap();
    let inboxes = [transport.inbox().await, transport.reply_queue().await];
    transport.queues(&["q".into()]).await.unwrap();

    // Only now: looking for what is missing is an error to lapin.
    tracing::subscriber::set_global_default(Printed).unwrap();
    transport.close(Deadline::after(LIMIT)).await.unwrap();
    drop((inboxes, subscriber, publisher, transport));
    println!("{END}");
}

/// Prints what is logged.
struct Printed;

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 += &format!(" {field}={value:?}");
    }
}

impl Subscriber for Printed {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        println!(
            "{} {}{}",
            event.metadata().level(),
            event.metadata().target(),
            fields.0
        );
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
