//! A route: one handler at one queue, as a tower service.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tidings_core::{
    Call, Error, ErrorKind, Outcome, Reply,
    clock::Clock,
    convention::{Attachment, Convention, Interest, Opened, TooEarly},
    error::Result,
    extensions::Extensions,
    extract::Scope,
    metric::field,
};
use tower_service::Service;
use tracing::Span;

use crate::{
    handler::{AnyHandler, ErasedHandler, Handling, check},
    subscriber::Options,
};

/// One handler with its interest, its policy and its state, before it knows its convention.
pub struct Route {
    pub(crate) subscriber: Arc<str>,
    pub(crate) interest: Interest,
    pub(crate) options: Options,
    pub(crate) bound: Arc<dyn Bound>,
}

impl Route {
    pub(crate) fn new<S: Send + Sync + 'static>(
        subscriber: Arc<str>,
        mut options: Options,
        handler: AnyHandler<S>,
        state: Arc<S>,
    ) -> Self {
        let AnyHandler {
            interest,
            handler,
            ordered_by,
        } = handler;
        options.ordered_by = options.ordered_by.or(ordered_by);
        Self {
            subscriber,
            interest,
            options,
            bound: Arc::new(WithState { handler, state }),
        }
    }

    /// Asks every extractor whether the state has what it needs.
    ///
    /// # Errors
    /// What is missing and how to give it, with the names of the handler and its subscriber.
    pub fn check(&self) -> Result<()> {
        let checked = self.bound.check();
        checked.map_err(|error| error.within(format_args!("subscriber `{}`", self.subscriber)))
    }

    /// Whose it is.
    #[must_use]
    pub fn subscriber(&self) -> &Arc<str> {
        &self.subscriber
    }

    /// What it handles.
    #[must_use]
    pub fn interest(&self) -> &Interest {
        &self.interest
    }

    /// How its messages are treated.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The service that opens a call by its convention, makes the arguments and calls the handler.
    #[must_use]
    pub fn service(
        &self,
        convention: Arc<dyn Convention>,
        attachment: Arc<Attachment>,
        services: Arc<Extensions>,
    ) -> RouteService {
        RouteService {
            bound: Arc::clone(&self.bound),
            convention,
            attachment,
            services,
            clock: Clock::SYSTEM,
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("subscriber", &self.subscriber)
            .field("interest", &self.interest)
            .finish_non_exhaustive()
    }
}

/// A handler as a tower service: the innermost of the stack.
#[derive(Clone)]
pub struct RouteService {
    bound: Arc<dyn Bound>,
    convention: Arc<dyn Convention>,
    attachment: Arc<Attachment>,
    services: Arc<Extensions>,
    clock: Clock,
}

impl RouteService {
    /// Takes the wall time from this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    fn handle(&self, call: &Call) -> Result<Handling> {
        if !call.envelope.headers.is_empty()
            && let Some(wait) = self.convention.held_back(call, self.clock.now())
        {
            return Err(too_early(wait));
        }
        let opened = self.convention.open(call, &self.attachment)?;
        // Whoever made the span saw the envelope only, and some conventions keep the identity inside it.
        if call.envelope.properties.message_id().is_none() {
            Span::current().record(field::MESSAGE_ID, &*opened.id);
        }
        self.bound.handle(call, &opened, self)
    }
}

/// A deferred message that its detour has brought back before its time.
fn too_early(wait: Duration) -> Error {
    let context = format!("deferred for another {wait:?}");
    Error::new(ErrorKind::Handler, context)
        .with_outcome(Outcome::Defer(wait))
        .with_source(TooEarly)
}

impl Service<Call> for RouteService {
    type Response = Reply;
    type Error = Error;
    type Future = Routing;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Routing {
        Routing(match self.handle(&call) {
            Ok(handling) => Progress::Handling(handling),
            Err(error) => Progress::Refused(Some(error)),
        })
    }
}

impl fmt::Debug for RouteService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteService")
            .field("attachment", &self.attachment)
            .finish_non_exhaustive()
    }
}

/// The future of a [`RouteService`]: the handler at work, or why it was never called.
pub struct Routing(Progress);

enum Progress {
    Handling(Handling),
    Refused(Option<Error>),
}

impl Future for Routing {
    type Output = Result<Reply>;

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Progress::Handling(handling) => handling.as_mut().poll(cx),
            Progress::Refused(error) => {
                let again = || Error::new(ErrorKind::Closed, "polled after it had ended");
                Poll::Ready(Err(error.take().unwrap_or_else(again)))
            }
        }
    }
}

impl fmt::Debug for Routing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Routing")
    }
}

/// A handler together with its state, whose type is forgotten here.
pub(crate) trait Bound: Send + Sync {
    fn handle(&self, call: &Call, opened: &Opened<'_>, service: &RouteService) -> Result<Handling>;

    fn check(&self) -> Result<()>;
}

struct WithState<S> {
    handler: ErasedHandler<S>,
    state: Arc<S>,
}

impl<S: Send + Sync> Bound for WithState<S> {
    fn handle(&self, call: &Call, opened: &Opened<'_>, service: &RouteService) -> Result<Handling> {
        let scope = Scope {
            call,
            opened,
            attachment: &service.attachment,
            state: &*self.state,
            services: &service.services,
        };
        self.handler.call(&scope, service.convention.format())
    }

    fn check(&self) -> Result<()> {
        check(&*self.handler, &self.state)
    }
}
