//! A log server that does what a test wants, and tells what it was sent.

use std::{
    convert::Infallible,
    future::pending,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tidings_core::tasks::Tasks;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::mpsc,
    time::timeout,
};

/// How it treats what it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mood {
    /// It answers with this status.
    Answers(u16),
    /// It never answers.
    Hangs,
    /// It closes the connection instead of answering.
    HangsUp,
}

/// What it was sent.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) token: Option<String>,
    pub(crate) body: Value,
    /// Which of its connections, beginning with 0.
    pub(crate) connection: usize,
}

type Moods = Arc<dyn Fn(usize) -> Mood + Send + Sync>;

/// Ends with the test.
pub(crate) struct LogServer {
    pub(crate) address: SocketAddr,
    socket: Option<TcpSocket>,
    received: mpsc::UnboundedReceiver<Received>,
    inner: Arc<Inner>,
    tasks: Tasks,
}

struct Inner {
    moods: Moods,
    requests: AtomicUsize,
    send: mpsc::UnboundedSender<Received>,
}

impl LogServer {
    /// In a mood that depends on how many requests there were before.
    pub(crate) fn start(moods: impl Fn(usize) -> Mood + Send + Sync + 'static) -> Self {
        let mut server = Self::away(moods);
        server.come();
        server
    }

    /// An address at which nobody listens yet.
    pub(crate) fn away(moods: impl Fn(usize) -> Mood + Send + Sync + 'static) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = socket.local_addr().unwrap();
        let (send, received) = mpsc::unbounded_channel();
        let inner = Inner {
            moods: Arc::new(moods),
            requests: AtomicUsize::new(0),
            send,
        };
        Self {
            address,
            socket: Some(socket),
            received,
            inner: Arc::new(inner),
            tasks: Tasks::new(),
        }
    }

    /// Listens.
    pub(crate) fn come(&mut self) {
        let socket = self.socket.take().expect("it comes once");
        let listener = socket.listen(64).unwrap();
        let (inner, tasks) = (Arc::clone(&self.inner), self.tasks.clone());
        self.tasks.spawn("accept", accept(listener, inner, tasks));
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/api/v1/", self.address)
    }

    /// The next request, which must come.
    pub(crate) async fn next(&mut self) -> Received {
        let received = timeout(Duration::from_secs(10), self.received.recv()).await;
        received.expect("a record comes").expect("it listens")
    }

    /// Whether nothing more has come.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.received.try_recv().is_err()
    }
}

impl Drop for LogServer {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

async fn accept(listener: TcpListener, inner: Arc<Inner>, tasks: Tasks) {
    for connection in 0.. {
        let (stream, _) = listener.accept().await.unwrap();
        let inner = Arc::clone(&inner);
        tasks.spawn("connection", async move {
            let (hang_up, mut hung_up) = mpsc::channel::<Infallible>(1);
            let hang_up = std::sync::Mutex::new(Some(hang_up));
            let service = service_fn(|request| async {
                let status = match inner.take(request, connection).await {
                    Mood::Answers(status) => status,
                    Mood::Hangs => pending().await,
                    Mood::HangsUp => {
                        drop(hang_up.lock().unwrap().take());
                        pending().await
                    }
                };
                let answer = Response::builder()
                    .status(status)
                    .body(Empty::<Bytes>::new());
                Ok::<_, Infallible>(answer.unwrap())
            });
            let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ended = serving => {}
                _never = hung_up.recv() => {}
            }
        });
    }
}

impl Inner {
    async fn take(&self, request: Request<Incoming>, connection: usize) -> Mood {
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        let token = request.headers().get("x-api-token");
        let received = Received {
            path: request.uri().path().to_owned(),
            token: token.map(|token| token.to_str().unwrap().to_owned()),
            connection,
            body: serde_json::from_slice(&request.into_body().collect().await.unwrap().to_bytes())
                .unwrap(),
        };
        let mood = (self.moods)(number);
        drop(self.send.send(received));
        mood
    }
}
