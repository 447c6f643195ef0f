//! Empties one lane of the queue, record by record, at the pace of the log server.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tidings_core::tasks::Tasks;
use tokio::{
    select,
    sync::mpsc::Receiver,
    time::{Instant, sleep},
};
use tracing::{info, warn};

use super::{
    config::JournalConfig,
    outage::{Ended, Found, Outage},
    post::{Post, Verdict},
    record::{Place, Record},
    tally::{Loss, Tally},
};

/// How often a record is sent that the log server does not answer for.
const ATTEMPTS: u32 = 5;
/// How long to wait after the first failure.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// See [the module](self).
pub(super) struct Shipper {
    lane: Receiver<Record>,
    post: Post,
    tally: Arc<Tally>,
    longest_wait: Duration,
    tasks: Tasks,
    outage: Arc<Outage>,
    found: Found,
}

impl Shipper {
    pub(super) fn new(
        lane: Receiver<Record>,
        post: Post,
        tally: Arc<Tally>,
        config: &JournalConfig,
        tasks: Tasks,
        outage: Arc<Outage>,
    ) -> Self {
        Self {
            lane,
            post,
            tally,
            longest_wait: config.longest_wait,
            tasks,
            outage,
            found: Found::default(),
        }
    }

    /// Ships until it is asked to stop and the lane is empty, with the places that are still kept for answers.
    pub(super) async fn run(mut self) {
        let mut is_closing = false;
        loop {
            let record = select! {
                biased;
                // Cancel-safe: promised by `Receiver::recv`.
                record = self.lane.recv() => record,
                // Cancel-safe: it only looks at a flag.
                () = self.tasks.stopping(), if !is_closing => {
                    is_closing = true;
                    self.lane.close();
                    continue;
                }
            };
            let Some(record) = record else {
                return;
            };
            let (place, body, room) = record.write();
            match body {
                Ok(body) => self.ship(place, body).await,
                Err(error) => {
                    self.tally.dropped(Loss::Refused);
                    warn!(%error, "a record of the journal cannot be written");
                }
            }
            drop(room);
        }
    }

    /// Sends a record until the log server has it, refuses it, or has failed too often.
    async fn ship(&mut self, place: Place, body: Bytes) {
        let mut wait = FIRST_WAIT.min(self.longest_wait);
        let mut attempts = 0;
        loop {
            let began = Instant::now();
            let reason = match self.post.send(place, body.clone()).await {
                Verdict::Taken => {
                    self.tally.shipped();
                    self.is_up();
                    return;
                }
                Verdict::Refused(status) => {
                    self.tally.dropped(Loss::Refused);
                    self.is_up();
                    self.refused(place, status);
                    return;
                }
                Verdict::Unanswered(reason) => {
                    attempts += 1;
                    reason
                }
                // Every other record would fare alike: this one may wait with them.
                Verdict::Away(reason) => reason,
            };
            self.is_down(&reason, began);
            if attempts >= ATTEMPTS || self.tasks.is_stopping() {
                self.tally.dropped(Loss::Unanswered);
                return;
            }
            select! {
                () = sleep(jittered(wait)) => {}
                () = self.tasks.stopping() => {}
            }
            wait = (2 * wait).min(self.longest_wait);
        }
    }

    fn is_down(&mut self, reason: &str, began: Instant) {
        let dropped = self.tally.counts().dropped;
        if self.outage.failed(&mut self.found, began, dropped) {
            warn!(
                log_server = %self.post,
                reason,
                "the log server does not take records: they wait as long as there is room, and calls go on"
            );
        }
    }

    fn is_up(&mut self) {
        let dropped = self.tally.counts().dropped;
        if let Some(Ended { after, dropped }) = self.outage.answered(&mut self.found, dropped) {
            info!(log_server = %self.post, ?after, dropped, "the log server takes records again");
        }
    }

    fn refused(&self, place: Place, status: http::StatusCode) {
        if !self.outage.refused() {
            return;
        }
        let advice = match status.as_u16() {
            401 | 403 => "check the log server's `api_token`",
            404 | 405 => "check the log server's `base_url`",
            _ => "it may have the record already, or not accept its correlation id",
        };
        warn!(log_server = %self.post, ?place, %status, "the log server refuses a record: {advice}");
    }
}

/// So that the lanes do not knock at the same moment.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.75 + fastrand::f64() / 2.0)
}
