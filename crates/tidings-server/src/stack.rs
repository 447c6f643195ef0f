//! The layers of every subscription, outermost first. This list is the only place that orders them.
//!
//! | layer | why it stands here |
//! |---|---|
//! | trace | everything below happens inside the span |
//! | metrics | sees the final outcome, after retries |
//! | dead_letter | takes what redeliver passes on, so a poison message leaves at once |
//! | redeliver | decides whether the broker brings it again, after the attempts in the process are used up |
//! | answer | whoever waits is told how it ended, after the last attempt; failures that nobody was told of go outward |
//! | catch_panic | what panics between here and the handler (a layer of the user's, a value that is dropped at a timeout) fails the message and not the lane |
//! | retry | each attempt passes everything below |
//! | concurrency | if the server has a limit of its own: held per attempt, never while waiting to retry |
//! | timeout | bounds one attempt, and tells the handler its deadline |
//! | chaos | faults on purpose look like the handler's own |
//! | the user's layers | see plain calls inside all guarantees |
//! | catch_panic | innermost: a handler's panic becomes an error where it happens, so that all above treat it alike |

use std::sync::Arc;

use tidings_core::{Call, Error, Reply};
use tidings_layers::{
    AnswerLayer, CatchPanic, CatchPanicLayer, DeadLetterLayer, MetricsLayer, Recovery,
    RedeliverLayer, RetryLayer, TimeoutLayer, TraceLayer,
};
use tidings_router::RouteService;
use tower::util::option_layer;
use tower_layer::Layer;
use tower_service::Service;

use crate::{policy::Policy, refusal::Refuse};

/// What the user's layers are wrapped around.
pub(crate) type Innermost = CatchPanic<RouteService>;

/// Builds the stack of one subscription.
pub(crate) fn build<L>(
    policy: &Policy,
    recovery: Recovery,
    answer: AnswerLayer,
    user: &L,
    route: RouteService,
) -> impl Service<Call, Response = Reply, Error = Error, Future: Send> + Clone + Send + use<L>
where
    L: Layer<Innermost> + 'static,
    L::Service:
        Service<Call, Response = Reply, Error = Error, Future: Send> + Clone + Send + 'static,
{
    let queue = &policy.queue;
    tower::ServiceBuilder::new()
        .layer(TraceLayer::new())
        .layer(MetricsLayer::new(Arc::clone(queue)))
        .layer(DeadLetterLayer::new(recovery.clone()))
        .layer(RedeliverLayer::new(recovery))
        .layer(answer)
        .layer(CatchPanicLayer::new(Arc::clone(queue)))
        .layer(RetryLayer::new(Arc::clone(queue), policy.attempts.clone()))
        .layer(option_layer(policy.limit.clone()))
        .layer(
            policy
                .timeout
                .map_or_else(TimeoutLayer::deadline_only, TimeoutLayer::new),
        )
        .layer(policy.chaos.clone())
        .layer(user)
        .layer(CatchPanicLayer::new(Arc::clone(queue)))
        .service(route)
}

/// Builds the stack of messages that are not handled: the layers that deal with how a handling ended, around a service
/// that fails as it is told.
pub(crate) fn refusing(
    policy: &Policy,
    recovery: Recovery,
    answer: AnswerLayer,
) -> impl Service<Call, Response = Reply, Error = Error, Future: Send> + Clone + Send + use<> {
    tower::ServiceBuilder::new()
        .layer(TraceLayer::new())
        .layer(MetricsLayer::new(Arc::clone(&policy.queue)))
        .layer(DeadLetterLayer::new(recovery.clone()))
        .layer(RedeliverLayer::new(recovery))
        .layer(answer)
        .service(Refuse)
}
