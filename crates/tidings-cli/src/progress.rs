//! A bar for what takes long, for people only: nothing is drawn where standard error is no terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;

/// A bar that counts messages.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// With a known end.
    pub(crate) fn of(total: u64, what: &str, output: Output) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), target(output));
        let style = ProgressStyle::with_template(
            "{msg} [{bar:30}] {human_pos}/{human_len} {per_sec} {eta}",
        );
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what.to_owned());
        Self(bar)
    }

    /// Without a known end.
    pub(crate) fn endless(what: &str, output: Output) -> Self {
        let bar = ProgressBar::with_draw_target(None, target(output));
        if let Ok(style) = ProgressStyle::with_template("{msg} {human_pos} {per_sec}") {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        Self(bar)
    }

    /// One more.
    pub(crate) fn step(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn target(output: Output) -> ProgressDrawTarget {
    if output.is_json() {
        ProgressDrawTarget::hidden()
    } else {
        // It hides itself where there is no terminal.
        ProgressDrawTarget::stderr()
    }
}
