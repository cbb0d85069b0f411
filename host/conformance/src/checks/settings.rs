//! The settings.

use infrahub_sync_runtime::{Error, FailureKind, Role, Setting, SettingType};
use serde_json::{Value, json};

use crate::report::{Finding, Verdict};
use crate::sample;
use crate::subject::{Opening, Subject, Trouble};

/// The settings that are the host's for every adapter with an address: it checks them itself.
const HOST_SETTINGS: [&str; 6] = ["verify_ssl", "headers", "timeout", "max_concurrency", "retries", "write_batch_max"];

/// Returns the role that the adapter can be opened in.
pub(super) fn role(subject: &Subject<'_>) -> Role {
    if subject.manifest.source.is_some() { Role::Source } else { Role::Destination }
}

/// Returns whether it starts, which everything else needs, and the verdict.
pub(super) async fn settings(subject: &Subject<'_>) -> (bool, Verdict) {
    let folder = match sample::folder("json") {
        Ok(folder) => folder,
        Err(error) => return (false, Verdict::not_checked(format!("a temporary folder cannot be made: {error}"))),
    };
    let opening = Opening { folder: Some(folder.path()), ..Opening::new(role(subject)) };
    match subject.open(&opening).await {
        Ok(opened) => {
            let asked = Finding::new(
                format!("`configure` sent {} requests", opened.asked()),
                "read the settings and nothing else: instances are made at any time, and many of them",
            );
            let findings = Some(asked).filter(|_| opened.asked() > 0).into_iter().collect();
            (true, Verdict::of(findings, "the settings of the project, and something for each that is required"))
        }
        Err(Trouble::Limit(reason)) => (false, Verdict::not_checked(format!("{reason}: see `limits`"))),
        Err(trouble) => {
            let finding = Finding::new(
                format!("it does not start: {}", trouble.shown()),
                "take what is declared as optional as optional; give the settings that it needs to the suite with --config-file",
            );
            (false, Verdict::of(vec![finding], ""))
        }
    }
}

/// Values that the host lets pass for a setting of that type, and that make no sense for many.
fn odd(setting: &Setting) -> Vec<Value> {
    match setting.setting_type {
        SettingType::Text => {
            vec![json!(""), json!(" "), json!("no such value 7f3a"), json!("Zürich ✓ \u{1f600}"), json!("x".repeat(10_000))]
        }
        SettingType::Integer => vec![json!(-1), json!(0), json!(i64::MAX), json!(i64::MIN)],
        SettingType::Float => vec![json!(-1.5), json!(0.0), json!(1e308)],
        SettingType::Boolean => vec![json!(true), json!(false)],
        SettingType::Json => vec![json!([]), json!({}), json!("x"), json!(1), json!([{ "a": null }])],
    }
}

pub(super) async fn errors(subject: &Subject<'_>) -> Verdict {
    let manifest = &subject.manifest;
    let is = |named: &Option<String>, setting: &Setting| named.as_deref() == Some(&setting.name);
    let tried: Vec<&Setting> = manifest
        .settings
        .iter()
        .filter(|setting| !setting.secret && !is(&manifest.address_setting, setting) && !is(&manifest.folder_setting, setting))
        .filter(|setting| !HOST_SETTINGS.contains(&setting.name.as_str()))
        .collect();
    if tried.is_empty() {
        return Verdict::not_applicable("it has no settings of its own beside address, folder and secrets, which the host checks");
    }
    let folder = match sample::folder("json") {
        Ok(folder) => folder,
        Err(error) => return Verdict::not_checked(format!("a temporary folder cannot be made: {error}")),
    };
    let mut findings = Vec::new();
    let mut values = 0;
    for setting in &tried {
        for value in odd(setting) {
            values += 1;
            let shown = Value::to_string(&value).chars().take(40).collect::<String>();
            let opening =
                Opening { folder: Some(folder.path()), settings: vec![(setting.name.clone(), value)], ..Opening::new(role(subject)) };
            let (play, opened) = subject.try_open(&opening).await;
            let error = match opened {
                Ok(_) | Err(Error::Settings(_)) => continue,
                Err(error) => error,
            };
            let remedy = format!("refuse it in `configure` with a failure of the case `config` that names `{}`", setting.name);
            match subject.trouble(&play, error) {
                Trouble::Failure(failure) if failure.kind == FailureKind::Config => {
                    if !failure.message.contains(&setting.name) {
                        let happened = format!("`{}: {shown}` is refused without the setting's name: {failure}", setting.name);
                        findings.push(Finding::new(happened, remedy));
                    }
                }
                Trouble::Limit(_) => {}
                trouble => findings.push(Finding::new(format!("`{}: {shown}`: {}", setting.name, trouble.shown()), remedy)),
            }
        }
    }
    Verdict::of(findings, format!("{values} values of {} settings", tried.len()))
}
