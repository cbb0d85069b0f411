//! A device as NetBox sends it, 2.2 KB, and the part of it that a mapping reads.

use serde::{Deserialize, Serialize};

/// The dotted paths that the mapping reads; the second says which are references.
pub const FIELDS: [(&str, bool); 17] = [
    ("name", false),
    ("serial", false),
    ("asset_tag", false),
    ("status.value", false),
    ("role", true),
    ("device_type", true),
    ("site", true),
    ("rack", true),
    ("position", false),
    ("face.value", false),
    ("tenant", true),
    ("platform.slug", false),
    ("primary_ip4.address", false),
    ("description", false),
    ("tags", true),
    ("custom_fields.owner", false),
    ("last_updated", false),
];

/// The fields that are read of a device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Device {
    pub(crate) id: i64,
    pub(crate) name: Option<String>,
    pub(crate) serial: Option<String>,
    pub(crate) asset_tag: Option<String>,
    pub(crate) status: Option<Choice>,
    pub(crate) role: Option<Peer>,
    pub(crate) device_type: Option<Peer>,
    pub(crate) site: Option<Peer>,
    pub(crate) rack: Option<Peer>,
    pub(crate) position: Option<f64>,
    pub(crate) face: Option<Choice>,
    pub(crate) tenant: Option<Peer>,
    pub(crate) platform: Option<Platform>,
    pub(crate) primary_ip4: Option<Address>,
    pub(crate) description: Option<String>,
    pub(crate) tags: Vec<Peer>,
    pub(crate) custom_fields: Custom,
    pub(crate) last_updated: Option<String>,
}

/// A value with a label, of which the label is for people.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Choice {
    pub(crate) value: String,
}

/// Another object; its id is all that is read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Peer {
    pub(crate) id: i64,
}

/// The platform.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Platform {
    pub(crate) slug: String,
}

/// An address.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Address {
    pub(crate) address: String,
}

/// The custom fields.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Custom {
    pub(crate) owner: Option<String>,
}

/// Device `i` in full.
#[must_use]
pub fn record(i: u32) -> String {
    let api = "https://netbox.example.com/api";
    let (site, rack, role, kind) = (i / 400 + 1, i / 40 + 1, i % 9 + 1, i % 23 + 1);
    let peer = |path: &str, id: u32, name: &str| {
        format!(r#"{{"id":{id},"url":"{api}/{path}/{id}/","display":"{name} {id}","name":"{name} {id}","slug":"{name}-{id}"}}"#)
    };
    let tags: Vec<String> = (0..i % 3)
        .map(|tag| {
            let id = (i + tag * 7) % 40 + 1;
            format!(
                r#"{{"id":{id},"url":"{api}/extras/tags/{id}/","display":"tag {id}","name":"tag {id}","slug":"tag-{id}","color":"9e9e9e"}}"#
            )
        })
        .collect();
    let asset = if i.is_multiple_of(4) { "null".to_owned() } else { format!("\"A-{i:07}\"") };
    let (second, third, fourth) = (i >> 16 & 255, i >> 8 & 255, i & 255);
    let address = format!(
        r#"{{"id":{i},"url":"{api}/ipam/ip-addresses/{i}/","display":"10.{second}.{third}.{fourth}/24","family":4,"address":"10.{second}.{third}.{fourth}/24"}}"#
    );
    format!(
        concat!(
            r#"{{"id":{id},"url":"{api}/dcim/devices/{id}/","display":"dm-akron-rtr{i:06}","#,
            r#""name":"dm-akron-rtr{i:06}","device_type":{{"id":{kind},"url":"{api}/dcim/device-types/{kind}/","display":"C9200-48P","manufacturer":{manufacturer},"#,
            r#""model":"C9200-48P","slug":"c9200-48p-{kind}","description":""}},"role":{role},"tenant":{tenant},"platform":{platform},"serial":"FOC{i:08}","#,
            r#""asset_tag":{asset},"site":{site},"location":null,"rack":{rack},"position":{position}.0,"face":{{"value":"front","label":"Front"}},"#,
            r#""latitude":null,"longitude":null,"parent_device":null,"status":{{"value":"{status}","label":"Active"}},"airflow":null,"primary_ip":{address},"#,
            r#""primary_ip4":{address},"primary_ip6":null,"oob_ip":null,"cluster":null,"virtual_chassis":null,"vc_position":null,"vc_priority":null,"#,
            r#""description":"Access switch {i} \u2013 floor {floor}","comments":"","config_template":null,"local_context_data":null,"tags":[{tags}],"#,
            r#""custom_fields":{{"owner":"team-{owner}","purchase_order":null}},"created":"2025-03-04T10:11:12.000000Z","last_updated":"2026-01-{day:02}T08:00:00.000000Z","#,
            r#""console_port_count":1,"interface_count":52,"power_port_count":2,"module_bay_count":0,"inventory_item_count":0}}"#
        ),
        id = i + 1,
        i = i,
        api = api,
        kind = kind,
        manufacturer = peer("dcim/manufacturers", kind % 5 + 1, "manufacturer"),
        role = peer("dcim/device-roles", role, "role"),
        tenant = peer("tenancy/tenants", i % 12 + 1, "tenant"),
        platform = peer("dcim/platforms", i % 6 + 1, "platform"),
        asset = asset,
        site = peer("dcim/sites", site, "site"),
        rack = peer("dcim/racks", rack, "rack"),
        position = i % 40 + 1,
        status = if i.is_multiple_of(7) { "planned" } else { "active" },
        address = address,
        floor = i % 11,
        tags = tags.join(","),
        owner = i % 30,
        day = i % 28 + 1,
    )
}
