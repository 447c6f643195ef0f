//! The log: a line for people as deployed consumers write it, or an object a line.
//!
//! `[thread] [LEVEL] logger: [exchange] [correlation id] message`, on standard output. Bodies are never logged.

use std::{error::Error as _, fmt, io};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    warn,
};
use tracing_subscriber::{
    EnvFilter,
    filter::ParseError,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use crate::flags::LogFormat;

/// What is logged unless `RUST_LOG` says otherwise. The client of RabbitMQ reports every channel that the broker closes,
/// which is how it answers whether a queue exists.
const LOGGED: &str = "info,lapin=off";

/// Starts to log, unless whoever runs the program logs already.
pub(crate) fn install(format: LogFormat) {
    let (filter, refused) = match EnvFilter::try_from_default_env() {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(LOGGED), Some(error)),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stdout)
        .with_ansi(false);
    let installed = match format {
        LogFormat::Text => log.event_format(Line).try_init(),
        LogFormat::Json => log
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .try_init(),
    };
    // Somebody else's log is as good as ours.
    drop(installed);
    // A variable that is not set is refused as well, and is no mistake.
    if let Some(error) =
        refused.filter(|error| error.source().is_some_and(|why| why.is::<ParseError>()))
    {
        warn!(%error, "`RUST_LOG` cannot be understood and has no effect: write for example `info,lapin=off`");
    }
}

/// One line for people.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let thread = std::thread::current();
        let level = level(*event.metadata().level());
        let logger = event.metadata().target();
        let mut parts = Parts::default();
        event.record(&mut parts);
        let name = thread.name().unwrap_or("main");
        write!(writer, "[{name}] [{level}] {logger}: ")?;
        for prefix in [&parts.exchange, &parts.correlation_id]
            .into_iter()
            .flatten()
        {
            write!(writer, "[{prefix}] ")?;
        }
        writeln!(writer, "{}{}", parts.message, parts.others)
    }
}

/// The fields of an event, in the order of a line.
#[derive(Default)]
struct Parts {
    exchange: Option<String>,
    correlation_id: Option<String>,
    message: String,
    others: String,
}

impl Parts {
    fn put(&mut self, field: &Field, value: String) {
        match field.name() {
            "exchange" => self.exchange = Some(value),
            "correlation_id" => self.correlation_id = Some(value),
            "message" => self.message = value,
            name => self.others.push_str(&format!(" {name}={value}")),
        }
    }
}

impl Visit for Parts {
    fn record_str(&mut self, field: &Field, value: &str) {
        // One event is one line, whatever a peer has put into it.
        self.put(
            field,
            value
                .escape_debug()
                .to_string()
                .replace("\\\"", "\"")
                .replace("\\'", "'"),
        );
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        self.put(field, value.replace('\n', "\\n"));
    }
}

/// As Python spells it.
fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{info, warn};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written while this runs, without the thread.
    fn logged(log: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .event_format(Line)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = lines.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        let (_, rest) = text.split_once("] ").unwrap();
        rest.to_owned()
    }

    #[test]
    fn a_line_looks_as_deployed_consumers_write_it() {
        let line = logged(|| {
            info!(
                exchange = "dx_example",
                correlation_id = "c-1",
                outcome = "ok",
                "handled"
            );
        });
        assert_eq!(
            line,
            "[INFO] tidings_consumer::logging::tests: [dx_example] [c-1] handled outcome=ok\n"
        );
        let line = logged(|| warn!(queue = "q", count = 2, "paused"));
        assert_eq!(
            line,
            "[WARNING] tidings_consumer::logging::tests: paused queue=q count=2\n"
        );
    }

    #[test]
    fn a_peer_cannot_write_lines_of_its_own() {
        let line = logged(|| {
            info!(correlation_id = "a\n[main] [ERROR] forged", reason = ?"x\ny", "it's \"here\"");
        });
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(line.contains("it's \"here\""), "{line}");
    }
}
