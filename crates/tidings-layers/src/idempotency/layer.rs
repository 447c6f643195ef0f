//! Wraps a service in [`Idempotency`].

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use tidings_core::{Call, contract::Request, reply_store::ReplyStore};
use tower_layer::Layer;

use super::Idempotency;

/// Answers requests that come again from a store.
#[derive(Clone)]
pub struct IdempotencyLayer(Arc<Remembered>);

/// The store, and which replies go there.
#[derive(Clone)]
pub(super) struct Remembered {
    pub(super) store: Arc<dyn ReplyStore>,
    exchanges: HashMap<Arc<str>, Duration>,
    scope: Option<Arc<str>>,
}

impl Remembered {
    /// How long replies to requests of this exchange are remembered; `None` if they are not.
    pub(super) fn how_long(&self, exchange: &str) -> Option<Duration> {
        self.exchanges.get(exchange).copied()
    }

    /// What is the same for every delivery of one request; `None` if nothing says which deliveries are of one.
    pub(super) fn key(&self, call: &Call) -> Option<String> {
        let id = call.envelope.properties.correlation_id()?;
        if id.is_empty() {
            return None;
        }
        // No exchange and no correlation id of a broker can be longer than 255 bytes; the length keeps the two apart, and
        // the whole from what begins with a scope.
        let exchange = &call.address.exchange;
        let key = format!("{}:{exchange}:{id}", exchange.len());
        Some(match &self.scope {
            Some(scope) => format!("@{}:{scope}:{key}", scope.len()),
            None => key,
        })
    }
}

impl IdempotencyLayer {
    /// Remembers nothing until it is told what.
    #[must_use]
    pub fn new(store: Arc<dyn ReplyStore>) -> Self {
        Self(Arc::new(Remembered {
            store,
            exchanges: HashMap::new(),
            scope: None,
        }))
    }

    /// Remembers replies to the requests of this exchange for this long.
    #[must_use]
    pub fn remember(mut self, exchange: impl Into<Arc<str>>, how_long: Duration) -> Self {
        let remembered = Arc::make_mut(&mut self.0);
        remembered.exchanges.insert(exchange.into(), how_long);
        self
    }

    /// Keeps replies apart from those of others in the same store, whose exchanges may have the same names: for example
    /// by virtual host.
    #[must_use]
    pub fn within(mut self, scope: impl Into<Arc<str>>) -> Self {
        Arc::make_mut(&mut self.0).scope = Some(scope.into());
        self
    }

    /// Remembers replies to this request for as long as its contract says; changes nothing if it says nothing.
    #[must_use]
    pub fn remember_contract<R: Request>(self) -> Self {
        match R::REMEMBERED {
            Some(how_long) => self.remember(R::NAME, how_long),
            None => self,
        }
    }

    /// Whether it remembers nothing, so that it can be left out.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.0.exchanges.is_empty()
    }

    /// One line for the list of layers.
    #[must_use]
    pub fn describe(&self) -> String {
        match self.0.exchanges.len() {
            1 => "idempotency: replies of 1 exchange are remembered".to_owned(),
            count => format!("idempotency: replies of {count} exchanges are remembered"),
        }
    }
}

impl<S> Layer<S> for IdempotencyLayer {
    type Service = Idempotency<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Idempotency::new(inner, Arc::clone(&self.0))
    }
}

impl fmt::Debug for IdempotencyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IdempotencyLayer").field(&self.0).finish()
    }
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembered")
            .field("store", &self.store)
            .field("exchanges", &self.exchanges)
            .field("scope", &self.scope)
            .finish()
    }
}
