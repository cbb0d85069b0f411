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
}

impl Advice {
    /// Returns the line that allows a further origin, without credentials.
    pub(crate) fn origin(&self, origin: &str) -> String {
        let mut origins = self.origins.clone();
        origins.push(origin.to_owned());
        self.line(&origins, &self.networks)
    }

    /// Returns the line that lets names resolve to a network.
    pub(crate) fn network(&self, network: IpNet) -> String {
        let mut networks = self.networks.clone();
        networks.push(network);
        self.line(&self.origins, &networks)
    }

    fn line(&self, origins: &[String], networks: &[IpNet]) -> String {
        // Brackets of an IPv6 address would end the list.
        let origins = origins.iter().map(|origin| if origin.contains('[') { format!("\"{origin}\"") } else { origin.clone() });
        let networks = networks.iter().map(ToString::to_string);
        let list = |name: &str, items: Vec<String>| (!items.is_empty()).then(|| format!("{name}: [{}]", items.join(", ")));
        let lists: Vec<String> = [list("origins", origins.collect()), list("networks", networks.collect())].into_iter().flatten().collect();
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
        };
        insta::assert_snapshot!(advice.origin("https://cdn.example.com"), @r#"to allow it, write under `destination:` in config.yml: `grants: {origins: ["http://[::1]:80", https://cdn.example.com], networks: [10.0.0.0/8]}`"#);
        insta::assert_snapshot!(Advice::default().network("fe80::1/128".parse().unwrap()), @"to allow it, write in config.yml, under the adapter's side: `grants: {networks: [fe80::1/128]}`");
    }
}
