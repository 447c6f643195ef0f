//! What each path answers.

use std::{convert::Infallible, sync::Arc};

use http_body_util::Full;
use hyper::{
    Method, Response, StatusCode,
    body::Bytes,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
};
use serde::Serialize;

use super::Asked;
use crate::health::{Health, SubscriptionHealth};

/// The text format of Prometheus, which scrapers ask the version of.
const PROMETHEUS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

type Answer = Response<Full<Bytes>>;

#[derive(Serialize)]
struct Live {
    live: bool,
}

#[derive(Serialize)]
struct Ready<'a> {
    ready: bool,
    reasons: &'a [String],
    subscriptions: Vec<Subscription<'a>>,
}

#[derive(Serialize)]
struct Subscription<'a> {
    subscriber: &'a str,
    queue: &'a str,
    state: String,
}

impl Asked {
    pub(super) fn answer(&self, method: &Method, path: &str) -> Result<Answer, Infallible> {
        if method != Method::GET && method != Method::HEAD {
            let mut answer = text(
                StatusCode::METHOD_NOT_ALLOWED,
                TEXT,
                "this can only be read\n",
            );
            let allowed = HeaderValue::from_static("GET, HEAD");
            answer.headers_mut().insert(ALLOW, allowed);
            return Ok(answer);
        }
        // Called without a lock: it is somebody else's code.
        let ask = Arc::clone(&self.health());
        let metrics = self.metrics().clone();
        Ok(match (path, metrics) {
            ("/live", _) => live(&ask()),
            ("/ready", _) => ready(&ask()),
            ("/metrics", Some(render)) => text(StatusCode::OK, PROMETHEUS, render()),
            (_, None) => unknown("there are /live and /ready\n"),
            (_, Some(_)) => unknown("there are /live, /ready and /metrics\n"),
        })
    }
}

fn live(health: &Health) -> Answer {
    let live = health.live;
    json(live, &Live { live })
}

fn ready(health: &Health) -> Answer {
    let subscriptions = health.subscriptions.iter().map(subscription).collect();
    let body = Ready {
        ready: health.ready,
        reasons: &health.reasons,
        subscriptions,
    };
    json(health.ready, &body)
}

fn subscription(health: &SubscriptionHealth) -> Subscription<'_> {
    Subscription {
        subscriber: &health.subscriber,
        queue: &health.queue,
        state: health.state.to_string(),
    }
}

fn json(is_well: bool, body: &impl Serialize) -> Answer {
    let status = match is_well {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    // Texts, lists and booleans can always be written; without them the status says enough.
    let mut line = serde_json::to_vec(body).unwrap_or_default();
    line.push(b'\n');
    text(status, JSON, line)
}

fn unknown(what: &'static str) -> Answer {
    text(StatusCode::NOT_FOUND, TEXT, what)
}

fn text(status: StatusCode, kind: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
