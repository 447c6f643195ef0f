//! A worker drives one subscription: lanes that pull a delivery, handle it and settle it, one at a time each.
//!
//! A lane is a long-lived task with its own copy of the stack, so a message costs no task of its own.

use std::{future::poll_fn, ops::ControlFlow, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use metrics::counter;
use tidings_core::{
    Acker, Call, Error, ErrorKind, Reply,
    lock::Lease,
    metric::{self, label},
    tasks::Tasks,
};
use tower_service::Service;
use tracing::{error, warn};

use crate::{
    intake::Intake,
    order::{Order, Turn},
    settle::settle,
};

/// What the lanes of one subscription share.
pub(crate) struct Worker {
    pub(crate) intake: Intake,
    pub(crate) order: Arc<Order>,
    pub(crate) queue: Arc<str>,
    pub(crate) delayed_nack: bool,
    /// Whether an answer may go ahead of the ack, on its way.
    pub(crate) answers: bool,
    pub(crate) tasks: Tasks,
}

impl Worker {
    /// Starts `lanes` lanes, each with a clone of `stack`; what never reaches a lane goes through `refusing`.
    pub(crate) fn start<S, R>(self: &Arc<Self>, lanes: u16, stack: &S, refusing: R)
    where
        S: Service<Call, Response = Reply, Error = Error> + Clone + Send + 'static,
        S::Future: Send,
        R: Service<Call, Response = Reply, Error = Error, Future: Send> + Clone + Send + 'static,
    {
        let follower = Arc::clone(self);
        self.tasks
            .spawn("follow", async move { follower.intake.follow().await });
        if self.order.keeps_ready() {
            self.tasks.spawn("usher", Arc::clone(self).usher(refusing));
            let porter = Arc::clone(self);
            self.tasks.spawn(
                "porter",
                async move { porter.intake.keep(&porter.order).await },
            );
        }
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
            while let Some(Turn { delivery, mut hold }) = turn {
                // What has waited here while its connection was lost is not to be handled twice.
                if !delivery.is_lost() {
                    let (call, acker) = delivery.split();
                    let flow = match hold.lease.take() {
                        None => self.handle(&mut copy, call, acker).await,
                        Some(lease) => self.handle_locked(&mut copy, call, acker, lease).await,
                    };
                    if flow.is_break() {
                        copy = stack.clone();
                    }
                }
                turn = self.order.next(hold);
                if self.tasks.is_stopping() {
                    turn = None;
                }
            }
        }
        // What still waits for its key goes back to the broker, so that it need not wait for this process.
        self.order.give_back();
    }

    /// Handles and settles one delivery. Breaks if the stack has panicked and is not to be used again.
    pub(crate) async fn handle<S>(
        &self,
        stack: &mut S,
        mut call: Call,
        acker: Acker,
    ) -> ControlFlow<()>
    where
        S: Service<Call, Response = Reply, Error = Error>,
    {
        if self.answers
            && let Some(answerer) = acker.answerer()
        {
            call.extensions.insert(answerer);
        }
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

    /// As [`handle`](Self::handle), with a lease that the handler can prove it holds. It is released after settling.
    async fn handle_locked<S>(
        &self,
        stack: &mut S,
        mut call: Call,
        acker: Acker,
        lease: Lease,
    ) -> ControlFlow<()>
    where
        S: Service<Call, Response = Reply, Error = Error>,
    {
        call.extensions.insert(lease.token());
        let mut handling = Box::pin(self.handle(stack, call, acker));
        tokio::select! {
            biased;
            flow = &mut handling => return flow, // Cancel-safe: it is polled on below.
            () = lease.lost() => {} // Cancel-safe: it only looks.
        }
        // Ending the handler would not undo what it has done; whatever it writes to can refuse its token.
        let queue = &*self.queue;
        warn!(
            queue,
            token = lease.token().0,
            "the lease on a message's key was lost while the message was being handled: another process may \
             be handling one with the same key"
        );
        counter!(metric::LOST_LEASES, label::SUBSCRIPTION => queue.to_owned()).increment(1);
        handling.await
    }
}

fn panicked(queue: &str) -> Error {
    let context = format!(
        "the layers of queue `{queue}` panicked outside `catch_panic`: the message comes again"
    );
    error!(queue, "{context}");
    Error::new(ErrorKind::Panic, context)
}
