//! The images of an account, one by one: what they are, and who uses them.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use futures::future::try_join_all;
use jiff::Timestamp;
use serde::Serialize;

use super::opinion::sharing;
use super::references::{References, Use};
use super::refused;
use super::survey::{Survey, survey};
use crate::aws::ebs;
use crate::aws::inventory::{self, Image, Sharing, Snapshot};
use crate::error::Fault;
use crate::image::ami::name::{ARCH_TAG, DIGEST_TAG, RECIPE_TAG, VERSION_TAG};
use crate::image::blocks::Table;
use crate::image::manifest::Changed;
use crate::image::upload;
use crate::teardown::{BUILD_TAG, STATE_TAG};

/// The version of the JSON form.
pub const VERSION: u32 = 1;

/// An image as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// See [`VERSION`].
    pub version: u32,
    /// Where it is.
    pub region: String,
    /// `ami-…`
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its recipe.
    pub recipe: String,
    /// The version of the image.
    pub image_version: String,
    /// The digest of all that went in.
    pub digest: String,
    /// Its processor, by Debian's name.
    pub arch: String,
    /// When it was registered, by AWS's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// What AWS says of it: `available`, …
    pub state: String,
    /// Why, where AWS says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_reason: Option<String>,
    /// Whether its build is done: `kept`, or `building`.
    pub build_state: String,
    /// The build that made it.
    pub build: String,
    /// The size of its disks, in GiB.
    pub gib: u64,
    /// Their snapshots.
    pub snapshots: Vec<String>,
    /// Who uses it.
    pub used: Vec<Use>,
    /// Who else may launch it; absent where this was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<Sharing>,
    /// Whether everybody may launch it.
    pub public: bool,
    /// How it is protected from deregistration, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protection: Option<String>,
    /// From when on it is deprecated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Timestamp>,
}

/// Who an image is shared with is a call for each, so that it is asked of so many and no more.
const ASKED: usize = 100;
/// The policy that is needed.
const ROLE: &str = "prune";

/// One image with all that is known of it.
#[derive(Clone, Debug, Serialize)]
pub struct Detail {
    /// As it is listed.
    #[serde(flatten)]
    pub row: Row,
    /// All its tags, the users' too.
    pub tags: BTreeMap<String, String>,
    /// Its snapshots, where the account owns them.
    pub disks: Vec<Disk>,
    /// How calls about it are made.
    #[serde(skip)]
    config: SdkConfig,
}

/// A snapshot of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// `snap-…`
    pub snapshot: String,
    /// `completed`, …
    pub state: String,
    /// The size of the volume, in GiB.
    pub gib: u64,
    /// What is stored for it at most, in bytes, where AWS says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Whether it is encrypted.
    pub encrypted: bool,
}

/// All images of hostkit's in these regions, and what a person should know of the list.
pub async fn all(configs: &[SdkConfig]) -> Result<(Vec<Row>, Vec<String>), Fault> {
    let surveys = try_join_all(configs.iter().map(|config| survey(config, ROLE))).await?;
    let notes = surveys.iter().filter(|survey| survey.is_foreign()).map(Survey::foreign);
    let mut notes: Vec<_> = notes.collect();
    let mut rows = Vec::new();
    for (config, survey) in configs.iter().zip(&surveys) {
        let mut here = list(survey, &References::of(survey));
        if here.len() > ASKED {
            notes.push(format!(
                "there are more than {ASKED} images in {}: who they are shared with was not asked",
                survey.region
            ));
        } else {
            let ids: Vec<_> = here.iter().map(|row| row.id.clone()).collect();
            let mut sharing = sharing(config, &ids, ROLE).await?;
            for row in &mut here {
                row.shared = sharing.remove(&row.id);
            }
        }
        rows.append(&mut here);
    }
    Ok((rows, notes))
}

/// An image by its id, in the first of these regions that has it.
pub async fn find(configs: &[SdkConfig], id: &str) -> Result<Detail, Fault> {
    for config in configs {
        let image = inventory::image(config, id).await;
        if let Some(image) = image.map_err(|failure| refused(&failure, ROLE))? {
            return detail(config, &image).await;
        }
    }
    let regions: Vec<_> = configs.iter().map(crate::aws::operator::region).collect();
    Err(Fault::usage(format!("there is no image {id} in {}", regions.join(" and ")))
        .hint("an id is of one region: give it with --region"))
}

async fn detail(config: &SdkConfig, image: &Image) -> Result<Detail, Fault> {
    let survey = survey(config, ROLE).await?;
    let mut row = row(&survey, &References::of(&survey), image);
    let owned = survey.images.iter().any(|own| own.id == image.id);
    let mut disks = Vec::new();
    if owned {
        row.shared =
            sharing(config, std::slice::from_ref(&image.id), ROLE).await?.remove(&image.id);
        let found = inventory::snapshots_by_id(config, &image.snapshots).await;
        let found = found.map_err(|failure| refused(&failure, ROLE))?;
        disks = found.into_iter().map(Disk::from).collect();
    }
    Ok(Detail { row, tags: image.tags.clone(), disks, config: config.clone() })
}

impl From<Snapshot> for Disk {
    fn from(snapshot: Snapshot) -> Self {
        let Snapshot { id, state, gib, bytes, encrypted, .. } = snapshot;
        Self { snapshot: id, state, gib, bytes, encrypted }
    }
}

impl Detail {
    /// The table of its disk's blocks, which travels on the disk; none where it has none, or may not
    /// be read.
    pub async fn blocks(&self) -> Option<Table> {
        let [disk] = self.disks.as_slice() else { return None };
        upload::parent::table(&self.config, &disk.snapshot).await.ok().flatten()
    }

    /// How many blocks EBS itself says that another image differs in; none where the two are not of
    /// one line, or of two regions.
    pub async fn changed_since(&self, other: &Self) -> Option<Changed> {
        let ([old], [new]) = (other.disks.as_slice(), self.disks.as_slice()) else { return None };
        if other.row.region != self.row.region {
            return None;
        }
        let changed = ebs::changed(&self.config, &old.snapshot, &new.snapshot).await.ok()?;
        let of = usize::try_from(new.gib << 11).ok()?;
        Some(Changed { blocks: changed.len(), of })
    }
}

/// Whether hostkit made an image.
pub fn is_ours(image: &Image) -> bool {
    image.tags.contains_key(RECIPE_TAG) && image.tags.contains_key(BUILD_TAG)
}

/// A tag of an image; empty if it has none of that key.
pub fn tag<'a>(image: &'a Image, key: &str) -> &'a str {
    image.tags.get(key).map_or("", String::as_str)
}

/// The processor of an image, by Debian's name.
pub fn arch(image: &Image) -> &str {
    match (tag(image, ARCH_TAG), image.architecture.as_str()) {
        ("", "x86_64") => "amd64",
        ("", other) => other,
        (tag, _) => tag,
    }
}

/// All images of hostkit's in a region: by recipe and processor, the newest first.
pub fn list(survey: &Survey, references: &References) -> Vec<Row> {
    let ours = survey.images.iter().filter(|image| is_ours(image));
    let mut rows: Vec<_> = ours.map(|image| row(survey, references, image)).collect();
    rows.sort_by(|a, b| {
        (&a.recipe, &a.arch).cmp(&(&b.recipe, &b.arch)).then(b.created.cmp(&a.created))
    });
    rows
}

/// One image.
pub fn row(survey: &Survey, references: &References, image: &Image) -> Row {
    let text = |key| tag(image, key).to_owned();
    Row {
        version: VERSION,
        region: survey.region.clone(),
        id: image.id.clone(),
        name: image.name.clone(),
        recipe: text(RECIPE_TAG),
        image_version: text(VERSION_TAG),
        digest: text(DIGEST_TAG),
        arch: arch(image).to_owned(),
        created: image.created,
        state: image.state.clone(),
        state_reason: image.state_reason.clone(),
        build_state: text(STATE_TAG),
        build: text(BUILD_TAG),
        gib: image.gib,
        snapshots: image.snapshots.clone(),
        used: references.of_image(&image.id),
        shared: None,
        public: image.public,
        protection: image.protection.clone(),
        deprecated: image.deprecated,
    }
}
