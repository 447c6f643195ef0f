//! The README and the guide as doc-tests, so that every snippet in them compiles and does what it says.

#![cfg(all(doctest, feature = "testing"))]

/// The first program anybody reads.
#[doc = include_str!("../../../README.md")]
struct Readme;

#[doc = include_str!("../../../docs/guide/README.md")]
struct Guide;

#[doc = include_str!("../../../docs/guide/messages.md")]
struct Messages;

#[doc = include_str!("../../../docs/guide/handlers.md")]
struct Handlers;

#[doc = include_str!("../../../docs/guide/publishing.md")]
struct Publishing;

#[doc = include_str!("../../../docs/guide/failures.md")]
struct Failures;

#[doc = include_str!("../../../docs/guide/running.md")]
struct Running;

#[doc = include_str!("../../../docs/guide/queues.md")]
struct Queues;

#[doc = include_str!("../../../docs/guide/embedded.md")]
struct Embedded;

#[doc = include_str!("../../../docs/guide/rabbitmq.md")]
struct RabbitMq;

#[doc = include_str!("../../../docs/guide/cli.md")]
struct CommandLine;

#[doc = include_str!("../../../docs/guide/joining.md")]
struct JoiningPetisco;

#[cfg(feature = "rpc")]
#[doc = include_str!("../../../docs/guide/calls.md")]
struct Calls;

#[cfg(feature = "rpc")]
#[doc = include_str!("../../../docs/guide/consumer.md")]
struct Consumer;

#[cfg(feature = "rpc")]
#[doc = include_str!("../../../docs/guide/moving-rpc.md")]
struct MovingRpc;

#[doc = include_str!("../../../docs/guide/observing.md")]
struct Observing;

#[doc = include_str!("../../../docs/guide/testing.md")]
struct Testing;

#[doc = include_str!("../../../docs/guide/extending.md")]
struct Extending;
