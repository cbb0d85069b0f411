//! Progress bars: one for each kind that is being loaded or written, and one for each answer that takes long.
//!
//! A kind's bar disappears when the kind is done, so that a project of sixty kinds does not fill the screen.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use infrahub_sync_engine::{Side, Waiting};

use crate::escape::Escaped;
use crate::screen::Screen;

/// The interval of a spinner: short enough to show progress, long enough to cost nothing.
const TICK: Duration = Duration::from_millis(125);

/// A wait after which a terminal shows it.
const SHOWN_AFTER: Duration = Duration::from_secs(3);
/// A wait after which it is a line where there is no terminal; later lines follow after twice the time, from [`LINE_AGAIN`] on.
const LINE_AFTER: Duration = Duration::from_secs(10);
const LINE_AGAIN: Duration = Duration::from_secs(30);
/// Waits that are shown at a time: the longest ones.
const WAITS_SHOWN: usize = 4;

/// Identifies a wait.
type WaitKey = (Side, u64);

/// The shown waits.
#[derive(Debug, Default)]
struct Waits {
    bars: HashMap<WaitKey, ProgressBar>,
    /// When each wait is a line again.
    lines: HashMap<WaitKey, Duration>,
}

/// Identifies a bar: the stage (a side, or writing) and the kind.
type Key = (&'static str, String);

/// The bars of a run.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    screen: &'a Screen,
    bars: Mutex<HashMap<Key, ProgressBar>>,
    waits: Mutex<Waits>,
}

impl<'a> Progress<'a> {
    /// Returns an empty set of bars.
    pub(crate) fn new(screen: &'a Screen) -> Progress<'a> {
        Progress { screen, bars: Mutex::default(), waits: Mutex::default() }
    }

    /// Shows the number of loaded rows of a kind, whose total is unknown.
    pub(crate) fn loading(&self, side: &'static str, kind: &str, rows: u64) {
        self.at(
            side,
            kind,
            |bars| {
                let bar = bars.add(ProgressBar::new_spinner());
                bar.set_style(style("{spinner} {prefix}  {human_pos} objects  {elapsed}"));
                bar.enable_steady_tick(TICK);
                bar
            },
            |bar| bar.set_position(rows),
        );
    }

    /// Removes the bar of a loaded kind.
    pub(crate) fn loaded(&self, side: &'static str, kind: &str) {
        self.end(side, kind);
    }

    /// Shows the number of written rows of a kind.
    pub(crate) fn writing(&self, kind: &str, done: u64, total: u64) {
        self.at(
            "writing",
            kind,
            |bars| {
                let bar = bars.add(ProgressBar::new(total));
                bar.set_style(style("{spinner} {prefix}  [{bar:30}] {human_pos}/{human_len}  {eta} left"));
                bar.enable_steady_tick(TICK);
                bar
            },
            |bar| {
                bar.set_length(total);
                bar.set_position(done);
            },
        );
        if done >= total {
            self.end("writing", kind);
        }
    }

    /// Shows for what the run waits: as bars on a terminal, else as lines, which become rare.
    pub(crate) fn waiting(&self, waits: &[Waiting]) {
        let mut shown = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = |key: &WaitKey| waits.iter().any(|waiting| key_of(waiting) == *key);
        shown.bars.retain(|key, bar| {
            is_there(key) || {
                bar.finish_and_clear();
                false
            }
        });
        shown.lines.retain(|key, _| is_there(key));
        for waiting in waits.iter().filter(|waiting| waiting.wait.waited >= SHOWN_AFTER).take(WAITS_SHOWN) {
            let (key, waited) = (key_of(waiting), waiting.wait.waited);
            if let Some(bars) = self.screen.bars() {
                let bar = shown.bars.entry(key).or_insert_with(|| {
                    let bar = bars.add(ProgressBar::new_spinner());
                    bar.set_style(style("{spinner} {wide_msg}"));
                    bar.enable_steady_tick(TICK);
                    bar
                });
                bar.set_message(Escaped(&waiting.to_string()).to_string());
                continue;
            }
            let due = shown.lines.entry(key).or_insert(LINE_AFTER);
            if waited >= *due {
                *due = (waited * 2).max(LINE_AGAIN);
                self.screen.info(&waiting.to_string());
            }
        }
    }

    /// Removes all bars.
    pub(crate) fn finish(&self) {
        self.waiting(&[]);
        for (_, bar) in self.lock().drain() {
            bar.finish_and_clear();
        }
    }

    fn at(
        &self,
        stage: &'static str,
        kind: &str,
        make: impl FnOnce(&indicatif::MultiProgress) -> ProgressBar,
        update: impl FnOnce(&ProgressBar),
    ) {
        let Some(bars) = self.screen.bars() else {
            return;
        };
        let mut known = self.lock();
        let bar = known.entry((stage, kind.to_owned())).or_insert_with(|| {
            let bar = make(bars);
            bar.set_prefix(format!("{stage:<11}  {}", Escaped(kind)));
            bar
        });
        update(bar);
    }

    fn end(&self, stage: &'static str, kind: &str) {
        if let Some(bar) = self.lock().remove(&(stage, kind.to_owned())) {
            bar.finish_and_clear();
        }
    }

    /// Ignores a panic of another thread, which can at most leave a bar out of date.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, ProgressBar>> {
        self.bars.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key_of(waiting: &Waiting) -> WaitKey {
    (waiting.side, waiting.wait.id)
}

/// Returns a bar's style. A test checks that the templates are valid; an invalid one would get the default style.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Verbosity;

    #[test]
    fn the_templates_parse() {
        for template in
            ["{spinner} {prefix}  {human_pos} objects  {elapsed}", "{spinner} {prefix}  [{bar:30}] {human_pos}/{human_len}  {eta} left"]
        {
            ProgressStyle::with_template(template).unwrap();
        }
    }

    #[test]
    fn without_a_terminal_there_are_no_bars() {
        let screen = Screen::new(Verbosity::Default).with_bars(Some(false));
        let progress = Progress::new(&screen);
        progress.loading("source", "DcimDevice", 1000);
        progress.writing("DcimDevice", 1, 3);
        assert!(progress.lock().is_empty());
        progress.finish();
    }
}
