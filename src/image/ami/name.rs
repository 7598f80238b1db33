//! What things of a build are called on AWS: the name of an image, and its tags. Pure.

use std::collections::BTreeMap;

use crate::image::Manifest;
use crate::plan::{Arch, Plan};
use crate::teardown::{BUILD_TAG, BUILDING, STATE_TAG};

/// The recipe's name.
pub const RECIPE_TAG: &str = "hostkit:recipe";
/// The digest of all that went into the image: the same digest is the same image.
pub const DIGEST_TAG: &str = "hostkit:digest";
/// The version of the image.
pub const VERSION_TAG: &str = "hostkit:version";
/// The processor, by Debian's name.
pub const ARCH_TAG: &str = "hostkit:arch";
/// The version of Jenkins in it, where it has one.
pub const JENKINS_TAG: &str = "hostkit:jenkins";
/// The snapshot that it stands on.
pub const PARENT_TAG: &str = "hostkit:parent";
/// On a snapshot: the digest of its disk, which is that of the table of its blocks.
pub const BLOCKS_TAG: &str = "hostkit:blocks";
/// All of hostkit's tags begin with this: nobody else sets them.
pub const OURS: &str = "hostkit:";

/// AWS's own limit for the name of an image, in characters.
const NAME_LIMIT: usize = 128;

/// Tags, by key.
pub type Tags = BTreeMap<String, String>;

/// `{recipe}-{arch}-{version}-{digest8}`, in the characters that AWS allows.
pub fn image_name(recipe: &str, arch: Arch, version: &str, digest: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "()[] ./-'@_".contains(c);
    let clean =
        |text: &str| -> String { text.chars().map(|c| if allowed(c) { c } else { '-' }).collect() };
    let end = format!("-{}", digest.get(..8).unwrap_or(digest));
    let mut name = clean(&format!("{recipe}-{arch}-{version}"));
    name.truncate(NAME_LIMIT - end.len());
    name + &end
}

/// What an image is called by: known before it is baked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// The recipe's name.
    pub recipe: String,
    /// The version of the image.
    pub version: String,
    /// The processor, by Debian's name.
    pub arch: String,
    /// The digest of all that goes into it.
    pub digest: String,
}

impl Labels {
    /// Those of an image that is there.
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            recipe: manifest.recipe.clone(),
            version: manifest.image_version.clone(),
            arch: manifest.arch.clone(),
            digest: manifest.digest.clone(),
        }
    }

    /// Those of an image that a plan comes to.
    pub fn planned(plan: &Plan, digest: String) -> Self {
        Self {
            recipe: plan.recipe.clone(),
            version: plan.image_version.clone(),
            arch: plan.base.arch.to_string(),
            digest,
        }
    }
}

/// The tags of everything that a build makes, as long as it is not done.
pub fn building(labels: &Labels, build: &str, users: &Tags) -> Tags {
    let ours = [
        (RECIPE_TAG, labels.recipe.as_str()),
        (DIGEST_TAG, &labels.digest),
        (VERSION_TAG, &labels.version),
        (ARCH_TAG, &labels.arch),
        (BUILD_TAG, build),
        (STATE_TAG, BUILDING),
    ];
    let mut tags = users.clone();
    tags.extend(ours.map(|(key, value)| (key.to_owned(), value.to_owned())));
    tags
}

/// What is known of an image once it is made: whoever puts it in service must know it, and sees
/// nothing of the image but its tags.
pub fn contents(manifest: &Manifest) -> Tags {
    let jenkins = manifest.packages.get("jenkins");
    jenkins.map(|version| (JENKINS_TAG.to_owned(), version.clone())).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_only_what_aws_allows_and_its_digest_whole() {
        let digest = "0123456789abcdef";
        let name = image_name("jenkins-controller", Arch::Amd64, "2.568.2+1~x", digest);
        assert_eq!(name, "jenkins-controller-amd64-2.568.2-1-x-01234567");
        let long = image_name(&"r".repeat(200), Arch::Arm64, "1", digest);
        assert_eq!(long.len(), 128);
        assert!(long.ends_with("r-01234567"), "{long}");
    }
}
