//! Batches of rows: systems that take many rows in one request, and reject all of them because of one.

use crate::{Error, ErrorKind, Outcome, Result};

/// Sends rows in as few requests as possible. A batch that the system rejects as a whole is halved until the rows at fault are alone. A row
/// that could not be prepared (an `Err`) fails and is not sent.
///
/// `send` sends one request and returns one outcome a row. Its errors of kind `invalid`, `conflict` and `not-found` say that the system rejected
/// the rows and wrote none of them. After any other error no further request is sent.
///
/// ```
/// use infrahub_sync_adapter::{Error, Outcome, write};
/// let mut requests = 0;
/// let outcomes = write::bisect([1, 2, -3, 4].map(Ok), |rows| {
///     requests += 1;
///     if rows.iter().any(|row| *row < 0) {
///         return Err(Error::invalid("a negative number"));
///     }
///     Ok(rows.iter().map(|row| Outcome::Written(Some(row.to_string()))).collect())
/// })?;
/// assert!(matches!(&outcomes[..], [Outcome::Written(_), Outcome::Written(_), Outcome::Failed(_), Outcome::Written(_)]));
/// assert_eq!(requests, 5); // 1-4 and 3-4 and 3 fail, 1-2 and 4 are written
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// Any other error of the first request: the outcome of every row is unknown then. Later, it is the failure of the rows that have no outcome yet.
pub fn bisect<T>(rows: impl IntoIterator<Item = Result<T>>, mut send: impl FnMut(&[T]) -> Result<Vec<Outcome>>) -> Result<Vec<Outcome>> {
    let mut batch = Batch::new(rows);
    let mut stopped: Option<Error> = None;
    let mut is_first = true;
    while let Some(numbered) = batch.next_request() {
        let (numbers, rows): (Vec<usize>, Vec<T>) = numbered.into_iter().unzip();
        let sent = match &stopped {
            Some(error) => Err(error.clone()),
            None => send(&rows),
        };
        match sent {
            Ok(outcomes) => {
                let mut outcomes = outcomes.into_iter();
                for number in numbers {
                    let outcome = outcomes.next();
                    outcome.into_iter().for_each(|outcome| batch.decide(number, outcome));
                }
            }
            Err(error) if stopped.is_none() && is_rejection(&error) => batch.halve(numbers.into_iter().zip(rows).collect(), error),
            Err(error) if is_first => return Err(error),
            Err(error) => {
                numbers.into_iter().for_each(|number| batch.decide(number, Outcome::Failed(error.clone())));
                stopped = Some(error);
            }
        }
        is_first = false;
    }
    Ok(batch.outcomes())
}

fn is_rejection(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::Invalid | ErrorKind::Conflict | ErrorKind::NotFound)
}

/// The rows of a write on their way: those still to be sent, a request each, and the outcomes so far. Rows keep the number of their place
/// in the write.
///
/// It is for systems of whose rejections more can be learned than [`bisect`] does: which rows are at fault, or whether a lost request was
/// executed.
#[derive(Debug)]
pub struct Batch<T> {
    waiting: Vec<Vec<(usize, T)>>,
    outcomes: Vec<Option<Outcome>>,
}

impl<T> Batch<T> {
    /// Makes a batch whose first request has all rows, except those that could not be prepared: they have failed.
    #[must_use]
    pub fn new(rows: impl IntoIterator<Item = Result<T>>) -> Batch<T> {
        let (mut first, mut outcomes) = (Vec::new(), Vec::new());
        for (number, row) in rows.into_iter().enumerate() {
            outcomes.push(match row {
                Ok(row) => {
                    first.push((number, row));
                    None
                }
                Err(error) => Some(Outcome::Failed(error)),
            });
        }
        Batch { waiting: vec![first], outcomes }
    }

    /// Makes a batch of `count` rows without outcomes. Its requests are added by [`send_again`](Self::send_again).
    #[must_use]
    pub fn empty(count: usize) -> Batch<T> {
        Batch { waiting: Vec::new(), outcomes: (0..count).map(|_| None).collect() }
    }

    /// Takes the rows of the next request, with their numbers; none when all are sent.
    pub fn next_request(&mut self) -> Option<Vec<(usize, T)>> {
        while let Some(rows) = self.waiting.pop() {
            if !rows.is_empty() {
                return Some(rows);
            }
        }
        None
    }

    /// Sets the outcome of a row.
    pub fn decide(&mut self, number: usize, outcome: Outcome) {
        if let Some(place) = self.outcomes.get_mut(number) {
            *place = Some(outcome);
        }
    }

    /// Adds a request of these rows.
    pub fn send_again(&mut self, rows: Vec<(usize, T)>) {
        self.waiting.push(rows);
    }

    /// Adds a request for each half of rows that the system rejected together, without writing any. A single row fails.
    pub fn halve(&mut self, mut rows: Vec<(usize, T)>, error: Error) {
        if rows.len() > 1 {
            let second = rows.split_off(rows.len() / 2);
            self.waiting.push(second);
            self.waiting.push(rows);
        } else if let Some((number, _)) = rows.first() {
            self.decide(*number, Outcome::Failed(error));
        }
    }

    /// Returns one outcome a row, in their order. Rows without an outcome fail: the system's answer says nothing about them.
    #[must_use]
    pub fn outcomes(self) -> Vec<Outcome> {
        let unknown = || Outcome::Failed(Error::remote("the answer says nothing about this row"));
        self.outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(unknown)).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use super::*;

    fn words(outcomes: &[Outcome]) -> String {
        let word = |outcome: &Outcome| match outcome {
            Outcome::Written(id) => id.clone().unwrap_or_default(),
            Outcome::Failed(error) => error.message.clone(),
            _ => "?".into(),
        };
        outcomes.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    fn written(rows: &[u32]) -> Vec<Outcome> {
        rows.iter().map(|row| Outcome::Written(Some(row.to_string()))).collect()
    }

    #[test]
    fn every_row_at_fault_is_found_and_no_other_fails() {
        for count in 0..20u32 {
            for bad in 0..(1u32 << count.min(6)) {
                let is_bad = |row: u32| row < 6 && bad >> row & 1 == 1;
                let (mut requests, mut sent) = (0, Vec::new());
                let outcomes = bisect((0..count).map(Ok), |rows| {
                    requests += 1;
                    match rows.iter().find(|row| is_bad(**row)) {
                        Some(row) => Err(Error::invalid(format!("no{row}"))),
                        None => {
                            sent.extend_from_slice(rows);
                            Ok(written(rows))
                        }
                    }
                })
                .unwrap();
                let expected: Vec<String> = (0..count).map(|row| if is_bad(row) { format!("no{row}") } else { row.to_string() }).collect();
                assert_eq!(words(&outcomes), expected.join(" "));
                assert!(requests <= (2 * count).max(1), "{requests} requests for {count} rows");
                assert!(sent.is_sorted(), "rows are written in their order: {sent:?}");
            }
        }
    }

    #[test]
    fn a_failure_of_the_first_request_is_that_of_the_write() {
        let error = bisect([1, 2].map(Ok), |_| Err(Error::auth("no"))).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Auth);
    }

    #[test]
    fn nothing_is_sent_after_a_failure_and_written_rows_stay_written() {
        let mut requests = 0;
        let outcomes = bisect([1, 2, 3, 4].map(Ok), |rows| {
            requests += 1;
            match requests {
                1 => Err(Error::conflict("a duplicate")),
                2 => Ok(written(rows)),
                _ => Err(Error::transport("gone")),
            }
        })
        .unwrap();
        assert_eq!((words(&outcomes), requests), ("1 2 gone gone".into(), 3));
    }

    #[test]
    fn a_row_that_cannot_be_prepared_is_not_sent() {
        let rows = [Ok(1), Err(Error::invalid("odd")), Ok(3)];
        assert_eq!(words(&bisect(rows, |rows| Ok(written(rows))).unwrap()), "1 odd 3");
        let outcomes = bisect([Err::<u32, _>(Error::invalid("odd"))], |_| panic!("there is nothing to send")).unwrap();
        assert_eq!(words(&outcomes), "odd");
    }

    #[test]
    fn a_row_that_the_answer_leaves_out_failed() {
        let outcomes = bisect([1, 2].map(Ok), |rows| Ok(written(&rows[..1]))).unwrap();
        assert_eq!(words(&outcomes), "1 the answer says nothing about this row");
    }
}
