//! How an adapter's credentials are sent, in words: what `adapter inspect` and the lock file show.

use std::collections::BTreeSet;

use crate::manifest::{CredentialForm, LoginBody, LoginStep, Manifest};
use crate::template;

/// Returns a sentence for each way in which a credential is sent, the most dangerous first: a body may be stored and shown, a query is
/// logged by servers, a header is neither.
pub(crate) fn credential_words(manifest: &Manifest) -> Vec<String> {
    let secret = |name: &str| manifest.setting(name).is_some_and(|setting| setting.secret);
    let (mut bodies, mut queries, mut headers) = (Vec::new(), Vec::new(), Vec::new());
    for credential in &manifest.credentials {
        let when = match &credential.when {
            Some(when) => format!(", if `{}` is {}", when.setting, when.values.join(" or ")),
            None => String::new(),
        };
        match &credential.form {
            CredentialForm::Login(login) => {
                bodies.extend(login.steps.iter().chain(&login.refresh).map(|step| format!("{}{when}", step_words(step, &secret))));
                headers.extend(
                    login
                        .headers
                        .iter()
                        .map(|(name, _)| format!("sends the result of the login in the header `{name}` of each request{when}")),
                );
            }
            CredentialForm::Query { parameter, setting } => {
                queries.push(format!("sends `{setting}` in the query parameter `{parameter}` of each request, which servers log{when}"));
            }
            CredentialForm::Basic { username, password } => {
                headers.push(format!(
                    "sends `{username}` and `{password}` as basic authentication in the header `Authorization` of each request{when}"
                ));
            }
            CredentialForm::Header(templates) => headers.extend(templates.iter().map(|template| {
                let settings = quoted(template::names(&template.template).into_iter());
                format!("sends {settings} in the header `{}: {}` of each request{when}", template.name, template.template)
            })),
        }
    }
    let mut seen = BTreeSet::new();
    let mut all: Vec<String> = bodies.into_iter().chain(queries).chain(headers).collect();
    all.retain(|words| seen.insert(words.clone()));
    all
}

/// Describes a request of a login.
fn step_words(step: &LoginStep, secret: &impl Fn(&str) -> bool) -> String {
    let request = format!("logs in by `{} {}`", step.method, step.path);
    let in_body: Vec<&str> = match &step.body {
        Some(LoginBody::Json(template)) => template::names(template),
        Some(LoginBody::Form(fields)) => fields.iter().flat_map(|(_, template)| template::names(template)).collect(),
        None => Vec::new(),
    };
    let in_headers: Vec<String> =
        step.headers.iter().filter(|(_, template)| !template::names(template).is_empty()).map(|(name, _)| format!("`{name}`")).collect();
    let body = if in_body.is_empty() {
        String::new()
    } else {
        let warning = if in_body.iter().any(|name| secret(name)) { ", which that path may store" } else { "" };
        format!(" with {} in its body{warning}", quoted(in_body.into_iter()))
    };
    let headers = if in_headers.is_empty() { String::new() } else { format!(" with the header {}", in_headers.join(" and ")) };
    format!("{request}{body}{headers}")
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: BTreeSet<&str> = names.collect();
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Condition;

    #[test]
    fn the_most_dangerous_comes_first() {
        let mut manifest = crate::settings::tests::manifest();
        let key = CredentialForm::Query { parameter: "key".into(), setting: "token".into() };
        manifest.settings.push(crate::manifest::Setting { name: "password".into(), secret: true, ..manifest.settings[4].clone() });
        manifest.credentials.push(key.into());
        manifest.credentials.push(CredentialForm::Login(crate::manifest::tests::apic()).into());
        manifest.credentials[1].when = Some(Condition { setting: "brief".into(), values: vec!["yes".into()] });
        insta::assert_snapshot!(credential_words(&manifest).join("\n"), @r"
        logs in by `POST /{api_endpoint}/aaaLogin.json` with `password` and `username` in its body, which that path may store
        logs in by `GET /api/aaaRefresh.json` with the header `Cookie`
        sends `token` in the query parameter `key` of each request, which servers log, if `brief` is yes
        sends `token` in the header `Authorization: Bearer {token}` of each request
        sends `token` in the header `Authorization: Token {token}` of each request
        sends the result of the login in the header `Cookie` of each request
        ");
    }
}
