//! The description of itself.

use infrahub_sync_runtime::{Error, Manifest, Setting, SettingType};

use crate::report::{Finding, Verdict};
use crate::subject::Subject;

/// A page is a call and a piece of memory: more records than this are neither.
const PAGE_SIZE_MAX: u32 = 100_000;
/// A batch is a call and a piece of memory, too, and what is lost with an answer.
const WRITE_BATCH_MAX: u32 = 100_000;
/// More writes at a time than any of these systems bears.
const WRITE_CONCURRENCY_MAX: u32 = 64;

pub(super) fn undescribed(error: &Error) -> Verdict {
    let remedy = "`describe` answers with constants: no settings, no network, no files; correct what the message names";
    Verdict::of(vec![Finding::new(error.to_string(), remedy)], "")
}

pub(super) fn manifest(subject: &Subject<'_>) -> Verdict {
    let manifest = &subject.manifest;
    let mut findings = Vec::new();
    let mut wrong = |happened: String, remedy: &str| findings.push(Finding::new(happened, remedy));
    if manifest.name.chars().any(|letter| letter.is_ascii_uppercase()) {
        wrong(format!("the name `{}` has capital letters", manifest.name), "a project writes the name: letters in lower case, digits, `-`");
    }
    if !is_semver(&manifest.version) {
        wrong(
            format!("the version `{}` is not a version of semver.org", manifest.version),
            "write it as `1.2.3`: projects pin it, and runs note it",
        );
    }
    if !is_line(&manifest.description) {
        wrong("the description is empty or more than a line".to_owned(), "say in one line what system it is for, and which versions");
    }
    if manifest.source.is_none() && manifest.destination.is_none() {
        wrong(
            "it is neither source nor destination".to_owned(),
            "say how it is addressed as a source (`source`) or as a destination (`destination`)",
        );
    }
    if manifest.schema && manifest.destination.is_none() && manifest.source.is_none() {
        wrong("it has a schema of nothing".to_owned(), "leave out `schema`");
    }
    for (name, value, most) in [
        ("page-size", manifest.page_size, PAGE_SIZE_MAX),
        ("write-batch-max", manifest.write_batch_max, WRITE_BATCH_MAX),
        ("write-concurrency", manifest.write_concurrency, WRITE_CONCURRENCY_MAX),
    ] {
        if value > most {
            wrong(format!("`{name}` is {value}"), &format!("{most} is the most that makes sense"));
        }
    }
    for (what, named) in [("address", &manifest.address_setting), ("folder", &manifest.folder_setting)] {
        let typed = named.as_ref().and_then(|name| manifest.setting(name)).map(|setting| setting.setting_type);
        if typed.is_some_and(|typed| typed != SettingType::Text) {
            wrong(format!("the setting of the {what} is not a text"), "declare it as text");
        }
    }
    for setting in &manifest.settings {
        findings.extend(of_setting(manifest, setting));
    }
    Verdict::of(findings, format!("{} settings", manifest.settings.len()))
}

fn of_setting(manifest: &Manifest, setting: &Setting) -> Vec<Finding> {
    let name = &setting.name;
    let mut findings = Vec::new();
    let mut wrong = |happened: String, remedy: &str| findings.push(Finding::new(happened, remedy));
    let is_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-');
    if !is_word(name) {
        wrong(format!("the setting `{name}` is not a plain word"), "letters in lower case, digits, `_` and `-`");
    }
    if !is_line(&setting.help) {
        wrong(format!("the help of the setting `{name}` is empty or more than a line"), "say in one line what it is for");
    }
    for variable in &setting.environment {
        let plain = variable.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        if variable.is_empty() || !plain {
            wrong(
                format!("`{variable}` of the setting `{name}` is not a name of an environment variable"),
                "capital letters, digits and `_`",
            );
        }
    }
    if let Some(default) = &setting.default {
        if setting.secret {
            wrong(format!("the secret `{name}` has a default"), "whoever has the file has the secret: leave it out");
        } else if setting.required {
            wrong(format!("the setting `{name}` is required and has a default"), "one of them: with a default it is never missing");
        }
        if !fits(setting.setting_type, default) {
            wrong(format!("the default {default:?} of the setting `{name}` does not have its type"), "correct the default or the type");
        }
    }
    if setting.secret && setting.setting_type != SettingType::Text {
        wrong(format!("the secret `{name}` is not a text"), "secrets are texts: the host puts them into headers as they are");
    }
    if setting.secret && manifest.address_setting.is_none() {
        wrong(
            format!("the secret `{name}` goes nowhere: the adapter has no address"),
            "the host keeps secrets and puts them on requests; leave it out, or name the setting of the address",
        );
    }
    findings
}

fn fits(setting_type: SettingType, text: &str) -> bool {
    let word = text.trim().to_ascii_lowercase();
    match setting_type {
        SettingType::Text => true,
        SettingType::Boolean => ["true", "false", "yes", "no", "on", "off", "1", "0"].contains(&word.as_str()),
        SettingType::Integer => word.parse::<i64>().is_ok(),
        SettingType::Float => word.parse::<f64>().is_ok(),
        SettingType::Json => serde_json::from_str::<serde_json::Value>(text).is_ok(),
    }
}

fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains('\n')
}

/// `1.2.3`, `1.2.3-rc.1`, `1.2.3+build`.
fn is_semver(text: &str) -> bool {
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
    let identifier = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let parts: Vec<&str> = numbers.split('.').collect();
    let rest_fits = rest.is_empty() || {
        let (before, build) = rest.split_once('+').map_or((rest, None), |(before, build)| (before, Some(build)));
        let before = before.strip_prefix('-');
        before.is_none_or(|before| before.split('.').all(identifier)) && build.is_none_or(|build| build.split('.').all(identifier))
    };
    parts.len() == 3 && parts.into_iter().all(number) && rest_fits
}

pub(super) async fn describe(subject: &Subject<'_>) -> Verdict {
    let remedy = "`describe` answers with constants: no network, no files, nothing that changes";
    match subject.adapter.describe_anew().await {
        Ok(again) if again == subject.manifest => Verdict::of(Vec::new(), "twice, by two instances"),
        Ok(_) => Verdict::of(vec![Finding::new("the second instance describes itself differently", remedy)], ""),
        Err(error) => Verdict::of(vec![Finding::new(error.to_string(), remedy)], ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_semver() {
        for good in ["0.1.0", "1.2.3-rc.1", "1.2.3+build.5", "1.2.3-a-b+c"] {
            assert!(is_semver(good), "{good}");
        }
        for bad in ["", "1", "1.2", "v1.2.3", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.x", "1.2.3+"] {
            assert!(!is_semver(bad), "{bad}");
        }
    }

    #[test]
    fn defaults_have_the_type_of_their_setting() {
        assert!(fits(SettingType::Boolean, "off") && fits(SettingType::Integer, "-3") && fits(SettingType::Json, "[1]"));
        assert!(!fits(SettingType::Boolean, "maybe") && !fits(SettingType::Integer, "1.5") && !fits(SettingType::Json, "{"));
    }
}
