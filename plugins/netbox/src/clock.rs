//! The server's clock, and how far back to look.

use infrahub_sync_adapter::Response;
use jiff::{SignedDuration, Timestamp};

/// How much earlier than the watermark is asked for.
///
/// NetBox sets `last_updated` (and an entry's time in the change log) while an object is saved, but others see it only when the transaction
/// ends: after all objects of a bulk import, or of a script, which NetBox lets run for five minutes (`RQ_DEFAULT_TIMEOUT`). One minute more is for
/// the `Date` of an answer, which is set when the answer is finished and not when the database was asked, and for the clocks of several
/// servers. Records that come twice do no harm.
const OVERLAP: SignedDuration = SignedDuration::from_mins(6);

/// The `Date` of an answer.
pub(crate) fn date(response: &Response) -> Option<Timestamp> {
    let date = response.header("date")?;
    Some(jiff::fmt::rfc2822::parse(&date).ok()?.timestamp())
}

/// A time in an answer, which is in the server's own zone.
pub(crate) fn moment(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// From when on to ask, given a watermark; none when it is not one of ours.
pub(crate) fn asked(since: &str) -> Option<Timestamp> {
    moment(since)?.checked_sub(OVERLAP).ok()
}
