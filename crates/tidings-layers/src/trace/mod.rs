//! One span per message, named as OpenTelemetry names messaging spans, and every failure logged once.
//!
//! **What.** The span `process` carries `messaging.operation.type`, `messaging.operation.name`, `messaging.destination.name`
//! (the queue), `messaging.message.id` where the envelope has one, `messaging.message.body.size` and `otel.kind`; a failure
//! adds `error.type` and `otel.status_code`. Payloads and headers are never recorded. A failure is logged with its
//! whole chain: WARN, or ERROR if it is fatal. A failure that a layer inside has already decided (it carries a
//! [settlement](tidings_core::Error::settlement)) was logged there, with what becomes of the message, and is not logged again.
//! Names follow semantic conventions 1.44: <https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/>.
//!
//! **Where.** Outermost: everything that happens to a message, redeliveries and dead letters included, happens inside its span.
//!
//! **Cancellation.** Dropping the future closes the span without a status: nobody knows how the handling would have ended.
//!
//! **Cost.** Without a subscriber for the level INFO the span is disabled: no field is computed.
//!
//! ```
//! use tidings_layers::TraceLayer;
//!
//! assert_eq!(TraceLayer::new().describe(), "trace: one span per message, failures logged once");
//! ```

mod layer;
mod service;

pub use self::{
    layer::TraceLayer,
    service::{Trace, TraceFuture},
};
