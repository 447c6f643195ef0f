//! Where deliveries come in: one subscriber, shared by the lanes of a worker, repaired when it breaks.
//!
//! Lanes take turns: whoever is free waits for the next delivery and then makes room for the next lane.
//! That is all the back-pressure there is: no free lane, no pull, and prefetch bounds what the broker sends.

use std::sync::Arc;

use tidings_core::{
    Delivery, Error, ErrorKind,
    convention::Attachment,
    error::Result,
    tasks::Tasks,
    transport::{Subscriber, Subscription, Transport},
};
use tokio::sync::Mutex;

use crate::{
    backoff,
    control::Switch,
    health::SubscriptionState,
    order::{Order, Turn},
    outage::Outage,
};

/// The shared entrance of a worker's lanes.
pub(crate) struct Intake {
    tasks: Tasks,
    // A tokio mutex on purpose: it is not around data but around the right to wait for the next delivery,
    // which is held across that wait, and it hands the right on in the order of asking.
    turn: Mutex<Source>,
}

/// The subscriber and what it takes to get a new one.
pub(crate) struct Source {
    transport: Arc<dyn Transport>,
    subscription: Subscription,
    attachment: Arc<Attachment>,
    switch: Switch,
    order: Arc<Order>,
    subscriber: Option<Box<dyn Subscriber>>,
    /// Since the last delivery: a subscription that breaks before it brings anything was no success.
    failures: u32,
    /// While it is broken.
    outage: Option<Outage>,
}

enum Event {
    Delivered(Delivery),
    Moved,
    Stopping,
}

impl Intake {
    pub(crate) fn new(tasks: Tasks, source: Source) -> Self {
        Self {
            tasks,
            turn: Mutex::new(source),
        }
    }

    /// Follows the switch and the stop signal even while every lane is at work: what is buffered goes back to the
    /// broker at once, and whoever paused or drains sees it happen. Returns once the worker stops.
    pub(crate) async fn follow(&self) {
        let mut moves = self.turn.lock().await.switch.clone();
        while !self.tasks.is_stopping() {
            tokio::select! {
                () = moves.moved() => {} // Cancel-safe: a move stays visible.
                () = self.tasks.stopping() => {} // Cancel-safe: it only looks at a flag.
            }
            let mut source = self.turn.lock().await;
            if self.tasks.is_stopping() {
                source.end();
            } else {
                source.close();
            }
        }
    }

    /// The next delivery whose key is free; `None` once the worker stops.
    ///
    /// Deliveries are admitted while the turn is held, so that those of one key reach `order` in the order
    /// in which the broker sent them.
    ///
    /// # Cancel safety
    /// Yes: a delivery is taken out of the subscriber only in the poll that returns it.
    pub(crate) async fn next(&self, order: &Order) -> Option<Turn> {
        let mut source = self.turn.lock().await;
        loop {
            match source.event(&self.tasks).await {
                Event::Delivered(delivery) => {
                    if let Some(turn) = order.admit(delivery) {
                        return Some(turn);
                    }
                }
                Event::Moved => source.close(),
                Event::Stopping => {
                    source.end();
                    return None;
                }
            }
        }
    }
}

impl Source {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        subscription: Subscription,
        attachment: Arc<Attachment>,
        switch: Switch,
        order: Arc<Order>,
    ) -> Self {
        Self {
            transport,
            subscription,
            attachment,
            switch,
            order,
            subscriber: None,
            failures: 0,
            outage: None,
        }
    }

    async fn event(&mut self, tasks: &Tasks) -> Event {
        if tasks.is_stopping() {
            return Event::Stopping;
        }
        if self.switch.is_paused() {
            return self.paused(tasks).await;
        }
        let Self {
            switch, subscriber, ..
        } = self;
        let Some(subscriber) = subscriber else {
            return self.connect(tasks).await;
        };
        tokio::select! {
            biased;
            next = subscriber.next() => self.received(next), // Cancel-safe: promised by `Subscriber::next`.
            () = switch.moved() => Event::Moved, // Cancel-safe: a move stays visible.
            () = tasks.stopping() => Event::Stopping, // Cancel-safe: it only looks at a flag.
        }
    }

    async fn paused(&mut self, tasks: &Tasks) -> Event {
        self.let_go();
        self.switch.report(SubscriptionState::Paused);
        tokio::select! {
            () = self.switch.moved() => Event::Moved, // Cancel-safe: a move stays visible.
            () = tasks.stopping() => Event::Stopping, // Cancel-safe: it only looks at a flag.
        }
    }

    fn received(&mut self, next: Option<Result<Delivery>>) -> Event {
        let error = match next {
            Some(Ok(delivery)) => {
                self.failures = 0;
                return Event::Delivered(delivery);
            }
            Some(Err(error)) => error,
            None => Error::new(ErrorKind::Closed, "the broker ended the subscription"),
        };
        self.lost(&error);
        Event::Moved
    }

    /// Subscribes, after a wait that grows with the failures before it.
    async fn connect(&mut self, tasks: &Tasks) -> Event {
        let wait = if self.failures == 0 {
            None
        } else {
            Some(backoff::wait(self.failures - 1))
        };
        let Self {
            transport,
            subscription,
            attachment,
            switch,
            outage,
            ..
        } = self;
        let attempt = async {
            if let Some(wait) = wait {
                tokio::time::sleep(wait).await;
                // What the subscription needs may be what was lost.
                transport.declare(&attachment.topology).await?;
            }
            transport.subscribe(subscription.clone()).await
        };
        let subscribed = tokio::select! {
            subscribed = attempt => subscribed, // Cancel-safe: a subscriber that is dropped gives everything back.
            () = switch.moved() => return Event::Moved, // Cancel-safe: a move stays visible.
            () = tasks.stopping() => return Event::Stopping, // Cancel-safe: it only looks at a flag.
        };
        match subscribed {
            Ok(subscriber) => {
                if let Some(outage) = outage.take() {
                    outage.over(&subscription.queue);
                }
                self.subscriber = Some(subscriber);
                self.switch.report(SubscriptionState::Consuming);
            }
            Err(error) => self.lost(&error),
        }
        Event::Moved
    }

    fn lost(&mut self, error: &Error) {
        self.let_go();
        self.failures = self.failures.saturating_add(1);
        let outage = self.outage.get_or_insert_with(Outage::new);
        outage.failed(&self.subscription.queue, error);
        let broken = SubscriptionState::Broken(error.chain());
        self.switch.report(broken);
    }

    /// After a move of the switch: only a pause takes the subscriber away.
    fn close(&mut self) {
        if self.switch.is_paused() {
            self.let_go();
            self.switch.report(SubscriptionState::Paused);
        } else {
            self.switch.report_resumed();
        }
    }

    fn end(&mut self) {
        self.let_go();
        self.switch.report(SubscriptionState::Ended);
    }

    /// Ends the subscriber and gives back what was delivered and waits for its key.
    fn let_go(&mut self) {
        self.subscriber = None;
        self.order.give_back();
    }
}
