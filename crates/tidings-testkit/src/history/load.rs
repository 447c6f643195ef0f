//! Reads histories back, from the files of all processes that took part.

use std::{fs, path::Path};

use tidings_core::{Error, ErrorKind, Result};

use super::{
    check::{Report, check},
    event::Event,
};

/// The events of all processes.
#[derive(Clone, Debug, Default)]
pub struct History {
    events: Vec<Event>,
    torn: usize,
}

impl History {
    /// A history of these events.
    #[must_use]
    pub fn of(events: impl IntoIterator<Item = Event>) -> Self {
        Self {
            events: events.into_iter().collect(),
            torn: 0,
        }
    }

    /// Reads the files of all processes.
    ///
    /// The last line of a file may be torn, because its writer may have been killed in the middle; it is
    /// counted and ignored. Any other line that is not an event is an error, never ignored: a checker that
    /// overlooks evidence says "nothing lost" when something is.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if a file cannot be read, [`ErrorKind::Corrupt`] with file and line.
    pub fn load<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self> {
        let mut history = Self::default();
        for path in paths {
            let path = path.as_ref();
            let content = fs::read(path).map_err(|error| {
                let context = format!("cannot read the history file {}", path.display());
                Error::new(ErrorKind::Unavailable, context).with_source(error)
            })?;
            history.add(&path.display().to_string(), &content)?;
        }
        Ok(history)
    }

    /// Adds the content of one file; `name` is for errors.
    fn add(&mut self, name: &str, content: &[u8]) -> Result<()> {
        let mut lines = content
            .split_inclusive(|byte| *byte == b'\n')
            .enumerate()
            .peekable();
        while let Some((number, line)) = lines.next() {
            let torn = lines.peek().is_none() && line.last() != Some(&b'\n');
            match serde_json::from_slice(line) {
                Ok(event) => self.events.push(event),
                Err(_) if torn => self.torn += 1,
                Err(error) => {
                    let context = format!("{name}:{} is not an event", number + 1);
                    return Err(Error::new(ErrorKind::Corrupt, context).with_source(error));
                }
            }
        }
        Ok(())
    }

    /// The events, file by file.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// What follows from them.
    #[must_use]
    pub fn check(&self) -> Report {
        check(&self.events, self.torn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(content: &str, wanted: Result<(usize, usize), &str>) {
        let mut history = History::default();
        let got = history
            .add("file", content.as_bytes())
            .map(|()| (history.events.len(), history.torn))
            .map_err(|error| error.to_string());
        assert_eq!(got, wanted.map_err(str::to_owned), "{content:?}");
    }

    #[test]
    fn only_the_last_line_may_be_torn() {
        let whole = "{\"event\":\"acked\",\"id\":\"a\"}\n";
        check("", Ok((0, 0)));
        check(whole, Ok((1, 0)));
        check(whole.trim_end(), Ok((1, 0)));
        check(&format!("{whole}{{\"event\":\"ac"), Ok((1, 1)));
        check(
            &format!("{{\"event\":\"ac{whole}"),
            Err("file:1 is not an event"),
        );
        check(&format!("{whole}\n"), Err("file:2 is not an event"));
        check(
            "{\"event\":\"unheard\",\"id\":\"a\"}\n",
            Err("file:1 is not an event"),
        );
    }
}
