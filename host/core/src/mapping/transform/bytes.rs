//! Python's bytes, and the translation of characters: `encode`, `decode`, `hex`, `maketrans`, `translate`.

use std::fmt::Write as _;
use std::sync::Arc;

use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value as TemplateValue};

use super::environment::invalid;

/// Bytes. The engine takes its own for text.
#[derive(Debug)]
struct Bytes(Vec<u8>);

impl Object for Bytes {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &TemplateValue) -> Option<TemplateValue> {
        self.0.get(key.as_usize()?).map(|byte| TemplateValue::from(*byte))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.len())
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[TemplateValue]) -> Result<TemplateValue, Error> {
        match method {
            "decode" => decode(&self.0, args),
            "hex" => from_args::<()>(args).map(|()| {
                let mut out = String::with_capacity(self.0.len() * 2);
                self.0.iter().for_each(|byte| {
                    let _ = write!(out, "{byte:02x}"); // writing to a String cannot fail
                });
                out.into()
            }),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

/// Returns the bytes of a value that is bytes.
pub(super) fn as_bytes(value: &TemplateValue) -> Option<&[u8]> {
    value.downcast_object_ref::<Bytes>().map(|bytes| bytes.0.as_slice())
}

/// The encodings that templates know.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Ascii,
    Latin1,
}

/// The treatment of a character or byte that the encoding does not have.
#[derive(Clone, Copy)]
enum Otherwise {
    Fail,
    Ignore,
    Replace,
    XmlReference,
    Backslash,
    /// A word that Python only rejects when it needs it.
    Unknown,
}

/// Reads the arguments of `encode` and `decode`.
fn how(args: &[TemplateValue]) -> Result<(Encoding, Otherwise), Error> {
    let (encoding, errors, kwargs): (Option<String>, Option<String>, Kwargs) = from_args(args)?;
    let encoding = match encoding {
        Some(encoding) => encoding,
        None => kwargs.get::<Option<String>>("encoding")?.unwrap_or_else(|| "utf-8".to_owned()),
    };
    let errors = match errors {
        Some(errors) => errors,
        None => kwargs.get::<Option<String>>("errors")?.unwrap_or_else(|| "strict".to_owned()),
    };
    kwargs.assert_all_used()?;
    let known = match encoding.to_ascii_lowercase().replace(['_', ' '], "-").as_str() {
        "utf-8" | "utf8" | "u8" => Encoding::Utf8,
        "ascii" | "us-ascii" | "646" => Encoding::Ascii,
        "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" | "8859" | "l1" => Encoding::Latin1,
        _ => return Err(invalid(format!("unknown encoding: {encoding}; utf-8, ascii and latin-1 are known"))),
    };
    let otherwise = match errors.as_str() {
        "strict" => Otherwise::Fail,
        "ignore" => Otherwise::Ignore,
        "replace" => Otherwise::Replace,
        "xmlcharrefreplace" => Otherwise::XmlReference,
        "backslashreplace" => Otherwise::Backslash,
        _ => Otherwise::Unknown,
    };
    Ok((known, otherwise))
}

/// `str.encode`.
pub(super) fn encode(text: &str, args: &[TemplateValue]) -> Result<TemplateValue, Error> {
    let (encoding, otherwise) = how(args)?;
    let last = match encoding {
        Encoding::Utf8 => return Ok(TemplateValue::from_object(Bytes(text.as_bytes().to_vec()))),
        Encoding::Ascii => 0x7f,
        Encoding::Latin1 => 0xff,
    };
    let mut out = Vec::with_capacity(text.len());
    for character in text.chars() {
        let code = u32::from(character);
        match (u8::try_from(code).ok().filter(|byte| *byte <= last), otherwise) {
            (Some(byte), _) => out.push(byte),
            (None, Otherwise::Fail) => return Err(invalid(format!("the encoding has no character '{character}'"))),
            (None, Otherwise::Unknown) => return Err(invalid("unknown error handler name")),
            (None, Otherwise::Ignore) => {}
            (None, Otherwise::Replace) => out.push(b'?'),
            (None, Otherwise::XmlReference) => out.extend(format!("&#{code};").bytes()),
            (None, Otherwise::Backslash) => out.extend(escaped(code).bytes()),
        }
    }
    Ok(TemplateValue::from_object(Bytes(out)))
}

fn escaped(code: u32) -> String {
    match code {
        0..=0xff => format!("\\x{code:02x}"),
        0x100..=0xffff => format!("\\u{code:04x}"),
        _ => format!("\\U{code:08x}"),
    }
}

/// `bytes.decode`.
fn decode(bytes: &[u8], args: &[TemplateValue]) -> Result<TemplateValue, Error> {
    let (encoding, otherwise) = how(args)?;
    if encoding == Encoding::Latin1 {
        return Ok(bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into());
    }
    let mut out = String::with_capacity(bytes.len());
    let wrong = |bytes: &[u8], out: &mut String| match otherwise {
        Otherwise::Fail | Otherwise::XmlReference | Otherwise::Unknown => Err(invalid("the bytes are not text in this encoding")),
        Otherwise::Ignore => Ok(()),
        Otherwise::Replace => {
            out.push('\u{fffd}');
            Ok(())
        }
        Otherwise::Backslash => {
            bytes.iter().for_each(|byte| out.push_str(&escaped(u32::from(*byte))));
            Ok(())
        }
    };
    if encoding == Encoding::Ascii {
        for byte in bytes {
            if byte.is_ascii() { out.push(char::from(*byte)) } else { wrong(&[*byte], &mut out)? }
        }
        return Ok(out.into());
    }
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            wrong(chunk.invalid(), &mut out)?;
        }
    }
    Ok(out.into())
}

/// Python's `repr` of bytes.
pub(super) fn write_repr_of_bytes(bytes: &[u8], out: &mut String) {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    out.push('b');
    out.push(quote);
    for byte in bytes {
        match char::from(*byte) {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            character if character == quote => {
                out.push('\\');
                out.push(quote);
            }
            character @ ' '..='~' => out.push(character),
            _ => out.push_str(&escaped(u32::from(*byte))),
        }
    }
    out.push(quote);
}

/// `str.maketrans`: a dict, two texts of one length, or these and characters to remove.
pub(super) fn maketrans(args: &[TemplateValue]) -> Result<TemplateValue, Error> {
    let (from, to, removed): (TemplateValue, Option<&str>, Option<&str>) = from_args(args)?;
    let code = |character: char| TemplateValue::from(u32::from(character));
    let mut table: indexmap::IndexMap<TemplateValue, TemplateValue> = indexmap::IndexMap::new();
    match (from.as_str(), to) {
        (Some(from), Some(to)) => {
            if from.chars().count() != to.chars().count() {
                return Err(invalid("the first two maketrans arguments must have equal length"));
            }
            table.extend(from.chars().zip(to.chars()).map(|(from, to)| (code(from), code(to))));
            table.extend(removed.into_iter().flat_map(str::chars).map(|character| (code(character), TemplateValue::from(()))));
        }
        (None, None) if from.kind() == ValueKind::Map => {
            for key in from.try_iter()? {
                let value = from.get_item(&key)?;
                let mut characters = key.as_str().unwrap_or_default().chars();
                let key = match (key.kind(), characters.next(), characters.next()) {
                    (ValueKind::String, Some(only), None) => code(only),
                    (ValueKind::Number, _, _) => key,
                    _ => return Err(invalid("keys in translate table must be strings of length 1 or integers")),
                };
                table.insert(key, value);
            }
        }
        _ => return Err(invalid("maketrans takes a dict, or two texts")),
    }
    Ok(table.into())
}

/// `str.translate`: a character becomes what the table has for its number: a text, a number, or nothing.
pub(super) fn translate(text: &str, args: &[TemplateValue]) -> Result<TemplateValue, Error> {
    let (table,): (TemplateValue,) = from_args(args)?;
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match table.get_item(&TemplateValue::from(u32::from(character)))? {
            value if value.is_undefined() => out.push(character),
            value if value.is_none() => {}
            value => match (value.as_str(), u32::try_from(value.clone()).ok().and_then(char::from_u32)) {
                (Some(text), _) => out.push_str(text),
                (None, Some(other)) => out.push(other),
                (None, None) => return Err(invalid("character mapping must return integer, None or str")),
            },
        }
    }
    Ok(out.into())
}
