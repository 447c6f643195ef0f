//! The transports of this build, by the scheme of their URLs.

use std::sync::Arc;

use tidings_core::{
    error::Result,
    transport::{Registry, Transport},
};

/// Knows every transport whose Cargo feature is on. Add your own scheme with [`Registry::with`].
#[must_use]
pub fn transports() -> Registry {
    embedded(Registry::new())
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
