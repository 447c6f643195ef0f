//! What there is to know about a request without its type.

use std::{fmt, time::Duration};

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;
use tidings_core::{
    ContractInfo, Error, ErrorKind,
    codec::Format,
    contract::{Lock, Request},
    error::Result,
};

/// The facts of a request's contract, as values and function pointers.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct RequestInfo {
    /// Name, version and kind. The name is the exchange of its requests.
    pub contract: ContractInfo,
    /// By what its requests exclude one another.
    pub lock: Lock,
    /// Members that no log, journal or broker may see in clear.
    pub secrets: &'static [&'static str],
    /// How long its answers are remembered.
    pub remembered: Option<Duration>,
    /// The JSON Schema of what is accepted.
    pub request_schema: fn() -> Value,
    /// The JSON Schema of what is answered.
    pub reply_schema: fn() -> Value,
    /// Requests as they may be sent.
    pub examples: fn() -> Vec<Value>,
    /// Decodes a request, checks its rules, and writes it as it was understood: with defaults, and members in the
    /// order of their declaration.
    ///
    /// # Errors
    /// As a handler's message: [`ErrorKind::Decode`] or [`ErrorKind::Invalid`].
    pub normalise: fn(Format, &[u8]) -> Result<Value>,
    /// The value that [`lock`](Self::lock) names in an encoded request; `None` also if it cannot be decoded.
    pub lock_value: fn(Format, &[u8]) -> Option<String>,
}

impl RequestInfo {
    /// The facts of this request.
    #[must_use]
    pub const fn of<R: Request>() -> Self {
        Self {
            contract: ContractInfo {
                name: R::NAME,
                version: R::VERSION,
                kind: R::KIND,
            },
            lock: R::LOCK,
            secrets: R::SECRETS,
            remembered: R::REMEMBERED,
            request_schema: input::<R>,
            reply_schema: output::<R::Reply>,
            examples: R::examples,
            normalise: normalise::<R>,
            lock_value: lock_value::<R>,
        }
    }
}

fn input<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    generator.into_root_schema_for::<T>().to_value()
}

fn output<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let generator = settings.into_generator();
    generator.into_root_schema_for::<T>().to_value()
}

fn normalise<R: Request>(format: Format, body: &[u8]) -> Result<Value> {
    let request = R::decode(format, body)?;
    request.validate().map_err(|invalid| {
        let context = format!("{} breaks its rules: {invalid}", R::info());
        Error::new(ErrorKind::Invalid, context).with_source(invalid)
    })?;
    serde_json::to_value(&request).map_err(|error| {
        let context = format!("cannot write {} as JSON", R::info());
        Error::new(ErrorKind::Invalid, context).with_source(error)
    })
}

fn lock_value<R: Request>(format: Format, body: &[u8]) -> Option<String> {
    let request = R::decode(format, body).ok()?;
    // A request that will be refused need not wait for that.
    request.validate().ok()?;
    request.lock_value()
}

impl fmt::Debug for RequestInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestInfo")
            .field("contract", &self.contract)
            .field("lock", &self.lock)
            .field("secrets", &self.secrets)
            .field("remembered", &self.remembered)
            .finish_non_exhaustive()
    }
}
