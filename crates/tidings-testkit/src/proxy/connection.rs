//! The listener and its connections: accepted, joined to the server, and ended as told.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    select,
    sync::{mpsc, oneshot, watch},
    time::sleep,
};
use tracing::debug;

use super::{
    Shared,
    faults::{Direction, Ending},
    pump::Pump,
};

/// How long to wait when the process has no room for another socket.
const NO_ROOM: Duration = Duration::from_millis(20);

/// How often to read what is left before hanging up: a sender that never pauses would go on for ever.
const AT_MOST_UNREAD: usize = 512;

/// What the task that accepts is told.
pub(super) enum Order {
    /// Stop listening, and drop this when it is done.
    Refuse(oneshot::Sender<()>),
    /// Listen again.
    Accept(TcpListener),
}

/// Accepts connections until nobody gives orders any more.
pub(super) async fn listen(
    shared: Arc<Shared>,
    listener: TcpListener,
    mut orders: mpsc::Receiver<Order>,
) {
    let mut listener = Some(listener);
    loop {
        select! {
            // Cancel-safe: promised by `recv`.
            order = orders.recv() => match order {
                Some(Order::Accept(new)) => listener = Some(new),
                Some(Order::Refuse(done)) => {
                    listener = None;
                    // This is the answer.
                    drop(done);
                }
                None => return,
            },
            // Cancel-safe: promised by `accept`.
            client = accept(listener.as_ref()) => match client {
                Ok(client) => welcome(&shared, client),
                Err(error) => {
                    debug!(%error, "the proxy cannot accept a connection");
                    sleep(NO_ROOM).await;
                }
            },
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => std::future::pending().await,
    }
}

fn welcome(shared: &Arc<Shared>, client: TcpStream) {
    // Before it is counted: whoever has seen it counted can cut it.
    let ending = shared.generation().subscribe();
    shared.counters.accept();
    let of_connection = Arc::clone(shared);
    shared.tasks.spawn("proxied connection", async move {
        serve(&of_connection, client, ending).await;
    });
}

/// One connection from its first to its last byte.
async fn serve(
    shared: &Shared,
    mut client: TcpStream,
    mut ending: watch::Receiver<Option<Ending>>,
) {
    let joined = select! {
        // Cancel-safe: it only looks at a value.
        how = told(&mut ending) => Err(how),
        server = join(shared.upstream, &client) => server.map_err(|_| Ending::Reset),
    };
    let mut server = match joined {
        Ok(server) => server,
        Err(how) => return end(how, [client]),
    };
    let _open = shared.counters.open();
    let how = select! {
        how = told(&mut ending) => Some(how),
        how = relay(shared, &mut client, &mut server) => how,
    };
    match how {
        Some(how) => end(how, [client, server]),
        // Closed before the count says so.
        None => drop((client, server)),
    }
}

async fn told(ending: &mut watch::Receiver<Option<Ending>>) -> Ending {
    match ending.wait_for(Option::is_some).await {
        Ok(how) => how.unwrap_or(Ending::Cut),
        // The proxy is gone.
        Err(_) => Ending::Cut,
    }
}

async fn join(upstream: SocketAddr, client: &TcpStream) -> io::Result<TcpStream> {
    let server = TcpStream::connect(upstream).await?;
    // Otherwise small frames would wait for acknowledgements that a direct connection does not wait for.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    Ok(server)
}

/// Passes bytes in both directions. `None` means that both sides have ended by themselves.
async fn relay(shared: &Shared, client: &mut TcpStream, server: &mut TcpStream) -> Option<Ending> {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let pump = |direction, halves| {
        let faults = shared.faults.subscribe();
        Pump::new(direction, halves, faults, &shared.counters).run()
    };
    let up = pump(Direction::Upstream, (from_client, to_server));
    let down = pump(Direction::Downstream, (from_server, to_client));
    tokio::try_join!(up, down).err()
}

/// Ends connections as told. Failures are ignored: a side that is gone has ended already.
fn end<const N: usize>(how: Ending, streams: [TcpStream; N]) {
    for stream in streams {
        match how {
            Ending::Reset => drop(stream.set_zero_linger()),
            Ending::Cut => hang_up(stream),
        }
    }
}

/// Sends a FIN. Linux would send an RST instead for a socket that is closed with unread bytes.
fn hang_up(stream: TcpStream) {
    let Ok(stream) = stream.into_std() else {
        return;
    };
    drop(stream.shutdown(std::net::Shutdown::Write));
    let mut unread = [0; 16 * 1024];
    for _ in 0..AT_MOST_UNREAD {
        let Ok(1..) = io::Read::read(&mut &stream, &mut unread) else {
            return;
        };
    }
}
