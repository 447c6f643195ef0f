//! What the tests send and receive.

use bytes::Bytes;
use serde_json::Map;
use tidings_core::{
    Address, Call, Envelope, Kind, Payload,
    codec::Format,
    contract::Invalid,
    convention::{Attachment, Convention, Interest, Outgoing},
    error::Result,
    properties::Fields,
};
use tidings_rpc::{Keys, Rpc};

/// The key and the token that the specification of the wire gives.
pub(crate) const KEY: &str = "ZycOtLSOfBSztarunksiEdAjYklBvQ82Jgq0_7Vd7jg=";
pub(crate) const TOKEN: &str = "gAAAAABrALziAN_lgFwgv1xp04LuH2282IJObI04pVxrq2wGIYXJ9uXG8mrdxVfPwNZhfIxwKGASu53vnmiHMecLyIqW2zitAA==";
pub(crate) const IN_TOKEN: &str = "sécret";

pub(crate) fn rpc() -> Rpc {
    Rpc::new("web1").unwrap()
}

pub(crate) fn keys() -> Keys {
    Keys::new([KEY]).unwrap()
}

/// A request as it arrives, with what a deployed client says of itself.
pub(crate) fn arrived(exchange: &str, body: impl Into<Bytes>) -> Call {
    let envelope = Envelope {
        payload: Payload::json(body),
        ..Envelope::default()
    };
    let envelope = envelope.with_properties(Fields {
        correlation_id: Some("3f0c3a3e-9f0e-4d5c-8a43-6a5f7d5b1c11".into()),
        reply_to: Some("amq.gen-1".into()),
        ..Fields::default()
    });
    Call::new(Address::new(exchange, "web1"), envelope)
}

pub(crate) fn interest(name: &str) -> Interest {
    Interest::Named {
        name: name.to_owned(),
        version: 1,
        kind: Kind::Call,
    }
}

pub(crate) fn attachment(rpc: &Rpc) -> Attachment {
    rpc.attach("web1", &interest("create_site"), &rpc.retry_policy())
        .unwrap()
}

/// The body that a handler's message is decoded from.
pub(crate) fn opened(rpc: &Rpc, body: &str) -> Result<String> {
    let call = arrived("create_site", body.to_owned());
    let opened = rpc.open(&call, &attachment(rpc))?;
    Ok(String::from_utf8(opened.body.into_owned()).unwrap())
}

/// A request as it leaves.
pub(crate) fn sealed(rpc: &Rpc, kind: Kind, body: &str, secrets: &[&str]) -> Result<Call> {
    rpc.seal(&Outgoing {
        name: "create_site",
        version: 1,
        kind,
        id: None,
        occurred_at: None,
        meta: &Map::new(),
        secrets,
        body: &|_: Format, out: &mut Vec<u8>| {
            out.extend_from_slice(body.as_bytes());
            Ok(())
        },
    })
}

/// Which members are refused, and as what.
pub(crate) fn violations(error: &tidings_core::Error) -> Vec<(&str, &str)> {
    let invalid: &Invalid = error.source_ref().expect("a refusal names the members");
    invalid
        .violations()
        .iter()
        .map(|violation| (&*violation.path, &*violation.code))
        .collect()
}
