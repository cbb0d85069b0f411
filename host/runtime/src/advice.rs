//! The lines of config.yml that would allow what was denied.

use ipnet::IpNet;

use crate::error::Role;

/// The grants of one side, which a line has to repeat.
#[derive(Debug, Clone, Default)]
pub(crate) struct Advice {
    pub(crate) role: Option<Role>,
    /// `grants.origins`.
    pub(crate) origins: Vec<String>,
    /// `grants.networks`.
    pub(crate) networks: Vec<IpNet>,
    /// `grants.headers`.
    pub(crate) headers: Vec<String>,
}

impl Advice {
    /// Returns the line that allows a further origin, without credentials.
    pub(crate) fn origin(&self, origin: &str) -> String {
        let mut origins = self.origins.clone();
        origins.push(origin.to_owned());
        self.line(&origins, &self.networks, &self.headers)
    }

    /// Returns the line that lets names resolve to a network.
    pub(crate) fn network(&self, network: IpNet) -> String {
        let mut networks = self.networks.clone();
        networks.push(network);
        self.line(&self.origins, &networks, &self.headers)
    }

    /// Returns the line that lets the adapter set a header.
    pub(crate) fn header(&self, name: &str) -> String {
        let mut headers = self.headers.clone();
        headers.push(name.to_owned());
        self.line(&self.origins, &self.networks, &headers)
    }

    fn line(&self, origins: &[String], networks: &[IpNet], headers: &[String]) -> String {
        // Brackets of an IPv6 address would end the list.
        let origins = origins.iter().map(|origin| if origin.contains('[') { format!("\"{origin}\"") } else { origin.clone() });
        let networks = networks.iter().map(ToString::to_string);
        let list = |name: &str, items: Vec<String>| (!items.is_empty()).then(|| format!("{name}: [{}]", items.join(", ")));
        let lists = [list("origins", origins.collect()), list("networks", networks.collect()), list("headers", headers.to_vec())];
        let lists: Vec<String> = lists.into_iter().flatten().collect();
        format!("to allow it, write {}: `grants: {{{}}}`", below(self.role), lists.join(", "))
    }
}

/// Returns the place in config.yml where a line belongs.
pub(crate) fn below(role: Option<Role>) -> String {
    match role {
        Some(role) => format!("under `{role}:` in config.yml"),
        None => "in config.yml, under the adapter's side".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_what_is_granted_already() {
        let advice = Advice {
            role: Some(Role::Destination),
            origins: vec!["http://[::1]:80".into()],
            networks: vec!["10.0.0.0/8".parse().unwrap()],
            headers: Vec::new(),
        };
        insta::assert_snapshot!(advice.origin("https://cdn.example.com"), @r#"to allow it, write under `destination:` in config.yml: `grants: {origins: ["http://[::1]:80", https://cdn.example.com], networks: [10.0.0.0/8]}`"#);
        insta::assert_snapshot!(advice.header("x-own"), @r#"to allow it, write under `destination:` in config.yml: `grants: {origins: ["http://[::1]:80"], networks: [10.0.0.0/8], headers: [x-own]}`"#);
        insta::assert_snapshot!(Advice::default().network("fe80::1/128".parse().unwrap()), @"to allow it, write in config.yml, under the adapter's side: `grants: {networks: [fe80::1/128]}`");
    }
}
