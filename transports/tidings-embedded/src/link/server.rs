//! The owner's side of the socket: lets clients in, one connection each, and sees them out.
//!
//! A client that comes back while its last connection still lingers replaces it: the engine must have taken
//! back its exclusive queues before they are declared again.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use tidings_core::{Deadline, Error, ErrorKind, Result, tasks::Tasks};
use tokio::{
    io::{AsyncWriteExt, ReadHalf, WriteHalf},
    time::{Instant, sleep, timeout},
};

use super::{
    client::PATIENCE,
    connection::{Guest, serve},
    frame::{Answer, Request, VERSION},
    framing::Frames,
    member::lock,
    socket::{Listener, Stream},
    wire::corrupt,
};
use crate::broker::Broker;

/// How long a client may take to say who it is.
const GREETING: Duration = Duration::from_secs(5);
/// The pause after a failed `accept`, which fails again at once when the process is out of file descriptors.
const AFTER_FAILURE: Duration = Duration::from_millis(50);

/// How long clients may settle what they have when the owner stops.
const SETTLING: Duration = Duration::from_secs(1);

/// Everything behind one socket.
#[derive(Debug)]
pub(super) struct Server {
    tasks: Tasks,
    guests: Arc<Guests>,
}

/// The connections, by the client that made them.
#[derive(Debug, Default)]
struct Guests {
    by_client: Mutex<HashMap<u128, (u64, Tasks)>>,
    serial: AtomicU64,
    /// Until when they may settle what they have, once the owner stops.
    settle_by: OnceLock<Instant>,
}

impl Server {
    /// Lets clients in.
    pub(super) fn start(listener: Listener, broker: Broker) -> Self {
        let tasks = Tasks::new();
        let guests = Arc::new(Guests::default());
        let accepting = accept(listener, broker, Arc::clone(&guests), tasks.clone());
        tasks.spawn("embedded link listener", accepting);
        Self { tasks, guests }
    }

    /// Lets nobody in any more, hands out nothing any more, lets the clients settle what they have, answers what has
    /// been asked, says goodbye and closes all connections.
    ///
    /// It takes at most half of the time until the deadline: a client that does not read its answers must not
    /// take the time that the engine needs to finish its commits.
    pub(super) async fn close(&self, deadline: Deadline) {
        self.tasks.stop(Duration::ZERO).await;
        let guests: Vec<_> = lock(&self.guests.by_client)
            .drain()
            .map(|(_, (_, tasks))| tasks)
            .collect();
        let grace = deadline.remaining().map_or(PATIENCE, |left| left / 2);
        // The other half of the grace is for their answers.
        let settle_by = Instant::now() + SETTLING.min(grace / 2);
        self.guests.settle_by.get_or_init(|| settle_by);
        join_all(guests.iter().map(|tasks| tasks.stop(grace))).await;
    }

    /// Drops all connections.
    pub(super) fn abort(&self) {
        self.tasks.abort();
        for (_, (_, tasks)) in lock(&self.guests.by_client).drain() {
            tasks.abort();
        }
    }
}

async fn accept(listener: Listener, broker: Broker, guests: Arc<Guests>, tasks: Tasks) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Cancel-safe: `accept` is.
            () = tasks.stopping() => return,
        };
        match accepted {
            Ok(stream) => tasks.spawn(
                "embedded link greeting",
                welcome(stream, broker.clone(), Arc::clone(&guests)),
            ),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to an embedded broker");
                sleep(AFTER_FAILURE).await;
            }
        }
    }
}

/// Greets a client and gives it a task of its own.
async fn welcome(stream: Stream, broker: Broker, guests: Arc<Guests>) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut frames = Frames::new(reader);
    let client = match timeout(GREETING, greeting(&mut frames)).await {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => return refuse(writer, error).await,
        Err(_) => return,
    };
    let mut wire = Vec::new();
    if (Answer::Welcome { version: VERSION })
        .put(&mut wire)
        .is_err()
    {
        return;
    }
    guests.see_out(client).await;
    if writer.write_all(&wire).await.is_ok() {
        guests.let_in(client, frames, writer, broker);
    }
}

/// Who it is, if it is one of us.
async fn greeting(frames: &mut Frames<ReadHalf<Stream>>) -> Result<u128> {
    let Some(frame) = frames.next().await? else {
        return Err(corrupt("the connection ended before the greeting"));
    };
    match Request::read(frame)? {
        Request::Hello { version, client } if version == VERSION => Ok(client),
        Request::Hello { version, .. } => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the process that owns the embedded file speaks version {VERSION} between processes and this one speaks {version}: run the same version of Tidings in all of them"
            ),
        )),
        _ => Err(corrupt("it does not begin with a greeting")),
    }
}

/// Says why a connection is closed, as far as the other side still listens.
pub(super) async fn refuse(mut writer: WriteHalf<Stream>, error: Error) {
    tracing::warn!(
        error = error.chain(),
        "closing a connection to an embedded broker"
    );
    let mut wire = Vec::new();
    if (Answer::Refused { error }).put(&mut wire).is_ok() && writer.write_all(&wire).await.is_ok() {
        drop(writer.shutdown().await);
    }
}

impl Guests {
    /// Ends the present connection of a client.
    async fn see_out(&self, client: u128) {
        let present = lock(&self.by_client).remove(&client);
        if let Some((_, tasks)) = present {
            tasks.stop(Duration::ZERO).await;
        }
    }

    /// Serves a client until its connection ends.
    fn let_in(
        self: Arc<Self>,
        client: u128,
        frames: Frames<ReadHalf<Stream>>,
        writer: WriteHalf<Stream>,
        broker: Broker,
    ) {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let tasks = Tasks::new();
        let mut by_client = lock(&self.by_client);
        by_client.insert(client, (serial, tasks.clone()));
        drop(by_client);
        let (stopping, guest) = (tasks.clone(), Guest::new(broker, client));
        tasks.spawn("embedded link connection", async move {
            serve(guest, frames, writer, &stopping, &self.settle_by).await;
            let mut by_client = lock(&self.by_client);
            if by_client
                .get(&client)
                .is_some_and(|(present, _)| *present == serial)
            {
                by_client.remove(&client);
            }
        });
    }
}
