//! The table of subscribers.

use std::{fmt, sync::Arc};

use crate::{handler::Handler, route::Route, subscriber::Subscriber};

/// Subscribers that share a state of type `S`.
///
/// ```
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// # use tidings_core::{AnyMessage, Event, HandlerError};
/// # use tidings_router::{Router, State};
/// # #[derive(Event, Serialize, Deserialize, JsonSchema)]
/// # #[event(crate = tidings_core)]
/// # struct UserCreated { email: String }
/// async fn send_mail(State(from): State<String>, event: UserCreated) -> Result<(), HandlerError> {
///     Ok(())
/// }
/// async fn archive(message: AnyMessage) {}
///
/// let router = Router::new()
///     .on("send_mail", send_mail)
///     .on("archive", archive)
///     .with_state(String::from("noreply@example.com"));
/// assert_eq!(router.into_routes().len(), 2);
/// ```
pub struct Router<S = ()> {
    subscribers: Vec<Subscriber<S>>,
    routes: Vec<Route>,
    idle: Vec<Arc<str>>,
}

impl<S: Send + Sync + 'static> Router<S> {
    /// No subscribers.
    #[must_use]
    pub fn new() -> Self {
        Self {
            subscribers: Vec::new(),
            routes: Vec::new(),
            idle: Vec::new(),
        }
    }

    /// Adds a subscriber with one handler and the server's default policy.
    #[must_use]
    pub fn on<H, Args: 'static>(self, name: impl Into<Arc<str>>, handler: H) -> Self
    where
        H: Handler<Args, S>,
    {
        self.subscriber(Subscriber::new(name).on(handler))
    }

    /// Adds a subscriber.
    #[must_use]
    pub fn subscriber(mut self, subscriber: Subscriber<S>) -> Self {
        self.subscribers.push(subscriber);
        self
    }

    /// Gives the handlers their state. What is added afterwards may have another one.
    #[must_use]
    pub fn with_state<T>(mut self, state: S) -> Router<T> {
        let state = Arc::new(state);
        for subscriber in self.subscribers {
            if subscriber.handlers.is_empty() {
                self.idle.push(Arc::clone(&subscriber.name));
            }
            for handler in subscriber.handlers {
                let (name, options) = (Arc::clone(&subscriber.name), subscriber.options.clone());
                self.routes
                    .push(Route::new(name, options, handler, Arc::clone(&state)));
            }
        }
        Router {
            subscribers: Vec::new(),
            routes: self.routes,
            idle: self.idle,
        }
    }
}

impl Router<()> {
    /// The subscribers without any handler, which would never receive anything.
    #[must_use]
    pub fn idle(&self) -> Vec<Arc<str>> {
        let waiting = self
            .subscribers
            .iter()
            .filter(|subscriber| subscriber.handlers.is_empty());
        let waiting = waiting.map(|subscriber| Arc::clone(&subscriber.name));
        self.idle.iter().cloned().chain(waiting).collect()
    }

    /// The routes of all subscribers, in the order in which they were added.
    #[must_use]
    pub fn into_routes(self) -> Vec<Route> {
        self.with_state::<()>(()).routes
    }
}

impl<S: Send + Sync + 'static> Default for Router<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: 'static> fmt::Debug for Router<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("subscribers", &self.subscribers)
            .field("routes", &self.routes)
            .finish()
    }
}
