//! The proxy breaks connections as it says, and counts what went through.

mod lasting;

use std::{
    io::{self, ErrorKind as Io},
    net::SocketAddr,
    time::Duration,
};

use futures_util::future::join_all;
use tidings_core::tasks::Tasks;
use tidings_testkit::proxy::{Direction, Proxy};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// What a test waits for comes within this time.
const LONG: Duration = Duration::from_secs(30);

/// Sends back what it is sent.
struct Echo {
    address: SocketAddr,
    tasks: Tasks,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let tasks = Tasks::new();
        let of_connections = tasks.clone();
        tasks.spawn("echo", async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                of_connections.spawn("echo connection", async move {
                    let (mut reader, mut writer) = stream.split();
                    drop(tokio::io::copy(&mut reader, &mut writer).await);
                });
            }
        });
        Self { address, tasks }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

async fn echo_behind_proxy() -> (Echo, Proxy) {
    let echo = Echo::start().await;
    let proxy = Proxy::start(echo.address)
        .await
        .expect("there is a free port");
    (echo, proxy)
}

async fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address())
        .await
        .expect("it listens");
    stream.set_nodelay(true).expect("it is open");
    stream
}

async fn expect(stream: &mut TcpStream, wanted: &[u8]) {
    let mut got = vec![0; wanted.len()];
    let read = timeout(LONG, stream.read_exact(&mut got)).await;
    read.expect("bytes arrive").expect("the connection works");
    assert!(got == wanted, "other bytes came back");
}

async fn echoes(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.expect("the connection works");
    expect(stream, bytes).await;
}

/// How a stream goes on: the number of bytes that come until it ends, or how it breaks.
async fn rest(stream: &mut TcpStream) -> io::Result<usize> {
    let mut got = Vec::new();
    let read = timeout(LONG, stream.read_to_end(&mut got)).await;
    read.expect("the connection ends")
}

#[tokio::test]
async fn without_a_fault_bytes_pass_and_are_counted() {
    let (_echo, proxy) = echo_behind_proxy().await;
    let mut client = connect(&proxy).await;
    echoes(&mut client, b"hello").await;
    echoes(&mut client, &[7; 300_000]).await;
    let counts = proxy.counts();
    assert_eq!((counts.accepted, counts.open), (1, 1));
    proxy
        .wait_for_bytes(Direction::Downstream, 300_005)
        .await
        .unwrap();
    assert_eq!(proxy.counts().upstream, 300_005);
    assert_eq!(proxy.counts().swallowed, 0);
}

#[tokio::test]
async fn one_side_may_end_before_the_other() {
    let (_echo, proxy) = echo_behind_proxy().await;
    let mut client = connect(&proxy).await;
    client.write_all(b"last words").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut client).await.unwrap(), 10);
    proxy.wait_for_connections(0).await.unwrap();
}

#[tokio::test]
async fn a_cut_is_an_orderly_end_for_all() {
    let (_echo, proxy) = echo_behind_proxy().await;
    let (mut one, mut two) = (connect(&proxy).await, connect(&proxy).await);
    proxy.wait_for_connections(2).await.unwrap();
    proxy.cut().await;
    assert_eq!(proxy.counts().open, 0);
    assert_eq!(rest(&mut one).await.unwrap(), 0);
    assert_eq!(rest(&mut two).await.unwrap(), 0);
    echoes(&mut connect(&proxy).await, b"again").await;
}

#[tokio::test]
async fn a_reset_breaks_all() {
    let (_echo, proxy) = echo_behind_proxy().await;
    let (mut one, mut two) = (connect(&proxy).await, connect(&proxy).await);
    proxy.wait_for_connections(2).await.unwrap();
    proxy.reset().await;
    assert_eq!(proxy.counts().open, 0);
    for client in [&mut one, &mut two] {
        let error = rest(client).await.unwrap_err();
        assert_eq!(error.kind(), Io::ConnectionReset);
    }
    echoes(&mut connect(&proxy).await, b"again").await;
}

/// Both ends are to see the same kind of end.
#[tokio::test]
async fn the_server_sees_how_a_connection_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();

    let _cut = connect(&proxy).await;
    let (mut server, _) = listener.accept().await.unwrap();
    proxy.wait_for_connections(1).await.unwrap();
    proxy.cut().await;
    assert_eq!(rest(&mut server).await.unwrap(), 0);

    let _reset = connect(&proxy).await;
    let (mut server, _) = listener.accept().await.unwrap();
    proxy.wait_for_connections(1).await.unwrap();
    proxy.reset().await;
    assert_eq!(
        rest(&mut server).await.unwrap_err().kind(),
        Io::ConnectionReset
    );
}

#[tokio::test]
async fn a_reset_by_one_side_reaches_the_other() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();
    let mut client = connect(&proxy).await;
    let (server, _) = listener.accept().await.unwrap();
    server.set_zero_linger().unwrap();
    drop(server);
    assert_eq!(
        rest(&mut client).await.unwrap_err().kind(),
        Io::ConnectionReset
    );
}

#[tokio::test]
async fn refused_clients_are_refused_until_they_are_accepted() {
    let (_echo, proxy) = echo_behind_proxy().await;
    let mut open = connect(&proxy).await;
    proxy.wait_for_connections(1).await.unwrap();
    for _ in 0..3 {
        proxy.refuse().await;
        let error = TcpStream::connect(proxy.address()).await.unwrap_err();
        assert_eq!(error.kind(), Io::ConnectionRefused);
        echoes(&mut open, b"still here").await;
        proxy.accept().await.unwrap();
        proxy.accept().await.unwrap();
        echoes(&mut connect(&proxy).await, b"welcome").await;
    }
}

#[tokio::test]
async fn a_client_of_an_absent_server_is_reset() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(gone.local_addr().unwrap()).await.unwrap();
    drop(gone);
    let mut client = connect(&proxy).await;
    assert_eq!(
        rest(&mut client).await.unwrap_err().kind(),
        Io::ConnectionReset
    );
    assert_eq!((proxy.counts().accepted, proxy.counts().open), (1, 0));
}

async fn check_cut_after(direction: Direction, bytes: u64) {
    let (_echo, proxy) = echo_behind_proxy().await;
    let mut client = connect(&proxy).await;
    echoes(&mut client, b"before").await;
    proxy.cut_after(direction, bytes);
    client
        .write_all(&[9; 100_000])
        .await
        .expect("the connection works");
    proxy
        .wait_for_connections(0)
        .await
        .expect("the connection ends");
    let passed = proxy.counts().passed(direction) - 6;
    assert_eq!(passed, bytes, "{direction:?}");
    if direction == Direction::Downstream {
        let got = rest(&mut client).await;
        assert_eq!(
            got.expect("it ends in order"),
            usize::try_from(bytes).expect("it is a small number"),
            "what the client got"
        );
    }
    echoes(&mut connect(&proxy).await, &[8; 200_000]).await;
}

#[tokio::test]
async fn a_cut_may_come_after_any_byte() {
    for bytes in [0, 1, 7, 65_536, 99_999] {
        check_cut_after(Direction::Upstream, bytes).await;
        check_cut_after(Direction::Downstream, bytes).await;
    }
}

#[tokio::test]
async fn healing_lifts_every_fault() {
    let (_echo, proxy) = echo_behind_proxy().await;
    let mut client = connect(&proxy).await;
    proxy.wait_for_connections(1).await.unwrap();
    proxy.stall();
    proxy.delay(LONG);
    proxy.limit(1);
    proxy.cut_after(Direction::Upstream, 3);
    proxy.refuse().await;
    proxy.heal().await.unwrap();
    echoes(&mut client, b"well again").await;
    echoes(&mut connect(&proxy).await, b"me too").await;
}

#[tokio::test]
async fn dropping_it_ends_everything() {
    let (_echo, proxy) = echo_behind_proxy().await;
    let mut client = connect(&proxy).await;
    echoes(&mut client, b"hello").await;
    let address = proxy.address();
    drop(proxy);
    assert_eq!(rest(&mut client).await.unwrap(), 0);
    // The listener goes in a task of its own; a connection that still got in breaks.
    let refused = async {
        loop {
            match TcpStream::connect(address).await {
                Err(error) => return error.kind(),
                Ok(mut stream) => drop(stream.read(&mut [0]).await),
            }
        }
    };
    assert_eq!(timeout(LONG, refused).await.unwrap(), Io::ConnectionRefused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_connections_come_and_go() {
    let (_echo, proxy) = echo_behind_proxy().await;
    for wave in 1..=10_u64 {
        let clients = (0..100).map(|_| async {
            let mut client = connect(&proxy).await;
            echoes(&mut client, b"one of many").await;
            client
        });
        let mut clients = join_all(clients).await;
        proxy.wait_for_connections(100).await.unwrap();
        match wave % 3 {
            0 => proxy.cut().await,
            1 => proxy.reset().await,
            _ => clients.clear(),
        }
        proxy.wait_for_connections(0).await.unwrap();
        assert_eq!(proxy.counts().accepted, 100 * wave);
    }
}

/// Faults come and go under load, faster than connections can be made; nothing hangs and nothing panics.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_may_follow_one_another_at_once() {
    let (_echo, proxy) = echo_behind_proxy().await;
    let clients = Tasks::new();
    for _ in 0..10 {
        let (stopping, address) = (clients.clone(), proxy.address());
        clients.spawn("client", async move {
            while !stopping.is_stopping() {
                let Ok(mut stream) = TcpStream::connect(address).await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                let talk = async {
                    while stream.write_all(&[1; 1_000]).await.is_ok()
                        && matches!(stream.read(&mut [0; 4_000]).await, Ok(1..))
                    {
                    }
                };
                tokio::select! {
                    () = talk => {}
                    () = stopping.stopping() => {}
                }
            }
        });
    }
    for round in 0..30 {
        let before = proxy.counts().upstream;
        proxy
            .wait_for_bytes(Direction::Upstream, before + 10_000)
            .await
            .unwrap();
        match round % 6 {
            0 => proxy.cut().await,
            1 => proxy.reset().await,
            2 => proxy.black_hole(),
            3 => proxy.cut_after(Direction::Downstream, 100),
            4 => proxy.stall(),
            _ => proxy.refuse().await,
        }
        proxy.heal().await.unwrap();
    }
    assert!(clients.stop(LONG).await);
}
