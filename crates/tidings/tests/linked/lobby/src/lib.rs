//! A crate without handlers, as one is whose features leave them out.

#[cfg(any())]
#[tidings::handler]
async fn greet(request: Greet) {}
