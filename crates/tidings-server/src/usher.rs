//! Who looks after what waits: refuses what has waited too long, and takes deliveries in while every lane is at work.
//!
//! Both are tasks of their own beside the lanes, so that a caller is answered in time however busy the lanes are, and
//! so that the time of its request counts from its arrival.

use std::sync::Arc;

use tidings_core::{Call, Deadline, Error, Reply};
use tower_service::Service;

use crate::worker::Worker;

impl Worker {
    /// Refuses what has waited too long or found no place, each in a task of its own: answering takes as long as the
    /// broker takes to confirm. What waits is bounded, and so are these tasks.
    pub(crate) async fn usher<S>(self: Arc<Self>, refusing: S)
    where
        S: Service<Call, Response = Reply, Error = Error, Future: Send> + Clone + Send + 'static,
    {
        while !self.tasks.is_stopping() {
            let (refused, next) = self.order.refusals();
            for refusal in refused {
                let (worker, mut stack) = (Arc::clone(&self), refusing.clone());
                self.tasks.spawn("refusal", async move {
                    let (call, acker) = refusal.into_delivery().split();
                    // A stack that has panicked is not used again anyhow.
                    let _ended = worker.handle(&mut stack, call, acker).await;
                });
            }
            let next = next.map_or(Deadline::NEVER, Deadline::at);
            tokio::select! {
                () = next.passed() => {} // Cancel-safe: it only waits.
                () = self.order.usher.notified() => {} // Cancel-safe: a notice that nobody hears is kept.
                () = self.tasks.stopping() => {} // Cancel-safe: it only looks at a flag.
            }
        }
    }
}
