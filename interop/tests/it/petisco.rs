//! The real petisco on the other side: it reads what we publish, and judges how we read what it has made.

use std::{
    collections::HashSet,
    fmt::Write,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tidings::{Address, Call, Envelope};

use crate::{
    bed::{At, Bed, MAIL, QUEUE, golden},
    venv,
};

const SEED: &str = "20261121";

/// What ends a run of messages.
const LAST: &str = r#"{"data": {"id": "00000000-0000-0000-0000-00000000ffff"}}"#;

/// Python with petisco, if it can be had.
struct Peer(PathBuf);

impl Peer {
    fn new() -> Option<Self> {
        match venv::python(venv::PETISCO) {
            Ok(python) => Some(Self(python)),
            Err(why) => {
                venv::skip(venv::PETISCO, &why);
                None
            }
        }
    }

    /// Runs one action of the script.
    fn ask(&self, arguments: &[&str], input: &str) -> Vec<String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/peer.py");
        let mut child = Command::new(&self.0)
            .args(["-W", "ignore"])
            .arg(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut to = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || to.write_all(input.as_bytes()).unwrap());
            child.wait_with_output().unwrap()
        });
        assert!(output.status.success(), "the script failed");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Publishes generated messages and has petisco read and write them again: byte for byte the same.
    async fn reads_what_we_publish(&self) {
        let bed = Bed::configured(&At::Embedded, &["--main-ttl", "0"]).await;
        let lines = self.ask(&["lines", SEED, "300"], "");
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let published = bed.publish(&lines).await;
        assert_eq!(
            (published.code, published.lines.len()),
            (Some(0), 300),
            "{}",
            published.errors
        );
        let sent: Vec<_> = bed
            .take("store", 300)
            .await
            .iter()
            .map(|envelope| hex(&envelope.payload.bytes))
            .collect();
        let again = self.ask(&["again"], &sent.join("\n"));
        assert_eq!(again.len(), sent.len());
        for (sent, again) in sent.iter().zip(again) {
            assert_eq!(text(sent), text(&again));
        }
        // And the content is what the lines asked for.
        for (line, published) in lines.iter().zip(&published.lines) {
            let (line, data): (Value, _) = (
                serde_json::from_str(line).unwrap(),
                &published["format"]["data"],
            );
            for (asked, found) in [
                ("name", "type"),
                ("type", "type_message"),
                ("version", "version"),
            ] {
                assert_eq!(line[asked], data[found]);
            }
            for member in ["attributes", "meta", "id", "occurred_on"] {
                assert!(
                    line[member].is_null() || line[member] == data[member],
                    "{line} {data}"
                );
            }
        }
    }

    /// Feeds bodies to a consumer and has petisco judge what it made of each.
    async fn agrees_with_what_we_read(&self, bodies: &[Vec<u8>]) {
        let bed = Bed::configured(&At::Embedded, &["--main-ttl", "0"]).await;
        let last = LAST.as_bytes().to_vec();
        let calls = bodies
            .iter()
            .chain([&last])
            .map(|body| Call::new(Address::queue(QUEUE), Envelope::new(body.clone())));
        bed.inject(calls).await;
        let mut consumer = bed.consumer(&["--only", MAIL]).await;
        let mut read = Vec::new();
        loop {
            // The text, because a parsed number may have been rounded.
            let line = consumer.text().await.unwrap();
            if line.contains("00000000ffff") {
                break;
            }
            let (_, format) = line.split_once(r#""format":"#).unwrap();
            let (format, _) = format.rsplit_once(r#","redelivery_count""#).unwrap();
            read.push(format.to_owned());
        }
        consumer.terminate().await;
        assert_eq!(consumer.end().await.code, Some(0));
        let dead = format!("dead_letter.{QUEUE}");
        let refused = bodies.len() - read.len();
        let refused: HashSet<_> = bed
            .take(&dead, refused)
            .await
            .into_iter()
            .map(|envelope| envelope.payload.bytes)
            .collect();
        let mut read = read.into_iter();
        let cases = bodies.iter().fold(String::new(), |mut cases, body| {
            let ours = if refused.contains(&body[..]) {
                "null".to_owned()
            } else {
                read.next().unwrap()
            };
            writeln!(cases, r#"{{"body": "{}", "ours": {ours}}}"#, hex(body)).unwrap();
            cases
        });
        let different = self.ask(&["judge"], &cases);
        assert!(different.is_empty(), "{}", different.join("\n"));
    }
}

#[tokio::test]
async fn petisco_and_tidings_read_each_other() {
    let Some(peer) = Peer::new() else {
        return;
    };
    peer.reads_what_we_publish().await;
    let generated = peer.ask(&["messages", SEED, "300"], "");
    let generated: Vec<_> = generated.iter().map(|body| bytes(body)).collect();
    peer.agrees_with_what_we_read(&generated).await;
    peer.agrees_with_what_we_read(&measured()).await;
}

/// The bodies of the measured vectors, without those that only break petisco's own classes.
fn measured() -> Vec<Vec<u8>> {
    let vectors = std::fs::read_to_string(golden("decode_vectors.json")).unwrap();
    let vectors: Value = serde_json::from_str(&vectors).unwrap();
    let of_python = [
        json!("attributes {'_message_id': 'h'}"),
        json!("attributes {'format': 1}"),
    ];
    let vectors = vectors.as_array().unwrap().iter();
    vectors
        .filter(|vector| !of_python.contains(&vector["case"]))
        .map(|vector| vector["body"].as_str().unwrap().as_bytes().to_vec())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    let (pairs, _) = hex.as_bytes().as_chunks::<2>();
    let pairs = pairs.iter().map(|pair| str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

fn text(hex: &str) -> String {
    String::from_utf8(bytes(hex)).unwrap()
}
