//! RPC with the real client and the real consumer of Python on the other side, and with everything that can go wrong.
//!
//! Each test has a virtual host of its own on the RabbitMQ that all tests share. Servers, theirs and ours, are processes
//! that read the same file; callers are the real client, ours, or a bare [`Probe`](probe::Probe) that can send anything.

mod bed;
mod calling;
mod clients;
mod ending;
mod growth;
mod journal;
mod locking;
mod log_server;
mod outages;
mod poison;
mod probe;
mod secrets;
mod serving;

/// The client on the other side.
const CLIENT: &str = "python3-cyberfusion-rpc-client==1.2.1";
/// The consumer on the other side.
const CONSUMER: &str = "python3-cyberfusion-rabbitmq-consumer==3.1.1";
/// The queue that every test's consumer serves.
const QUEUE: &str = "acc-queue";
/// A key of secrets on the wire.
const KEY: &str = "ZycOtLSOfBSztarunksiEdAjYklBvQ82Jgq0_7Vd7jg=";
/// Another one.
const OTHER_KEY: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
/// `sécret`, encrypted with the key.
const TOKEN: &str = "gAAAAABrALziAN_lgFwgv1xp04LuH2282IJObI04pVxrq2wGIYXJ9uXG8mrdxVfPwNZhfIxwKGASu53vnmiHMecLyIqW2zitAA==";
