//! What the quick start tells, counts and checks.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tidings::{Call, Error, ErrorKind, Result, headers};
use tokio::sync::Notify;

/// The narrator.
pub(crate) struct Story {
    began: Instant,
    counts: Mutex<Counts>,
    changed: Notify,
    repaired: AtomicBool,
}

/// What happened how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) mailed: u32,
    pub(crate) charged: u32,
    pub(crate) charge_failures: u32,
    pub(crate) dead_letters: u32,
    pub(crate) synced: u32,
    pub(crate) persisted: u32,
    pub(crate) archived: u32,
}

impl Counts {
    /// What happens when all goes as promised.
    const EXPECTED: Self = Self {
        mailed: 2,
        charged: 2,
        charge_failures: 4,
        dead_letters: 2,
        synced: 2,
        persisted: 2,
        archived: 4,
    };

    fn rows(self) -> [(&'static str, u32); 7] {
        [
            ("mails sent", self.mailed),
            ("cards charged", self.charged),
            ("failed attempts to charge", self.charge_failures),
            ("dead letters", self.dead_letters),
            ("redriven and synced", self.synced),
            ("commands handled", self.persisted),
            ("messages in the store", self.archived),
        ]
    }
}

impl Story {
    pub(crate) fn begin() -> Self {
        Self {
            began: Instant::now(),
            counts: Mutex::default(),
            changed: Notify::new(),
            repaired: AtomicBool::new(false),
        }
    }

    /// One line, with the time since the start.
    pub(crate) fn tell(&self, who: &str, what: &str) {
        println!(
            "{:5.1}s  {who:<13} {what}",
            self.began.elapsed().as_secs_f32()
        );
    }

    /// What a dead letter says of itself.
    pub(crate) fn tell_reason(&self, dead_letter: &Call) {
        let headers = &dead_letter.envelope.headers;
        let [reason, error] =
            [headers::REASON, headers::ERROR].map(|name| headers.text(name).unwrap_or("unknown"));
        let attempts = headers.int(headers::ATTEMPTS).unwrap_or(0);
        self.tell(
            "dead letter",
            &format!("{reason} after {attempts} attempts: {error}"),
        );
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
    }

    pub(crate) fn repair_the_crm(&self) {
        self.repaired.store(true, Ordering::SeqCst);
    }

    pub(crate) fn crm_is_repaired(&self) -> bool {
        self.repaired.load(Ordering::SeqCst)
    }

    /// Waits until the counts are as wanted, for half a minute at most.
    pub(crate) async fn wait_for(
        &self,
        what: &str,
        reached: impl Fn(&Counts) -> bool,
    ) -> Result<()> {
        let reached = async {
            loop {
                let changed = self.changed.notified();
                if reached(&self.counts()) {
                    return;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), reached).await;
        waited.map_err(|_| {
            Error::new(
                ErrorKind::Timeout,
                format!("waited 30 s for {what}: {:?}", self.counts()),
            )
        })
    }

    /// The table, and whether it is right.
    pub(crate) fn end(&self) -> Result<()> {
        println!("\n{:<28}{:>6}{:>10}", "", "seen", "expected");
        for ((name, seen), (_, expected)) in
            self.counts().rows().iter().zip(Counts::EXPECTED.rows())
        {
            println!("{name:<28}{seen:>6}{expected:>10}");
        }
        if self.counts() != Counts::EXPECTED {
            return Err(Error::new(
                ErrorKind::Invalid,
                "the counts are not what they should be",
            ));
        }
        println!(
            "\nEverything that was published was handled. Next: README.md, \"Where to go next\"."
        );
        Ok(())
    }

    fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
