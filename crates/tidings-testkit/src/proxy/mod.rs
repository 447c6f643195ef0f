//! A TCP proxy between a client under test and a real server, which breaks the network on command.
//!
//! It stands where a cable would: the client is given [`Proxy::address`] instead of the server's. Faults are
//! named as in toxiproxy where that has a word for them (see the aliases in the search), and every command has
//! taken effect when it returns. Tests wait for what the proxy counts instead of sleeping.
//!
//! ```
//! use tidings_testkit::proxy::Proxy;
//! use tokio::{io::AsyncReadExt, net::{TcpListener, TcpStream}};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = TcpListener::bind("127.0.0.1:0").await?;
//! let proxy = Proxy::start(server.local_addr()?).await?;
//! let mut client = TcpStream::connect(proxy.address()).await?;
//! proxy.wait_for_connections(1).await?;
//!
//! proxy.cut().await;
//! assert_eq!(client.read(&mut [0]).await?, 0); // An orderly end.
//! assert_eq!(proxy.counts().open, 0);
//! # Ok(())
//! # }
//! ```
//!
//! It works below every protocol and knows none: a cut comes where it comes, also in the middle of a frame.
//! It deliberately cannot lose single packets or swap them, because TCP would repair that.

mod connection;
mod counts;
mod faults;
mod pump;

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tidings_core::{Error, ErrorKind, Result, tasks::Tasks};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::{mpsc, oneshot, watch},
};

use self::{
    connection::{Order, listen},
    counts::Counters,
    faults::{Ending, Faults},
};
pub use self::{counts::Counts, faults::Direction};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1_024;

/// A running proxy in front of one server. Dropping it ends the listener and all connections.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    refusing: AtomicBool,
    /// Never listens: it keeps the port ours while no listener does.
    _reserved: TcpSocket,
}

/// What the proxy shares with the tasks of its connections.
struct Shared {
    upstream: SocketAddr,
    counters: Counters,
    faults: watch::Sender<Faults>,
    /// Ends the connections that were accepted since the last cut.
    generation: Mutex<watch::Sender<Option<Ending>>>,
    tasks: Tasks,
}

impl Proxy {
    /// Starts a proxy on a free port of 127.0.0.1, in front of this server. The server need not run yet: a client's
    /// connection is reset if it does not.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if there is no port to listen on.
    #[expect(
        clippy::unused_async,
        reason = "sockets need a runtime, which an async function makes plain"
    )]
    pub async fn start(upstream: SocketAddr) -> Result<Self> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let reserved = bind(any).map_err(|error| unavailable(any, error))?;
        let address = reserved
            .local_addr()
            .map_err(|error| unavailable(any, error))?;
        let listener = open(address)?;
        let shared = Arc::new(Shared {
            upstream,
            counters: Counters::new(),
            faults: watch::Sender::new(Faults::default()),
            generation: Mutex::new(watch::Sender::new(None)),
            tasks: Tasks::new(),
        });
        let (orders, received) = mpsc::channel(1);
        let listening = listen(Arc::clone(&shared), listener, received);
        shared.tasks.spawn("proxy", listening);
        Ok(Self {
            address,
            shared,
            orders,
            refusing: AtomicBool::new(false),
            _reserved: reserved,
        })
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port of [`address`](Self::address).
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Closes all connections in an orderly way: a FIN goes to both sides, whatever is on its way is lost. New
    /// connections are accepted.
    ///
    /// A connection that has not been [counted](Counts::accepted) yet may escape: wait for it before.
    ///
    /// # Cancel safety
    /// Yes: the connections are closed anyway, only the wait for it is given up.
    pub async fn cut(&self) {
        self.end_all(Ending::Cut).await;
    }

    /// Breaks all connections: an RST goes to both sides, whose next read or write fails. New connections are accepted.
    ///
    /// A connection that has not been [counted](Counts::accepted) yet may escape: wait for it before.
    ///
    /// # Cancel safety
    /// As [`cut`](Self::cut).
    #[doc(alias = "reset_peer")]
    pub async fn reset(&self) {
        self.end_all(Ending::Reset).await;
    }

    /// Lets so many further bytes pass in this direction, counted over all connections, and then cuts the connection
    /// that carried the last of them: also in the middle of a frame. After 0 bytes, it is the connection that
    /// is sent the next one. Other connections go on, and new ones work. A second call replaces the first.
    #[doc(alias = "limit_data")]
    pub fn cut_after(&self, direction: Direction, bytes: u64) {
        self.shared.counters.set_budget(direction, Some(bytes));
    }

    /// Freezes the peer: connections stay open and new ones are accepted, but nothing is read any more, in
    /// either direction, until [`resume`](Self::resume). What is sent from now on waits, nothing is lost, and the
    /// sender blocks once the buffers of the operating system are full.
    pub fn stall(&self) {
        self.change(|faults| faults.stalled = true);
    }

    /// Swallows everything that is sent from now on, in both directions, the ends of streams included: writes
    /// succeed, nothing arrives, and nobody learns that the other side is gone. This is a half-open connection, as a
    /// pulled cable or a lost NAT entry leaves it.
    #[doc(alias = "half_open")]
    #[doc(alias = "timeout")]
    pub fn black_hole(&self) {
        self.change(|faults| faults.swallowing = true);
    }

    /// Ends [`stall`](Self::stall) and [`black_hole`](Self::black_hole). Connections that lost something are reset,
    /// since what came after would make no sense; the others go on.
    pub fn resume(&self) {
        self.change(|faults| (faults.stalled, faults.swallowing) = (false, false));
    }

    /// Makes every byte arrive this much later in each direction, so a round trip takes twice as long. The order is
    /// kept and throughput is not limited, up to 8 MiB on their way. Zero ends it.
    #[doc(alias = "latency")]
    pub fn delay(&self, by: Duration) {
        self.change(|faults| faults.delay = by);
    }

    /// Lets every connection carry so many bytes a second in each direction; 0 counts as 1. [`heal`](Self::heal)
    /// ends it.
    #[doc(alias = "bandwidth")]
    pub fn limit(&self, bytes_per_second: u64) {
        self.change(|faults| faults.bytes_per_second = Some(bytes_per_second.max(1)));
    }

    /// Refuses new connections by closing the listener, as a server that is down does. Those that are open go on.
    /// Connections that were not accepted yet are reset. The port stays ours.
    ///
    /// # Cancel safety
    /// Yes: it can be called again.
    #[doc(alias = "disable")]
    pub async fn refuse(&self) {
        let (done, closed) = oneshot::channel();
        self.refusing.store(true, Ordering::SeqCst);
        if self.orders.send(Order::Refuse(done)).await.is_ok() {
            // An error is the answer: the other end was dropped, with or without the task.
            drop(closed.await);
        }
    }

    /// Accepts new connections again, on the same port.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the port cannot be listened on.
    ///
    /// # Cancel safety
    /// Yes: it is done or not begun.
    #[doc(alias = "enable")]
    pub async fn accept(&self) -> Result<()> {
        if !self.refusing.load(Ordering::SeqCst) {
            return Ok(());
        }
        let order = Order::Accept(open(self.address)?);
        if self.orders.send(order).await.is_err() {
            let context = format!("the proxy on {} has ended", self.address);
            return Err(Error::new(ErrorKind::Closed, context));
        }
        self.refusing.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Lifts every fault: as [`resume`](Self::resume) and [`accept`](Self::accept), without delay, limit or a cut
    /// to come.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub async fn heal(&self) -> Result<()> {
        for direction in [Direction::Upstream, Direction::Downstream] {
            self.shared.counters.set_budget(direction, None);
        }
        self.change(|faults| *faults = Faults::default());
        self.accept().await
    }

    /// What went through so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counters.read()
    }

    /// Waits until exactly so many connections are open to both sides.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] after 30 seconds, with what was counted instead.
    pub async fn wait_for_connections(&self, open: u64) -> Result<()> {
        let what = format!("{open} open connections");
        self.wait_until(&what, |counts| counts.open == open).await
    }

    /// Waits until clients have made at least so many connections since the start.
    ///
    /// # Errors
    /// As [`wait_for_connections`](Self::wait_for_connections).
    pub async fn wait_for_accepted(&self, total: u64) -> Result<()> {
        let what = format!("{total} connections in all");
        self.wait_until(&what, |counts| counts.accepted >= total)
            .await
    }

    /// Waits until at least so many bytes were passed on in one direction since the start.
    ///
    /// # Errors
    /// As [`wait_for_connections`](Self::wait_for_connections).
    pub async fn wait_for_bytes(&self, direction: Direction, total: u64) -> Result<()> {
        let what = format!("{total} bytes {direction:?}");
        self.wait_until(&what, |counts| counts.passed(direction) >= total)
            .await
    }

    /// Waits until the counts are as wanted; `what` names it for the error.
    ///
    /// # Errors
    /// As [`wait_for_connections`](Self::wait_for_connections).
    ///
    /// # Cancel safety
    /// Yes: it only looks.
    pub async fn wait_until(&self, what: &str, wanted: impl Fn(&Counts) -> bool) -> Result<()> {
        self.shared.counters.until(what, wanted).await
    }

    fn change(&self, change: impl FnOnce(&mut Faults)) {
        self.shared.faults.send_modify(change);
    }

    async fn end_all(&self, how: Ending) {
        let old = std::mem::replace(&mut *self.shared.generation(), watch::Sender::new(None));
        old.send_replace(Some(how));
        // Every connection holds a receiver for as long as its sockets are open.
        old.closed().await;
    }
}

impl Shared {
    fn generation(&self) -> MutexGuard<'_, watch::Sender<Option<Ending>>> {
        self.generation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.tasks.abort();
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("address", &self.address)
            .field("upstream", &self.shared.upstream)
            .field("faults", &*self.shared.faults.borrow())
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

fn open(address: SocketAddr) -> Result<TcpListener> {
    bind(address)
        .and_then(|socket| socket.listen(BACKLOG))
        .map_err(|error| unavailable(address, error))
}

/// A socket on this address that may share it with others of ours. Only the one that listens is connected to.
fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn unavailable(address: SocketAddr, error: io::Error) -> Error {
    let context = format!("a proxy cannot listen on {address}: is there a free port?");
    Error::new(ErrorKind::Unavailable, context).with_source(error)
}
