//! The bill of materials of an image, as `CycloneDX` 1.6: `NAME.cdx.json`.
//!
//! Read from the finished tree, so that it says what is in the image and not what was asked for.
//! The same image gives the same bytes: the serial number comes from the plan's digest and the
//! time from the image's epoch. Licences are not listed.

pub mod packages;
pub mod plugins;

use anyhow::Context as _;
use serde::Serialize;

use self::packages::Package;
use self::plugins::Plugin;
use crate::digest::{sha256, uuid};
use crate::plan::Plan;
use crate::step::Step;
use crate::step::fetch::Proof;
use crate::sys::{Host, Root};

/// Where baked-in Jenkins plugins are.
const PLUGINS: &str = "/usr/share/hostkit/jenkins/plugins";

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are those of the format")]
pub struct Bom {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata,
    components: Vec<Component>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Metadata {
    timestamp: String,
    lifecycles: [Lifecycle; 1],
    tools: Tools,
    component: Component,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Lifecycle {
    phase: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Tools {
    components: [Component; 1],
}

/// One thing in the image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Component {
    r#type: &'static str,
    #[serde(rename = "bom-ref")]
    reference: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    group: String,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "String::is_empty")]
    purl: String,
    #[serde(rename = "externalReferences", skip_serializing_if = "Vec::is_empty")]
    external_references: Vec<Reference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Reference {
    r#type: &'static str,
    url: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

impl Bom {
    /// What is in the tree of `host`, which `plan` made. `epoch` is in seconds since 1970.
    pub async fn of_tree(host: &Host, plan: &Plan, epoch: i64) -> anyhow::Result<Self> {
        let system = System::of(&host.root)?;
        let mut components = vec![system.component()];
        let packages = packages::installed(host).await?;
        components.extend(packages.iter().map(|package| package.component(&system)));
        for planned in &plan.steps {
            components.extend(fetched(&planned.step, &host.root)?);
        }
        let plugins = plugins::in_folder(&host.root, PLUGINS)?;
        components.extend(plugins.iter().map(Plugin::component));
        if plan.steps.iter().any(|planned| matches!(planned.step, Step::Agent(_))) {
            components.push(hostkit());
        }
        let time = jiff::Timestamp::from_second(epoch).context("the image's epoch")?;
        Ok(Self {
            schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
            bom_format: "CycloneDX",
            spec_version: "1.6",
            serial_number: format!("urn:uuid:{}", uuid(&plan.digest, "sbom")),
            version: 1,
            metadata: Metadata {
                timestamp: time.to_string(),
                lifecycles: [Lifecycle { phase: "build" }],
                tools: Tools { components: [Component { reference: "tool".into(), ..hostkit() }] },
                component: image(plan),
            },
            components,
        })
    }

    /// As it is written beside the image.
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("it has only string keys");
        text + "\n"
    }
}

fn image(plan: &Plan) -> Component {
    let digest = Property { name: "hostkit:digest", value: plan.digest.clone() };
    Component {
        r#type: "container",
        reference: "image".to_owned(),
        name: plan.recipe.clone(),
        version: plan.image_version.clone(),
        properties: vec![digest],
        ..Component::default()
    }
}

fn hostkit() -> Component {
    let version = env!("CARGO_PKG_VERSION");
    let purl = format!("pkg:cargo/hostkit@{version}");
    Component {
        r#type: "application",
        reference: purl.clone(),
        name: "hostkit".to_owned(),
        version: version.to_owned(),
        purl,
        ..Component::default()
    }
}

/// A file from elsewhere. Of one that is known by its signature, the tree has the digest.
fn fetched(step: &Step, root: &Root) -> anyhow::Result<Option<Component>> {
    let Step::Fetch(fetch) = step else { return Ok(None) };
    let digest = match &fetch.proof {
        Proof::Sha256(digest) => Some(digest.to_lowercase()),
        Proof::Signature { .. } if fetch.unpack.is_some() => None,
        Proof::Signature { .. } => root.read(&fetch.path)?.map(sha256),
    };
    let hashes = digest.map(|content| Hash { alg: "SHA-256", content });
    let name = fetch.path.rsplit('/').next().unwrap_or_default();
    Ok(Some(Component {
        r#type: "file",
        reference: format!("file:{}", fetch.path),
        name: name.to_owned(),
        hashes: hashes.into_iter().collect(),
        external_references: vec![Reference { r#type: "distribution", url: fetch.url.clone() }],
        properties: vec![Property { name: "hostkit:path", value: fetch.path.clone() }],
        ..Component::default()
    }))
}

/// The distribution, by its `os-release`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct System {
    id: String,
    version: String,
}

impl System {
    fn of(root: &Root) -> anyhow::Result<Self> {
        let text = match root.read_text("/etc/os-release")? {
            Some(text) => text,
            None => root.read_text("/usr/lib/os-release")?.unwrap_or_default(),
        };
        let value = |key: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once('='));
            let value = lines.find(|(name, _)| *name == key).map(|(_, value)| value);
            value.unwrap_or_default().trim_matches('"').to_owned()
        };
        Ok(Self { id: value("ID"), version: value("VERSION_ID") })
    }

    fn component(&self) -> Component {
        Component {
            r#type: "operating-system",
            reference: "os".to_owned(),
            name: if self.id.is_empty() { "linux".to_owned() } else { self.id.clone() },
            version: self.version.clone(),
            ..Component::default()
        }
    }

    /// As package URLs have it: `debian-13`.
    fn distro(&self) -> String {
        [self.id.as_str(), &self.version].join("-").trim_matches('-').to_owned()
    }
}

/// A part of a package URL: everything but letters, digits and `.-_~` is escaped.
fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~".contains(&byte);
    text.bytes().fold(String::new(), |out, byte| {
        if plain(byte) {
            out + &char::from(byte).to_string()
        } else {
            out + &format!("%{byte:02X}")
        }
    })
}

impl Package {
    fn component(&self, system: &System) -> Component {
        let namespace = escape(&system.id);
        let mut purl = format!(
            "pkg:{}/{namespace}/{}@{}?arch={}&distro={}",
            self.kind,
            escape(&self.name),
            escape(&self.version),
            escape(&self.arch),
            escape(&system.distro())
        );
        if let Some(epoch) = &self.epoch {
            purl += &format!("&epoch={}", escape(epoch));
        }
        if let Some(source) = &self.source {
            purl += &format!("&upstream={}", escape(source));
        }
        Component {
            r#type: "library",
            reference: purl.clone(),
            name: self.name.clone(),
            version: self.version.clone(),
            purl,
            ..Component::default()
        }
    }
}

impl Plugin {
    fn component(&self) -> Component {
        let purl = match (&self.group, &self.version) {
            (Some(group), Some(version)) => {
                format!("pkg:maven/{}/{}@{}", escape(group), escape(&self.name), escape(version))
            }
            _ => String::new(),
        };
        Component {
            r#type: "library",
            reference: format!("jenkins-plugin:{}", self.name),
            group: self.group.clone().unwrap_or_default(),
            name: self.name.clone(),
            version: self.version.clone().unwrap_or_default(),
            purl,
            ..Component::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_url_is_escaped_and_tells_the_source() {
        let system = System { id: "debian".into(), version: "13".into() };
        let package = Package {
            kind: "deb",
            name: "libstdc++6".into(),
            version: "1:14.2.0-19+b1~x".into(),
            arch: "amd64".into(),
            epoch: None,
            source: Some("gcc-14".into()),
        };
        assert_eq!(
            package.component(&system).purl,
            "pkg:deb/debian/libstdc%2B%2B6@1%3A14.2.0-19%2Bb1~x?arch=amd64&distro=debian-13\
             &upstream=gcc-14"
        );
        assert_eq!(System::default().distro(), "");
    }
}
