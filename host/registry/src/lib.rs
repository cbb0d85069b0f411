//! Fetches published adapters, and pushes them.
//!
//! ```text
//! Fetcher ── release(origin) ─▶ Release: digest, annotations, signature     (asks the origin)
//!         ├─ fetch(origin, Wanted) ─▶ Fetched: the component, checked      (asks the store of this machine first)
//!         ├─ tags(repository)
//!         └─ push(repository, Package, tags)
//! ```
//!
//! Invariants: the digest of every component is checked, against the origin's words and, where there is a lock file, against that. With keys, the
//! signature is checked as well, before the component is kept. Nothing here compiles or runs a component. Credentials go to the registry that
//! they are for, and to the server of tokens that it names. The environment is an argument.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod client;
mod error;
mod login;
mod package;
mod signature;

use std::path::Path;

use infrahub_sync_base::origin::{OciOrigin, Origin};
use infrahub_sync_runtime::{COMPONENT_BYTES_MAX, Environment, FetchedStore, digest};
use reqwest::header::LOCATION;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use url::Url;

use client::{Answer, Ask, DOCUMENT_BYTES_MAX, Server};
pub use error::{Error, Result};
pub use package::{Annotations, CONTRACT, Package, Release, SIGNATURE};
use package::{Documents, MANIFEST, MANIFESTS, is_sha256};
pub use signature::{NewKey, SigningKey, new_key, signer, verify};

/// The tags of a repository that are read.
const TAGS_MAX: usize = 10_000;

/// The component that a fetch must find.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// The manifest in the registry.
    pub manifest: Option<&'a str>,
    /// The component.
    pub digest: Option<&'a str>,
    /// The public keys, one of which must have signed it; none: it may be unsigned.
    pub keys: Option<&'a [String]>,
}

/// A component that was fetched and checked.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The words of its origin.
    pub release: Release,
    /// The component.
    pub component: Vec<u8>,
    /// The id of the key whose signature was checked.
    pub publisher: Option<String>,
}

/// The result of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of the manifest.
    pub manifest: String,
    /// The tags that name it now and did not before.
    pub tags: Vec<String>,
    /// The component was there.
    pub was_there: bool,
}

/// Fetches and pushes.
pub struct Fetcher<'a> {
    environment: Environment<'a>,
    store: Option<FetchedStore>,
}

impl<'a> Fetcher<'a> {
    /// Makes a fetcher. `store`: where components are kept.
    #[must_use]
    pub fn new(environment: Environment<'a>, store: Option<&Path>) -> Fetcher<'a> {
        Fetcher { environment, store: store.map(FetchedStore::new) }
    }

    /// Returns the component with that digest from the store; none if it is not there.
    ///
    /// # Errors
    /// When there is one that does not count; the text says why.
    pub fn stored(&self, digest: &str) -> std::result::Result<Option<Vec<u8>>, String> {
        self.store.as_ref().map_or(Ok(None), |store| store.component(digest))
    }

    /// Asks a registry what it has under an origin.
    ///
    /// # Errors
    /// When it does not answer, or has no adapter there.
    pub async fn release(&self, origin: &OciOrigin) -> Result<Release> {
        self.release_of(&self.registry(origin, "pull").await?, origin).await
    }

    /// Returns the component of an origin, from the store if it is there.
    ///
    /// # Errors
    /// When the origin does not answer, or when it has something else than the wanted component.
    pub async fn fetch(&self, origin: &Origin, wanted: Wanted<'_>) -> Result<Fetched> {
        let (release, component) = match origin {
            Origin::Oci(oci) => self.fetch_oci(oci, wanted).await?,
            Origin::Web(address) => self.fetch_web(address, wanted).await?,
        };
        let publisher = match wanted.keys {
            Some(keys) => Some(verify(&component, release.signature.as_deref(), keys, &origin.to_string())?),
            None => None,
        };
        self.keep(origin, &release, &component);
        Ok(Fetched { release, component, publisher })
    }

    /// Keeps what was fetched. A store that cannot be written does not stop anything: the component is fetched again.
    fn keep(&self, origin: &Origin, release: &Release, component: &[u8]) {
        let Some(store) = &self.store else { return };
        let kept = match store.component(&release.digest) {
            Ok(Some(_)) => Ok(()),
            _ => store.keep_component(&release.digest, component),
        };
        let text = serde_json::to_vec(release).unwrap_or_default();
        let kept = kept.and_then(|()| store.keep_release(&release_name(origin, release.manifest.as_deref(), &release.digest), &text));
        if let Err(error) = kept {
            tracing::warn!(%error, "the adapter is not kept on this machine, and is fetched again");
        }
    }

    /// Returns what an origin said of a component when it was fetched.
    fn kept_release(&self, origin: &Origin, wanted: Wanted<'_>) -> Option<Release> {
        let name = release_name(origin, wanted.manifest, wanted.digest?);
        let release: Release = serde_json::from_slice(&self.store.as_ref()?.release(&name)?).ok()?;
        (Some(release.digest.as_str()) == wanted.digest && release.manifest.as_deref() == wanted.manifest).then_some(release)
    }

    async fn fetch_oci(&self, origin: &OciOrigin, wanted: Wanted<'_>) -> Result<(Release, Vec<u8>)> {
        let whole = Origin::Oci(origin.clone());
        let kept = self.kept_release(&whole, wanted);
        if let Some(release) = &kept
            && let Ok(Some(component)) = self.stored(&release.digest)
        {
            return Ok((release.clone(), component));
        }
        let server = self.registry(origin, "pull").await?;
        let release = match kept {
            Some(release) => release,
            None => {
                let pinned = wanted.manifest.map(|manifest| OciOrigin { digest: Some(manifest.to_owned()), ..origin.clone() });
                self.release_of(&server, pinned.as_ref().unwrap_or(origin)).await?
            }
        };
        if let Some(locked) = wanted.digest.filter(|locked| *locked != release.digest) {
            return Err(Error::Changed { origin: origin.to_string(), locked: locked.to_owned(), found: release.digest });
        }
        if let Ok(Some(component)) = self.stored(&release.digest) {
            return Ok((release, component));
        }
        if release.bytes > COMPONENT_BYTES_MAX {
            return Err(Error::TooLarge { origin: origin.to_string(), limit: COMPONENT_BYTES_MAX });
        }
        let url = server.at(&format!("/v2/{}/blobs/{}", origin.repository, release.digest))?;
        let answer = server.ask(Ask::get(url, None, COMPONENT_BYTES_MAX), &origin.to_string()).await?;
        let component = server.success(answer)?.body;
        check(&component, &release.digest, &origin.to_string())?;
        Ok((release, component))
    }

    async fn fetch_web(&self, address: &str, wanted: Wanted<'_>) -> Result<(Release, Vec<u8>)> {
        let origin = Origin::Web(address.to_owned());
        if let Some(release) = self.kept_release(&origin, wanted)
            && let Ok(Some(component)) = self.stored(&release.digest)
        {
            return Ok((release, component));
        }
        let url = Url::parse(address).map_err(|error| Error::Machine(format!("{address}: {error}")))?;
        let server = Server::new(url.clone(), None, String::new(), self.environment)?;
        let answer = server.ask(Ask::get(url, None, COMPONENT_BYTES_MAX), address).await?;
        if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE) {
            return Err(Error::Missing { origin: address.to_owned(), tags: Vec::new() });
        }
        let component = server.success(answer)?.body;
        let found = digest(&component);
        if let Some(locked) = wanted.digest.filter(|locked| *locked != found) {
            return Err(Error::Changed { origin: address.to_owned(), locked: locked.to_owned(), found });
        }
        let beside = Url::parse(&format!("{address}.minisig")).map_err(|error| Error::Machine(format!("{address}: {error}")))?;
        let answer = server.ask(Ask::get(beside, None, DOCUMENT_BYTES_MAX), address).await?;
        let signature = if answer.status.is_success() { String::from_utf8(answer.body).ok() } else { None };
        let bytes = component.len() as u64;
        Ok((Release { manifest: None, digest: found, bytes, annotations: Annotations::new(), signature }, component))
    }

    /// Returns the tags of a repository, in the registry's order.
    ///
    /// # Errors
    /// When it does not answer, or has no such repository.
    pub async fn tags(&self, origin: &OciOrigin) -> Result<Vec<String>> {
        self.tags_of(&self.registry(origin, "pull").await?, origin).await
    }

    async fn tags_of(&self, server: &Server, origin: &OciOrigin) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let mut tags = Vec::new();
        let mut next = Some(server.at(&format!("/v2/{}/tags/list", origin.repository))?);
        while let Some(url) = next.take().filter(|_| tags.len() < TAGS_MAX) {
            let answer = server.ask(Ask::get(url.clone(), None, DOCUMENT_BYTES_MAX), &origin.to_string()).await?;
            if answer.status == StatusCode::NOT_FOUND {
                return Err(Error::Missing { origin: origin.repository(), tags: Vec::new() });
            }
            let answer = server.success(answer)?;
            next = next_page(&answer, &url);
            let page: Page = serde_json::from_slice(&answer.body).unwrap_or(Page { tags: None });
            let page = page.tags.unwrap_or_default();
            // A page without tags has no next one, whatever it says.
            next = next.filter(|_| !page.is_empty());
            tags.extend(page);
        }
        Ok(tags)
    }

    async fn registry(&self, origin: &OciOrigin, actions: &str) -> Result<Server> {
        let login = login::login(&origin.registry, &origin.repository, self.environment)?;
        let host =
            if matches!(origin.registry.as_str(), "docker.io" | "index.docker.io") { "registry-1.docker.io" } else { &origin.registry };
        Server::registry(host, login, format!("repository:{}:{actions}", origin.repository), self.environment).await
    }

    async fn release_of(&self, server: &Server, origin: &OciOrigin) -> Result<Release> {
        match manifest_of(server, origin).await? {
            Some((bytes, manifest)) => Release::of_manifest(&bytes, manifest, &origin.to_string()),
            None => {
                let tags = self.tags_of(server, origin).await.unwrap_or_default();
                Err(Error::Missing { origin: origin.to_string(), tags })
            }
        }
    }

    /// Pushes a component under tags. `replaces`: a tag of a version may hold another component.
    ///
    /// # Errors
    /// When the registry does not take it, or a tag in `fixed` holds another component.
    pub async fn push(&self, repository: &OciOrigin, package: &Package, tags: &[String], fixed: &[String]) -> Result<Pushed> {
        let server = self.registry(repository, "pull,push").await?;
        let pushed = digest(&package.component);
        let mut there = Vec::new();
        let mut manifest_there = None;
        for tag in tags {
            let tagged = repository.at_tag(tag);
            let Some((bytes, manifest)) = manifest_of(&server, &tagged).await? else { continue };
            let release = Release::of_manifest(&bytes, manifest.clone(), &tagged.to_string());
            let found = release.as_ref().map_or_else(|_| "something else".to_owned(), |release| release.digest.clone());
            if fixed.contains(tag) && found != pushed {
                return Err(Error::Taken { origin: tagged.to_string(), found, pushed });
            }
            // The texts are the same, and so is the key: signatures themselves differ each time.
            if release.is_ok_and(|release| is_same(&release, package, &pushed)) {
                there.push(tag.clone());
                manifest_there = Some((bytes, manifest));
            }
        }
        let (manifest, digest_of_manifest) = match manifest_there {
            Some(manifest) => manifest,
            None => {
                let Documents { config, manifest } = package.documents();
                upload(&server, repository, &package.component).await?;
                upload(&server, repository, &config).await?;
                let digest = digest(&manifest);
                (manifest, digest)
            }
        };
        let new: Vec<String> = tags.iter().filter(|tag| !there.contains(tag)).cloned().collect();
        for tag in &new {
            let url = server.at(&format!("/v2/{}/manifests/{tag}", repository.repository))?;
            let ask =
                Ask { method: Method::PUT, url, accept: None, body: Some((MANIFEST, manifest.clone())), bytes_max: DOCUMENT_BYTES_MAX };
            server.success(server.ask(ask, &repository.to_string()).await?)?;
        }
        Ok(Pushed { manifest: digest_of_manifest, tags: new, was_there: !there.is_empty() })
    }
}

fn is_same(release: &Release, package: &Package, digest: &str) -> bool {
    let mut annotations = package.annotations.clone();
    let signature = annotations.remove(SIGNATURE);
    let key = |signature: Option<&str>| signature.and_then(signer);
    release.digest == digest && release.annotations == annotations && key(release.signature.as_deref()) == key(signature.as_deref())
}

/// Returns the name of a release in the store.
fn release_name(origin: &Origin, manifest: Option<&str>, digest: &str) -> String {
    format!("{origin} {} {digest}", manifest.unwrap_or("-"))
}

/// Returns a manifest and its digest; none if the registry has none of that name.
async fn manifest_of(server: &Server, origin: &OciOrigin) -> Result<Option<(Vec<u8>, String)>> {
    let reference = origin.digest.as_deref().or(origin.tag.as_deref()).unwrap_or("latest");
    let url = server.at(&format!("/v2/{}/manifests/{reference}", origin.repository))?;
    let answer = server.ask(Ask::get(url, Some(MANIFESTS), DOCUMENT_BYTES_MAX), &origin.to_string()).await?;
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    let bytes = server.success(answer)?.body;
    let found = digest(&bytes);
    if let Some(expected) = &origin.digest {
        check(&bytes, expected, &origin.to_string())?;
    }
    Ok(Some((bytes, found)))
}

/// Checks that bytes have a digest.
fn check(bytes: &[u8], expected: &str, origin: &str) -> Result<()> {
    let found = digest(bytes);
    if found == expected && is_sha256(expected) {
        return Ok(());
    }
    Err(Error::Digest { origin: origin.to_owned(), expected: expected.to_owned(), found })
}

/// Sends bytes, unless the registry has them.
async fn upload(server: &Server, repository: &OciOrigin, bytes: &[u8]) -> Result<()> {
    let (origin, digest, name) = (repository.to_string(), digest(bytes), &repository.repository);
    let url = server.at(&format!("/v2/{name}/blobs/{digest}"))?;
    let there = server.ask(Ask { method: Method::HEAD, url, accept: None, body: None, bytes_max: u64::MAX }, &origin).await?;
    if there.status.is_success() {
        return Ok(());
    }
    let url = server.at(&format!("/v2/{name}/blobs/uploads/"))?;
    let begin = Ask {
        method: Method::POST,
        url: url.clone(),
        accept: None,
        body: Some(("application/octet-stream", Vec::new())),
        bytes_max: DOCUMENT_BYTES_MAX,
    };
    let begun = server.success(server.ask(begin, &origin).await?)?;
    let location = begun.headers.get(LOCATION).and_then(|location| location.to_str().ok()).and_then(|location| url.join(location).ok());
    let Some(mut place) = location.filter(|place| url.scheme() != "https" || place.scheme() == "https") else {
        let words = "it does not say where to upload".to_owned();
        return Err(Error::Status { server: server.host(), status: begun.status.as_u16(), words });
    };
    place.query_pairs_mut().append_pair("digest", &digest);
    let body = Some(("application/octet-stream", bytes.to_vec()));
    server
        .success(server.ask(Ask { method: Method::PUT, url: place, accept: None, body, bytes_max: DOCUMENT_BYTES_MAX }, &origin).await?)?;
    Ok(())
}

/// Returns the address of the next page, from `Link: </v2/…>; rel="next"`, on the same server.
fn next_page(answer: &Answer, url: &Url) -> Option<Url> {
    let link = answer.headers.get("link")?.to_str().ok()?;
    let (address, relation) = link.trim().strip_prefix('<')?.split_once('>')?;
    let next = url.join(address).ok().filter(|next| next.origin() == url.origin() && next != url)?;
    relation.contains("next").then_some(next)
}
