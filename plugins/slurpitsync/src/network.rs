//! IP networks, as far as they are compared here.

use std::net::IpAddr;

/// A network, or an address with the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    length: u32,
}

impl Network {
    /// Parses `10.0.0.0/8`, `10.0.0.0/255.0.0.0` or `10.0.0.1`. Host bits are cut off.
    pub(crate) fn parse(text: &str) -> Option<Network> {
        let (address, length) = match text.trim().split_once('/') {
            Some((address, length)) => (address.parse().ok()?, Some(length)),
            None => (text.trim().parse().ok()?, None),
        };
        let most = width(address);
        let length = match length {
            None => most,
            Some(length) => length.parse().ok().or_else(|| mask(length))?,
        };
        (length <= most).then(|| Network { address: cut(address, length), length })
    }

    /// Returns whether it is a single address.
    pub(crate) fn is_single(self) -> bool {
        self.length == width(self.address)
    }

    /// Returns the network of this length that an address is in, as bits that can be compared; none where the length does not fit.
    pub(crate) fn within(self, length: u32) -> Option<Network> {
        (length <= self.length).then(|| Network { address: cut(self.address, length), length })
    }

    pub(crate) fn length(self) -> u32 {
        self.length
    }

    /// Returns a key for a table.
    pub(crate) fn key(self) -> (u128, u32, bool) {
        (bits(self.address), self.length, self.address.is_ipv4())
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.address, self.length)
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn cut(address: IpAddr, length: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4((address.to_bits() & u32::MAX.checked_shl(32 - length).unwrap_or(0)).into()),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & u128::MAX.checked_shl(128 - length).unwrap_or(0)).into()),
    }
}

/// Returns the length of a netmask.
fn mask(text: &str) -> Option<u32> {
    let bits = text.parse::<std::net::Ipv4Addr>().ok()?.to_bits();
    (bits.leading_ones() + bits.trailing_zeros() == 32 || bits == u32::MAX).then_some(bits.leading_ones())
}
