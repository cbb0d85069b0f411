//! Checks the addresses of names: those of an allowed host are checked before anything is sent there.
//!
//! The address that the user configured may be in a private network, where such systems usually are. The host refuses a name that resolves
//! to this machine, to a link-local address (cloud metadata) or to a reserved one, unless `grants.networks` has the range. For the
//! further origins of `grants.origins` it refuses private addresses, too. A literal address and `localhost` need no name service: they
//! cannot be redirected. The proxy of the environment belongs to the operator; it resolves the names of its requests itself.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::advice::Advice;

/// Why requests may go to the host of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// `grants.origins`.
    Granted,
    /// The address setting.
    Configured,
    /// The environment's proxy.
    Proxy,
}

/// The class of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AddressClass {
    Global,
    Private,
    Loopback,
    LinkLocal,
    Multicast,
    /// No particular machine, or none yet.
    Reserved,
    /// The service of a cloud that tells each of its machines about itself, credentials included.
    Metadata,
}

/// The metadata services that are not at link-local addresses: Azure, Alibaba, Oracle.
const METADATA_V4: [Ipv4Addr; 3] = [Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];
/// Those of AWS, and of Google.
const METADATA_V6: [Ipv6Addr; 2] = [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

impl AddressClass {
    fn of(address: IpAddr) -> AddressClass {
        match address {
            IpAddr::V4(address) => AddressClass::of_v4(address),
            IpAddr::V6(address) if address.is_loopback() => AddressClass::Loopback,
            IpAddr::V6(address) if address.is_unspecified() => AddressClass::Reserved,
            IpAddr::V6(address) if address.is_multicast() => AddressClass::Multicast,
            IpAddr::V6(address) if METADATA_V6.contains(&address) => AddressClass::Metadata,
            IpAddr::V6(address) => match (embedded(address), address.segments()) {
                // A translator of the local network leads there, whatever the embedded address.
                (Some(inner), [0x64, 0xff9b, 1, ..]) => match AddressClass::of_v4(inner) {
                    AddressClass::Global => AddressClass::Private,
                    class => class,
                },
                (Some(inner), _) => AddressClass::of_v4(inner),
                (None, [0xfe80..=0xfebf, ..]) => AddressClass::LinkLocal,
                (None, [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..]) => AddressClass::Private,
                // Teredo hides an address in a way of its own. The others lead nowhere: discarded packets, segment routing, ORCHID.
                (None, [0x2001, 0, ..] | [0x100, 0, 0, _, ..] | [0x5f00, ..] | [0x2001, 0x10..=0x2f, ..]) => AddressClass::Reserved,
                _ => AddressClass::Global,
            },
        }
    }

    fn of_v4(address: Ipv4Addr) -> AddressClass {
        if METADATA_V4.contains(&address) {
            return AddressClass::Metadata;
        }
        match address.octets() {
            [127, ..] => AddressClass::Loopback,
            [169, 254, ..] => AddressClass::LinkLocal,
            [224..=239, ..] | [255, 255, 255, 255] => AddressClass::Multicast,
            // The relays of 6to4, which no longer exist.
            [0 | 240..=255, ..] | [192, 88, 99, _] => AddressClass::Reserved,
            // The last three: carriers, protocols of the IETF, benchmarks.
            [10, ..] | [192, 168, ..] | [172, 16..=31, ..] | [100, 64..=127, ..] | [192, 0, 0, _] | [198, 18..=19, ..] => {
                AddressClass::Private
            }
            _ => AddressClass::Global,
        }
    }

    fn words(self) -> &'static str {
        match self {
            AddressClass::Global => "a public address",
            AddressClass::Private => "a private address",
            AddressClass::Loopback => "this machine",
            AddressClass::LinkLocal => "a link-local address",
            AddressClass::Reserved => "a reserved address",
            AddressClass::Multicast => "a group of machines",
            AddressClass::Metadata => "the metadata service of a cloud",
        }
    }
}

/// Returns the IPv4 address within an IPv6 address that stands for it: mapped, compatible, 6to4, translated, or by way of NAT64.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let (high, low) = match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0 | 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
    Some(Ipv4Addr::new(a, b, c, d))
}

pub(super) type Found = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Resolves the names of allowed hosts, and refuses addresses where they must not lead.
pub(crate) struct Resolver {
    names: HashMap<String, Reason>,
    networks: Vec<IpNet>,
    advice: Advice,
    /// The operating system; tests replace it.
    pub(super) look_up: Box<dyn Fn(String) -> Found + Send + Sync>,
}

impl Resolver {
    pub(crate) fn new(advice: Advice, networks: &[IpNet]) -> Self {
        let look_up = |name: String| -> Found {
            // The port is the connector's business.
            Box::pin(async move { Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.collect()) })
        };
        Self { names: HashMap::new(), networks: networks.to_vec(), advice, look_up: Box::new(look_up) }
    }

    /// Allows requests to the host of a URL. Of several reasons the strongest counts.
    pub(crate) fn allow(&mut self, url: &Url, reason: Reason) {
        if let Some(Host::Domain(name)) = url.host() {
            let known = self.names.entry(plain(name)).or_insert(reason);
            *known = reason.max(*known);
        }
    }

    /// Returns the allowed ones of a name's addresses.
    fn allowed(&self, name: &str, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Refused> {
        let name = plain(name);
        let reason = self.names.get(&name).copied().unwrap_or(Reason::Granted);
        let is_allowed = |address: IpAddr| {
            let granted = |address: IpAddr| self.networks.iter().any(|network| network.contains(&address));
            let inner = match address {
                IpAddr::V6(outer) => embedded(outer).map(IpAddr::V4),
                IpAddr::V4(_) => None,
            };
            reason == Reason::Proxy
                || granted(address)
                || inner.is_some_and(granted)
                || match AddressClass::of(address) {
                    AddressClass::Global => true,
                    AddressClass::Private => reason == Reason::Configured,
                    AddressClass::Loopback => name == "localhost" || name.ends_with(".localhost"),
                    AddressClass::LinkLocal | AddressClass::Reserved | AddressClass::Multicast | AddressClass::Metadata => false,
                }
        };
        let first = addresses.first().map(SocketAddr::ip);
        let allowed: Vec<SocketAddr> = addresses.into_iter().filter(|address| is_allowed(address.ip())).collect();
        match first {
            Some(address) if allowed.is_empty() => {
                let line = self.advice.network(IpNet::from(address));
                Err(Refused(format!("`{name}` resolves to {address}, which is {}; {line}", AddressClass::of(address).words())))
            }
            _ => Ok(allowed),
        }
    }
}

/// Returns a name as names are compared.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// The [`Resolver`] of a [`reqwest::Client`].
pub(crate) struct Names(pub(crate) Arc<Resolver>);

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolver, name) = (self.0.clone(), name.as_str().to_owned());
        Box::pin(async move {
            let found = (resolver.look_up)(name.clone()).await?;
            let allowed = resolver.allowed(&name, found)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// A name that resolves to a refused address; the text says what would allow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) String);

impl std::error::Error for Refused {}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Role;

    fn resolver(networks: &[&str]) -> Resolver {
        let networks: Vec<IpNet> = networks.iter().map(|network| network.parse().unwrap()).collect();
        let mut resolver = Resolver::new(
            Advice { role: Some(Role::Source), origins: Vec::new(), networks: networks.clone(), ..Advice::default() },
            &networks,
        );
        for (url, reason) in [
            ("https://NetBox.example", Reason::Granted),
            ("https://netbox.example./api", Reason::Configured),
            ("https://cdn.example", Reason::Granted),
            ("http://proxy.example:3128", Reason::Proxy),
            ("http://localhost:8000", Reason::Configured),
            ("http://10.0.0.1", Reason::Granted),
        ] {
            resolver.allow(&Url::parse(url).unwrap(), reason);
        }
        resolver
    }

    fn ask(resolver: &Resolver, name: &str, addresses: &[&str]) -> Result<Vec<String>, String> {
        let addresses = addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect();
        let allowed = resolver.allowed(name, addresses).map_err(|refused| refused.to_string())?;
        Ok(allowed.into_iter().map(|address| address.ip().to_string()).collect())
    }

    #[test]
    fn the_configured_name_may_lead_to_public_and_private_addresses() {
        let resolver = resolver(&[]);
        for address in ["192.0.2.1", "2001:db8::1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "::ffff:10.0.0.1"] {
            assert!(ask(&resolver, "NETBOX.example", &[address]).is_ok(), "{address}");
        }
        for (address, what) in [
            ("127.0.0.1", "this machine"),
            ("::1", "this machine"),
            ("::ffff:127.0.0.2", "this machine"),
            ("::127.0.0.1", "this machine"),
            ("169.254.169.254", "a link-local address"),
            ("64:ff9b::a9fe:a9fe", "a link-local address"),
            ("fe80::1", "a link-local address"),
            ("0.0.0.0", "a reserved address"),
            ("::", "a reserved address"),
            ("224.0.0.1", "a group of machines"),
            ("255.255.255.255", "a group of machines"),
            ("240.0.0.1", "a reserved address"),
            ("2002:7f00:1::1", "this machine"),
            ("64:ff9b:1::a9fe:a9fe", "a link-local address"),
            ("ff02::1", "a group of machines"),
            ("::ffff:0:7f00:1", "this machine"),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "a reserved address"),
            ("100::1", "a reserved address"),
            ("192.88.99.1", "a reserved address"),
            ("168.63.129.16", "the metadata service of a cloud"),
            ("100.100.100.200", "the metadata service of a cloud"),
            ("192.0.0.192", "the metadata service of a cloud"),
            ("::ffff:100.100.100.200", "the metadata service of a cloud"),
            ("fd00:ec2::254", "the metadata service of a cloud"),
        ] {
            let refused = ask(&resolver, "netbox.example", &[address]).unwrap_err();
            let address: IpAddr = address.parse().unwrap();
            assert!(refused.starts_with(&format!("`netbox.example` resolves to {address}, which is {what}; ")), "{refused}");
        }
        insta::assert_snapshot!(ask(&resolver, "netbox.example", &["169.254.169.254"]).unwrap_err(), @"`netbox.example` resolves to 169.254.169.254, which is a link-local address; to allow it, write under `source:` in config.yml: `grants: {networks: [169.254.169.254/32]}`");
    }

    #[test]
    fn a_granted_name_leads_to_public_addresses_alone() {
        let resolver = resolver(&[]);
        for address in ["192.0.2.1", "198.20.0.1", "192.0.1.1", "2002:c000:201::1", "64:ff9b::c000:201"] {
            assert!(ask(&resolver, "cdn.example", &[address]).is_ok(), "{address}");
        }
        for address in [
            "10.1.2.3",
            "fd00::1",
            "100.64.0.1",
            "127.0.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "198.19.255.1",
            "2002:a00:1::",
            "64:ff9b:1::c000:201",
        ] {
            assert!(ask(&resolver, "cdn.example", &[address]).is_err(), "{address}");
            assert!(ask(&resolver, "nobody-said.example", &[address]).is_err(), "{address}");
        }
    }

    #[test]
    fn addresses_that_are_not_allowed_are_passed_over() {
        let resolver = resolver(&[]);
        assert_eq!(ask(&resolver, "netbox.example", &["127.0.0.1", "192.0.2.1", "fe80::1"]), Ok(vec!["192.0.2.1".into()]));
        assert_eq!(ask(&resolver, "netbox.example", &[]), Ok(vec![]));
    }

    #[test]
    fn localhost_and_the_proxy_are_where_they_are() {
        let resolver = resolver(&[]);
        for name in ["localhost", "LOCALHOST.", "a.localhost"] {
            assert!(ask(&resolver, name, &["127.0.0.1", "::1"]).is_ok(), "{name}");
        }
        assert!(ask(&resolver, "localhost", &["169.254.0.1"]).is_err());
        assert!(ask(&resolver, "localhost.example", &["127.0.0.1"]).is_err());
        assert!(ask(&resolver, "proxy.example", &["127.0.0.1"]).is_ok());
    }

    #[test]
    fn granted_networks_are_allowed_to_all() {
        let resolver = resolver(&["10.0.0.0/8", "127.0.0.0/8"]);
        assert!(ask(&resolver, "cdn.example", &["10.9.9.9"]).is_ok());
        assert!(ask(&resolver, "netbox.example", &["127.0.0.1"]).is_ok());
        assert!(ask(&resolver, "netbox.example", &["::ffff:127.0.0.1"]).is_ok());
        let refused = ask(&resolver, "cdn.example", &["192.168.0.1"]).unwrap_err();
        // The line has what is granted already, so that it can take the place of the old one.
        assert!(refused.ends_with("`grants: {networks: [10.0.0.0/8, 127.0.0.0/8, 192.168.0.1/32]}`"), "{refused}");
    }

    #[tokio::test]
    async fn a_name_that_changes_its_mind_is_looked_at_each_time() {
        let mut resolver = resolver(&[]);
        let asked = std::sync::atomic::AtomicUsize::new(0);
        resolver.look_up = Box::new(move |_| {
            let answers: [[u8; 4]; 2] = [[192, 0, 2, 1], [127, 0, 0, 1]];
            let answer = answers[asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed)];
            Box::pin(std::future::ready(Ok(vec![SocketAddr::from((answer, 0))])))
        });
        let names = Names(Arc::new(resolver));
        let name = || "netbox.example".parse::<Name>().unwrap();
        assert_eq!(names.resolve(name()).await.unwrap().map(|address| address.ip().to_string()).collect::<Vec<_>>(), ["192.0.2.1"]);
        let refused = names.resolve(name()).await.err().unwrap();
        assert!(refused.downcast_ref::<Refused>().is_some(), "{refused}");
    }
}
