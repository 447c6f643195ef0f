//! Who asks, as far as a request says so.

use std::sync::Arc;

use tidings_core::{
    error::Result,
    extract::{FromCall, Scope},
};

/// What a request says of its caller: an argument for handlers.
///
/// Nothing of it is proven except [`user_id`](Self::user_id), which RabbitMQ compares with the connection's user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The exchange of the request.
    pub exchange: Arc<str>,
    /// What ties the answer to the request.
    pub correlation_id: Option<Arc<str>>,
    /// Where the answer goes; `None` if nobody waits for one.
    pub reply_to: Option<Arc<str>>,
    /// The broker's user, if the request names it.
    pub user_id: Option<Arc<str>>,
    /// The application, if the request names it.
    pub app_id: Option<Arc<str>>,
    /// Whether the request may have been handled before.
    pub redelivered: bool,
}

impl<S> FromCall<S> for Caller {
    fn from_call(scope: &Scope<'_, S>) -> Result<Self> {
        let fields = scope.call.envelope.properties.fields();
        let of = |field: fn(&tidings_core::properties::Fields) -> &Option<Arc<str>>| {
            fields.and_then(|fields| field(fields).clone())
        };
        Ok(Self {
            exchange: Arc::clone(&scope.call.address.exchange),
            correlation_id: of(|fields| &fields.correlation_id),
            reply_to: of(|fields| &fields.reply_to),
            user_id: of(|fields| &fields.user_id),
            app_id: of(|fields| &fields.app_id),
            redelivered: scope.call.is_redelivered(),
        })
    }
}
