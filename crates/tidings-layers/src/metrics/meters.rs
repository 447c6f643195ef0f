//! The meters of one subscription.

use std::{fmt, sync::Arc, time::Duration};

use ::metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tidings_core::{
    ErrorKind,
    metric::{CONSUMED_MESSAGES, IN_FLIGHT, PROCESS_DURATION, label},
};

/// The value of the operation label.
const PROCESS: &str = "process";

/// Handles that are made once, and what is needed to make the others.
pub(super) struct Meters {
    queue: Arc<str>,
    in_flight: Gauge,
    handled: Counter,
    duration: Histogram,
}

impl Meters {
    pub(super) fn new(queue: Arc<str>) -> Self {
        let name = || Arc::clone(&queue);
        Self {
            in_flight: gauge!(IN_FLIGHT, label::SUBSCRIPTION => name()),
            handled: counter!(CONSUMED_MESSAGES, label::OPERATION => PROCESS, label::DESTINATION => name()),
            duration: histogram!(PROCESS_DURATION, label::OPERATION => PROCESS, label::DESTINATION => name()),
            queue,
        }
    }

    /// A handling has ended: well, or with an error of this kind.
    pub(super) fn ended(&self, took: Duration, failed: Option<ErrorKind>) {
        let Some(kind) = failed else {
            self.handled.increment(1);
            self.duration.record(took.as_secs_f64());
            return;
        };
        let labels = [
            (label::OPERATION, ::metrics::SharedString::from(PROCESS)),
            (label::DESTINATION, Arc::clone(&self.queue).into()),
            (label::ERROR, kind.as_str().into()),
        ];
        counter!(CONSUMED_MESSAGES, &labels).increment(1);
        histogram!(PROCESS_DURATION, &labels).record(took.as_secs_f64());
    }
}

/// A handling under way. Leaves the gauge when it ends and when it is dropped.
pub(super) struct InFlight(Arc<Meters>);

impl InFlight {
    pub(super) fn enter(meters: Arc<Meters>) -> Self {
        meters.in_flight.increment(1.0);
        Self(meters)
    }

    pub(super) fn meters(&self) -> &Meters {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.decrement(1.0);
    }
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meters")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InFlight").field(&self.0).finish()
    }
}
