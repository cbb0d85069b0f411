//! Decides which records of a resource belong to a mapping.
//!
//! A [`Filter`] is compiled once from a mapping's `field`, `operation` and `value` and then asked for each record. The
//! operations are those of infrahub-sync 2.0.1 with its semantics, which are Python's: what is false, what equals what
//! (`1 == 1.0 == True`), and what cannot be compared at all. Where Python raises, [`Filter::matches`] returns an error.
//!
//! Deliberate differences, each with a case in `tests/fixtures/mapping/filters.json`: an address is outside of a network
//! of the other family (there: an exception that ends the run). The address of an interface (`10.1.10.1/24`) is within the
//! networks that hold it (there: an exception). A text that is a number equals that number, in `==`, `in`, `contains` and
//! their opposites: the cells of a CSV file are texts. A pattern that cannot be compiled, look-around and back
//! references among them, is found when the configuration is read. A path reads objects only: Python's would continue into
//! a text's methods.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use regex::Regex;
use serde_json::{Map, Number, Value};

use crate::python::{compare, contains, describe, equal, is_true, translate_pattern, type_name};

/// The names of all operations, for messages that suggest the nearest one.
pub const OPERATIONS: [&str; 14] =
    ["==", "!=", ">", "<", ">=", "<=", "in", "not in", "contains", "not contains", "is_empty", "is_not_empty", "regex", "is_ip_within"];

/// A mistake of a filter, or of a record for a filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The operation is not in [`OPERATIONS`].
    #[error("filter on '{field}': unknown operation '{operation}'")]
    UnknownOperation {
        /// The filter's field.
        field: String,
        /// The name as written.
        operation: String,
    },
    /// The value of a `regex` filter is not a pattern that we can run.
    #[error("filter on '{field}': cannot use '{pattern}' as a pattern")]
    Pattern {
        /// The filter's field.
        field: String,
        /// The pattern as written.
        pattern: String,
        /// The place and the reason.
        #[source]
        source: Box<regex::Error>,
    },
    /// The value of a `regex` filter is not text.
    #[error("filter on '{field}': a pattern must be text, not {found}")]
    PatternType {
        /// The filter's field.
        field: String,
        /// The value there.
        found: &'static str,
    },
    /// A record's value, or the filter's, has a type that the operation cannot work with.
    #[error("filter on '{field}': '{operation}' {reason}")]
    Operands {
        /// The filter's field.
        field: String,
        /// The operation.
        operation: &'static str,
        /// The failed operation, with the value.
        reason: String,
    },
}

/// One compiled filter.
#[derive(Debug, Clone)]
pub struct Filter {
    field: String,
    operation: Operation,
    value: Value,
}

#[derive(Debug, Clone)]
enum Operation {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    In,
    NotIn,
    Contains,
    NotContains,
    IsEmpty,
    IsNotEmpty,
    Regex(Regex),
    /// Networks are read once; an unusable one fails only when a record gets as far as it, as Python's loop does.
    IsIpWithin(Result<Vec<Result<IpRange, String>>, String>),
}

impl Operation {
    fn name(&self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::GreaterOrEqual => ">=",
            Self::LessOrEqual => "<=",
            Self::In => "in",
            Self::NotIn => "not in",
            Self::Contains => "contains",
            Self::NotContains => "not contains",
            Self::IsEmpty => "is_empty",
            Self::IsNotEmpty => "is_not_empty",
            Self::Regex(_) => "regex",
            Self::IsIpWithin(_) => "is_ip_within",
        }
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {}", self.field, self.operation.name())?;
        match &self.operation {
            Operation::IsEmpty | Operation::IsNotEmpty => Ok(()),
            _ => write!(out, " {}", self.value),
        }
    }
}

impl Filter {
    /// Returns the path that it reads.
    pub(crate) fn field(&self) -> &str {
        &self.field
    }

    /// Compiles a filter.
    ///
    /// `field` is a dotted path into the record. A missing `value` is Python's `None`, as in infrahub-sync.
    ///
    /// # Errors
    ///
    /// An unknown operation, or a `regex` whose value is not a pattern.
    pub fn compile(field: &str, operation: &str, value: Option<&Value>) -> Result<Self, FilterError> {
        let value = value.cloned().unwrap_or(Value::Null);
        let operation = match operation {
            "==" => Operation::Equal,
            "!=" => Operation::NotEqual,
            ">" => Operation::Greater,
            "<" => Operation::Less,
            ">=" => Operation::GreaterOrEqual,
            "<=" => Operation::LessOrEqual,
            "in" => Operation::In,
            "not in" => Operation::NotIn,
            "contains" => Operation::Contains,
            "not contains" => Operation::NotContains,
            "is_empty" => Operation::IsEmpty,
            "is_not_empty" => Operation::IsNotEmpty,
            "regex" => Operation::Regex(compile_pattern(field, &value)?),
            "is_ip_within" => Operation::IsIpWithin(read_networks(&value)),
            unknown => {
                return Err(FilterError::UnknownOperation { field: field.to_owned(), operation: unknown.to_owned() });
            }
        };
        Ok(Self { field: field.to_owned(), operation, value })
    }

    /// Returns the dotted path that the filter reads.
    pub fn fields_read(&self) -> &str {
        &self.field
    }

    /// Returns the value of its field in a record.
    #[must_use]
    pub fn value_in<'r>(&self, record: &'r Map<String, Value>) -> Option<&'r Value> {
        value_at(record, &self.field)
    }

    /// Returns whether a record passes.
    ///
    /// # Errors
    ///
    /// The record's value has a type that the operation cannot work with: a number below a text, an invalid
    /// address, a text searched in a number. infrahub-sync ends the run there.
    pub fn matches(&self, record: &Map<String, Value>) -> Result<bool, FilterError> {
        let found = value_at(record, &self.field);
        let field = found.unwrap_or(&Value::Null);
        let value = &self.value;
        let result = match &self.operation {
            Operation::Equal => Ok(alike(field, value)),
            Operation::NotEqual => Ok(!alike(field, value)),
            Operation::Greater => compare(field, value).map(std::cmp::Ordering::is_gt),
            Operation::Less => compare(field, value).map(std::cmp::Ordering::is_lt),
            Operation::GreaterOrEqual => compare(field, value).map(std::cmp::Ordering::is_ge),
            Operation::LessOrEqual => compare(field, value).map(std::cmp::Ordering::is_le),
            Operation::In => Ok(is_true(value)).and_then(|ask| Ok(ask && is_among(value, field)?)),
            Operation::NotIn => is_among(value, field).map(|among| !among),
            Operation::Contains => Ok(is_true(field)).and_then(|ask| Ok(ask && has(field, value)?)),
            // An empty field does not pass: Python's `field and …` is the empty field itself.
            Operation::NotContains => Ok(is_true(field)).and_then(|ask| Ok(ask && !has(field, value)?)),
            Operation::IsEmpty => Ok(!is_true(field)),
            Operation::IsNotEmpty => Ok(is_true(field)),
            Operation::Regex(regex) => match field {
                Value::String(text) => Ok(regex.is_match(text)),
                other => Err(format!("needs text, not {}", describe(other))),
            },
            Operation::IsIpWithin(networks) => is_ip_within(field, networks),
        };
        result.map_err(|reason| FilterError::Operands { field: self.field.clone(), operation: self.operation.name(), reason })
    }
}

/// Returns whether a field of a record equals the value of a filter: as in Python, and a text that is a number (`10`, not `010`) equals that number.
/// Cells of a table are texts.
fn alike(field: &Value, value: &Value) -> bool {
    let number = |text: &str| serde_json::from_str::<Number>(text.trim()).ok();
    match (field, value) {
        (Value::String(text), Value::Number(_)) => number(text).is_some_and(|number| equal(&Value::Number(number), value)),
        _ => equal(field, value),
    }
}

/// Returns whether a field of a record is one of the filter's list, or a part of its text.
fn is_among(value: &Value, field: &Value) -> Result<bool, String> {
    match value {
        Value::Array(items) => Ok(items.iter().any(|item| alike(field, item))),
        _ => contains(value, field),
    }
}

/// Returns whether a list in a record has the filter's value, or a text there has it as a part.
fn has(field: &Value, value: &Value) -> Result<bool, String> {
    match field {
        Value::Array(items) => Ok(items.iter().any(|item| alike(item, value))),
        _ => contains(field, value),
    }
}

/// Returns the value at a dotted path; an empty value on the way ends it, as does one that is not an object.
///
/// A key that itself holds a dot is not found, as there.
pub(crate) fn value_at<'record>(record: &'record Map<String, Value>, path: &str) -> Option<&'record Value> {
    let mut object = record;
    let mut rest = path;
    while let Some((first, remaining)) = rest.split_once('.') {
        object = object.get(first)?.as_object()?;
        rest = remaining;
    }
    object.get(rest)
}

fn compile_pattern(field: &str, value: &Value) -> Result<Regex, FilterError> {
    let Value::String(pattern) = value else {
        return Err(FilterError::PatternType { field: field.to_owned(), found: type_name(value) });
    };
    // `re.match` matches at the start of the text, whatever the pattern's own flags say about lines.
    Regex::new(&format!(r"\A(?:{})", translate_pattern(pattern))).map_err(|source| FilterError::Pattern {
        field: field.to_owned(),
        pattern: pattern.clone(),
        source: Box::new(source),
    })
}

/// A range of addresses of one family, both ends included.
#[derive(Debug, Clone, Copy)]
struct IpRange {
    first: IpAddr,
    last: IpAddr,
}

fn read_networks(value: &Value) -> Result<Vec<Result<IpRange, String>>, String> {
    match value {
        Value::String(text) => Ok(vec![read_range(text, HostBits::Refused)]),
        Value::Array(items) => Ok(items
            .iter()
            .map(|item| match item {
                Value::String(text) => read_range(text, HostBits::Refused),
                other => Err(format!("needs networks, not {}", describe(other))),
            })
            .collect()),
        Value::Object(map) => Ok(map.keys().map(|key| read_range(key, HostBits::Refused)).collect()),
        other => Err(format!("needs a network or a list of them, not {}", describe(other))),
    }
}

fn is_ip_within(field: &Value, networks: &Result<Vec<Result<IpRange, String>>, String>) -> Result<bool, String> {
    let address = match field {
        Value::String(text) => read_range(text, HostBits::Of)?,
        other => return Err(format!("needs an address, not {}", describe(other))),
    };
    for network in networks.as_ref().map_err(Clone::clone)? {
        let network = network.as_ref().map_err(Clone::clone)?;
        // The order across families is v4 before v6: a network of the other family holds nothing.
        let same_family = network.first.is_ipv4() == address.first.is_ipv4();
        if same_family && network.first <= address.first && address.first <= address.last && address.last <= network.last {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The meaning of a network with host bits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HostBits {
    /// The address of an interface: `10.1.10.1/24`.
    Of,
    /// A mistake.
    Refused,
}

/// Reads an address, a network, or `first-last`.
fn read_range(text: &str, host_bits: HostBits) -> Result<IpRange, String> {
    let refused = || format!("cannot read the text '{text}' as an address, a network or a range");
    if let Some((first, last)) = text.split_once('-') {
        let first: IpAddr = read_address(first).ok_or_else(refused)?;
        let last: IpAddr = read_address(last).ok_or_else(refused)?;
        if first.is_ipv4() != last.is_ipv4() || first >= last {
            return Err(refused());
        }
        return Ok(IpRange { first, last });
    }
    let (address, mask) = match text.split_once('/') {
        Some((address, mask)) => (address, Some(mask)),
        None => (text, None),
    };
    let range = match read_address(address).ok_or_else(refused)? {
        IpAddr::V4(address) => {
            let length = mask.map_or(Some(32), read_mask_v4).ok_or_else(refused)?;
            let network = Ipv4Net::new(address, length).map_err(|_| refused())?;
            IpNet::V4(network)
        }
        IpAddr::V6(address) => {
            // netutils appends /32 to any text with a dot, also to `::ffff:1.2.3.4`: that is then no network.
            let implied = if text.contains('.') { 32 } else { 128 };
            let length = mask.map_or(Some(implied), |mask| read_length(mask, 128)).ok_or_else(refused)?;
            let network = Ipv6Net::new(address, length).map_err(|_| refused())?;
            IpNet::V6(network)
        }
    };
    if range.network() != range.addr() {
        if host_bits == HostBits::Of {
            return Ok(IpRange { first: range.addr(), last: range.addr() });
        }
        return Err(format!("takes no network with host bits, and '{text}' has them"));
    }
    Ok(IpRange { first: range.network(), last: range.broadcast() })
}

fn read_address(text: &str) -> Option<IpAddr> {
    // Python allows a zone on IPv6 addresses and keeps it out of the number.
    let without_zone = match text.split_once('%') {
        Some((address, zone)) if !zone.is_empty() && !zone.contains('%') && address.contains(':') => address,
        _ => text,
    };
    without_zone.parse().ok()
}

/// Returns a prefix length in digits.
fn read_length(text: &str, length_max: u8) -> Option<u8> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let length: u8 = if digits {
        text.trim_start_matches('0').parse().unwrap_or(if text.bytes().all(|byte| byte == b'0') { 0 } else { u8::MAX })
    } else {
        return None;
    };
    (length <= length_max).then_some(length)
}

/// Returns a length, a netmask (`255.255.255.0`) or a host mask (`0.0.0.255`).
fn read_mask_v4(text: &str) -> Option<u8> {
    if let Some(length) = read_length(text, 32) {
        return Some(length);
    }
    let mask = u32::from(text.parse::<Ipv4Addr>().ok()?);
    let is_netmask = mask.leading_ones() + mask.trailing_zeros() == 32 || mask == u32::MAX;
    let is_host_mask = mask.leading_zeros() + mask.trailing_ones() == 32;
    let length = if is_netmask {
        mask.leading_ones()
    } else if is_host_mask {
        mask.leading_zeros()
    } else {
        return None;
    };
    u8::try_from(length).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::net::Ipv6Addr;

    fn passes(field_value: Value, operation: &str, value: Value) -> Result<bool, String> {
        let record = json!({ "field": field_value });
        let filter = Filter::compile("field", operation, Some(&value)).map_err(|error| error.to_string())?;
        filter.matches(record.as_object().expect("an object")).map_err(|error| error.to_string())
    }

    #[test]
    fn every_listed_operation_compiles() {
        for operation in OPERATIONS {
            let filter = Filter::compile("a.b", operation, Some(&json!("x"))).expect(operation);
            assert_eq!(filter.operation.name(), operation);
            assert_eq!(filter.fields_read(), "a.b");
        }
    }

    #[test]
    fn unknown_operation_is_named() {
        let error = Filter::compile("status", "equals", None).expect_err("unknown");
        assert_eq!(error.to_string(), "filter on 'status': unknown operation 'equals'");
    }

    #[test]
    fn numbers_and_bools_are_equal_by_value() {
        assert_eq!(passes(json!(1), "==", json!(true)), Ok(true));
        assert_eq!(passes(json!(1.0), "==", json!(1)), Ok(true));
    }

    #[test]
    fn text_that_is_a_number_equals_that_number() {
        for (text, number) in [("10", json!(10)), (" 10 ", json!(10)), ("10.0", json!(10)), ("1e1", json!(10)), ("-3", json!(-3))] {
            assert_eq!(passes(json!(text), "==", number.clone()), Ok(true), "{text}");
            assert_eq!(passes(json!(text), "!=", number.clone()), Ok(false), "{text}");
            assert_eq!(passes(json!(text), "in", json!([7, number])), Ok(true), "{text}");
            assert_eq!(passes(json!(text), "not in", json!([7, number])), Ok(false), "{text}");
            assert_eq!(passes(json!(["x", text]), "contains", number.clone()), Ok(true), "{text}");
            assert_eq!(passes(json!(["x", text]), "not contains", number), Ok(false), "{text}");
        }
        for text in ["010", "ten", "", "0x0a", "1_0"] {
            assert_eq!(passes(json!(text), "==", json!(10)), Ok(false), "{text}");
        }
        // A text in the filter is a text.
        assert_eq!(passes(json!(10), "==", json!("10")), Ok(false));
        assert_eq!(passes(json!("1"), "==", json!(true)), Ok(false));
    }

    #[test]
    fn address_of_an_interface_is_within_its_networks() {
        for (address, network, within) in [
            ("10.1.10.1/24", "10.1.0.0/16", true),
            ("10.1.10.1/24", "10.1.10.0/28", true),
            ("10.1.10.1/8", "10.2.0.0/16", false),
            ("10.1.10.1/255.255.255.0", "10.1.0.0/16", true),
            ("2001:db8::1/64", "2001:db8::/32", true),
            ("2001:db8::1/64", "10.0.0.0/8", false),
            // A network is within where all of it is.
            ("10.1.10.0/24", "10.1.10.0/28", false),
        ] {
            assert_eq!(passes(json!(address), "is_ip_within", json!(network)), Ok(within), "{address} in {network}");
        }
        assert!(passes(json!("10.0.0.1"), "is_ip_within", json!("10.0.0.1/8")).is_err());
    }

    #[test]
    fn empty_field_passes_neither_contains_nor_not_contains() {
        assert_eq!(passes(json!(""), "contains", json!("a")), Ok(false));
        assert_eq!(passes(json!(""), "not contains", json!("a")), Ok(false));
    }

    #[test]
    fn address_is_outside_of_the_other_family() {
        assert_eq!(passes(json!("10.0.0.1"), "is_ip_within", json!(["2001:db8::/32", "10.0.0.0/8"])), Ok(true));
        assert_eq!(passes(json!("10.0.0.1"), "is_ip_within", json!("2001:db8::/32")), Ok(false));
    }

    #[test]
    fn operand_errors_name_field_and_value() {
        assert_eq!(
            passes(json!("ten"), ">", json!(5)),
            Err("filter on 'field': '>' cannot read the text 'ten' as a whole number".to_owned())
        );
        assert_eq!(passes(json!(null), "regex", json!("a")), Err("filter on 'field': 'regex' needs text, not nothing".to_owned()));
    }

    #[test]
    fn patterns_are_read_as_python_reads_them() {
        for (pattern, text, expected) in [
            ("a", "ba", false),
            ("a|b", "bc", true),
            ("ab$", "ab\n", true),
            (r"ab\Z", "ab\n", false),
            ("[[]x", "[x", true),
            ("[a&&b]", "&", true),
            ("a{b}", "a{b}", true),
            ("a{,2}$", "aaa", false),
            (r"\<a", "<a", true),
            ("(?i)AB", "ab", true),
            ("[]a]", "]", true),
        ] {
            assert_eq!(passes(json!(text), "regex", json!(pattern)), Ok(expected), "{pattern} on {text}");
        }
        assert!(passes(json!("x"), "regex", json!("(?=a)")).is_err());
    }

    #[test]
    fn masks_are_lengths_netmasks_or_host_masks() {
        assert_eq!(read_mask_v4("24"), Some(24));
        assert_eq!(read_mask_v4("255.255.255.0"), Some(24));
        assert_eq!(read_mask_v4("0.0.0.255"), Some(24));
        assert_eq!(read_mask_v4("0.0.0.0"), Some(0));
        assert_eq!(read_mask_v4("255.255.255.255"), Some(32));
        assert_eq!(read_mask_v4("255.0.255.0"), None);
        assert_eq!(read_mask_v4("33"), None);
    }

    #[test]
    fn zone_is_no_part_of_an_address() {
        assert_eq!(read_address("fe80::1%eth0"), Some(IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1))));
        assert_eq!(read_address("10.0.0.1%1"), None);
    }
}
