//! The broker's HTTP API, for what AMQP does not tell.

mod url;

pub use self::url::ManagementUrl;
