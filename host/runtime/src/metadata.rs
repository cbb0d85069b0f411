//! The texts about a component in its own custom sections, as component tools write and read them (`wasm-tools metadata`).

use wasmparser::{Parser, Payload};

/// The sections, which have the names of the OCI's annotations.
const NAMES: [&str; 8] = ["authors", "description", "documentation", "homepage", "licenses", "revision", "source", "version"];
/// The longest text.
const TEXT_BYTES_MAX: usize = 4096;

/// Returns the texts of a component, by name: `licenses`, `homepage` as `url`, and others. Those of the modules in it are about its parts.
#[must_use]
pub fn metadata(component: &[u8]) -> Vec<(&'static str, String)> {
    let mut found: Vec<(&'static str, String)> = Vec::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        match payload {
            Ok(Payload::Version { .. }) => depth += 1,
            Ok(Payload::End(_)) => depth = depth.saturating_sub(1),
            Ok(Payload::CustomSection(section)) if depth == 1 => {
                let Some(name) = NAMES.iter().find(|name| **name == section.name()) else { continue };
                let text = std::str::from_utf8(section.data()).ok().filter(|text| !text.is_empty() && text.len() <= TEXT_BYTES_MAX);
                let name = if *name == "homepage" { "url" } else { name };
                if let Some(text) = text.filter(|_| !found.iter().any(|(known, _)| *known == name)) {
                    found.push((name, text.to_owned()));
                }
            }
            Ok(_) => {}
            // Who loads it says what is wrong.
            Err(_) => break,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use wasm_encoder::{Component, CustomSection, Module, ModuleSection};

    use super::*;

    #[test]
    fn the_texts_of_the_component_itself_are_found() {
        let section =
            |name: &'static str, text: &'static str| CustomSection { name: Cow::Borrowed(name), data: Cow::Borrowed(text.as_bytes()) };
        let (mut module, mut component) = (Module::new(), Component::new());
        module.section(&section("licenses", "of a part"));
        component.section(&ModuleSection(&module));
        component.section(&section("homepage", "https://acme.example.org"));
        component.section(&section("licenses", "MIT"));
        component.section(&section("licenses", "another"));
        component.section(&section("name", "x"));
        let bytes = component.finish();
        assert_eq!(metadata(&bytes), [("url", "https://acme.example.org".to_owned()), ("licenses", "MIT".to_owned())]);
        assert_eq!(metadata(b"PK"), []);
        assert_eq!(metadata(&bytes[..bytes.len() - 1]).len(), 2);
    }
}
