//! Progress of a long job, for somebody who waits at a terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A job shorter than this shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar on standard error, or nothing at all.
pub(crate) struct Bar {
    drawn: ProgressBar,
    started: Instant,
    terminal: bool,
}

impl Bar {
    /// Draws only if `terminal`, and only after the first second.
    pub(crate) fn new(terminal: bool) -> Self {
        let drawn = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Self { drawn, started: Instant::now(), terminal }
    }

    /// So much of so much is done; `what` comes next.
    pub(crate) fn tell(&self, done: u64, total: u64, what: &str) {
        if !self.terminal {
            return;
        }
        if self.drawn.is_hidden() && self.started.elapsed() >= PATIENCE {
            // A template that indicatif cannot read is a typing error: fall back to its own.
            let style = ProgressStyle::with_template("{bar:32} {pos}/{len} {elapsed} {msg}");
            self.drawn.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            self.drawn.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.drawn.set_length(total);
        self.drawn.set_position(done);
        self.drawn.set_message(what.to_owned());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.drawn.finish_and_clear();
    }
}
