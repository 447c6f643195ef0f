//! Health checks of a program, from before it has a broker until after its drain.

use std::net::SocketAddr;

use futures_util::FutureExt;
use tidings_consumer::{Program, Transports};
use tidings_core::{Deadline, Error, ErrorKind, transport::Registry};
use tidings_testkit::log::Log;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::program::{File, Memory, SOON, caller, gate, program};

const HOSTS: &str = "{v: {queue: q, exchanges: {wait: {type: direct}}}}";

const FLAGS: [&str; 2] = ["--virtual-host-name=v", "--health=127.0.0.1:0"];

/// What is answered, or nothing if nobody listens.
async fn ask(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let question = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(question.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

async fn check(address: SocketAddr, path: &str, status: &str, says: &str) {
    let answer = ask(address, path).await.unwrap();
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(says),
        "{path}: {answer}"
    );
}

#[tokio::test]
async fn is_not_ready_from_the_signal_on_and_lives_until_the_end() {
    let (file, gate) = (File::new(HOSTS), gate());
    let program = Program::<Memory>::new()
        .state(gate.clone())
        .metrics(|| "tidings_retries 7\n".to_owned());
    let served = program.start(&file.flags(&FLAGS)).await.unwrap();
    let address = served.health_address().unwrap();
    check(
        address,
        "/ready",
        "200",
        r#""queue":"q","state":"consuming""#,
    )
    .await;
    check(address, "/live", "200", "true").await;
    check(address, "/metrics", "200", "tidings_retries 7").await;

    let caller = caller(&served);
    let under_way = async {
        gate.entered.acquire().await.unwrap().forget();
        let mut draining = Box::pin(served.drain(SOON));
        assert!(
            (&mut draining).now_or_never().is_none(),
            "a request is under way"
        );
        check(address, "/ready", "503", "the server is draining").await;
        check(address, "/live", "200", "true").await;
        gate.open.add_permits(1);
        draining.await
    };
    let (reply, drained) = tokio::join!(caller.call_raw("wait", "{}"), under_way);
    assert!(reply.is_ok() && drained.complete);
    check(address, "/live", "200", "true").await;
    served.close(Deadline::after(SOON)).await.unwrap();
    check(address, "/live", "200", "true").await;
    drop(served);
    // It is closed by a task.
    while ask(address, "/live").await.is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_program_without_all_its_handlers_says_so() {
    let file = File::new("{v: {queue: q, exchanges: {gone: {type: direct}}}}");
    let served = program().start(&file.flags(&FLAGS)).await.unwrap();
    let reason = r#""reasons":["virtual host `v`: no handler for exchange `gone`"]"#;
    check(served.health_address().unwrap(), "/ready", "503", reason).await;
}

#[tokio::test]
async fn a_program_that_waits_for_its_broker_lives_and_says_what_it_waits_for() {
    struct Away;
    impl Transports for Away {
        fn transports() -> Registry {
            Registry::new().with("embedded", |_| async {
                Err(Error::new(ErrorKind::Unavailable, "nobody there"))
            })
        }
    }
    let (log, file) = (Log::start(), File::new("{v: {queue: q, exchanges: {}}}"));
    let flags = file.flags(&FLAGS);
    let starting = Program::<Away>::new().start(&flags);
    let asking = async {
        while log.lines_with("the broker cannot be reached").is_empty() {
            tokio::task::yield_now().await;
        }
        let line = log.lines_with("answering health checks").remove(0);
        let (_, address) = line.split_once("address=").unwrap();
        let address = address.trim().parse().unwrap();
        check(address, "/live", "200", "true").await;
        let reason = "waiting for the broker of virtual host `v`: nobody there";
        check(address, "/ready", "503", reason).await;
    };
    tokio::select! {
        _ended = starting => panic!("there is no broker"),
        () = asking => {}
    }
}

#[tokio::test]
async fn a_port_in_use_is_told_before_anything_is_served() {
    let file = File::new(HOSTS);
    let served = program().start(&file.flags(&FLAGS)).await.unwrap();
    let address = served.health_address().unwrap();
    let again = format!("--health={address}");
    let flags = file.flags(&["--virtual-host-name=v", &again]);
    let error = program().start(&flags).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let text = error.to_string();
    assert!(
        text.contains(&address.to_string()) && text.contains("in use"),
        "{text}"
    );
}
