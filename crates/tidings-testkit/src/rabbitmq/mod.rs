//! RabbitMQ for tests: a virtual host for each on the node that they share, or a node of one's own to stop and kill.
//!
//! `cargo xtask test` starts the shared node and names it in `TIDINGS_TEST_RABBITMQ_URL`; the program that starts private
//! nodes is named in `TIDINGS_TEST_NODE`. Where there is neither, [`shared`] and [`Node::start`] say so and return `None`,
//! and the test ends: a skip that is seen. With `CI` set, they panic instead.

mod http;
mod node;
mod vhost;

pub use self::{node::Node, vhost::VirtualHost};

/// Where tests find the shared node.
const SHARED: &str = "TIDINGS_TEST_RABBITMQ_URL";
/// Where tests find the program that starts private nodes.
const PROGRAM: &str = "TIDINGS_TEST_NODE";

/// A virtual host of this test's own on the shared node; removed when it is dropped. `None` if there is no node.
///
/// # Panics
/// If the node is there and does not do what is asked, or if there is none although `CI` is set.
pub async fn shared() -> Option<VirtualHost> {
    Some(VirtualHost::create(&shared_url()?).await)
}

/// Whether [`shared`] will find a node; says so if not.
///
/// # Panics
/// If there is none although `CI` is set.
#[must_use]
pub fn is_available() -> bool {
    shared_url().is_some()
}

fn shared_url() -> Option<String> {
    let url = variable(SHARED).or_else(|| skip("RabbitMQ", SHARED))?;
    if !url.contains("management=") {
        return skip("the HTTP API of RabbitMQ", "`management=` in its URL");
    }
    Some(url)
}

#[expect(
    clippy::disallowed_methods,
    reason = "what the test run tells its tests is read here and nowhere else"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Says that a test cannot run; on CI that is a failure.
#[expect(
    clippy::print_stdout,
    clippy::panic,
    reason = "this is how a test speaks"
)]
fn skip<T>(what: &str, missing: &str) -> Option<T> {
    let is_ci = variable("CI").is_some_and(|ci| !matches!(&*ci, "0" | "false"));
    if is_ci {
        panic!("{what} cannot be had: {missing} is not set, run `cargo xtask test`");
    }
    println!("SKIPPED: {what} cannot be had: {missing} is not set, run `cargo xtask test`");
    None
}
