//! Faults that last until they are lifted: stalls, black holes, delays, limits.

use std::{io::ErrorKind as Io, time::Duration};

use tidings_testkit::proxy::Proxy;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};

use super::{LONG, connect, echo_behind_proxy, echoes, expect, rest};

/// What must not come would have come within this time.
const QUIET: Duration = Duration::from_millis(50);

async fn stays_silent(stream: &mut TcpStream) {
    let mut byte = [0];
    let read = timeout(QUIET, stream.read(&mut byte)).await;
    assert!(read.is_err(), "got {read:?}");
}

#[tokio::test]
async fn a_stalled_peer_is_silent_and_loses_nothing() {
    let (_echo, proxy) = echo_behind_proxy().await;
    let mut client = connect(&proxy).await;
    echoes(&mut client, b"before").await;
    proxy.stall();
    client.write_all(b"during").await.unwrap();
    stays_silent(&mut client).await;
    let mut late = connect(&proxy).await;
    late.write_all(b"late").await.unwrap();
    proxy.wait_for_connections(2).await.unwrap();
    stays_silent(&mut late).await;
    assert_eq!(proxy.counts().upstream, 6);
    proxy.resume();
    expect(&mut client, b"during").await;
    expect(&mut late, b"late").await;
    echoes(&mut client, b"after").await;
}

#[tokio::test]
async fn a_sender_to_a_stalled_peer_blocks_in_the_end() {
    let (_echo, proxy) = echo_behind_proxy().await;
    let mut client = connect(&proxy).await;
    proxy.wait_for_connections(1).await.unwrap();
    proxy.stall();
    let mut sent = 0_u64;
    let block = [0; 1 << 16];
    let filling = async {
        loop {
            sent += u64::try_from(client.write(&block).await.unwrap()).unwrap();
            assert!(sent < 1 << 30, "nothing blocks");
        }
    };
    assert!(timeout(QUIET, filling).await.is_err());
    assert_eq!(proxy.counts().upstream, 0);
    proxy.cut().await;
    proxy.resume();
}

#[tokio::test]
async fn a_black_hole_takes_everything_and_tells_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();
    let mut client = connect(&proxy).await;
    let (mut server, _) = listener.accept().await.unwrap();
    proxy.wait_for_connections(1).await.unwrap();

    proxy.black_hole();
    client.write_all(b"question").await.unwrap();
    server.write_all(b"answer").await.unwrap();
    let swallowed = proxy.wait_until("14 swallowed bytes", |counts| counts.swallowed == 14);
    swallowed.await.unwrap();
    drop(client);
    stays_silent(&mut server).await;
    assert_eq!((proxy.counts().upstream, proxy.counts().downstream), (0, 0));
    assert_eq!(proxy.counts().open, 1, "the server's half is still open");

    proxy.resume();
    let error = rest(&mut server).await.unwrap_err();
    assert_eq!(error.kind(), Io::ConnectionReset);
    proxy.wait_for_connections(0).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_lost_nothing_outlives_a_black_hole() {
    let (_echo, proxy) = echo_behind_proxy().await;
    let mut client = connect(&proxy).await;
    echoes(&mut client, b"before").await;
    proxy.black_hole();
    proxy.resume();
    echoes(&mut client, b"after").await;
}

#[tokio::test]
async fn a_delay_applies_in_each_direction_and_not_to_throughput() {
    let delay = Duration::from_millis(30);
    let (_echo, proxy) = echo_behind_proxy().await;
    let mut client = connect(&proxy).await;
    proxy.delay(delay);
    let started = Instant::now();
    echoes(&mut client, b"ping").await;
    assert!(started.elapsed() >= 2 * delay);

    // Many writes while the first is on its way: one delay for each would take a minute.
    let (mut reader, mut writer) = client.split();
    let wanted: Vec<u8> = (0..2_000_u32).flat_map(u32::to_le_bytes).collect();
    let writing = async {
        for bytes in wanted.chunks(4) {
            writer.write_all(bytes).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let mut got = vec![0; wanted.len()];
    let both = async { tokio::join!(writing, reader.read_exact(&mut got)).1 };
    timeout(LONG, both).await.unwrap().unwrap();
    assert_eq!(got, wanted, "the order is kept");

    proxy.delay(Duration::ZERO);
    echoes(&mut client, b"pong").await;
}

#[tokio::test]
async fn a_limit_slows_down_and_loses_nothing() {
    let (_echo, proxy) = echo_behind_proxy().await;
    let mut client = connect(&proxy).await;
    proxy.limit(1_000_000);
    let started = Instant::now();
    echoes(&mut client, &[3; 100_000]).await;
    // The last portion, a fiftieth of a second, is not waited for.
    assert!(started.elapsed() >= Duration::from_millis(75));
    proxy.heal().await.unwrap();
    echoes(&mut client, &[4; 1_000_000]).await;
}
