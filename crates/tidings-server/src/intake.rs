//! Where deliveries come in: one subscriber, shared by the lanes of a worker, repaired when it breaks.
//!
//! Lanes take turns: whoever is free waits for the next delivery and then makes room for the next lane.
//! That is all the back-pressure there is: no free lane, no pull, and prefetch bounds what the broker sends.
//!
//! Where messages are answered, a porter takes them in while every lane is at work, so that their callers' time is
//! looked after. It steps back as soon as a lane is free: then a delivery goes to its lane without a detour.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tidings_core::{
    Delivery, Error, ErrorKind,
    convention::Attachment,
    error::Result,
    tasks::Tasks,
    transport::{Subscriber, Subscription, Transport},
};
use tokio::sync::{Mutex, Notify};

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
    /// How many lanes wait for a delivery.
    idle: AtomicUsize,
    /// Tells the porter that this has become none, or some.
    porter: Notify,
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
            idle: AtomicUsize::new(0),
            porter: Notify::new(),
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
    pub(crate) async fn next(&self, order: &Arc<Order>) -> Option<Turn> {
        if !order.keeps_ready() {
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
        if let Some(turn) = order.ready().filter(|_| !self.tasks.is_stopping()) {
            return Some(turn);
        }
        if self.idle.fetch_add(1, Ordering::SeqCst) == 0 {
            self.porter.notify_one();
        }
        let next = self.next_or_ready(order).await;
        if self.idle.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.porter.notify_one();
        }
        next
    }

    /// As [`next`](Self::next), where messages may have been taken in already.
    async fn next_or_ready(&self, order: &Arc<Order>) -> Option<Turn> {
        let mut source = self.turn.lock().await;
        loop {
            if let Some(turn) = order.ready().filter(|_| !self.tasks.is_stopping()) {
                return Some(turn);
            }
            let event = tokio::select! {
                biased;
                event = source.event(&self.tasks) => event, // Cancel-safe: a delivery leaves only in the poll that ends it.
                () = order.lane.notified() => continue, // Cancel-safe: a notice that nobody hears is kept.
            };
            if let Some(turn) = source.admit(event, order)? {
                return Some(turn);
            }
        }
    }

    /// Takes deliveries in while every lane is at work. Returns once the worker stops.
    pub(crate) async fn keep(&self, order: &Arc<Order>) {
        // The first lane to be free takes the turn, and begins with subscribing.
        tokio::select! {
            () = self.porter.notified() => {} // Cancel-safe: a notice that nobody hears is kept.
            () = self.tasks.stopping() => {} // Cancel-safe: it only looks at a flag.
        }
        while !self.tasks.is_stopping() {
            if self.is_any_idle() {
                tokio::select! {
                    () = self.porter.notified() => {} // Cancel-safe: a notice that nobody hears is kept.
                    () = self.tasks.stopping() => {} // Cancel-safe: it only looks at a flag.
                }
                continue;
            }
            let mut source = self.turn.lock().await;
            while !self.is_any_idle() && !self.tasks.is_stopping() {
                tokio::select! {
                    biased;
                    () = self.porter.notified() => {} // Cancel-safe: a notice that nobody hears is kept.
                    event = source.event(&self.tasks), if !order.is_full() => { // Cancel-safe: as in `next`.
                        if let Some(Some(turn)) = source.admit(event, order) {
                            order.keep(turn);
                        }
                    }
                    () = self.tasks.stopping() => {} // Cancel-safe: it only looks at a flag.
                }
            }
        }
    }

    fn is_any_idle(&self) -> bool {
        self.idle.load(Ordering::SeqCst) > 0
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

    /// The turn that an event brings, if it brings one; `None` once the worker stops.
    fn admit(&mut self, event: Event, order: &Arc<Order>) -> Option<Option<Turn>> {
        match event {
            Event::Delivered(delivery) => Some(order.admit(delivery)),
            Event::Moved => {
                self.close();
                Some(None)
            }
            Event::Stopping => {
                self.end();
                None
            }
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
