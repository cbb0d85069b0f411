//! Values as the server stores them: what is refused, and the canonical form of what is accepted.
//!
//! Addresses follow Python's `ipaddress`, MAC addresses follow `netaddr`: the server is written with both.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use crate::model::{Attribute, Class};

/// Why a value is refused: the reason alone, without the field's name.
pub(crate) enum Refusal {
    /// A reason about one field, to be followed by ` at <field>`.
    Field(String),
    /// As `Field`, for a choice of an enumeration: an update answers with other words than a create.
    Enum(String),
    /// A reason that the server raises without naming the field.
    Plain(String),
}

/// The largest text in bytes, of kinds that the server's database indexes (its limit of 4,096 counts three bytes of its own).
const TEXT_BYTES_MAX: usize = 4092;

/// Checks `value` and brings it into the form in which the server gives it back.
pub(crate) fn canonical(value: &Value, attribute: &Attribute) -> Result<Value, Refusal> {
    let invalid = || Refusal::Field(format!("{} is not a valid {}", python(value, false), attribute.kind));
    let text = || value.as_str().ok_or_else(invalid);
    let out = match attribute.class {
        Class::Text | Class::LargeText | Class::Password => Value::from(text()?),
        Class::Dropdown => Value::from(text()?),
        Class::Number => match value {
            Value::Number(_) => value.clone(),
            _ => return Err(invalid()),
        },
        Class::Boolean => match value {
            Value::Bool(_) => value.clone(),
            _ => return Err(invalid()),
        },
        Class::DateTime => {
            let text = text()?;
            if !text.is_empty() && crate::clock::parse(text, 0).is_none() {
                return Err(invalid());
            }
            Value::from(text)
        }
        Class::Url => {
            let text = text()?;
            if !is_url(text) {
                return Err(invalid());
            }
            Value::from(text)
        }
        Class::IpHost => Value::from(Interface::parse(text()?).ok_or_else(invalid)?.with_prefix()),
        Class::IpNetwork => {
            let interface = Interface::parse(text()?).filter(|i| i.address == i.network()).ok_or_else(invalid)?;
            Value::from(interface.with_prefix())
        }
        Class::IpAddress => {
            let text = text()?;
            let interface = if text.contains('/') { None } else { Interface::parse(text) }.ok_or_else(invalid)?;
            Value::from(interface.address.text())
        }
        Class::Mac => Value::from(mac(text()?).ok_or_else(invalid)?),
        // The server reads a text as JSON to check it, and then stores the text.
        Class::List => match value {
            Value::Array(_) => value.clone(),
            Value::String(text) if text.is_empty() => value.clone(),
            Value::String(text) => match serde_json::from_str(text) {
                Ok(Value::Array(_)) => value.clone(),
                Ok(_) => return Err(invalid()),
                Err(_) => return Err(Refusal::Field(format!("{text} is not a valid JSON list"))),
            },
            _ => return Err(invalid()),
        },
        Class::Json => match value {
            Value::Array(_) | Value::Object(_) => value.clone(),
            Value::String(text) if text.is_empty() => value.clone(),
            Value::String(text) => match serde_json::from_str(text) {
                Ok(Value::Array(_) | Value::Object(_)) => value.clone(),
                Ok(_) => return Err(invalid()),
                Err(_) => return Err(Refusal::Field(format!("{text} is not valid JSON"))),
            },
            _ => return Err(invalid()),
        },
        Class::Any => value.clone(),
    };
    content(&out, attribute)?;
    Ok(out)
}

/// Length, pattern, choices: what the schema says about a value of the right form.
fn content(value: &Value, attribute: &Attribute) -> Result<(), Refusal> {
    if attribute.class == Class::Text && value.as_str().is_some_and(|text| text.len() > TEXT_BYTES_MAX) {
        return Err(Refusal::Plain("Text attribute length should be less than 4096 characters.".into()));
    }
    if let Some((pattern, regex)) = &attribute.regex {
        let entries = match value {
            Value::Array(list) => list.iter().map(|v| python(v, false)).collect(),
            other => vec![python(other, false)],
        };
        for entry in entries {
            if !regex.is_match(&entry) {
                return Err(Refusal::Field(format!("{entry} must conform with the regex: {}", quoted(pattern))));
            }
        }
    }
    let length = match value {
        Value::String(text) => text.chars().count(),
        Value::Array(list) => list.len(),
        _ => 0,
    };
    if let Some(min) = attribute.min_length
        && length < min
    {
        return Err(Refusal::Field(format!("{} must have a minimum length of {min}", python(value, false))));
    }
    if let Some(max) = attribute.max_length
        && length > max
    {
        return Err(Refusal::Field(format!("{} must have a maximum length of {max}", python(value, false))));
    }
    if let Some(number) = value.as_i64() {
        if let Some(min) = attribute.min_value
            && number < min
        {
            return Err(Refusal::Field(format!("{number} is lower than the minimum allowed value {min}")));
        }
        if let Some(max) = attribute.max_value
            && number > max
        {
            return Err(Refusal::Field(format!("{number} is higher than the maximum allowed value {max}")));
        }
    }
    if let Some(allowed) = &attribute.enumeration
        && !allowed.contains(value)
    {
        return Err(Refusal::Enum(format!("{} must be one of {}", python(value, false), python(&Value::Array(allowed.clone()), true))));
    }
    if attribute.class == Class::Dropdown && !attribute.choices.iter().any(|c| Some(c.name.as_str()) == value.as_str()) {
        let mut names: Vec<&str> = attribute.choices.iter().map(|c| c.name.as_str()).collect();
        names.sort_unstable();
        return Err(Refusal::Field(format!("{} must be one of {}", python(value, false), quoted(&names.join(", ")))));
    }
    Ok(())
}

/// Returns the value that is read back. The database's marker for null is the text "NULL", so that text is lost.
pub(crate) fn read_back(value: &Value) -> &Value {
    if value.as_str() == Some("NULL") { &Value::Null } else { value }
}

/// Returns a value as Python prints it: `str()`, or `repr()` when `nested`.
pub(crate) fn python(value: &Value, nested: bool) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if nested => quoted(text),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(|v| python(v, true)).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            format!("{{{}}}", map.iter().map(|(k, v)| format!("{}: {}", quoted(k), python(v, true))).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Returns a text as Python's `repr()` prints it.
pub(crate) fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// An address of either version, as a number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Address {
    V4(u32),
    V6(u128),
}

impl Address {
    /// Returns the canonical text; unlike Rust's, it never ends in a dotted quad.
    pub(crate) fn text(self) -> String {
        match self {
            Address::V4(bits) => Ipv4Addr::from_bits(bits).to_string(),
            Address::V6(bits) => compressed(bits),
        }
    }
}

fn compressed(bits: u128) -> String {
    let segments = Ipv6Addr::from_bits(bits).segments();
    let (mut best, mut at) = (0, 0);
    let mut i = 0;
    while i < 8 {
        let run = segments[i..].iter().take_while(|s| **s == 0).count();
        if run > best {
            (best, at) = (run, i);
        }
        i += run.max(1);
    }
    let hex = |part: &[u16]| part.iter().map(|s| format!("{s:x}")).collect::<Vec<_>>().join(":");
    if best > 1 { format!("{}::{}", hex(&segments[..at]), hex(&segments[at + best..])) } else { hex(&segments) }
}

/// An address with a prefix length.
#[derive(Clone, Copy)]
pub(crate) struct Interface {
    pub(crate) address: Address,
    pub(crate) prefix: u32,
}

impl Interface {
    /// Parses what Python's `ip_interface` accepts: a prefix length, a netmask or a host mask may follow the slash; a zone is dropped.
    pub(crate) fn parse(text: &str) -> Option<Interface> {
        let (address, mask) = match text.split_once('/') {
            Some((address, mask)) => (address, Some(mask)),
            None => (text, None),
        };
        let length = |mask: &str, max: u32| {
            let digits = !mask.is_empty() && mask.bytes().all(|b| b.is_ascii_digit());
            if digits { mask.parse().ok().filter(|p| *p <= max) } else { None }
        };
        if address.contains(':') {
            let address = match address.split_once('%') {
                Some((address, zone)) if !zone.is_empty() && !zone.contains('%') => address,
                Some(_) => return None,
                None => address,
            };
            let prefix = match mask {
                None => 128,
                Some(mask) => length(mask, 128)?,
            };
            return Some(Interface { address: Address::V6(address.parse::<Ipv6Addr>().ok()?.to_bits()), prefix });
        }
        let prefix = match mask {
            None => 32,
            Some(mask) if mask.contains('.') => netmask(mask)?,
            Some(mask) => length(mask, 32)?,
        };
        Some(Interface { address: Address::V4(address.parse::<Ipv4Addr>().ok()?.to_bits()), prefix })
    }

    fn mask(&self) -> Address {
        match self.address {
            Address::V4(_) => Address::V4(u32::MAX.checked_shl(32 - self.prefix).unwrap_or(0)),
            Address::V6(_) => Address::V6(u128::MAX.checked_shl(128 - self.prefix).unwrap_or(0)),
        }
    }

    pub(crate) fn network(&self) -> Address {
        match (self.address, self.mask()) {
            (Address::V4(a), Address::V4(m)) => Address::V4(a & m),
            (Address::V6(a), Address::V6(m)) => Address::V6(a & m),
            (a, _) => a,
        }
    }

    pub(crate) fn broadcast(&self) -> Address {
        match (self.address, self.mask()) {
            (Address::V4(a), Address::V4(m)) => Address::V4(a | !m),
            (Address::V6(a), Address::V6(m)) => Address::V6(a | !m),
            (a, _) => a,
        }
    }

    pub(crate) fn netmask(&self) -> String {
        self.mask().text()
    }

    pub(crate) fn hostmask(&self) -> String {
        match self.mask() {
            Address::V4(m) => Address::V4(!m).text(),
            Address::V6(m) => Address::V6(!m).text(),
        }
    }

    pub(crate) fn version(&self) -> u8 {
        if matches!(self.address, Address::V4(_)) { 4 } else { 6 }
    }

    pub(crate) fn with_prefix(&self) -> String {
        format!("{}/{}", self.address.text(), self.prefix)
    }
}

fn netmask(text: &str) -> Option<u32> {
    let bits = text.parse::<Ipv4Addr>().ok()?.to_bits();
    if bits.leading_ones() + bits.trailing_zeros() == 32 {
        return Some(bits.leading_ones());
    }
    // A host mask such as 0.0.0.255 is accepted too.
    (bits.leading_zeros() + bits.trailing_ones() == 32).then(|| bits.leading_zeros())
}

/// Returns the canonical spelling of a MAC address, if `text` is one in any of the spellings of `netaddr`.
fn mac(text: &str) -> Option<String> {
    let groups = |separator: char, count: usize, min: usize, max: usize| -> Option<String> {
        let parts: Vec<&str> = text.split(separator).collect();
        let fits = |p: &&str| (min..=max).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_hexdigit());
        (parts.len() == count && parts.iter().all(fits)).then(|| parts.iter().map(|p| format!("{p:0>max$}")).collect())
    };
    let bare = ((11..=12).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())).then(|| format!("{text:0>12}"));
    let digits = groups(':', 6, 1, 2)
        .or_else(|| groups('-', 6, 1, 2))
        .or_else(|| groups('.', 3, 1, 4))
        .or_else(|| groups(':', 3, 1, 4))
        .or_else(|| groups('-', 3, 1, 4))
        .or_else(|| groups('-', 2, 5, 6))
        .or_else(|| groups(':', 2, 5, 6))
        .or(bare)?
        .to_uppercase();
    let pairs: Vec<&str> = digits.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok()).collect();
    Some(pairs.join(":"))
}

/// Returns whether the server takes `text` for a URL: a scheme and a host.
fn is_url(text: &str) -> bool {
    if text.starts_with('/') {
        return true;
    }
    match text.split_once("://") {
        Some((scheme, rest)) => {
            let host = rest.split(['/', '?', '#']).next().unwrap_or("");
            scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && !host.is_empty()
        }
        None => false,
    }
}
