//! The limits of an adapter that a project can set, in one table.
//!
//! Key types: [`Limit`] (one of them, with its row of the table) and [`Limits`] (a value for each). The table decodes `limits:` of
//! config.yml and stops adapters in the runtime. Messages and `host/LIMITS.md` derive from it.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The unit of a limit, which decides how a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes: a number of them, or `512 MiB`.
    Size,
    /// Seconds, also parts of one. Kept in milliseconds.
    Time,
    /// Anything else.
    Count,
}

/// A limit of one adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// Linear memory of one instance.
    Memory,
    /// Computing in one call.
    CallTime,
    /// One call by the clock on the wall.
    CallWallTime,
    /// Computing in all calls of a run.
    RunTime,
    /// A run by the clock on the wall.
    RunWallTime,
    /// The body of one answer, and a file that is read whole.
    ResponseSize,
    /// The bodies that one call holds.
    HeldSize,
    /// The answers that one call holds.
    HeldResponses,
    /// Data that is handed to the host in one piece.
    PageSize,
    /// Records of one page.
    PageRecords,
    /// Pages of one resource in a run.
    Pages,
    /// Records of one resource in a run.
    Records,
    /// Bytes of the records of all resources in a run.
    RecordsSize,
    /// Requests of one call.
    CallRequests,
    /// Requests of a run.
    RunRequests,
    /// Bytes written to the folder and to lasting memos in a run.
    WrittenSize,
    /// Changes of files and of lasting memos in a run.
    FileChanges,
    /// Lines of log in a run.
    LogLines,
    /// The length of a line of log.
    LogLineLength,
    /// Instances that work at a time.
    Instances,
    /// Memory to compile the component.
    CompileMemory,
    /// Processor time to compile the component.
    CompileTime,
}

/// A row of the table.
struct Row {
    name: &'static str,
    unit: Unit,
    default: u64,
    least: u64,
    most: u64,
    /// The breach, as words that follow the adapter's name; `{}` is the value.
    excess: &'static str,
    /// The bounded quantity, and the reason for the bound.
    reason: &'static str,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;
const DAY: u64 = 24 * HOUR;

/// The table, in the order of [`Limit`].
const TABLE: [Row; Limit::ALL.len()] = [
    Row {
        name: "memory",
        unit: Unit::Size,
        default: 256 * MIB,
        least: MIB,
        most: 4 * GIB,
        excess: "needs more than {} of memory",
        reason: "memory of one instance. Python needs 16 MiB to start, and a page of some megabytes that an adapter parses itself takes ten times its size",
    },
    Row {
        name: "call_time",
        unit: Unit::Time,
        default: 60 * SECOND,
        least: 1,
        most: DAY,
        excess: "computes for more than {} without returning",
        reason: "computing in one call, in the time of the processor; waiting for a system, a disk or a busy machine does not count",
    },
    Row {
        name: "call_wall_time",
        unit: Unit::Time,
        default: HOUR,
        least: 1,
        most: 30 * DAY,
        excess: "did not return within {}",
        reason: "one call from its beginning to its end, waiting included. A request that is repeated as often as the settings allow takes less",
    },
    Row {
        name: "run_time",
        unit: Unit::Time,
        default: HOUR,
        least: 1,
        most: 30 * DAY,
        excess: "has computed for more than {} in this run",
        reason: "computing in all calls of a run together. The built-in adapters compute for seconds",
    },
    Row {
        name: "run_wall_time",
        unit: Unit::Time,
        default: DAY,
        least: 1,
        most: 365 * DAY,
        excess: "has run for more than {}",
        reason: "a run from its beginning to its end",
    },
    Row {
        name: "response_size",
        unit: Unit::Size,
        default: 256 * MIB,
        least: KIB,
        most: 4 * GIB,
        excess: "asked for more than {} at once",
        reason: "the body of one answer, unpacked, and a file that is read whole. It stays in the host's memory",
    },
    Row {
        name: "held_size",
        unit: Unit::Size,
        default: 512 * MIB,
        least: KIB,
        most: 16 * GIB,
        excess: "holds answers of more than {}",
        reason: "the bodies of all answers that one call holds",
    },
    Row {
        name: "held_responses",
        unit: Unit::Count,
        default: 256,
        least: 1,
        most: 1_000_000,
        excess: "holds more than {} answers",
        reason: "the answers that one call holds. JavaScript and Go release them late",
    },
    Row {
        name: "page_size",
        unit: Unit::Size,
        default: 256 * MIB,
        least: KIB,
        most: 4 * GIB,
        excess: "handed over more than {} at once",
        reason: "data that an adapter hands to the host in one piece: a page of records, the body of a request",
    },
    Row {
        name: "page_records",
        unit: Unit::Count,
        default: 1_000_000,
        least: 1,
        most: 1_000_000_000,
        excess: "handed over more than {} records in one page",
        reason: "records of one page; adapters ask for some thousands",
    },
    Row {
        name: "pages",
        unit: Unit::Count,
        default: 100_000,
        least: 1,
        most: 1_000_000_000,
        excess: "handed over more than {} pages of one resource",
        reason: "pages of one resource in a run. Ends a list that has no end",
    },
    Row {
        name: "records",
        unit: Unit::Count,
        default: 20_000_000,
        least: 1,
        most: 1_000_000_000_000,
        excess: "handed over more than {} records of one resource",
        reason: "records of one resource in a run. They are in the host's memory",
    },
    Row {
        name: "records_size",
        unit: Unit::Size,
        default: 64 * GIB,
        least: KIB,
        most: 1 << 50,
        excess: "handed over records of more than {} in this run",
        reason: "pages of all resources in a run, as the adapter hands them over. Their mapped fields are in the host's memory",
    },
    Row {
        name: "call_requests",
        unit: Unit::Count,
        default: 10_000,
        least: 1,
        most: 1_000_000_000,
        excess: "sent more than {} requests",
        reason: "requests of one call. Ends an adapter that pages in a circle, which no limit on computing would",
    },
    Row {
        name: "run_requests",
        unit: Unit::Count,
        default: 10_000_000,
        least: 1,
        most: 1_000_000_000_000,
        excess: "sent more than {} requests in this run",
        reason: "requests of a run; a destination may need one for each object",
    },
    Row {
        name: "written_size",
        unit: Unit::Size,
        default: 4 * GIB,
        least: 0,
        most: 1 << 50,
        excess: "wrote more than {} to its folder and its memos in this run",
        reason: "bytes that an adapter writes to its folder and to memos for later runs, in a run. They fill the disk",
    },
    Row {
        name: "file_changes",
        unit: Unit::Count,
        default: 1_000_000,
        least: 0,
        most: 1_000_000_000,
        excess: "changed files and memos more than {} times in this run",
        reason: "files that an adapter appends to, replaces or removes, and memos that it keeps for later runs, in a run. Adapters write many records at once",
    },
    Row {
        name: "log_lines",
        unit: Unit::Count,
        default: 10_000,
        least: 0,
        most: 1_000_000_000,
        excess: "wrote more than {} lines of log in this run",
        reason: "lines of log in a run. Excess lines are dropped, and one line says so",
    },
    Row {
        name: "log_line_length",
        unit: Unit::Count,
        default: 4000,
        least: 80,
        most: 1_000_000,
        excess: "wrote a line of log of more than {} characters",
        reason: "characters of a line of log; a longer one is cut, and says so",
    },
    Row {
        name: "instances",
        unit: Unit::Count,
        default: 8,
        least: 1,
        most: 256,
        excess: "works in more than {} instances",
        reason: "instances that run at a time, each with its own memory. Further calls wait",
    },
    Row {
        name: "compile_memory",
        unit: Unit::Size,
        default: GIB,
        least: 64 * MIB,
        most: 64 * GIB,
        excess: "needs more than {} of memory to be compiled",
        reason: "memory to compile the component, on Linux. Python with its standard library takes 450 MiB",
    },
    Row {
        name: "compile_time",
        unit: Unit::Time,
        default: 30 * SECOND,
        least: SECOND,
        most: DAY,
        excess: "takes more than {} to be compiled",
        reason: "processor time to compile the component, in whole seconds. The host keeps the result, so each version is compiled once",
    },
];

impl Limit {
    /// All of them.
    pub const ALL: [Limit; 22] = [
        Limit::Memory,
        Limit::CallTime,
        Limit::CallWallTime,
        Limit::RunTime,
        Limit::RunWallTime,
        Limit::ResponseSize,
        Limit::HeldSize,
        Limit::HeldResponses,
        Limit::PageSize,
        Limit::PageRecords,
        Limit::Pages,
        Limit::Records,
        Limit::RecordsSize,
        Limit::CallRequests,
        Limit::RunRequests,
        Limit::WrittenSize,
        Limit::FileChanges,
        Limit::LogLines,
        Limit::LogLineLength,
        Limit::Instances,
        Limit::CompileMemory,
        Limit::CompileTime,
    ];

    fn row(self) -> &'static Row {
        // The compiler knows that the table has a row for each; a test knows that it is the right one.
        &TABLE[self as usize]
    }

    /// Its key below `limits:`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Returns its unit.
    #[must_use]
    pub fn unit(self) -> Unit {
        self.row().unit
    }

    /// Returns the value that holds by default.
    #[must_use]
    pub fn default_value(self) -> u64 {
        self.row().default
    }

    /// Returns the values that a project may set.
    #[must_use]
    pub fn range(self) -> RangeInclusive<u64> {
        self.row().least..=self.row().most
    }

    /// Returns the bounded quantity, and the reason for the bound.
    #[must_use]
    pub fn reason(self) -> &'static str {
        self.row().reason
    }

    /// Returns a value for a person: `256 MiB`, `60 s`, `10,000`.
    #[must_use]
    pub fn show(self, value: u64) -> String {
        match self.unit() {
            Unit::Time => format!("{} s", self.write(value)),
            Unit::Count => grouped(value),
            Unit::Size => self.write(value),
        }
    }

    /// Returns a value as it is written in config.yml: `256 MiB`, `60`, `10000`.
    #[must_use]
    pub fn write(self, value: u64) -> String {
        match self.unit() {
            Unit::Count => value.to_string(),
            Unit::Time if value.is_multiple_of(SECOND) => (value / SECOND).to_string(),
            Unit::Time => format!("{}.{:03}", value / SECOND, value % SECOND).trim_end_matches('0').to_owned(),
            Unit::Size => {
                let fits = SIZES.iter().find(|(_, bytes)| value >= *bytes && value.is_multiple_of(*bytes));
                fits.map_or_else(|| format!("{value} bytes"), |(name, bytes)| format!("{} {name}", value / bytes))
            }
        }
    }

    /// Returns the breach of this value, as words that follow the adapter's name.
    #[must_use]
    pub fn excess(self, value: u64) -> String {
        self.row().excess.replace("{}", &self.show(value))
    }

    /// Returns the line of config.yml that allows twice as much; none where this is the most already.
    #[must_use]
    pub fn raise(self, value: u64) -> Option<String> {
        let more = value.saturating_mul(2).min(self.row().most);
        (more > value).then(|| format!("limits: {{{}: {}}}", self.name(), self.write(more)))
    }

    /// Reads a value as it is written in config.yml.
    ///
    /// # Errors
    /// When it is not such a value, or out of range.
    pub fn parse(self, text: &str) -> Result<u64, LimitError> {
        let value = match self.unit() {
            Unit::Size => parse_size(text),
            Unit::Time => parse_time(text),
            Unit::Count => text.trim().parse().ok(),
        };
        let value = value.ok_or(LimitError::Form { limit: self })?;
        if self.range().contains(&value) { Ok(value) } else { Err(LimitError::Range { limit: self, value }) }
    }
}

/// The names of sizes, the largest first.
const SIZES: [(&str, u64); 3] = [("GiB", GIB), ("MiB", MIB), ("KiB", KIB)];

fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, bytes) = SIZES
        .iter()
        .find_map(|(name, bytes)| Some((text.strip_suffix(name)?, *bytes)))
        .unwrap_or_else(|| (text.strip_suffix("bytes").unwrap_or(text), 1));
    number.trim().parse::<u64>().ok()?.checked_mul(bytes)
}

/// Seconds with up to three decimals, as milliseconds.
fn parse_time(text: &str) -> Option<u64> {
    let (whole, decimals) = text.trim().split_once('.').unwrap_or((text.trim(), "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.trim_end_matches('0').len() > 3 {
        return None;
    }
    let thousandths = format!("{:0<3}", decimals.trim_end_matches('0')).parse::<u64>().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(SECOND)?.checked_add(thousandths)
}

/// The reason why a limit's value cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitError {
    /// The text is not a value of the limit's unit.
    Form {
        /// The limit.
        limit: Limit,
    },
    /// The value is too small or too large.
    Range {
        /// The limit.
        limit: Limit,
        /// The value that was asked for.
        value: u64,
    },
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            LimitError::Form { limit } => {
                let form = match limit.unit() {
                    Unit::Size => "a number of bytes, or a size such as `512 MiB`",
                    Unit::Time => "a number of seconds, such as `90` or `0.5`",
                    Unit::Count => "a whole number",
                };
                write!(f, "`{}` must be {form}", limit.name())
            }
            LimitError::Range { limit, value } => {
                let (least, most) = limit.range().into_inner();
                write!(f, "`{}` must be from {} to {}, not {}", limit.name(), limit.show(least), limit.show(most), limit.show(value))
            }
        }
    }
}

impl std::error::Error for LimitError {}

/// Digits in groups of three.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A value for each limit.
#[derive(Clone, PartialEq, Eq)]
pub struct Limits([u64; Limit::ALL.len()]);

impl Default for Limits {
    fn default() -> Self {
        Limits(Limit::ALL.map(Limit::default_value))
    }
}

impl Limits {
    /// Returns a limit's value: bytes, milliseconds or a number.
    #[must_use]
    pub fn get(&self, limit: Limit) -> u64 {
        self.0[limit as usize]
    }

    /// Sets a limit's value. Whether it is within the range is for [`Limit::parse`] to say.
    pub fn set(&mut self, limit: Limit, value: u64) {
        self.0[limit as usize] = value;
    }

    /// Returns the value of a size or a number, as this machine counts.
    #[must_use]
    pub fn count(&self, limit: Limit) -> usize {
        usize::try_from(self.get(limit)).unwrap_or(usize::MAX)
    }

    /// Returns the value of a time.
    #[must_use]
    pub fn time(&self, limit: Limit) -> Duration {
        Duration::from_millis(self.get(limit))
    }
}

impl fmt::Debug for Limits {
    /// Those that differ from the defaults.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = Limit::ALL.into_iter().filter(|limit| self.get(*limit) != limit.default_value());
        f.debug_map().entries(set.map(|limit| (limit.name(), limit.show(self.get(limit))))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_order_of_the_enum_and_sane_defaults() {
        for (at, (row, limit)) in TABLE.iter().zip(Limit::ALL).enumerate() {
            // `CallTime` is `call_time`.
            assert_eq!((row.name.replace('_', ""), limit as usize), (format!("{limit:?}").to_lowercase(), at));
            assert!(limit.range().contains(&limit.default_value()), "{}", row.name);
            assert!(row.excess.contains("{}"), "{}", row.name);
            for value in [limit.default_value(), row.least, row.most] {
                assert_eq!(limit.parse(&limit.write(value)), Ok(value), "{}", row.name);
            }
        }
    }

    #[test]
    fn values_are_read_and_written_as_people_do() {
        let memory = |text: &str| Limit::Memory.parse(text).map_err(|error| error.to_string());
        assert_eq!(memory("536870912"), memory("512 MiB"));
        assert_eq!(memory("512MiB"), memory("524288 KiB"));
        assert_eq!(memory("1 GiB"), Ok(1 << 30));
        let time = |text: &str| Limit::CallTime.parse(text).map_err(|error| error.to_string());
        assert_eq!((time("90"), time("0.05"), time("1.500"), time("60.0")), (Ok(90_000), Ok(50), Ok(1500), Ok(60_000)));
        assert_eq!(Limit::Pages.parse(" 7 "), Ok(7));
        insta::assert_snapshot!(memory("lots").unwrap_err(), @"`memory` must be a number of bytes, or a size such as `512 MiB`");
        insta::assert_snapshot!(memory("1 TiB").unwrap_err(), @"`memory` must be a number of bytes, or a size such as `512 MiB`");
        insta::assert_snapshot!(memory("1000").unwrap_err(), @"`memory` must be from 1 MiB to 4 GiB, not 1000 bytes");
        insta::assert_snapshot!(memory("99999999999 GiB").unwrap_err(), @"`memory` must be a number of bytes, or a size such as `512 MiB`");
        for odd in ["-1", "1e3", "", ".5", "5.", "0.0001", "1 h", "１"] {
            insta::allow_duplicates! {
                insta::assert_snapshot!(time(odd).unwrap_err(), @"`call_time` must be a number of seconds, such as `90` or `0.5`");
            }
        }
        insta::assert_snapshot!(time("100000").unwrap_err(), @"`call_time` must be from 0.001 s to 86400 s, not 100000 s");
        insta::assert_snapshot!(Limit::Instances.parse("0").unwrap_err(), @"`instances` must be from 1 to 256, not 0");
        assert_eq!(Limit::Pages.show(1_234_567), "1,234,567");
    }

    #[test]
    fn more_is_twice_as_much_as_long_as_there_is_more() {
        assert_eq!(Limit::Memory.raise(256 << 20).as_deref(), Some("limits: {memory: 512 MiB}"));
        assert_eq!(Limit::CallTime.raise(500).as_deref(), Some("limits: {call_time: 1}"));
        assert_eq!(Limit::Memory.raise(3 << 30).as_deref(), Some("limits: {memory: 4 GiB}"));
        assert_eq!(Limit::Memory.raise(4 << 30), None);
        assert_eq!(Limit::Memory.excess(256 << 20), "needs more than 256 MiB of memory");
    }

    #[test]
    fn a_debug_print_shows_what_was_set() {
        let mut limits = Limits::default();
        limits.set(Limit::CallTime, 90_000);
        assert_eq!(format!("{limits:?}"), r#"{"call_time": "90 s"}"#);
        assert_eq!((limits.time(Limit::CallTime).as_secs(), limits.count(Limit::Instances)), (90, 8));
    }

    /// `host/LIMITS.md` is for people; the table is what holds.
    #[test]
    fn the_documented_table_is_this_one() {
        let documented: Vec<&str> = include_str!("../../LIMITS.md").lines().filter(|line| line.starts_with("| `")).collect();
        let rows: Vec<String> = Limit::ALL
            .into_iter()
            .map(|limit| {
                let range = limit.range();
                format!(
                    "| `{}` | {} | {} to {} | {} |",
                    limit.name(),
                    limit.show(limit.default_value()),
                    limit.show(*range.start()),
                    limit.show(*range.end()),
                    limit.reason()
                )
            })
            .collect();
        assert_eq!(documented, rows, "host/LIMITS.md must have these rows:\n{}", rows.join("\n"));
    }
}
