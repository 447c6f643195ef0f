//! A convention whose messages are the fields and nothing else, to compare like with like.
//!
//! The peer's messages have no id, no time and no context; those of the domain convention do. With this convention
//! ours have none either. It is not for use: there is no retry and no dead letter, because nothing identifies a
//! message.

use std::sync::Arc;

use tidings::{
    Address, Call, Envelope, RetryPolicy, Settlement,
    convention::{Attachment, Convention, Failed, Fate, Interest, Opened, Outgoing, Plan},
    topology::{Queue, Topology},
    transport::Message,
};
use tidings_core::codec::Format;

/// Every message is addressed to one queue.
#[derive(Debug)]
pub struct BareJson {
    queue: Address,
}

impl BareJson {
    pub fn new() -> Self {
        Self {
            queue: Address::queue("orders"),
        }
    }
}

impl Convention for BareJson {
    fn format(&self) -> Format {
        Format::Json
    }

    fn topology(&self) -> Topology {
        Topology::new()
    }

    fn seal(&self, message: &Outgoing<'_>) -> tidings::Result<Call> {
        let mut body = Vec::with_capacity(128);
        (message.body)(Format::Json, &mut body)?;
        Ok(Call::new(self.queue.clone(), Envelope::new(body)))
    }

    fn open<'a>(&self, message: &'a Message, _: &Attachment) -> tidings::Result<Opened<'a>> {
        Ok(Opened {
            id: "".into(),
            name: "".into(),
            version: 1,
            kind: "".into(),
            occurred_at: Default::default(),
            meta: "{}".into(),
            body: (&*message.envelope.payload.bytes).into(),
        })
    }

    fn attach(
        &self,
        subscriber: &str,
        interest: &Interest,
        retry: &RetryPolicy,
    ) -> tidings::Result<Attachment> {
        let queue = &self.queue.key;
        Ok(Attachment {
            subscriber: subscriber.into(),
            interest: interest.clone(),
            queue: Arc::clone(queue),
            topology: Topology::new().queue(Queue::new(Arc::clone(queue))),
            retry: retry.clone(),
        })
    }

    fn recover(&self, _: &Failed<'_>) -> Plan {
        Plan::Settle {
            settlement: Settlement::Reject,
            fate: Fate::Dropped,
        }
    }
}
