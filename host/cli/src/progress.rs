//! Progress: a line for the whole run, a bar for each kind, and a line for each answer that takes long.
//!
//! A kind's bar is there from the moment the kind is asked for. It disappears when the kind is done, so that many kinds do not fill the screen.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
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

/// The line for the whole run.
#[derive(Debug, Default)]
struct Whole {
    bar: Option<ProgressBar>,
    /// The objects of each kind that were read, or that were written once writing has begun.
    objects: HashMap<Key, u64>,
    is_writing: bool,
}

const READING: &str = "{spinner} {prefix}  {human_pos} objects  {elapsed}";
const READING_OF: &str = "{spinner} {prefix}  [{bar:30}] {human_pos}/{human_len} objects  {elapsed}";
const WRITING: &str = "{spinner} {prefix}  [{bar:30}] {human_pos}/{human_len}  {eta} left";
const WHOLE: &str = "{spinner} {elapsed}  {human_pos} objects  {rate}  {wide_msg}";

/// The bars of a run.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    screen: &'a Screen,
    bars: Mutex<HashMap<Key, ProgressBar>>,
    waits: Mutex<Waits>,
    whole: Mutex<Whole>,
}

impl<'a> Progress<'a> {
    /// Returns an empty set of bars.
    pub(crate) fn new(screen: &'a Screen) -> Progress<'a> {
        Progress { screen, bars: Mutex::default(), waits: Mutex::default(), whole: Mutex::default() }
    }

    /// Shows the line for the whole run.
    pub(crate) fn begin(&self) {
        let Some(bars) = self.screen.bars() else { return };
        let bar = bars.add(ProgressBar::new_spinner());
        let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
            // Writing to the screen's buffer cannot fail.
            let _ = write!(out, "{:.0}/s", state.pos() as f64 / state.elapsed().as_secs_f64().max(0.001));
        };
        bar.set_style(style(WHOLE).with_key("rate", rate));
        bar.set_message("opening both systems");
        bar.enable_steady_tick(TICK);
        self.whole().bar = Some(bar);
    }

    /// Shows the number of records of a kind that were read, and their total if it is known.
    pub(crate) fn loading(&self, side: &'static str, kind: &str, read: u64, total: Option<u64>) {
        self.count(side, kind, read);
        self.at(
            side,
            kind,
            |bars| {
                let bar = bars.add(ProgressBar::new_spinner());
                bar.set_style(style(READING));
                bar.enable_steady_tick(TICK);
                bar
            },
            |bar| {
                if let Some(total) = total
                    && bar.length() != Some(total)
                {
                    bar.set_length(total);
                    bar.set_style(style(READING_OF));
                }
                bar.set_position(read);
            },
        );
    }

    /// Removes the bar of a kind that is read.
    pub(crate) fn loaded(&self, side: &'static str, kind: &str, read: u64) {
        self.count(side, kind, read);
        self.end(side, kind);
    }

    /// Shows the number of written rows of a kind.
    pub(crate) fn writing(&self, kind: &str, done: u64, total: u64) {
        self.count(WRITE, kind, done);
        self.at(
            WRITE,
            kind,
            |bars| {
                let bar = bars.add(ProgressBar::new(total));
                bar.set_style(style(WRITING));
                bar.enable_steady_tick(TICK);
                bar
            },
            |bar| {
                bar.set_length(total);
                bar.set_position(done);
            },
        );
        if done >= total {
            self.end(WRITE, kind);
        }
    }

    /// Counts the objects of a kind in the line for the whole run.
    fn count(&self, stage: &'static str, kind: &str, objects: u64) {
        let mut whole = self.whole();
        if whole.bar.is_none() {
            return;
        }
        let is_writing = stage == WRITE;
        if is_writing != whole.is_writing {
            whole.objects.clear();
            whole.is_writing = is_writing;
        }
        let is_first = whole.objects.is_empty();
        whole.objects.insert((stage, kind.to_owned()), objects);
        if let Some(bar) = &whole.bar {
            if is_first {
                bar.set_message(if is_writing { "writing" } else { "reading" });
                bar.reset_elapsed();
            }
            bar.set_position(whole.objects.values().sum());
        }
    }

    /// Says in the line for the whole run for what it waits.
    fn name_wait(&self, waits: &[Waiting]) {
        let whole = self.whole();
        let Some(bar) = &whole.bar else { return };
        let message = match waits.split_first() {
            Some((Waiting { side, system, wait }, others)) => {
                let what = if wait.what.is_empty() { "a request" } else { &wait.what };
                let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
                format!("waiting for {} `{system}`: `{what}`{more}", side.as_str())
            }
            None if whole.objects.is_empty() => return,
            None if whole.is_writing => "writing".to_owned(),
            None => "reading".to_owned(),
        };
        bar.set_message(Escaped(&message).to_string());
    }

    /// Shows for what the run waits: as bars on a terminal, else as lines, which become rare.
    pub(crate) fn waiting(&self, waits: &[Waiting]) {
        self.name_wait(waits);
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
        if let Some(bar) = self.whole().bar.take() {
            bar.finish_and_clear();
        }
        for (_, bar) in self.lock().drain() {
            bar.finish_and_clear();
        }
    }

    fn whole(&self) -> MutexGuard<'_, Whole> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, ProgressBar>> {
        self.bars.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stage in which rows are written.
const WRITE: &str = "writing";

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
        for template in [READING, READING_OF, WRITING, WHOLE] {
            ProgressStyle::with_template(template).unwrap();
        }
    }

    #[test]
    fn without_a_terminal_there_are_no_bars() {
        let screen = Screen::new(Verbosity::Default).with_bars(Some(false));
        let progress = Progress::new(&screen);
        progress.begin();
        progress.loading("source", "DcimDevice", 1000, Some(2000));
        progress.writing("DcimDevice", 1, 3);
        assert!(progress.lock().is_empty());
        progress.finish();
    }
}
