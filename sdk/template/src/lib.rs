//! The smallest adapter: a source whose records are in memory. Copy the folder and replace `PLANETS` by your system.

use infrahub_sync_adapter::{Adapter, Addressing, Error, LoadRequest, Manifest, Page, Result, Setting, SettingType, settings};
use serde::{Deserialize, Serialize};

/// What the system holds.
const PLANETS: [Planet; 4] = [
    Planet { id: 1, name: "Mercury", moons: 0 },
    Planet { id: 2, name: "Venus", moons: 0 },
    Planet { id: 3, name: "Earth", moons: 1 },
    Planet { id: 4, name: "Mars", moons: 2 },
];

#[derive(Serialize)]
struct Planet {
    id: u32,
    name: &'static str,
    moons: u32,
}

/// The settings of config.yml, read.
#[derive(Deserialize)]
struct Planets {
    moons_min: u32,
}

impl Adapter for Planets {
    fn manifest() -> Manifest {
        Manifest::new("planets", env!("CARGO_PKG_VERSION"), "the planets, as a source")
            .with_setting(Setting::new("moons_min", SettingType::Integer, "leave out planets with fewer moons").with_default("0"))
            .with_source(Addressing::Mapping)
            .with_page_size(2)
            .with_ids()
    }

    fn configure(settings: &str) -> Result<Planets> {
        settings::parse(settings)
    }

    fn load(&self, request: &LoadRequest) -> Result<Page> {
        if request.resource != "planets" {
            return Err(Error::config(format!("there are no `{}`, only `planets`", request.resource)));
        }
        // The cursor is the id of the last planet of the page before: all that this page needs to know.
        let after: u32 = request.cursor_as()?.unwrap_or(0);
        let mut rest = PLANETS.iter().filter(|planet| planet.id > after && planet.moons >= self.moons_min).peekable();
        let page: Vec<&Planet> = rest.by_ref().take(request.page_size.max(1) as usize).collect();
        let next = rest.peek().and(page.last()).map(|planet| planet.id);
        Page::records(page)?.with_next(next)
    }
}

infrahub_sync_adapter::export_adapter!(Planets);

#[cfg(test)]
mod tests {
    use infrahub_sync_adapter::testing::{first_page, load_all};
    use infrahub_sync_adapter::{Adapter, ErrorKind, LoadRequest};

    use super::Planets;

    #[test]
    fn all_planets_come_in_pages_of_two() {
        let planets = Planets::configure(r#"{"moons_min": 0}"#).unwrap();
        let records = load_all(&planets, LoadRequest { page_size: 2, ..first_page("planets", &["name"]) }).unwrap();
        assert_eq!(records.len(), 4);
        assert_eq!(records[2]["name"], "Earth");
    }

    #[test]
    fn an_unknown_resource_is_a_mistake_in_the_mapping() {
        let planets = Planets::configure(r#"{"moons_min": 1}"#).unwrap();
        assert_eq!(planets.load(&first_page("stars", &[])).unwrap_err().kind, ErrorKind::Config);
        assert_eq!(load_all(&planets, first_page("planets", &[])).unwrap().len(), 2);
    }
}
