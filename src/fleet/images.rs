//! The images of an account, one by one: what they are, and who uses them. Pure.

use jiff::Timestamp;
use serde::Serialize;

use super::references::{References, Use};
use super::survey::Survey;
use crate::aws::inventory::{Image, Sharing};
use crate::image::ami::name::{ARCH_TAG, DIGEST_TAG, RECIPE_TAG, VERSION_TAG};
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
