//! One spelling for values that have several: IP addresses, networks and MAC addresses.
//!
//! Both sides of a comparison go through here, so that `10.0.0.1` and `10.0.0.1/32`, or `aabb.ccdd.eeff` and `AA:BB:CC:DD:EE:FF`, are no
//! difference. A text that is not such a value stays as it is: the destination says what is wrong with it.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::FieldType;

/// Returns whether values of the type have a canonical spelling.
#[must_use]
pub fn has_canonical(field_type: FieldType) -> bool {
    matches!(field_type, FieldType::IpInterface | FieldType::IpNetwork | FieldType::IpAddress | FieldType::Mac)
}

/// Writes the canonical spelling into `out`. Returns false if the text is not such a value; `out` is then undefined.
pub fn write_canonical(field_type: FieldType, text: &str, out: &mut String) -> bool {
    match field_type {
        FieldType::IpInterface => parse(text).is_some_and(|ip| ip.write(out)),
        FieldType::IpNetwork => parse(text).is_some_and(|ip| is_network(ip.address, ip.length) && ip.write(out)),
        FieldType::IpAddress => !text.contains('/') && parse(text).is_some_and(|ip| ip.write_address(out)),
        FieldType::Mac => write_mac(text, out),
        _ => false,
    }
}

/// An address, the length of its prefix, and its zone.
struct Ip<'t> {
    address: IpAddr,
    length: u8,
    /// The interface of the one host on which the address means anything: `eth0` of `fe80::1%eth0`.
    zone: Option<&'t str>,
}

impl Ip<'_> {
    fn write(&self, out: &mut String) -> bool {
        self.write_address(out) && write!(out, "/{}", self.length).is_ok()
    }

    fn write_address(&self, out: &mut String) -> bool {
        write_address(self.address, out) && self.zone.is_none_or(|zone| write!(out, "%{zone}").is_ok())
    }
}

/// Parses an address. The length of its prefix may be written as a netmask (or its inverse, as Python's `ipaddress` allows).
fn parse(text: &str) -> Option<Ip<'_>> {
    let (address, mask) = match text.split_once('/') {
        Some((address, mask)) => (address, Some(mask)),
        None => (text, None),
    };
    let (address, zone): (IpAddr, _) = match address.split_once('%') {
        Some((_, zone)) if zone.is_empty() || zone.contains('%') => return None,
        Some((address, zone)) => (IpAddr::V6(address.parse().ok()?), Some(zone)),
        None => (address.parse().ok()?, None),
    };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let Some(mask) = mask else { return Some(Ip { address, length: longest, zone }) };
    let length = match mask.parse::<u8>() {
        Ok(length) if mask.bytes().all(|digit| digit.is_ascii_digit()) => length,
        _ if longest == 32 => netmask(mask.parse().ok()?)?,
        _ => return None,
    };
    (length <= longest).then_some(Ip { address, length, zone })
}

fn netmask(mask: Ipv4Addr) -> Option<u8> {
    let bits = u32::from(mask);
    let contiguous = |bits: u32| (bits.leading_ones() + bits.trailing_zeros() >= 32).then_some(bits.leading_ones());
    u8::try_from(contiguous(bits).or_else(|| contiguous(!bits))?).ok()
}

fn is_network(address: IpAddr, length: u8) -> bool {
    let length = u32::from(length);
    match address {
        IpAddr::V4(address) => u32::from(address).checked_shl(length).unwrap_or(0) == 0,
        IpAddr::V6(address) => u128::from(address).checked_shl(length).unwrap_or(0) == 0,
    }
}

fn write_address(address: IpAddr, out: &mut String) -> bool {
    match address {
        // Dotted in Rust, in hexadecimal digits elsewhere.
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => {
            let [.., high, low] = Ipv6Addr::segments(&address);
            write!(out, "::ffff:{high:x}:{low:x}").is_ok()
        }
        address => write!(out, "{address}").is_ok(),
    }
}

fn write_mac(text: &str, out: &mut String) -> bool {
    let mut digits = 0;
    for byte in text.bytes() {
        match byte {
            b':' | b'-' | b'.' => continue,
            _ if byte.is_ascii_hexdigit() && digits < 12 => {}
            _ => return false,
        }
        if digits > 0 && digits % 2 == 0 {
            out.push(':');
        }
        out.push(byte.to_ascii_uppercase() as char);
        digits += 1;
    }
    digits == 12
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(field_type: FieldType, text: &str) -> Option<String> {
        let mut out = String::new();
        write_canonical(field_type, text, &mut out).then_some(out)
    }

    #[test]
    fn each_spelling_of_an_interface_is_one() {
        // The pairs were read back from an Infrahub 1.11.9.
        let pairs = [
            ("10.0.0.1", "10.0.0.1/32"),
            ("10.0.0.1/255.255.255.0", "10.0.0.1/24"),
            ("10.0.0.1/0.0.0.255", "10.0.0.1/24"),
            ("2001:DB8:0:0::1/64", "2001:db8::1/64"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("::ffff:10.0.0.1", "::ffff:a00:1/128"),
        ];
        for (written, read) in pairs {
            assert_eq!(canonical(FieldType::IpInterface, written).as_deref(), Some(read), "{written}");
        }
        for refused in ["010.0.0.1", " 10.0.0.1 ", "", "10.0.0.1/33", "10.0.0.1/+8", "10.0.0.1/255.0.255.0", "::1/255.0.0.0", "x"] {
            assert_eq!(canonical(FieldType::IpInterface, refused), None, "{refused}");
        }
    }

    #[test]
    fn a_zone_is_kept() {
        let of = |text| canonical(FieldType::IpInterface, text);
        assert_eq!(of("FE80::1%eth0/64").as_deref(), Some("fe80::1%eth0/64"));
        assert_eq!(of("fe80::1%eth0").as_deref(), Some("fe80::1%eth0/128"));
        assert_eq!(canonical(FieldType::IpAddress, "fe80:0::1%2").as_deref(), Some("fe80::1%2"));
        assert_eq!(canonical(FieldType::IpNetwork, "fe80::%eth0/64").as_deref(), Some("fe80::%eth0/64"));
        for refused in ["fe80::1%", "fe80::1%a%b", "10.0.0.1%eth0"] {
            assert_eq!(of(refused), None, "{refused}");
        }
    }

    #[test]
    fn a_network_has_no_host_bits() {
        assert_eq!(canonical(FieldType::IpNetwork, "10.0.0.0").as_deref(), Some("10.0.0.0/32"));
        assert_eq!(canonical(FieldType::IpNetwork, "0.0.0.0/0").as_deref(), Some("0.0.0.0/0"));
        assert_eq!(canonical(FieldType::IpNetwork, "::/0").as_deref(), Some("::/0"));
        assert_eq!(canonical(FieldType::IpNetwork, "10.0.0.0/255.255.0.0").as_deref(), Some("10.0.0.0/16"));
        assert_eq!(canonical(FieldType::IpNetwork, "2001:DB8::/32").as_deref(), Some("2001:db8::/32"));
        assert_eq!(canonical(FieldType::IpNetwork, "10.0.0.1/24"), None);
        assert_eq!(canonical(FieldType::IpNetwork, "::1/127"), None);
    }

    #[test]
    fn an_address_has_no_length() {
        assert_eq!(canonical(FieldType::IpAddress, "2001:DB8::0:1").as_deref(), Some("2001:db8::1"));
        assert_eq!(canonical(FieldType::IpAddress, "10.0.0.1/24"), None);
    }

    #[test]
    fn a_mac_address_is_twelve_digits() {
        for spelling in ["aa:bb:cc:dd:ee:ff", "AA-BB-CC-DD-EE-FF", "aabb.ccdd.eeff", "aabbccddeeff"] {
            assert_eq!(canonical(FieldType::Mac, spelling).as_deref(), Some("AA:BB:CC:DD:EE:FF"));
        }
        for refused in ["", "aa:bb", "aa:bb:cc:dd:ee:fg", "aabbccddeeff00"] {
            assert_eq!(canonical(FieldType::Mac, refused), None, "{refused}");
        }
    }
}
