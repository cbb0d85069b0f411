//! The documents of a registry: the layout of WebAssembly components that other tools read and write, too.
//!
//! ```text
//! manifest   application/vnd.oci.image.manifest.v1+json
//! ├── config application/vnd.wasm.config.v0+json     what the component imports and exports
//! ├── layer  application/wasm                        the component; the digest of the layer is its own
//! └── annotations                                    licence, homepage, version …, and the signature
//! ```

use std::collections::BTreeMap;

use infrahub_sync_runtime::digest;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Every sort of manifest: what a tag names may be something else, and the error says so.
pub(crate) const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
                                    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const LAYER: &str = "application/wasm";

/// The annotation with the signature, as the text of a `.minisig` file.
pub const SIGNATURE: &str = "infrahub-sync.signature.minisign";
/// The annotation with the version of the contract.
pub const CONTRACT: &str = "infrahub-sync.contract";

/// Texts about an adapter, under the names of the OCI's annotations: `org.opencontainers.image.licenses` …
pub type Annotations = BTreeMap<String, String>;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    pub(crate) config: Descriptor,
    #[serde(default)]
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub(crate) annotations: Annotations,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
}

impl Descriptor {
    fn of(media_type: &str, bytes: &[u8]) -> Descriptor {
        Descriptor { media_type: media_type.to_owned(), digest: digest(bytes), size: bytes.len() as u64 }
    }
}

/// A component with what is said of it.
#[derive(Debug, Clone)]
pub struct Package {
    /// The component.
    pub component: Vec<u8>,
    /// Its imports.
    pub imports: Vec<String>,
    /// Its exports.
    pub exports: Vec<String>,
    /// Texts about it.
    pub annotations: Annotations,
}

/// The documents of a package.
pub(crate) struct Documents {
    pub(crate) config: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
}

impl Package {
    /// Returns the documents. The same package has the same: a second push changes nothing.
    pub(crate) fn documents(&self) -> Documents {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Config<'a> {
            created: &'static str,
            author: Option<&'a str>,
            architecture: &'static str,
            os: &'static str,
            layer_digests: [String; 1],
            component: Surface<'a>,
        }
        #[derive(Serialize)]
        struct Surface<'a> {
            exports: &'a [String],
            imports: &'a [String],
            target: Option<&'a str>,
        }
        let layer = Descriptor::of(LAYER, &self.component);
        let config = Config {
            // Other tools want a time.
            created: "1970-01-01T00:00:00Z",
            author: self.annotations.get("org.opencontainers.image.authors").map(String::as_str),
            architecture: "wasm",
            os: "wasip2",
            layer_digests: [layer.digest.clone()],
            component: Surface { exports: &self.exports, imports: &self.imports, target: None },
        };
        // Texts and numbers alone: this cannot fail.
        let config = serde_json::to_vec(&config).unwrap_or_default();
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MANIFEST.to_owned()),
            config: Descriptor::of(CONFIG, &config),
            layers: vec![layer],
            annotations: self.annotations.clone(),
        };
        Documents { manifest: serde_json::to_vec(&manifest).unwrap_or_default(), config }
    }
}

/// The words of an origin about its component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The digest of the manifest, in a registry.
    pub manifest: Option<String>,
    /// The digest of the component.
    pub digest: String,
    /// Its size.
    pub bytes: u64,
    /// Texts about it.
    pub annotations: Annotations,
    /// The signature, if it has one.
    pub signature: Option<String>,
}

impl Release {
    /// Reads a manifest, whose digest is `manifest_digest`.
    pub(crate) fn of_manifest(bytes: &[u8], manifest_digest: String, origin: &str) -> Result<Release> {
        let other = |what: &str| Error::NotAComponent { origin: origin.to_owned(), what: what.to_owned() };
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Sort {
            #[serde(default)]
            media_type: Option<String>,
            #[serde(default)]
            manifests: Option<serde_json::Value>,
        }
        let sort: Sort = serde_json::from_slice(bytes).map_err(|_| other("its manifest cannot be read"))?;
        let is_index = sort.manifests.is_some()
            || sort.media_type.as_deref().is_some_and(|media_type| media_type.contains("index") || media_type.contains("manifest.list"));
        if is_index {
            return Err(other("it is a container image for several platforms"));
        }
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|_| other("its manifest cannot be read"))?;
        let [layer] = manifest.layers.as_slice() else {
            let what = if manifest.config.media_type.contains("container")
                || manifest.config.media_type.contains("docker")
                || manifest.config.media_type.contains("image.config")
            {
                "it is a container image"
            } else {
                "it has several layers, or none"
            };
            return Err(other(what));
        };
        if layer.media_type != LAYER {
            let what = format!("its layer has the media type `{}` instead of `{LAYER}`", layer.media_type);
            return Err(other(&what));
        }
        if !is_sha256(&layer.digest) {
            return Err(other("the digest of its layer is not a SHA-256"));
        }
        let mut annotations = manifest.annotations;
        let signature = annotations.remove(SIGNATURE);
        Ok(Release { manifest: Some(manifest_digest), digest: layer.digest.clone(), bytes: layer.size, annotations, signature })
    }
}

/// Returns whether a text is `sha256:` and 64 hexadecimal digits. It becomes a part of paths.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|digits| digits.len() == 64 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package() -> Package {
        let annotation = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Package {
            component: b"component".to_vec(),
            imports: vec!["infrahub-sync:adapter/http@0.2.0".to_owned()],
            exports: vec!["infrahub-sync:adapter/meta@0.2.0".to_owned()],
            annotations: [annotation("org.opencontainers.image.version", "1.2.0"), annotation(SIGNATURE, "s")].into(),
        }
    }

    #[test]
    fn the_layout_is_the_one_of_other_component_tools() {
        let Documents { config, manifest } = package().documents();
        insta::assert_snapshot!(String::from_utf8(config).unwrap(), @r#"{"created":"1970-01-01T00:00:00Z","author":null,"architecture":"wasm","os":"wasip2","layerDigests":["sha256:6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa"],"component":{"exports":["infrahub-sync:adapter/meta@0.2.0"],"imports":["infrahub-sync:adapter/http@0.2.0"],"target":null}}"#);
        insta::assert_snapshot!(String::from_utf8(manifest.clone()).unwrap(), @r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.wasm.config.v0+json","digest":"sha256:1d99f3d678cf1877e839430dc07aef518eeb509f40d88870215543f0b1b4c90e","size":297},"layers":[{"mediaType":"application/wasm","digest":"sha256:6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa","size":9}],"annotations":{"infrahub-sync.signature.minisign":"s","org.opencontainers.image.version":"1.2.0"}}"#);
        let release = Release::of_manifest(&manifest, digest(&manifest), "o").unwrap();
        assert_eq!((release.digest, release.bytes, release.signature.as_deref()), (digest(b"component"), 9, Some("s")));
        assert_eq!(release.annotations.len(), 1);
    }

    #[test]
    fn other_things_in_registries_are_named() {
        let manifest = String::from_utf8(package().documents().manifest).unwrap();
        let what = |text: &str| Release::of_manifest(text.as_bytes(), String::new(), "oci://h/x:1").unwrap_err().to_string();
        assert_eq!(what("<html>"), "`oci://h/x:1` is not an adapter: its manifest cannot be read");
        assert_eq!(
            what(r#"{"schemaVersion":2,"manifests":[]}"#),
            "`oci://h/x:1` is not an adapter: it is a container image for several platforms"
        );
        let layer = manifest.replace(LAYER, "application/vnd.oci.image.layer.v1.tar+gzip");
        assert_eq!(
            what(&layer),
            "`oci://h/x:1` is not an adapter: its layer has the media type `application/vnd.oci.image.layer.v1.tar+gzip` instead of `application/wasm`"
        );
        let digest = digest(b"component");
        assert_eq!(
            what(&manifest.replace(&digest, "sha256:../../x")),
            "`oci://h/x:1` is not an adapter: the digest of its layer is not a SHA-256"
        );
        let image = r#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"d","size":1},"layers":[]}"#;
        assert_eq!(what(image), "`oci://h/x:1` is not an adapter: it is a container image");
    }
}
