//! How each kind of a side was read: the words on the screen and in `run.json`, and the evidence that an object is gone.

use std::collections::BTreeMap;
use std::fmt;

use infrahub_sync_cache::{FullRead, KindReading};
use infrahub_sync_core::changes::RemovalReason;
use infrahub_sync_core::model::Model;
use infrahub_sync_core::plan::Proof;
use jiff::Timestamp;

use crate::Side;

/// Kinds that are named in one line; more are counted.
const KINDS_NAMED: usize = 8;

/// Why a kind is read in full. `OPERATE.md` explains each; a test compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FullReason {
    /// The run is to read everything.
    Asked,
    /// An apply compares with what is there now.
    Apply,
    /// There is no earlier run to continue from.
    NoRun,
    /// It is time for a full run.
    Due(u64),
    /// The mapping is another one.
    Mapping,
    /// The destination's schema is another one.
    Schema,
    /// The adapter is another one.
    Adapter,
    /// The adapter's settings are others.
    Settings,
    /// Objects were left out of the last snapshot.
    LeftOut,
    /// References of the last snapshot could not be resolved.
    Unresolved,
    /// Several records were one object, and the snapshot has the id of one of them.
    Merged,
    /// The adapter gave no watermark the last time.
    NoChangeFilter,
    /// An id may mean several objects.
    SeveralResources,
    /// The resource feeds a kind that is read in full.
    SharedResource,
    /// It depends on other resources, through a table or a look-up.
    Lent,
    /// A record has no id.
    NoIds,
    /// The adapter gave no watermark this time.
    NoWatermark,
    /// The kept rows and the read ones contradict each other.
    Contradiction,
    /// The adapter's words, or what is wrong with the stored snapshot.
    Other(String),
}

#[cfg(test)]
impl FullReason {
    /// Every reason with fixed words.
    const ALL: [FullReason; 18] = [
        FullReason::Asked,
        FullReason::Apply,
        FullReason::NoRun,
        FullReason::Due(10),
        FullReason::Mapping,
        FullReason::Schema,
        FullReason::Adapter,
        FullReason::Settings,
        FullReason::LeftOut,
        FullReason::Unresolved,
        FullReason::Merged,
        FullReason::NoChangeFilter,
        FullReason::SeveralResources,
        FullReason::SharedResource,
        FullReason::Lent,
        FullReason::NoIds,
        FullReason::NoWatermark,
        FullReason::Contradiction,
    ];
}

impl fmt::Display for FullReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            FullReason::Asked => "full extract",
            FullReason::Apply => "apply",
            FullReason::NoRun => "no earlier run completed",
            FullReason::Due(runs) => {
                return write!(out, "{runs} incremental runs since the last full one (`incremental.full_resync_every`)");
            }
            FullReason::Mapping => "mapping changed",
            FullReason::Schema => "schema changed",
            FullReason::Adapter => "adapter changed",
            FullReason::Settings => "settings changed",
            FullReason::LeftOut => "the last run left objects out",
            FullReason::Unresolved => "the last run could not resolve some of its references",
            FullReason::Merged => "several records are one object of it, or of a kind that it refers to",
            FullReason::NoChangeFilter => "no change filter",
            FullReason::SeveralResources => "several resources feed it",
            FullReason::SharedResource => "its resource feeds a kind that is read in full",
            FullReason::Lent => "its mappings use a table or a look-up",
            FullReason::NoIds => "its records have no ids",
            FullReason::NoWatermark => "the adapter returns no watermark",
            FullReason::Contradiction => "the stored objects contradict the changes",
            FullReason::Other(words) => words,
        })
    }
}

/// How a kind was read.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// When it began, by this machine's clock.
    pub(crate) at: Timestamp,
    pub(crate) way: Way,
    /// The number of records that the system reports, where as many were read.
    pub(crate) total: Option<u64>,
    /// The statements of the system about missing objects, in words.
    pub(crate) evidence: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// All of it, and why not less.
    Full(FullReason),
    /// The changes since an earlier run.
    Changes {
        /// The run that it started from, in words.
        since: String,
        /// The records that were read.
        changed: u64,
        /// Rows of the earlier run that are not taken over: key, id and the reason.
        left: Vec<(String, String, RemovalReason)>,
        /// The last full read.
        full: FullRead,
    },
}

/// Returns a moment in words, to the second.
pub(crate) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `1 object`, `2 objects`.
fn objects_of(count: u64) -> String {
    format!("{count} {}", if count == 1 { "object" } else { "objects" })
}

/// `1 record`, `2 records`.
fn records_of(count: u64) -> String {
    format!("{count} {}", if count == 1 { "record" } else { "records" })
}

impl Reading {
    pub(crate) fn is_incremental(&self) -> bool {
        matches!(self.way, Way::Changes { .. })
    }

    /// Rows of the earlier run whose objects are gone.
    fn deleted(left: &[(String, String, RemovalReason)]) -> usize {
        left.iter().filter(|(_, _, why)| *why != RemovalReason::Reread).count()
    }

    /// `full: the mapping has changed`, `12 changed, 1 deleted since the run of 2026-11-28T10:00:00Z`.
    pub(crate) fn words(&self) -> String {
        match &self.way {
            Way::Full(reason) => format!("full: {reason}"),
            Way::Changes { since, changed, left, .. } => format!("{changed} changed, {} deleted since {since}", Self::deleted(left)),
        }
    }

    /// Returns the last full read of the kind, this one if it is one: `objects` are those of this run.
    fn full(&self, run: &str, objects: u64) -> FullRead {
        match &self.way {
            Way::Full(_) => FullRead { run: run.to_owned(), at: moment(self.at), objects },
            Way::Changes { full, .. } => full.clone(),
        }
    }

    /// Returns the reading as `run.json` has it. `objects`: those that the run found.
    pub(crate) fn record(&self, run: &str, objects: u64) -> KindReading {
        let (changed, deleted) = match &self.way {
            Way::Full(_) => (None, None),
            Way::Changes { changed, left, .. } => (Some(*changed), Some(Self::deleted(left) as u64)),
        };
        let total = self.total.map(|total| format!("{} read, as many as the system reports", records_of(total)));
        let evidence = total.into_iter().chain(self.evidence.iter().cloned()).collect();
        KindReading { at: moment(self.at), changed, deleted, evidence, full: self.full(run, objects), how: self.words() }
    }

    /// Returns why an object of the kind that is not among its `objects` rows is gone.
    pub(crate) fn proof(&self, objects: u64) -> Proof {
        let at = moment(self.at);
        let Way::Changes { since, left, full, .. } = &self.way else {
            let total = self.total.map(|total| format!(", of {} that the source reports", records_of(total))).unwrap_or_default();
            return Proof { all: format!("full read of {} at {at}{total}", objects_of(objects)), ..Proof::default() };
        };
        let FullRead { run, at: full_at, objects } = full;
        let all =
            format!("full read of {} at {full_at} (run {run}), and no change since that brought it, until {at}", objects_of(*objects));
        let by_key = left.iter().map(|(key, id, why)| {
            let words = match why {
                RemovalReason::Reread => format!("{id} was read at {at}: it has another name now, or does not pass the filters"),
                RemovalReason::Deleted => format!("the source lists {id} as deleted since {since} (asked at {at})"),
                RemovalReason::NotAmong(ids) => format!("{id} is not among the {ids} ids that the source had at {at}"),
            };
            (key.clone(), words)
        });
        Proof { all, by_key: by_key.collect() }
    }
}

/// Returns the lines on the screen about how the kinds of a side were read: one line for each different text.
pub(crate) fn lines(side: Side, model: &Model, readings: &BTreeMap<String, Reading>) -> Vec<String> {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for kind in &model.kinds {
        let Some(reading) = readings.get(&kind.name) else { continue };
        let words = reading.words();
        match groups.iter_mut().find(|(known, _)| *known == words) {
            Some((_, kinds)) => kinds.push(&kind.name),
            None => groups.push((words, vec![&kind.name])),
        }
    }
    let all = groups.len() == 1;
    let line = |(words, kinds): (String, Vec<&str>)| {
        let count = kinds.len();
        let named = match () {
            () if all && count > 1 => format!("all {count} kinds"),
            () if count > KINDS_NAMED => {
                let named = kinds.get(..KINDS_NAMED).unwrap_or(&kinds).join(", ");
                format!("{named} and {} more", count - KINDS_NAMED)
            }
            () => kinds.join(", "),
        };
        format!("Read of the {}: {named}: {words}", side.as_str())
    };
    groups.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use infrahub_sync_core::model::KindModel;

    use super::*;

    fn model(kinds: usize) -> Model {
        let kind = |at: usize| KindModel {
            name: format!("Kind{at}"),
            identifiers: Vec::new(),
            tier: 0,
            deferred: Vec::new(),
            lookup: false,
            unique: Vec::new(),
            fields: Vec::new(),
        };
        Model { kinds: (0..kinds).map(kind).collect() }
    }

    fn reading(way: Way) -> Reading {
        Reading { at: Timestamp::UNIX_EPOCH, way, total: None, evidence: Vec::new() }
    }

    fn changes() -> Reading {
        let left = |key: &str, id: &str, why: RemovalReason| (key.to_owned(), id.to_owned(), why);
        reading(Way::Changes {
            since: "the run of 1969-12-31T23:00:00Z".to_owned(),
            changed: 12,
            left: vec![
                left("a", "1", RemovalReason::Reread),
                left("b", "2", RemovalReason::Deleted),
                left("c", "3", RemovalReason::NotAmong(40)),
            ],
            full: FullRead { run: "r1".to_owned(), at: "1969-12-31T22:00:00Z".to_owned(), objects: 50 },
        })
    }

    #[test]
    fn how_a_kind_was_read_takes_a_few_words() {
        assert_eq!(reading(Way::Full(FullReason::Schema)).words(), "full: schema changed");
        assert_eq!(changes().words(), "12 changed, 2 deleted since the run of 1969-12-31T23:00:00Z");
        let full = FullRead { run: "r1".to_owned(), at: "1969-12-31T22:00:00Z".to_owned(), objects: 50 };
        let how = changes().words();
        let record =
            KindReading { at: "1970-01-01T00:00:00Z".to_owned(), changed: Some(12), deleted: Some(2), evidence: Vec::new(), full, how };
        assert_eq!(changes().record("r2", 48), record);
        let full = reading(Way::Full(FullReason::Asked)).record("r2", 48).full;
        assert_eq!(full, FullRead { run: "r2".to_owned(), at: "1970-01-01T00:00:00Z".to_owned(), objects: 48 });
    }

    #[test]
    fn operate_md_explains_every_reason() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../OPERATE.md");
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let (_, table) = text.split_once("The reasons after `full:`:").unwrap_or_else(|| panic!("{path} has no table of reasons"));
        let (table, _) = table.split_once("| any other text |").unwrap_or_else(|| panic!("the table has no last row"));
        let explained: Vec<&str> =
            table.lines().skip(4).filter_map(|line| line.strip_prefix("| ")?.split_once(" | ")).map(|row| row.0).collect();
        for reason in FullReason::ALL {
            let words = format!("`{reason}`");
            assert!(explained.iter().any(|cell| cell.contains(&words)), "{path} does not explain {words}: {explained:?}");
        }
        let reasons = explained.iter().map(|cell| cell.split("`, `").count()).sum::<usize>();
        assert_eq!(reasons, FullReason::ALL.len(), "{path} explains a reason that does not exist: {explained:?}");
    }

    #[test]
    fn evidence_says_by_what_an_object_is_known_to_be_gone() {
        assert_eq!(reading(Way::Full(FullReason::Asked)).proof(48).all, "full read of 48 objects at 1970-01-01T00:00:00Z");
        let counted = Reading { total: Some(51), evidence: vec!["a word".to_owned()], ..reading(Way::Full(FullReason::Asked)) };
        assert_eq!(counted.proof(48).all, "full read of 48 objects at 1970-01-01T00:00:00Z, of 51 records that the source reports");
        assert_eq!(counted.record("r2", 48).evidence, ["51 records read, as many as the system reports", "a word"]);
        let proof = changes().proof(48);
        assert_eq!(
            proof.all,
            "full read of 50 objects at 1969-12-31T22:00:00Z (run r1), and no change since that brought it, until 1970-01-01T00:00:00Z"
        );
        assert_eq!(proof.by_key["a"], "1 was read at 1970-01-01T00:00:00Z: it has another name now, or does not pass the filters");
        assert_eq!(
            proof.by_key["b"],
            "the source lists 2 as deleted since the run of 1969-12-31T23:00:00Z (asked at 1970-01-01T00:00:00Z)"
        );
        assert_eq!(proof.by_key["c"], "3 is not among the 40 ids that the source had at 1970-01-01T00:00:00Z");
    }

    #[test]
    fn kinds_that_were_read_alike_share_a_line() {
        let full = || reading(Way::Full(FullReason::NoChangeFilter));
        let named = |kinds: &[(usize, Reading)]| -> BTreeMap<String, Reading> {
            kinds.iter().map(|(at, reading)| (format!("Kind{at}"), reading.clone())).collect()
        };
        assert_eq!(
            lines(Side::Source, &model(3), &named(&[(0, full()), (1, changes()), (2, full())])),
            [
                "Read of the source: Kind0, Kind2: full: no change filter",
                "Read of the source: Kind1: 12 changed, 2 deleted since the run of 1969-12-31T23:00:00Z"
            ]
        );
        let all: Vec<(usize, Reading)> = (0..12).map(|at| (at, full())).collect();
        assert_eq!(lines(Side::Destination, &model(12), &named(&all)), ["Read of the destination: all 12 kinds: full: no change filter"]);
        let line = lines(Side::Source, &model(13), &named(&[&all[..], &[(12, changes())]].concat())).remove(0);
        assert!(line.ends_with("Kind6, Kind7 and 4 more: full: no change filter"), "{line}");
    }
}
