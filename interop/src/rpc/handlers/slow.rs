//! `acc_slow` and `acc_nolock`: take their time, and say when that was.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings::{Request, handler, rpc::Response};

use super::now;

#[derive(Debug, Serialize, Deserialize, JsonSchema, Request)]
#[request(exchange = "acc_slow", response = Slept, lock = "name", lax)]
struct AccSlow {
    name: String,
    #[serde(default = "one")]
    sleep: f64,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Slept {
    name: String,
    started: f64,
    ended: f64,
}

#[handler]
async fn acc_slow(request: AccSlow) -> Response<Slept> {
    let (started, ended) = sleep(request.sleep).await;
    let name = request.name;
    Response::success(
        "done",
        Slept {
            name,
            started,
            ended,
        },
    )
}

// Without a word about a lock the whole exchange is one lock.
#[derive(Debug, Serialize, Deserialize, JsonSchema, Request)]
#[request(exchange = "acc_nolock", response = Counted, lax)]
struct AccNolock {
    n: i64,
    #[serde(default)]
    sleep: f64,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Counted {
    n: i64,
    started: f64,
    ended: f64,
}

#[handler]
async fn acc_nolock(request: AccNolock) -> Response<Counted> {
    let (started, ended) = sleep(request.sleep).await;
    let n = request.n;
    Response::success("done", Counted { n, started, ended })
}

/// Sleeps this many seconds; what is no time at all is none. Returns when it began and ended.
async fn sleep(seconds: f64) -> (f64, f64) {
    let started = now();
    let pause = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    tokio::time::sleep(pause).await;
    (started, now())
}

fn one() -> f64 {
    1.0
}
