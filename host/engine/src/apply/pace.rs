//! The number of batches in flight, and of rows in each: fewer when the destination sheds load, slows down or loses answers, more again later.
//!
//! The result of an apply does not depend on it.

use std::time::Duration;

/// Batches without a word after which one more is sent at a time.
const CALM_BATCHES: u32 = 4;
/// A batch is slow if it takes this many times as long as the quickest one.
const SLOW: f64 = 3.0;
/// This many slow batches in a row are not an accident.
const SLOW_BATCHES: u32 = 2;

/// How many batches may be under way.
#[derive(Debug)]
pub(super) struct Pace {
    width: usize,
    widest: usize,
    /// The rows that a batch may have, and the most that it may ever have.
    rows: usize,
    largest: usize,
    /// Batches since the destination last asked for patience or was slow.
    calm: u32,
    /// Slow batches, one after the other.
    slow: u32,
    /// Requests that had been repeated when it was last looked at.
    repeated: u64,
    /// The contents of the batches, the rows of the largest, and the seconds per row of the quickest.
    quickest: Option<(String, usize, f64)>,
}

impl Pace {
    /// As many as the adapter allows, to begin with. `repeated` are the requests that were repeated before.
    pub(super) fn new(widest: usize, largest: usize, repeated: u64) -> Pace {
        let (widest, largest) = (widest.max(1), largest.max(1));
        Pace { width: widest, widest, rows: largest, largest, calm: 0, slow: 0, repeated, quickest: None }
    }

    /// Returns the number of rows that a batch may have now.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Notes that the answer to a batch of `rows` rows was lost: half of them may be few enough.
    pub(super) fn lost(&mut self, rows: usize) {
        self.rows = self.rows.min(rows.div_ceil(2)).max(1);
        self.narrow();
    }

    /// Returns the number of batches that may be in flight now.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Notes the answer to a batch of `rows` rows after `took`; `what` separates batches that cannot be compared. The host has repeated
    /// `repeated` requests so far, as it does when the destination sheds load or fails.
    pub(super) fn answered(&mut self, what: &str, rows: usize, took: Duration, repeated: u64) {
        let is_slow = self.is_slow(what, rows, took.as_secs_f64() / rows.max(1) as f64);
        if repeated > self.repeated {
            self.narrow();
        } else if is_slow {
            self.slow += 1;
            if self.slow >= SLOW_BATCHES {
                self.narrow();
            }
        } else {
            (self.slow, self.calm) = (0, self.calm + 1);
            if self.calm >= CALM_BATCHES && (self.width < self.widest || self.rows < self.largest) {
                self.width = (self.width + 1).min(self.widest);
                self.rows = (self.rows * 2).min(self.largest);
                self.calm = 0;
            }
        }
        self.repeated = repeated;
    }

    fn narrow(&mut self) {
        self.width = (self.width / 2).max(1);
        (self.calm, self.slow) = (0, 0);
    }

    fn is_slow(&mut self, what: &str, rows: usize, seconds: f64) -> bool {
        match &mut self.quickest {
            Some((of, most, quickest)) if of == what => {
                *most = rows.max(*most);
                // A small batch pays for its request alone.
                if rows * 2 < *most {
                    return false;
                }
                let is_slow = seconds > *quickest * SLOW;
                *quickest = seconds.min(*quickest);
                is_slow
            }
            other => {
                *other = Some((what.to_owned(), rows, seconds));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn answered(pace: &mut Pace, batches: usize, took: Duration, repeated: u64) -> usize {
        (0..batches).for_each(|_| pace.answered("create Device", 100, took, repeated));
        pace.width()
    }

    #[test]
    fn a_destination_that_asks_for_patience_gets_it_and_is_asked_for_more_later() {
        let mut pace = Pace::new(8, 100, 5);
        assert_eq!(answered(&mut pace, 10, MS, 5), 8);
        assert_eq!(answered(&mut pace, 1, MS, 6), 4);
        assert_eq!(answered(&mut pace, 1, MS, 9), 2);
        assert_eq!(answered(&mut pace, 3, MS, 9), 2);
        assert_eq!(answered(&mut pace, 1, MS, 9), 3);
        assert_eq!(answered(&mut pace, 100, MS, 9), 8, "and never more than at first");
    }

    #[test]
    fn a_destination_that_slows_down_gets_fewer_batches_at_a_time() {
        let mut pace = Pace::new(8, 100, 0);
        assert_eq!(answered(&mut pace, 5, 10 * MS, 0), 8);
        assert_eq!(answered(&mut pace, 1, 40 * MS, 0), 8, "once may be an accident");
        assert_eq!(answered(&mut pace, 1, 40 * MS, 0), 4);
        assert_eq!(answered(&mut pace, 4, 40 * MS, 0), 1, "and never none");
        assert_eq!(answered(&mut pace, 4, 12 * MS, 0), 2);
        assert_eq!(answered(&mut pace, 40, 12 * MS, 0), 8);
    }

    #[test]
    fn batches_halve_after_a_lost_answer_and_grow_again() {
        let mut pace = Pace::new(4, 100, 0);
        let sizes: Vec<usize> = (0..9)
            .map(|_| {
                let rows = pace.rows();
                pace.lost(rows);
                rows
            })
            .collect();
        assert_eq!(sizes, [100, 50, 25, 13, 7, 4, 2, 1, 1]);
        assert_eq!(pace.width(), 1);
        answered(&mut pace, 4, MS, 0);
        assert_eq!((pace.rows(), pace.width()), (2, 2));
        answered(&mut pace, 100, MS, 0);
        assert_eq!((pace.rows(), pace.width()), (100, 4), "and never more than at first");
        pace.lost(3);
        assert_eq!(pace.rows(), 2, "a small batch was too large");
    }

    #[test]
    fn only_what_is_alike_is_compared() {
        let mut pace = Pace::new(8, 100, 0);
        answered(&mut pace, 3, 10 * MS, 0);
        // Of another kind a row may take longer, and a request of few rows is mostly request.
        (0..10).for_each(|_| pace.answered("create Interface", 100, 90 * MS, 0));
        (0..10).for_each(|_| pace.answered("create Interface", 3, 90 * MS, 0));
        assert_eq!(pace.width(), 8);
    }
}
