//! Health checks over HTTP, for containers, load balancers and monitors: `/live`, `/ready` and `/metrics`.
//!
//! A listener of its own, because the services that need it most speak to nobody but a broker. It knows no server: it is
//! given what to ask, so that a process with several servers answers as one, and one that is still starting answers, too.
//! There is no TLS, no password and nothing that could be changed through it: listen where only those come who may know.

mod answer;

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tidings_core::{
    error::{Error, ErrorKind, Result},
    tasks::Tasks,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use crate::{health::Health, server::Running};

/// How many may ask at a time. The next waits.
const AT_A_TIME: usize = 32;

/// How long one may take to ask and to read the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long nobody is let in after that has failed: the process has no file descriptor left, say.
const PAUSE: Duration = Duration::from_millis(200);

/// Answers health checks until it is dropped.
///
/// | path | answers |
/// |---|---|
/// | `/live` | 200 as long as the process is worth keeping, else 503 |
/// | `/ready` | 200 if it can do its work, else 503; the reasons and each subscription as JSON |
/// | `/metrics` | what [`metrics`](Self::metrics) was given |
///
/// ```no_run
/// # use std::sync::Arc;
/// # async fn serve(builder: tidings_server::ServerBuilder, router: tidings_router::Router) -> tidings_core::Result<()> {
/// use tidings_server::Probes;
///
/// let probes = Probes::listen("0.0.0.0:8080").await?; // Live, and not ready.
/// let server = Arc::new(builder.start(router).await?);
/// probes.watch(&server);
/// server.until_signal().await
/// # }
/// ```
pub struct Probes {
    address: SocketAddr,
    asked: Arc<Asked>,
    tasks: Tasks,
}

type Ask<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// What there is to be asked.
struct Asked {
    health: Mutex<Ask<Health>>,
    metrics: Mutex<Option<Ask<String>>>,
}

impl Probes {
    /// Listens at this address, and answers that the process is starting until it is told what to ask. Port 0 takes a
    /// free one.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] if the address is in use, [`ErrorKind::Misuse`] if it is no address of this machine,
    /// [`ErrorKind::Denied`] if this process may not listen there.
    pub async fn listen(address: &str) -> Result<Self> {
        let refused = |error| refused(address, error);
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let starting: Ask<Health> = Arc::new(|| Health::starting("the service is starting"));
        let asked = Arc::new(Asked {
            health: Mutex::new(starting),
            metrics: Mutex::new(None),
        });
        let tasks = Tasks::new();
        tasks.spawn(
            "probes",
            accept(listener, Arc::clone(&asked), tasks.clone()),
        );
        info!(%address, "answering health checks");
        Ok(Self {
            address,
            asked,
            tasks,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on answers with the health of this server, which it does not keep alive.
    pub fn watch(&self, server: &Arc<Running>) {
        let server = Arc::downgrade(server);
        self.report(move || {
            let server = server.upgrade();
            server.map_or_else(Health::ended, |server| server.health())
        });
    }

    /// From now on answers with what this says, for example of several servers. It is called for each question.
    pub fn report(&self, health: impl Fn() -> Health + Send + Sync + 'static) {
        *self.asked.health() = Arc::new(health);
    }

    /// From now on answers that the process lives and is not ready, for this reason.
    pub fn starting(&self, reason: impl Into<String>) {
        let reason = reason.into();
        self.report(move || Health::starting(&*reason));
    }

    /// Answers `/metrics` with what this renders, in the text format of Prometheus: the handle of the recorder that `main`
    /// has installed knows how. Without it there is no such page.
    pub fn metrics(&self, render: impl Fn() -> String + Send + Sync + 'static) {
        *self.asked.metrics() = Some(Arc::new(render));
    }
}

impl Asked {
    fn health(&self) -> MutexGuard<'_, Ask<Health>> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn metrics(&self) -> MutexGuard<'_, Option<Ask<String>>> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(address: &str, error: io::Error) -> Error {
    let (kind, why) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            ErrorKind::Conflict,
            "it is in use: stop who listens there, or choose another port",
        ),
        io::ErrorKind::PermissionDenied => (
            ErrorKind::Denied,
            "this process may not: choose a port above 1023",
        ),
        _ => (
            ErrorKind::Misuse,
            "write an address of this machine and a port, for example `127.0.0.1:8080`",
        ),
    };
    let context = format!("cannot answer health checks at `{address}`: {why}");
    Error::new(kind, context).with_source(error)
}

async fn accept(listener: TcpListener, asked: Arc<Asked>, tasks: Tasks) {
    let room = Arc::new(Semaphore::new(AT_A_TIME));
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let asked = Arc::clone(&asked);
                tasks.spawn("probe", async move {
                    one(stream, &asked).await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!(%error, "a health check was not let in");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Answers one question. What goes wrong on the way is the business of who asked.
async fn one(stream: TcpStream, asked: &Asked) {
    let service = service_fn(|request: Request<Incoming>| {
        std::future::ready(asked.answer(request.method(), request.uri().path()))
    });
    let answering = http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    drop(timeout(PATIENCE, answering).await);
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

impl fmt::Debug for Probes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probes")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// The status, and everything that was answered.
    async fn ask(probes: &Probes, line: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(probes.address()).await.unwrap();
        let question = format!("{line} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(question.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    }

    async fn check(probes: &Probes, line: &str, status: u16, says: &str) {
        let (answered, answer) = ask(probes, line).await;
        assert_eq!(answered, status, "{line}: {answer}");
        assert!(answer.contains(says), "{line}: {answer}");
    }

    async fn probes() -> Probes {
        Probes::listen("127.0.0.1:0").await.unwrap()
    }

    #[tokio::test]
    async fn a_service_that_starts_lives_and_is_not_ready() {
        let probes = probes().await;
        check(&probes, "GET /live", 200, r#"{"live":true}"#).await;
        let reasons = r#""ready":false,"reasons":["the service is starting"]"#;
        check(&probes, "GET /ready", 503, reasons).await;
        probes.starting("waiting for the broker");
        check(&probes, "GET /ready", 503, "waiting for the broker").await;
        probes.report(Health::ended);
        check(&probes, "GET /live", 503, r#"{"live":false}"#).await;
    }

    #[tokio::test]
    async fn each_question_is_asked_anew() {
        let probes = probes().await;
        probes.report(|| Health {
            ready: true,
            reasons: Vec::new(),
            subscriptions: vec![crate::SubscriptionHealth {
                subscriber: "mail".into(),
                queue: "q".into(),
                state: crate::SubscriptionState::Consuming,
            }],
            ..Health::starting("")
        });
        let subscription = r#"{"subscriber":"mail","queue":"q","state":"consuming"}"#;
        check(&probes, "GET /ready", 200, subscription).await;
        check(&probes, "GET /ready?verbose=1", 200, "no-store").await;
        let (status, answer) = ask(&probes, "HEAD /ready").await;
        assert!(status == 200 && answer.ends_with("\r\n\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn other_questions_are_told_what_there_is() {
        let probes = probes().await;
        check(&probes, "GET /", 404, "/live and /ready").await;
        check(&probes, "GET /metrics", 404, "/live and /ready").await;
        check(&probes, "POST /ready", 405, "allow: GET, HEAD").await;
        probes.metrics(|| "tidings_retries 7\n".to_owned());
        check(&probes, "GET /metrics", 200, "text/plain; version=0.0.4").await;
        check(&probes, "GET /metrics", 200, "tidings_retries 7").await;
        check(&probes, "GET /", 404, "/metrics").await;
    }

    #[tokio::test]
    async fn who_says_nothing_keeps_nobody_else_out() {
        let probes = probes().await;
        let mut silent = Vec::new();
        for _ in 1..AT_A_TIME {
            silent.push(TcpStream::connect(probes.address()).await.unwrap());
        }
        check(&probes, "GET /live", 200, "true").await;
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_had_is_told_with_what_to_do() {
        let probes = probes().await;
        let refused = async |address: &str| Probes::listen(address).await.unwrap_err();
        let error = refused(&probes.address().to_string()).await;
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("it is in use: "), "{error}");
        for address in ["8080", "", "127.0.0.1", "192.0.2.1:8080"] {
            let error = refused(address).await;
            assert_eq!(error.kind(), ErrorKind::Misuse, "{error:?}");
        }
        let address = probes.address().to_string();
        drop(probes);
        // The port is free once the task has ended.
        while Probes::listen(&address).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}
