//! The calls of the handlers: counted, acted out as planned, and printed.

use std::{collections::BTreeMap, sync::Mutex, sync::PoisonError};

use anyhow::Result;
use serde::Serialize;
use serde_json::json;
use tidings::{Error, ErrorKind, HandlerError, Headers, Outcome, headers};
use tokio::sync::watch;

use super::{formatted::Formatted, plan::Plan};
use crate::output;

/// What the handlers of one process share.
pub(crate) struct Seen {
    plan: Plan,
    /// No call is made beyond this number.
    most: Option<usize>,
    calls: Mutex<BTreeMap<String, usize>>,
    progress: watch::Sender<Progress>,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Whether handlers may run: nothing is printed before the queues are.
    open: bool,
    /// Calls made.
    total: usize,
    /// Whether nobody reads what is printed.
    broken: bool,
}

/// What is printed of a call.
#[derive(Serialize)]
struct Call<'a> {
    subscriber: &'a str,
    call: usize,
    act: char,
    format: &'a Formatted,
    redelivery_count: Option<i64>,
}

impl Seen {
    /// Nothing yet; after `most` calls further messages are given back.
    pub(crate) fn new(plan: Plan, most: Option<usize>) -> Self {
        Self {
            plan,
            most,
            calls: Mutex::default(),
            progress: watch::Sender::new(Progress::default()),
        }
    }

    /// Lets the handlers run.
    pub(crate) fn open(&self) {
        self.progress.send_modify(|progress| progress.open = true);
    }

    /// Resolves once so many calls were made, or none can be any more.
    pub(crate) async fn reaches(&self, total: usize) {
        self.until(|progress| progress.total >= total || progress.broken)
            .await;
    }

    async fn until(&self, reached: impl Fn(&Progress) -> bool) {
        let mut progress = self.progress.subscribe();
        while !reached(&progress.borrow_and_update()) {
            if progress.changed().await.is_err() {
                return; // The sender is ours, so it cannot be gone.
            }
        }
    }

    /// One call of a subscriber's handler.
    pub(crate) async fn handle(
        &self,
        subscriber: &str,
        headers: &Headers,
        format: &Formatted,
    ) -> Result<(), HandlerError> {
        self.until(|progress| progress.open).await;
        let Some(call) = self.count(subscriber) else {
            return Err(given_back("enough was seen").into());
        };
        let act = self.plan.act(subscriber, call);
        let printed = output::json(&Call {
            subscriber,
            call,
            act,
            format,
            redelivery_count: headers.int(headers::REDELIVERY_COUNT),
        });
        if printed.is_err() {
            self.progress.send_modify(|progress| progress.broken = true);
            return Err(given_back("the call could not be reported").into());
        }
        self.progress.send_modify(|progress| progress.total += 1);
        if act == 'F' {
            Err(HandlerError::retry("failed as planned"))
        } else {
            Ok(())
        }
    }

    /// The number of this call of the subscriber, from 1; `None` if it must not be made.
    fn count(&self, subscriber: &str) -> Option<usize> {
        if self.progress.borrow().broken {
            return None;
        }
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if self
            .most
            .is_some_and(|most| calls.values().sum::<usize>() >= most)
        {
            return None;
        }
        let call = calls.entry(subscriber.to_owned()).or_default();
        *call += 1;
        Some(*call)
    }

    /// Prints the last line; whether as many calls were made as expected.
    pub(crate) fn summary(&self, expected: Option<usize>) -> Result<bool> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = calls.values().sum();
        let ok = expected.is_none_or(|expected| total >= expected);
        output::json(&json!({ "summary": *calls, "total": total, "ok": ok }))?;
        Ok(ok)
    }
}

fn given_back(why: &str) -> Error {
    Error::new(ErrorKind::Closed, why.to_owned()).with_outcome(Outcome::Requeue)
}
