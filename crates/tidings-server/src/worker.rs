//! A worker drives one subscription: lanes that pull a delivery, handle it and settle it, one at a time each.
//!
//! A lane is a long-lived task with its own copy of the stack, so a message costs no task of its own.

use std::{future::poll_fn, ops::ControlFlow, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use tidings_core::{Call, Delivery, Error, ErrorKind, Reply, tasks::Tasks};
use tower_service::Service;
use tracing::error;

use crate::{intake::Intake, order::Order, settle::settle};

/// What the lanes of one subscription share.
pub(crate) struct Worker {
    pub(crate) intake: Intake,
    pub(crate) order: Arc<Order>,
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
    async fn lane<S>(&self, stack: S)
    where
        S: Service<Call, Response = Reply, Error = Error> + Clone,
    {
        let mut copy = stack.clone();
        while let Some(first) = self.intake.next(&self.order).await {
            let mut turn = Some(first);
            while let Some(now) = turn {
                let (delivery, key) = now.split();
                if self.handle(&mut copy, delivery).await.is_break() {
                    copy = stack.clone();
                }
                turn = match key {
                    Some(_) if !self.tasks.is_stopping() => self.order.next(key),
                    _ => None,
                };
            }
        }
        // What still waits for its key goes back to the broker, so that it need not wait for this process.
        self.order.give_back();
    }

    /// Handles and settles one delivery. Breaks if the stack has panicked and is not to be used again.
    async fn handle<S>(&self, stack: &mut S, delivery: Delivery) -> ControlFlow<()>
    where
        S: Service<Call, Response = Reply, Error = Error>,
    {
        let (call, acker) = delivery.split();
        let attempt = async {
            poll_fn(|cx| stack.poll_ready(cx)).await?;
            stack.call(call).await
        };
        // Panics of handlers and layers are errors long before they get here. What is caught here comes from our
        // own layers or from a convention: the lane must outlive it, else one message would stop a subscription.
        let (result, flow) = match AssertUnwindSafe(attempt).catch_unwind().await {
            Ok(result) => (result, ControlFlow::Continue(())),
            Err(_) => (Err(panicked(&self.queue)), ControlFlow::Break(())),
        };
        settle(result, acker, self.delayed_nack, &self.queue).await;
        flow
    }
}

fn panicked(queue: &str) -> Error {
    let context = format!(
        "the layers of queue `{queue}` panicked outside `catch_panic`: the message comes again"
    );
    error!(queue, "{context}");
    Error::new(ErrorKind::Panic, context)
}
