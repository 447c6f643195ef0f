//! A live consumer: one channel of one generation, with a consumer on it.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use lapin::{
    Channel,
    options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions},
    types::{MAX_SHORT_STRING_LENGTH, ShortString},
};
use tidings_core::{
    Error, ErrorKind, Result, topology::arguments::STREAM_OFFSET, transport::Subscription,
};
use tokio::time::{sleep, timeout};

use crate::{
    acker::ChannelSettle,
    connection::Generation,
    consuming::{pump::AT_ONCE, source::Source},
    error::{self, Act},
    notation::{short, to_table},
    publishing::Publishing,
};

/// How long the broker may take until it has a consumer. The process of one queue may hang while all others answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long answers may take to be written before their channel is closed; usually they need a fraction of a millisecond.
const WRITING: Duration = Duration::from_secs(1);
/// How often it is looked whether they are.
const LOOK: Duration = Duration::from_millis(1);

/// How the broker says that there is no such queue. Its other refusals with this code mean one that is there, and cannot be
/// reached: its node is down, or its process has crashed.
const MISSING: &str = "NOT_FOUND - no queue";

/// A consumer and the channel that it has for itself.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) generation: Generation,
    channel: Channel,
    pub(crate) source: Source,
    pub(crate) settle: Arc<ChannelSettle>,
}

/// Why a consumer has ended although nobody here wanted it.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The broker has cancelled it; the channel is alive.
    Cancelled,
    /// The channel or the whole connection is gone.
    Lost(String),
}

impl Attachment {
    /// Opens a channel and consumes.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such queue, [`Denied`](ErrorKind::Denied) if it belongs to another
    /// connection or consumer, [`Unavailable`](ErrorKind::Unavailable) if the broker does not answer or cannot reach the
    /// queue, else what it says.
    pub(crate) async fn open(
        generation: Generation,
        to: &Subscription,
        publishing: &Publishing,
    ) -> Result<Self> {
        let ended = generation.clone();
        tokio::select! {
            // Cancel-safe: a channel that nobody gets is closed.
            opened = timeout(PATIENCE, Self::consume(generation, to, publishing)) => {
                opened.unwrap_or_else(|_| Err(silent(&to.queue)))
            }
            () = ended.over() => Err(lost(&ended)),
        }
    }

    async fn consume(
        generation: Generation,
        to: &Subscription,
        publishing: &Publishing,
    ) -> Result<Self> {
        let queue = short(&to.queue, "the queue name")?;
        let arguments = to_table(&to.arguments)?;
        let channel = generation.channel().await?;
        let refused = |failed: lapin::Error| {
            generation.suspect(&failed);
            refusal(&failed, &to.queue)
        };
        // For each consumer started after it, not for all of the channel together.
        let qos = BasicQosOptions { global: false };
        channel
            .basic_qos(to.prefetch.max(1), qos)
            .await
            .map_err(refused)?;
        let options = BasicConsumeOptions::default();
        let consumer = channel
            .basic_consume(queue, consumer_tag(&to.name), options, arguments)
            .await
            .map_err(refused)?;
        let is_stream = to.arguments.get(STREAM_OFFSET).is_some();
        let settle = Arc::new(ChannelSettle::new(
            channel.clone(),
            generation.clone(),
            to.prefetch,
            is_stream,
            publishing.clone(),
        ));
        Ok(Self {
            generation,
            channel,
            source: Source::new(consumer, Arc::clone(&settle), is_stream),
            settle,
        })
    }

    /// What the end of the consumer means.
    pub(crate) fn judge(&self, ended: Option<&lapin::Error>) -> Ended {
        match ended {
            Some(failed) => self.lost(failed),
            None => self.ended(),
        }
    }

    fn lost(&self, failed: &lapin::Error) -> Ended {
        self.generation.suspect(failed);
        Ended::Lost(error::said(failed))
    }

    /// A stream that ends without an error: cancelled, unless the channel is gone as well.
    fn ended(&self) -> Ended {
        if self.generation.is_over() {
            Ended::Lost(self.generation.why())
        } else if self.channel.status().connected() {
            Ended::Cancelled
        } else {
            Ended::Lost("the channel was closed".to_owned())
        }
    }

    /// Stops the deliveries and waits until no more can come. Returns the tags of what has come in meanwhile.
    pub(crate) async fn cancel(&self) -> Vec<u64> {
        let (tag, options) = (self.source.tag(), BasicCancelOptions::default());
        if let Err(failed) = self.channel.basic_cancel(tag, options).await {
            self.generation.suspect(&failed);
        }
        let (mut late, mut cx) = (VecDeque::new(), Context::from_waker(Waker::noop()));
        loop {
            let before = late.len();
            // Whether it has ended, and how, does not matter any more.
            let _ended = self.source.poll(&mut late, &mut cx);
            if late.len() - before < AT_ONCE {
                break;
            }
        }
        late.iter().map(|delivery| delivery.delivery_tag).collect()
    }

    /// Where in its stream another consumer has to go on, so that nothing unsettled is left out; `None` if it is no stream
    /// or nothing has come yet. To be asked after the end.
    pub(crate) fn resume_at(&self) -> Option<i64> {
        self.settle.end();
        self.source.resume_at()
    }

    /// Sends the acks that wait, those of answers that are about to be written included, and closes the channel; the
    /// broker's answer comes after it has read them. Unsettled deliveries go back to their queue.
    pub(crate) async fn close(self) {
        // The close would overtake them.
        let _written = timeout(WRITING, self.written()).await.is_ok();
        self.settle.end();
        if !self.channel.status().connected() {
            return;
        }
        tokio::select! {
            // Cancel-safe: the close has been queued.
            closed = self.channel.close(200, "done".into()) => if let Err(failed) = closed {
                self.generation.suspect(&failed);
            },
            () = self.generation.over() => {}
        }
    }

    async fn written(&self) {
        while self.channel.status().connected() && !self.settle.is_written() {
            sleep(LOOK).await;
        }
    }
}

/// An attachment that is dropped has ended, whoever dropped it.
impl Drop for Attachment {
    fn drop(&mut self) {
        self.settle.end();
    }
}

/// What the broker's own tools show: whose consumer it is, and which one.
fn consumer_tag(name: &str) -> ShortString {
    let random = format!("-{:08x}", fastrand::u32(..));
    let mut end = name.len().min(MAX_SHORT_STRING_LENGTH - random.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    ShortString::from(format!("{}{random}", &name[..end]))
}

/// What it means that the broker does not let us consume.
fn refusal(failed: &lapin::Error, queue: &str) -> Error {
    match error::code(failed) {
        Some(error::NOT_FOUND) => not_found(&error::said(failed), queue),
        Some(error::RESOURCE_LOCKED) => Error::new(
            ErrorKind::Denied,
            format!(
                "queue `{queue}` belongs exclusively to another connection: use a name of your own"
            ),
        ),
        _ => {
            let doing = format!("cannot consume from queue `{queue}`");
            error::of_act(failed, Act::Consume, &doing)
        }
    }
}

/// A queue that is missing, or one that is there and out of reach.
fn not_found(said: &str, queue: &str) -> Error {
    if said.starts_with(MISSING) {
        return no_queue(queue);
    }
    let context = format!(
        "queue `{queue}` cannot be reached by the broker: start its node again, or see the log of the broker ({said})"
    );
    Error::new(ErrorKind::Unavailable, context)
}

/// The broker does not answer for this queue.
pub(crate) fn silent(queue: &str) -> Error {
    let context = format!(
        "RabbitMQ does not answer in time whether queue `{queue}` can be consumed from: see its log, the queue or its node may hang"
    );
    Error::new(ErrorKind::Unavailable, context)
}

pub(crate) fn no_queue(queue: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("queue `{queue}` does not exist: declare it first"),
    )
}

fn lost(generation: &Generation) -> Error {
    let context = format!("the connection to RabbitMQ was lost: {}", generation.why());
    Error::new(ErrorKind::Unavailable, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_queue_that_is_missing_is_not_found() {
        let check = |said: &str, kind| assert_eq!(not_found(said, "q").kind(), kind, "{said}");
        check("NOT_FOUND - no queue 'q' in vhost '/'", ErrorKind::NotFound);
        check(
            "NOT_FOUND - home node 'rabbit@b' of durable queue 'q' in vhost '/' is down or inaccessible",
            ErrorKind::Unavailable,
        );
        check(
            "NOT_FOUND - queue 'no queue' in vhost '/' process is stopped by supervisor",
            ErrorKind::Unavailable,
        );
    }

    #[test]
    fn consumer_tags_show_the_name_and_fit() {
        let tag = consumer_tag("send_mail");
        assert!(tag.as_str().starts_with("send_mail-"), "{tag}");
        assert_ne!(tag, consumer_tag("send_mail"));
        for long in ["x".repeat(300), "é".repeat(200), "x".repeat(245) + "éé"] {
            assert!(consumer_tag(&long).as_str().len() <= 255);
        }
    }
}
