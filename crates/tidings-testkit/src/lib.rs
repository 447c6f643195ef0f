//! Test support: what proves that a transport keeps its promises, and that a whole system loses nothing.
//!
//! * [`conformance`]: one suite of behaviours that every transport passes.
//! * [`history`]: records what was attempted, confirmed and handled, even by processes that get killed, and
//!   finds what was lost.
//! * [`broken`]: transports that break their promises on purpose, which is how the two above are tested.
//! * [`process`]: a child process that a test kills.
//! * [`proxy`]: a TCP proxy that cuts, resets, stalls, swallows, delays and refuses on command.
//! * [`rabbitmq`]: a virtual host for each test, or a node of its own to stop and kill.
//! * [`double`]: a publisher and a settler that only write down what is asked of them.
//!
//! # A broken network
//!
//! A [`Proxy`](proxy::Proxy) stands between a client and a real server and breaks the connection in the ways that
//! networks do: `cut` (FIN), `reset` (RST), `stall` (a frozen peer), `black_hole` (a half-open connection), `delay`,
//! `limit`, `refuse`, and `cut_after` so many bytes. It counts connections and bytes, and tests wait for the counts:
//!
//! ```
//! # use tidings_testkit::proxy::Proxy;
//! # use tokio::net::{TcpListener, TcpStream};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = TcpListener::bind("127.0.0.1:0").await?;
//! let proxy = Proxy::start(server.local_addr()?).await?;
//! let url = format!("amqp://{}", proxy.address()); // What the client under test connects to.
//! # let _first = TcpStream::connect(proxy.address()).await?;
//! proxy.wait_for_connections(1).await?;
//! proxy.reset().await;
//! # let _second = TcpStream::connect(proxy.address()).await?;
//! proxy.wait_for_accepted(2).await?; // It has come back.
//! # Ok(())
//! # }
//! ```
//!
//! This crate is a dev-dependency and imports `tidings-core` only, so every other crate can use it. It
//! deliberately knows no convention, and of brokers only how a test gets one.

pub mod broken;
pub mod conformance;
pub mod double;
pub mod history;
pub mod log;
pub mod process;
pub mod proxy;
pub mod rabbitmq;
