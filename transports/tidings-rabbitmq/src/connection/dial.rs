//! From a configuration to a lapin connection.
//!
//! Name, socket and TLS are ours, one step after the other, so that the error says which of them failed; lapin gets
//! a stream on which the broker can be spoken to.

use std::{fmt::Display, io, net, pin::pin, sync::Mutex, time::Duration};

use async_compat::Compat;
use futures_util::future::{Either, select};
use lapin::{
    AsyncTcpStream, Connection, ConnectionProperties, runtime::default_runtime,
    tcp::RustlsConnector,
};
use tidings_core::{Error, ErrorKind, Result};
use tokio::{
    net::{TcpStream, lookup_host},
    time::{sleep, timeout},
};

use super::{server, tls};
use crate::{
    config::{RabbitMqConfig, TlsConfig},
    error,
};

/// After which silence a peer may be no broker.
const HESITATION: Duration = Duration::from_secs(1);

/// A stream to the broker, encrypted or not.
pub(crate) type Stream = AsyncTcpStream<Compat<TcpStream>>;

/// A connection, and another handle on its socket: lapin writes nothing while the broker blocks the connection, so
/// it cannot end one that is blocked.
pub(super) struct Dialled {
    pub(super) connection: Connection,
    pub(super) socket: Option<net::TcpStream>,
}

/// Connects once.
///
/// # Errors
/// [`Unavailable`](ErrorKind::Unavailable) if nobody answers, [`Unauthenticated`](ErrorKind::Unauthenticated) or
/// [`Denied`](ErrorKind::Denied) if the broker refuses; each names the broker, the cause and the next step.
pub(super) async fn dial(config: &RabbitMqConfig, role: impl Display) -> Result<Dialled> {
    let attempt = timeout(config.connection_timeout, attempt(config, role)).await;
    attempt.unwrap_or_else(|_| Err(error::no_answer(config)))
}

async fn attempt(config: &RabbitMqConfig, role: impl Display) -> Result<Dialled> {
    let at = format!("RabbitMQ at `{}`", config.at());
    let tls = config.tls.as_ref();
    let connector = tls.map(tls::connector).transpose()?;
    let socket = connect(&config.host, config.port, &at).await?;
    let (socket, handshaking) =
        Handshaking::on(socket).map_err(|failed| unreachable(&at, &failed))?;
    let stream = over(socket, connector.zip(tls), &config.host, &at).await?;
    let name = format!("{} ({role})", config.name);
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    // lapin asks for a stream once: without its own recovery there is no second time.
    let stream = Mutex::new(Some(stream));
    let take = async move |_, _| {
        let taken = stream.lock().ok().and_then(|mut stream| stream.take());
        taken.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected).into())
    };
    let runtime = default_runtime().map_err(|failed| error::of_handshake(&failed, config))?;
    let handshake = pin!(Connection::connector(
        config.to_uri(),
        runtime,
        take,
        properties
    ));
    let made = match select(handshake, pin!(sleep(HESITATION))).await {
        Either::Left((made, _)) => made,
        // An HTTP server waits for the end of what it takes for a request. Who is it?
        Either::Right(((), handshake)) => match server::identify(config).await {
            Some(stranger) => return Err(stranger),
            None => handshake.await,
        },
    };
    match made {
        Ok(connection) => Ok(Dialled {
            connection,
            socket: handshaking.succeeded(),
        }),
        Err(failed) => Err(explain(&failed, config).await),
    }
}

/// Why there is no connection although there was a stream.
async fn explain(failed: &lapin::Error, config: &RabbitMqConfig) -> Error {
    // Under TLS 1.3 a server may refuse a client's certificate after the client thinks that all is well.
    if let (lapin::ErrorKind::IOError(broken), Some(tls)) = (failed.kind(), &config.tls)
        && tls::is_about_tls(broken)
    {
        let name = tls.server_name.as_deref().unwrap_or(&config.host);
        return tls::failure(broken, name, &format!("RabbitMQ at `{}`", config.at()));
    }
    if error::code(failed).is_some() {
        return error::of_handshake(failed, config);
    }
    // It did not answer as a broker does.
    let stranger = server::identify(config).await;
    stranger.unwrap_or_else(|| error::of_handshake(failed, config))
}

/// A stream to a host, for AMQP and for the HTTP API. `whom` is named in errors.
pub(crate) async fn stream(
    host: &str,
    port: u16,
    tls: Option<&TlsConfig>,
    whom: &str,
) -> Result<Stream> {
    let at = format!("{whom} at `{host}:{port}`");
    // The files are read first: no server can mend them.
    let connector = tls.map(tls::connector).transpose()?;
    let socket = connect(host, port, &at).await?;
    over(socket, connector.zip(tls), host, &at).await
}

/// A stream over a socket, encrypted if there is something to encrypt with.
async fn over(
    socket: TcpStream,
    tls: Option<(RustlsConnector, &TlsConfig)>,
    host: &str,
    at: &str,
) -> Result<Stream> {
    // Frames are gathered before they are written, and what is left must not wait for the peer's acknowledgement.
    socket
        .set_nodelay(true)
        .map_err(|failed| unreachable(at, &failed))?;
    let plain = AsyncTcpStream::Plain(Compat::new(socket));
    match tls {
        Some((connector, tls)) => encrypt(plain, &connector, tls, host, at).await,
        None => Ok(plain),
    }
}

/// Another handle on the socket of a handshake.
///
/// lapin reads on a thread of its own, which a handshake that is given up does not end: without this, a broker that
/// accepts connections and says nothing would be left with one more thread and socket by every attempt.
struct Handshaking(Option<net::TcpStream>);

impl Handshaking {
    fn on(socket: TcpStream) -> io::Result<(TcpStream, Self)> {
        let socket = socket.into_std()?;
        let other = socket.try_clone()?;
        Ok((TcpStream::from_std(socket)?, Self(Some(other))))
    }

    /// The socket belongs to a connection now.
    fn succeeded(mut self) -> Option<net::TcpStream> {
        self.0.take()
    }
}

impl Drop for Handshaking {
    fn drop(&mut self) {
        if let Some(socket) = self.0.take() {
            // One that is not connected any more needs no end.
            let _ended = socket.shutdown(net::Shutdown::Both).is_ok();
        }
    }
}

async fn connect(host: &str, port: u16, at: &str) -> Result<TcpStream> {
    let addresses = lookup_host((host, port)).await.map_err(|failed| {
        let context = format!(
            "cannot reach {at}: the name `{host}` has no address, correct it or the DNS ({failed})"
        );
        Error::new(ErrorKind::Unavailable, context)
    })?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(socket) => return Ok(socket),
            Err(failed) => last = failed,
        }
    }
    Err(unreachable(at, &last))
}

fn unreachable(at: &str, failed: &io::Error) -> Error {
    let context = match failed.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("cannot reach {at}: nobody listens there, start it or correct host and port")
        }
        _ => format!("cannot reach {at}: {failed}, check host, port and network"),
    };
    Error::new(ErrorKind::Unavailable, context)
}

async fn encrypt(
    plain: Stream,
    connector: &RustlsConnector,
    tls: &TlsConfig,
    host: &str,
    at: &str,
) -> Result<Stream> {
    let name = tls.server_name.as_deref().unwrap_or(host);
    let encrypted = plain.into_rustls(connector, name).await;
    encrypted.map_err(|failed| tls::failure(&failed, name, at))
}
