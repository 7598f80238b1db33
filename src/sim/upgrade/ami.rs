//! Images of this machine as images of the account: nothing is uploaded, hosts boot from the files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use crate::error::Fault;
use crate::sim::account::{ACCOUNT_ID, REGION};
use crate::sim::ec2::id::Kind;
use crate::sim::endpoint::{Shared, with};
use crate::sim::image::{self, Image, Mapping};
use crate::sim::region::Tags;
use crate::sim::snapshot::{self, Snapshot};

const ROOT_DEVICE: &str = "/dev/xvda";
/// What a root volume has, unless its image is larger: it is larger than the image, so that growing
/// the root file system is rehearsed too.
const VOLUME_GIB: u64 = 8;
/// The tag of the recipe's name.
const RECIPE: &str = "hostkit:recipe";

/// An image file, and what the account calls it.
#[derive(Clone, Debug)]
pub(super) struct Ami {
    /// `ami-…`
    pub(super) id: String,
    /// The recipe.
    pub(super) recipe: String,
    /// The version of Jenkins in it, as the package has it.
    pub(super) jenkins: Option<String>,
    /// The file.
    pub(super) file: PathBuf,
    /// The snapshot that the file is the disk of.
    pub(super) snapshot: String,
    name: String,
    bytes: u64,
    tags: Tags,
}

impl Ami {
    /// Reads what an image is from the manifest beside it.
    pub(super) fn of(file: &Path) -> anyhow::Result<Self> {
        let manifest = file.with_extension("json");
        let fault = || {
            Fault::usage(format!("{} is no image of hostkit's", file.display())).hint(format!(
                "what it is stands in its manifest, which `hostkit bake` writes to {}",
                manifest.display()
            ))
        };
        let text = std::fs::read_to_string(&manifest).with_context(fault)?;
        let manifest: Value = serde_json::from_str(&text).with_context(fault)?;
        let file = file.canonicalize().with_context(fault)?;
        let said = |key: &str| manifest[key].as_str().map(str::to_owned).with_context(fault);
        let [recipe, digest, version, arch] =
            [said("recipe")?, said("digest")?, said("image_version")?, said("arch")?];
        let short = digest.get(..8).unwrap_or(&digest);
        let name = format!("{recipe}-{arch}-{version}-{short}");
        let tags = [
            (RECIPE, recipe.as_str()),
            ("hostkit:digest", digest.as_str()),
            ("hostkit:version", version.as_str()),
            ("hostkit:arch", arch.as_str()),
            ("hostkit:build", "rehearsal"),
            ("hostkit:state", "kept"),
        ];
        let mut tags = Tags::from(tags.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let bytes = manifest["disk"]["bytes"].as_u64().unwrap_or_default();
        let jenkins = manifest["packages"]["jenkins"].as_str().map(str::to_owned);
        tags.extend(jenkins.iter().map(|version| ("hostkit:jenkins".to_owned(), version.clone())));
        let id = Kind::Image.derived(&name);
        let snapshot = Kind::Snapshot.derived(&name);
        Ok(Self { id, recipe, jenkins, file, snapshot, name, bytes, tags })
    }

    /// The folder that its manifest is in.
    pub(super) fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("."))
    }

    /// Puts it into the account, where it is available at once.
    pub(super) fn register(&self, account: &Shared) {
        with(account, |account| {
            let now = account.world();
            let region = account.region(REGION);
            let gib = self.bytes.div_ceil(1 << 30).max(VOLUME_GIB);
            let snapshot = Snapshot {
                id: self.snapshot.clone(),
                volume_gib: gib,
                state: snapshot::State::Completed,
                started: now,
                description: self.name.clone(),
                tags: self.tags.clone(),
                kms_key: None,
                volume: None,
                parent: None,
                blocks: BTreeMap::new(),
                put: BTreeSet::new(),
                shared_with: BTreeSet::new(),
            };
            region.snapshots.insert(snapshot.id.clone(), snapshot);
            region.images.insert(self.id.clone(), self.image(gib, now));
        });
    }

    fn image(&self, gib: u64, created: jiff::Timestamp) -> Image {
        let root = Mapping {
            device: ROOT_DEVICE.to_owned(),
            snapshot: Some(self.snapshot.clone()),
            volume_gib: gib,
            volume_type: "gp3".to_owned(),
            iops: Some(3000),
            throughput: Some(125),
            delete_on_termination: true,
            ..Mapping::default()
        };
        Image {
            id: self.id.clone(),
            name: self.name.clone(),
            owner: ACCOUNT_ID.to_owned(),
            owner_alias: None,
            description: String::new(),
            architecture: "x86_64".to_owned(),
            root_device: ROOT_DEVICE.to_owned(),
            virtualization: "hvm".to_owned(),
            mappings: vec![root],
            boot_mode: None,
            tpm_support: None,
            imds_support: Some("v2.0".to_owned()),
            uefi_data: None,
            ena: true,
            sriov: None,
            tags: self.tags.clone(),
            created,
            deprecated: None,
            protection: None,
            shared_with: BTreeSet::new(),
            cooldown: None,
            state: image::State::Available,
            fails: None,
            last_launched: None,
            public_parameter: None,
            source_instance: None,
            source_image: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_what_its_manifest_says() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("jenkins.raw");
        std::fs::write(&file, "").unwrap();
        let error = Ami::of(&file).unwrap_err();
        assert!(format!("{error:#}").contains("is no image of hostkit's"), "{error:#}");
        let manifest = serde_json::json!({
            "recipe": "ci", "digest": "0123456789abcdef", "image_version": "2.1", "arch": "amd64",
            "disk": { "bytes": 9_u64 << 30 }, "packages": { "jenkins": "2.1" },
        });
        std::fs::write(file.with_extension("json"), manifest.to_string()).unwrap();
        let ami = Ami::of(&file).unwrap();
        assert_eq!(
            (ami.name.as_str(), ami.jenkins.as_deref()),
            ("ci-amd64-2.1-01234567", Some("2.1"))
        );
        assert_eq!(ami.tags["hostkit:recipe"], "ci");
        assert_eq!(ami.id, Ami::of(&file).unwrap().id, "the same image has the same id");
    }
}
