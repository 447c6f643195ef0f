//! A log server that does what a test wants of it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value;
use tidings::tasks::Tasks;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use crate::bed::PATIENCE;

/// What becomes of a record.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// It is taken.
    Take,
    /// It is answered with a failure of the server.
    Fail,
    /// It is not answered at all.
    Hang,
}

/// A log server. Dropping it ends it.
pub(super) struct LogServer {
    address: SocketAddr,
    records: mpsc::UnboundedReceiver<(String, Value)>,
    _tasks: Tasks,
}

impl LogServer {
    /// Does this with the first records, and takes the rest.
    pub(super) async fn open(first: usize, act: Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (taken, records) = mpsc::unbounded_channel();
        let (tasks, count) = (Tasks::new(), Arc::new(AtomicUsize::new(0)));
        let connections = tasks.clone();
        tasks.spawn("log server", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (taken, count) = (taken.clone(), Arc::clone(&count));
                let next = move || {
                    let number = count.fetch_add(1, Ordering::Relaxed);
                    if number < first { act } else { Act::Take }
                };
                connections.spawn("connection", async move {
                    // A client that goes away is no failure.
                    serve(stream, next, taken).await;
                });
            }
        });
        Self {
            address,
            records,
            _tasks: tasks,
        }
    }

    /// Where nobody listens.
    pub(super) async fn nowhere() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next record that it takes: where it was posted, and what it says.
    pub(super) async fn record(&mut self) -> (String, Value) {
        let record = timeout(PATIENCE, self.records.recv()).await;
        record.expect("a record in time").unwrap()
    }

    /// The records that it has taken and that nobody has asked for.
    pub(super) fn rest(&mut self) -> Vec<(String, Value)> {
        std::iter::from_fn(|| self.records.try_recv().ok()).collect()
    }
}

/// Serves a connection until its client goes away.
async fn serve(
    stream: TcpStream,
    next: impl Fn() -> Act,
    taken: mpsc::UnboundedSender<(String, Value)>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (path, body) = request(&mut stream).await?;
        let status = match next() {
            Act::Hang => std::future::pending().await,
            Act::Fail => "500 Internal Server Error",
            Act::Take => {
                taken.send((path, body)).ok()?;
                "201 Created"
            }
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

/// Reads a request: its path and its body.
async fn request(stream: &mut BufReader<TcpStream>) -> Option<(String, Value)> {
    let (mut path, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        match line.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap();
            }
            Some(_) => {}
            None => path = line.split(' ').nth(1).map(str::to_owned),
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((path?, serde_json::from_slice(&body).unwrap()))
}
