//! A worker drives one subscription: lanes that pull a delivery, handle it and settle it, one at a time each.
//!
//! A lane is a long-lived task with its own copy of the stack, so a message costs no task of its own.

use std::sync::Arc;

use tidings_core::{Call, Error, Reply, tasks::Tasks};
use tower_service::Service;

use crate::{
    intake::Intake,
    order::{Order, Turn},
    settle::settle,
};

/// What the lanes of one subscription share.
pub(crate) struct Worker {
    pub(crate) intake: Intake,
    pub(crate) order: Order,
    pub(crate) queue: Arc<str>,
    pub(crate) delayed_nack: bool,
    pub(crate) tasks: Tasks,
}

impl Worker {
    /// Starts `lanes` lanes, each with a clone of `stack`.
    pub(crate) fn start<S>(self: &Arc<Self>, lanes: u16, stack: &S)
    where
        S: Service<Call, Response = Reply, Error = Error> + Clone + Send + 'static,
        S::Future: Send,
    {
        let follower = Arc::clone(self);
        self.tasks
            .spawn("follow", async move { follower.intake.follow().await });
        for _ in 0..lanes.max(1) {
            let (worker, stack) = (Arc::clone(self), stack.clone());
            self.tasks
                .spawn("lane", async move { worker.lane(stack).await });
        }
    }

    /// Handles deliveries until the worker stops.
    async fn lane<S>(&self, mut stack: S)
    where
        S: Service<Call, Response = Reply, Error = Error>,
    {
        while let Some(first) = self.intake.next(&self.order).await {
            let mut turn = Some(first);
            while let Some(now) = turn {
                let key = self.handle(&mut stack, now).await;
                turn = match key {
                    Some(_) if !self.tasks.is_stopping() => self.order.next(key),
                    _ => None,
                };
            }
        }
        // What still waits for its key goes back to the broker, so that it need not wait for this process.
        self.order.clear();
    }

    /// Handles and settles one delivery; returns the key that was busy with it.
    async fn handle<S>(&self, stack: &mut S, turn: Turn) -> Option<u64>
    where
        S: Service<Call, Response = Reply, Error = Error>,
    {
        let (delivery, key) = turn.split();
        let (call, acker) = delivery.split();
        let result = match std::future::poll_fn(|cx| stack.poll_ready(cx)).await {
            Ok(()) => stack.call(call).await,
            Err(error) => Err(error),
        };
        settle(result, acker, self.delayed_nack, &self.queue).await;
        key
    }
}
