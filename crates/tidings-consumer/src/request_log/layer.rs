//! Wraps a service in [`RequestLog`].

use tower_layer::Layer;

use super::service::RequestLog;

/// One line for each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestLogLayer;

impl<S> Layer<S> for RequestLogLayer {
    type Service = RequestLog<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestLog::new(inner)
    }
}
