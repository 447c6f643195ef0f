//! To which addresses direct replies may go.
//!
//! Such an address names a process of the broker, and it is the caller who says it, so it may be made up. RabbitMQ (3.10
//! and 4.0 alike) takes it apart on the channel that publishes to it, and what it does not expect there ends the whole
//! connection: a text that is no process, a node that is not in the cluster, a process that cannot be on that node. So
//! nothing goes to an address that is not known. One without the form of a process is refused here. The first of each
//! node is tried on a connection of its own, which nobody else has to suffer with; from then on, the processes of that
//! node are safe. One that is gone does no harm: RabbitMQ drops what is for it.

mod process;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use lapin::{
    options::QueueDeclareOptions,
    types::{FieldTable, ShortString},
};
use tidings_core::{Address, ErrorKind, Result};
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};

use self::process::{Process, Size};
use super::{
    job::Shared,
    refusal::{never_sent, no_such_reader},
};
use crate::{
    config::RabbitMqConfig,
    connection::{Probe, Reactor},
    error,
};

/// How many addresses are tried at a time, each on a connection.
const TRIALS: usize = 4;

/// How long one trial may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pause after a trial in which the broker could not be asked.
const PAUSE: Duration = Duration::from_secs(1);

/// The most nodes that are remembered.
const MOST: usize = 64;

/// What is known of those who wait for direct replies.
pub(super) struct Readers {
    config: Arc<RabbitMqConfig>,
    reactor: Weak<Reactor>,
    shared: Arc<Shared>,
    known: Mutex<Known>,
    trials: Semaphore,
}

/// The nodes that are there.
#[derive(Debug, Default)]
struct Known {
    /// How many crashes there had been then: another one may mean that a node has gone.
    crashes: u64,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    name: Box<[u8]>,
    /// How large the numbers of its processes may be.
    size: Size,
}

/// What became of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is safe to publish to it.
    Somebody,
    /// Whoever waited there is gone. RabbitMQ drops what is for them, and so may we.
    Nobody,
}

/// What is known of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Nothing bad can come of publishing to it.
    Safe,
    /// It has to be [tried](Readers::try_out).
    Unknown,
    /// Nobody can be there.
    Impossible,
}

impl Readers {
    pub(super) fn new(
        config: Arc<RabbitMqConfig>,
        reactor: &Arc<Reactor>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            config,
            reactor: Arc::downgrade(reactor),
            shared,
            known: Mutex::default(),
            trials: Semaphore::new(TRIALS),
        }
    }

    /// What is known of the address of a direct reply.
    pub(super) fn way(&self, address: &Address) -> Way {
        match Process::read(&address.key) {
            None => Way::Impossible,
            Some(process) if self.known().has(&process) => Way::Safe,
            Some(_) => Way::Unknown,
        }
    }

    /// Runs this where everything that speaks AMQP runs; false if that has ended.
    pub(super) fn spawn(&self, trial: impl Future<Output = ()> + Send + 'static) -> bool {
        let reactor = self.reactor.upgrade();
        reactor.is_some_and(|reactor| {
            reactor.spawn("try an address for replies", trial);
            true
        })
    }

    /// Finds out whether it is safe to publish to an address. As long as the broker cannot be asked, it is asked again: a
    /// request whose answer fails is handled once more.
    ///
    /// # Errors
    /// [`NotFound`](tidings_core::ErrorKind::NotFound) if the broker does not survive it,
    /// [`Unavailable`](tidings_core::ErrorKind::Unavailable) if it cannot be asked within this `patience`.
    pub(super) async fn try_out(&self, address: &Address, patience: Duration) -> Result<Found> {
        let mut trouble = None;
        let trying = async {
            loop {
                match self.in_turn(address).await {
                    Err(failed) if failed.kind() == ErrorKind::Unavailable => {
                        trouble = Some(failed);
                    }
                    found => return found,
                }
                sleep(PAUSE).await;
            }
        };
        // Cancel-safe: a connection that is given up is closed.
        if let Ok(found) = timeout(patience, trying).await {
            return found;
        }
        let crowded = "too many addresses for replies have to be tried first";
        Err(trouble.unwrap_or_else(|| never_sent(address, crowded)))
    }

    async fn in_turn(&self, address: &Address) -> Result<Found> {
        let process = Process::read(&address.key).ok_or_else(|| no_such_reader(address))?;
        let _turn = self.trials.acquire().await.map_err(|_| error::closed())?;
        // Another one may have found the way meanwhile.
        let crashes = self.shared.crashes();
        if self.known().has(&process) {
            return Ok(Found::Somebody);
        }
        let probe = Probe::new(Arc::clone(&self.config));
        let asked = timeout(PATIENCE, ask(&probe, address)).await;
        probe.close().await;
        let found = asked.unwrap_or_else(|_| {
            let trouble = "the broker does not say in time whether anybody waits there";
            Err(never_sent(address, trouble))
        })?;
        if found == Found::Somebody {
            self.known().learn(&process, crashes);
        }
        Ok(found)
    }

    /// What is known since the last crash.
    fn known(&self) -> MutexGuard<'_, Known> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let crashes = self.shared.crashes();
        if known.crashes != crashes {
            known.nodes.clear();
            known.crashes = crashes;
        }
        known
    }
}

impl Known {
    fn has(&self, process: &Process) -> bool {
        let mut nodes = self.nodes.iter();
        nodes.any(|node| process.size <= node.size && *node.name == *process.node())
    }

    fn learn(&mut self, process: &Process, crashes: u64) {
        // No process has such numbers. If this one has, that says nothing of others.
        if process.size == Size::Unheard || crashes != self.crashes {
            return;
        }
        self.nodes.retain(|node| *node.name != *process.node());
        if self.nodes.len() >= MOST {
            self.nodes.remove(0);
        }
        self.nodes.push(Node {
            name: process.node().into(),
            size: process.size,
        });
    }
}

/// Asks whether somebody waits there. The broker knows these addresses as queues.
async fn ask(probe: &Probe, address: &Address) -> Result<Found> {
    let channel = probe.channel().await.map_err(|failed| {
        // Whatever keeps this connection away, a wrong password included, says nothing of who waits there.
        let trouble = format!("its address cannot be tried first: {}", failed.chain());
        never_sent(address, &trouble)
    })?;
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let name = ShortString::from(&*address.key);
    let asked = channel.queue_declare(name, options, FieldTable::default());
    match asked.await {
        Ok(_exists) => Ok(Found::Somebody),
        Err(failed) => judge(&failed, address),
    }
}

/// What it means that the broker does not say that somebody waits there.
fn judge(failed: &lapin::Error, address: &Address) -> Result<Found> {
    match error::code(failed) {
        Some(error::NOT_FOUND) => Ok(Found::Nobody),
        // The broker is about to end, or somebody has ended the connection there.
        None | Some(error::CONNECTION_FORCED) => Err(error::of_connection(failed)),
        // The connection is gone because of this address.
        Some(_) => Err(no_such_reader(address)),
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers")
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::protocol::AMQPError;

    fn check(code: u16, expected: Result<Found, ErrorKind>) {
        let said = AMQPError::from_id(code, "TEXT".into()).unwrap();
        let failed = lapin::ErrorKind::ProtocolError(said).into();
        let judged = judge(&failed, &Address::queue("amq.rabbitmq.reply-to.x"));
        assert_eq!(judged.map_err(|error| error.kind()), expected, "{code}");
    }

    #[test]
    fn only_what_the_address_is_to_blame_for_speaks_against_it() {
        check(error::NOT_FOUND, Ok(Found::Nobody));
        check(541, Err(ErrorKind::NotFound));
        check(error::CONNECTION_FORCED, Err(ErrorKind::Unavailable));
        let lost = lapin::ErrorKind::MissingHeartbeatError.into();
        let judged = judge(&lost, &Address::queue("x"));
        assert_eq!(judged.unwrap_err().kind(), ErrorKind::Unavailable);
    }
}
