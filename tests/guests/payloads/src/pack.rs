//! Records into packed columns.

use infrahub_sync_adapter::{Column, ColumnData, Columns, Error, Result, TextData};

use crate::device::{Device, Peer};

/// Packs the requested fields, and always `id`.
pub(crate) fn columns(records: &[Device], fields: &[String]) -> Result<Columns> {
    let mut columns = vec![integers("id", records.iter().map(|device| Some(device.id)))];
    for field in fields.iter().filter(|field| *field != "id") {
        columns.push(column(records, field)?);
    }
    let rows = u32::try_from(records.len()).map_err(|_| Error::internal("a page of more than four billion records"))?;
    Ok(Columns { rows, columns })
}

fn column(records: &[Device], field: &str) -> Result<Column> {
    let text = |of: fn(&Device) -> Option<&str>| texts(field, records, of);
    Ok(match field {
        "name" => text(|device| device.name.as_deref()),
        "serial" => text(|device| device.serial.as_deref()),
        "asset_tag" => text(|device| device.asset_tag.as_deref()),
        "status.value" => text(|device| device.status.as_ref().map(|status| status.value.as_str())),
        "face.value" => text(|device| device.face.as_ref().map(|face| face.value.as_str())),
        "platform.slug" => text(|device| device.platform.as_ref().map(|platform| platform.slug.as_str())),
        "primary_ip4.address" => text(|device| device.primary_ip4.as_ref().map(|address| address.address.as_str())),
        "description" => text(|device| device.description.as_deref()),
        "custom_fields.owner" => text(|device| device.custom_fields.owner.as_deref()),
        "last_updated" => text(|device| device.last_updated.as_deref()),
        "role" => peers(field, records, |device| device.role.as_ref()),
        "device_type" => peers(field, records, |device| device.device_type.as_ref()),
        "site" => peers(field, records, |device| device.site.as_ref()),
        "rack" => peers(field, records, |device| device.rack.as_ref()),
        "tenant" => peers(field, records, |device| device.tenant.as_ref()),
        "tags" => jsons(field, records, |device, out| {
            out.push('[');
            for (at, tag) in device.tags.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                peer(tag, out);
            }
            out.push(']');
            true
        }),
        "position" => {
            let mut validity = Validity::default();
            let values = records.iter().map(|device| validity.of(device.position).unwrap_or(0.0)).collect();
            Column { name: field.to_owned(), validity: validity.done(), data: ColumnData::Floats(values) }
        }
        other => return Err(Error::config(format!("devices have no `{other}`"))),
    })
}

fn peer(peer: &Peer, out: &mut String) {
    use std::fmt::Write as _;
    let _ = write!(out, r#"{{"id":{}}}"#, peer.id); // writing to a String cannot fail
}

fn peers(name: &str, records: &[Device], of: fn(&Device) -> Option<&Peer>) -> Column {
    jsons(name, records, |device, out| match of(device) {
        Some(held) => {
            peer(held, out);
            true
        }
        None => false,
    })
}

fn integers(name: &str, values: impl Iterator<Item = Option<i64>>) -> Column {
    let mut validity = Validity::default();
    let values = values.map(|value| validity.of(value).unwrap_or(0)).collect();
    Column { name: name.to_owned(), validity: validity.done(), data: ColumnData::Integers(values) }
}

fn texts(name: &str, records: &[Device], of: fn(&Device) -> Option<&str>) -> Column {
    let (validity, texts) = packed(records, |device, out| match of(device) {
        Some(text) => {
            out.push_str(text);
            true
        }
        None => false,
    });
    Column { name: name.to_owned(), validity, data: ColumnData::Texts(texts) }
}

/// `write` says whether there is a value.
fn jsons(name: &str, records: &[Device], write: impl Fn(&Device, &mut String) -> bool) -> Column {
    let (validity, texts) = packed(records, write);
    Column { name: name.to_owned(), validity, data: ColumnData::Jsons(texts) }
}

fn packed(records: &[Device], write: impl Fn(&Device, &mut String) -> bool) -> (Option<Vec<u8>>, TextData) {
    let mut validity = Validity::default();
    let mut offsets = Vec::with_capacity(records.len() + 1);
    let mut text = String::with_capacity(records.len() * 16);
    offsets.push(0);
    for record in records {
        let valid = write(record, &mut text);
        validity.of(valid.then_some(()));
        offsets.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
    }
    (validity.done(), TextData { offsets, bytes: text.into_bytes() })
}

/// One bit a record.
#[derive(Default)]
struct Validity {
    bits: Vec<u8>,
    rows: usize,
    nulls: bool,
}

impl Validity {
    fn of<T>(&mut self, value: Option<T>) -> Option<T> {
        if self.rows.is_multiple_of(8) {
            self.bits.push(0);
        }
        match (&value, self.bits.last_mut()) {
            (Some(_), Some(last)) => *last |= 1 << (self.rows % 8),
            _ => self.nulls = true,
        }
        self.rows += 1;
        value
    }

    fn done(self) -> Option<Vec<u8>> {
        self.nulls.then_some(self.bits)
    }
}
