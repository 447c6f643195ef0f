//! RabbitMQ keeps every promise of a transport: each behaviour in a virtual host of its own, those about recovery on a
//! node that is killed for them; once with classic queues, once with quorum queues.

use std::{sync::Arc, time::Duration};

use tidings_core::{
    Error, ErrorKind, Result,
    transport::{BoxFuture, Transport},
};
use tidings_rabbitmq::RabbitMq;
use tidings_testkit::{
    conformance::{self, Broker, Harness, Time},
    rabbitmq::{self, Node, VirtualHost},
};
use tokio::runtime::Runtime;

tidings_testkit::conformance_suite!(classic, Shared("classic"));
tidings_testkit::conformance_suite!(quorum, Shared("quorum"));

/// The node that all tests share, and the type of durable queues.
#[derive(Debug)]
struct Shared(&'static str);

/// A node that is killed and started again.
#[derive(Debug)]
struct Killed(Arc<Node>);

#[derive(Debug)]
struct Host {
    host: VirtualHost,
    queue_type: &'static str,
    node: Option<Arc<Node>>,
}

impl Harness for Shared {
    fn is_available(&self) -> bool {
        rabbitmq::is_available()
    }

    fn time(&self) -> Time {
        Time::Real
    }

    fn settlements_are_confirmed(&self) -> bool {
        false
    }

    /// A quorum queue puts them behind the others.
    fn nacked_messages_keep_their_place(&self) -> bool {
        self.0 == "classic"
    }

    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Broker>>> {
        Box::pin(async {
            let missing = || Error::new(ErrorKind::Unavailable, "there is no shared node");
            let host = rabbitmq::shared().await.ok_or_else(missing)?;
            let broker: Box<dyn Broker> = Box::new(Host {
                host,
                queue_type: self.0,
                node: None,
            });
            Ok(broker)
        })
    }
}

impl Harness for Killed {
    fn time(&self) -> Time {
        Time::Real
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn settlements_are_confirmed(&self) -> bool {
        false
    }

    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Broker>>> {
        Box::pin(async {
            let name = format!("recovery-{:x}", fastrand::u64(..));
            let broker: Box<dyn Broker> = Box::new(Host {
                host: self.0.virtual_host(&name).await,
                queue_type: "classic",
                node: Some(Arc::clone(&self.0)),
            });
            Ok(broker)
        })
    }
}

impl Broker for Host {
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn Transport>>> {
        Box::pin(async {
            let url = format!("{}&queue_type={}", self.host.url(), self.queue_type);
            let transport: Arc<dyn Transport> = Arc::new(RabbitMq::from_url(&url).await?);
            Ok(transport)
        })
    }

    fn connect_another(&self) -> Option<BoxFuture<'_, Result<Arc<dyn Transport>>>> {
        Some(self.connect())
    }

    fn settle_declarations(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            if self.node.is_some() {
                self.host.settle_declarations().await;
            }
            Ok(())
        })
    }

    fn restart(&self) -> Option<BoxFuture<'_, Result<()>>> {
        let node = self.node.as_ref()?;
        Some(Box::pin(async move {
            node.kill().await;
            node.resume().await;
            Ok(())
        }))
    }
}

#[test]
fn a_killed_node_keeps_what_it_confirmed() {
    let runtime = Runtime::new().unwrap();
    let Some(node) = runtime.block_on(Node::start("recovery")) else {
        return;
    };
    let report = conformance::run_group(&Killed(Arc::new(node)), "recovery").unwrap();
    report.verdict().unwrap();
}
