//! Queries. Pages of an APIC keep still only in an order, and an order needs the class of the objects.

use infrahub_sync_adapter::{Error, Query, Result};

/// Parameters of a query that say how it is cut into pages. A project that sets one of them pages by itself.
const OF_PAGES: [&str; 3] = ["page", "page-size", "order-by"];

/// A query of a project.
#[derive(Debug, PartialEq)]
pub(crate) struct ClassQuery<'r> {
    resource: &'r str,
    /// The class of all objects of the answer; none where there may be several.
    class: Option<&'r str>,
    is_paged: bool,
}

impl<'r> ClassQuery<'r> {
    /// Reads a mapping: `class/fvTenant.json`, `mo/uni/tn-common.json?query-target=subtree&target-subtree-class=fvBD`.
    pub(crate) fn of(resource: &'r str) -> Result<ClassQuery<'r>> {
        let resource = resource.trim_start_matches('/');
        let (path, parameters) = resource.split_once('?').unwrap_or((resource, ""));
        if path.is_empty() || resource.contains(['#', '\\']) || path.split('/').any(|part| part == "..") {
            let message = format!("`{resource}` is not a query: a mapping is a path below the API, such as `class/fvTenant.json`");
            return Err(Error::config(message));
        }
        let parameter = |name: &str| parameters.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
        let of_path =
            path.trim_start_matches("node/").strip_prefix("class/").map(|rest| rest.trim_end_matches(".json").trim_end_matches(".xml"));
        let subtree = parameter("target-subtree-class").map(|(_, classes)| classes);
        let is_self = parameter("query-target").is_none_or(|(_, target)| target == "self");
        let class = if is_self { of_path } else { subtree };
        let class = class.filter(|class| !class.is_empty() && !class.contains(['/', ',', '%']));
        let is_paged = class.is_some() && !OF_PAGES.iter().any(|name| parameter(name).is_some());
        if path.ends_with(".xml") {
            return Err(Error::config(format!("`{resource}` asks for XML: write `.json`")));
        }
        Ok(ClassQuery { resource, class, is_paged })
    }

    pub(crate) fn class(&self) -> Option<&'r str> {
        self.class
    }

    pub(crate) fn is_paged(&self) -> bool {
        self.is_paged
    }

    /// Returns the path of a page, from 0.
    pub(crate) fn page(&self, page: u64, size: u32) -> String {
        match self.class.filter(|_| self.is_paged) {
            Some(class) => {
                Query::new(self.resource).with("order-by", format!("{class}.dn|asc")).with("page-size", size).with("page", page).to_string()
            }
            None => self.resource.to_owned(),
        }
    }
}
