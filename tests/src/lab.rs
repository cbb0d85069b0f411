//! The schema `lab` with references to several kinds, templates and profiles: its mappings, for the fake Infrahub and for a real one.

use serde_json::Value;

use crate::Project;

/// Sites, racks, devices whose place is one of them, and ports.
pub const PLACES: &str = "
  - name: LabSite
    mapping: sites
    identifiers: [name]
    fields: [{name: name, mapping: name}]
  - name: LabRack
    mapping: racks
    identifiers: [name]
    fields: [{name: name, mapping: name}]
  - name: LabDevice
    mapping: devices
    identifiers: [location, name]
    filters: [{field: rack, operation: is_not_empty}]
    fields:
      - {name: location, mapping: rack, reference: LabRack}
      - {name: name, mapping: name}
      - {name: role, mapping: role}
      - {name: platform, reference: LabPlatform}
  - name: LabDevice
    mapping: devices
    filters: [{field: rack, operation: is_empty}]
    fields:
      - {name: location, mapping: site, reference: LabSite}
      - {name: name, mapping: name}
      - {name: role, mapping: role}
      - {name: platform, reference: LabPlatform}
  - name: LabPort
    mapping: ports
    identifiers: [device, name]
    fields:
      - {name: device, mapping: device, reference: LabDevice}
      - {name: name, mapping: name}
";

/// Circuits, and cables between ports and circuits.
pub const CABLES: &str = "
  - name: LabCircuit
    mapping: circuits
    identifiers: [name]
    fields: [{name: name, mapping: name}]
  - name: LabCable
    mapping: cables
    identifiers: [label]
    fields:
      - {name: label, mapping: label}
      - {name: endpoints, mapping: ends, reference: LabEndpoint}
      - {name: origin, mapping: origin, reference: [LabPort, LabCircuit]}
";

/// Templates with their ports, profiles, and devices that are made from them.
pub const TEMPLATES: &str = "
  - name: TemplateLabDevice
    mapping: types
    identifiers: [template_name]
    fields:
      - {name: template_name, mapping: name}
      - {name: role, mapping: role}
      - {name: height, mapping: height}
  - name: TemplateLabPort
    mapping: type_ports
    identifiers: [device, template_name]
    fields:
      - {name: device, mapping: type, reference: TemplateLabDevice}
      - {name: template_name, mapping: name}
      - {name: name, mapping: port}
      - {name: note, static: from the template}
  - name: ProfileLabDevice
    mapping: profiles
    identifiers: [profile_name]
    fields:
      - {name: profile_name, mapping: name}
      - {name: profile_priority, mapping: priority}
      - {name: height, mapping: height}
  - name: LabSite
    mapping: sites
    identifiers: [name]
    fields: [{name: name, mapping: name}]
  - name: LabDevice
    mapping: devices
    identifiers: [location, name]
    fields:
      - {name: location, mapping: site, reference: LabSite}
      - {name: name, mapping: name}
      - {name: object_template, mapping: type, reference: TemplateLabDevice}
      - {name: profiles, mapping: profiles, reference: CoreProfile}
  - name: LabPort
    mapping: ports
    identifiers: [device, name]
    fields:
      - {name: device, mapping: device, reference: LabDevice}
      - {name: name, mapping: name}
      - {name: note, mapping: note}
";

/// Returns a project from files to an Infrahub with these settings. It may delete everything.
#[must_use]
pub fn project(settings: &str, mappings: &[&str]) -> Project {
    Project::new(&format!(
        "name: lab\nsource: {{name: files, settings: {{path: source}}}}\ndestination: {{name: infrahub, settings: {{{settings}}}}}\n\
         diffsync_flags: [NONE]\ndeletes: all\nmax_deletes: 100%\nschema_mapping:{}",
        mappings.concat()
    ))
}

/// Writes the records of a resource of the source.
pub fn source(project: &Project, resource: &str, records: &Value) {
    project.write(&format!("source/{resource}.json"), &records.to_string());
}
