//! The transports of this build, by the scheme of their URLs.

use std::sync::Arc;

use tidings_core::{
    error::Result,
    transport::{Registry, Transport},
};

/// Knows every transport whose Cargo feature is on. Add your own scheme with [`Registry::with`].
#[must_use]
pub fn transports() -> Registry {
    rabbitmq(embedded(Registry::new()))
}

/// Opens the transport that a URL names.
///
/// # Errors
/// As [`Registry::open`].
pub async fn open(url: &str) -> Result<Arc<dyn Transport>> {
    transports().open(url).await
}

#[cfg(feature = "embedded")]
fn embedded(registry: Registry) -> Registry {
    registry.with("embedded", |url| async move {
        let transport: Arc<dyn Transport> =
            Arc::new(tidings_embedded::Embedded::from_url(&url).await?);
        Ok(transport)
    })
}

#[cfg(not(feature = "embedded"))]
fn embedded(registry: Registry) -> Registry {
    registry
}

#[cfg(feature = "rabbitmq")]
fn rabbitmq(registry: Registry) -> Registry {
    use tidings_rabbitmq::{RabbitMq, SCHEME, TLS_SCHEME};

    [SCHEME, TLS_SCHEME]
        .into_iter()
        .fold(registry, |registry, scheme| {
            registry.with(scheme, |url| async move {
                let transport: Arc<dyn Transport> = Arc::new(RabbitMq::from_url(&url).await?);
                Ok(transport)
            })
        })
}

#[cfg(not(feature = "rabbitmq"))]
fn rabbitmq(registry: Registry) -> Registry {
    registry
}
