//! The channels that the requests of one inbox go out on.
//!
//! A request to an exchange that does not exist ends its channel, and whatever comes later on it is lost without a word. So
//! each exchange that answers come through has a channel of its own: when it is deleted, only its own callers suffer,
//! and they would have got no answer anyway, because the way back went with it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::FutureExt;
use lapin::{Channel, message::BasicReturnMessage};

use crate::connection::Generation;

/// The most exchanges that have a channel of their own. Others share one.
const MOST: usize = 256;

/// Why the broker closes such a channel. lapin does not tell what it has said.
pub(super) const WHY: &str = "RabbitMQ has closed the channel for it: it does not exist any more, or we may not publish to it";

/// Every channel of one inbox.
#[derive(Debug)]
pub(super) struct Ways {
    /// For requests to all other exchanges.
    pub(super) common: Channel,
    own: Mutex<HashMap<Arc<str>, Way>>,
}

#[derive(Debug)]
struct Way {
    channel: Arc<Channel>,
    /// Whether somebody has been told that it has ended.
    is_told: bool,
}

impl Ways {
    pub(super) fn new(common: Channel) -> Self {
        Self {
            common,
            own: Mutex::default(),
        }
    }

    /// The channel that an exchange has for itself, dead or alive.
    pub(super) fn own(&self, exchange: &str) -> Option<Arc<Channel>> {
        let ways = self.ways();
        ways.get(exchange).map(|way| Arc::clone(&way.channel))
    }

    /// Gives an exchange a channel of its own, unless it has one that is alive. If it can have none, it shares the common one.
    pub(super) async fn open(&self, exchange: &Arc<str>, generation: &Generation) {
        let known = self.own(exchange);
        if known.is_some_and(|channel| channel.status().connected())
            || generation.blocked().is_some()
        {
            return;
        }
        let Ok(channel) = generation.channel().await else {
            return;
        };
        let way = Way {
            channel: Arc::new(channel),
            is_told: false,
        };
        let mut ways = self.ways();
        if ways.len() < MOST || ways.contains_key(exchange) {
            let _ended = ways.insert(Arc::clone(exchange), way);
        }
    }

    /// Notes that somebody knows that the channel of an exchange has ended.
    pub(super) fn tell(&self, exchange: &str) {
        if let Some(way) = self.ways().get_mut(exchange) {
            way.is_told = true;
        }
    }

    /// Exchanges whose channels have ended without anybody knowing. Whatever was sent to them is lost, or its answer is.
    pub(super) fn ended(&self) -> Vec<Arc<str>> {
        let mut ways = self.ways();
        let news = ways
            .iter_mut()
            .filter(|(_, way)| !way.is_told && !way.channel.status().connected());
        news.map(|(exchange, way)| {
            way.is_told = true;
            Arc::clone(exchange)
        })
        .collect()
    }

    /// What has come back because no queue has received it.
    pub(super) fn returned(&self) -> Vec<BasicReturnMessage> {
        let ways = self.ways();
        let own = ways.values().map(|way| &*way.channel);
        let channels = own.chain([&self.common]);
        // Without confirms there is nothing that this could wait for.
        let looks = channels.filter_map(|channel| channel.wait_for_confirms().now_or_never());
        looks.flatten().flatten().collect()
    }

    fn ways(&self) -> MutexGuard<'_, HashMap<Arc<str>, Way>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
