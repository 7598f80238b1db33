//! What a person wants of an image beyond its being there: where it is copied to, with which keys, who
//! may use it, for how long, and what points to it. Pure: whatever can be refused is, before anything
//! is done.

use std::collections::{BTreeMap, BTreeSet};

use super::name::{OURS, Tags};
use crate::aws::image::Audience;
use crate::aws::launch_template::Which;
use crate::error::Fault;

/// AWS's own limit for the tags of a thing.
const TAGS: usize = 50;
/// So many of them are hostkit's own, at most.
const OWN_TAGS: usize = 8;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publication {
    /// The regions that get a copy.
    pub copy_to: Vec<String>,
    /// The keys that snapshots are encrypted with.
    pub keys: Keys,
    /// Who may use the image, beside its own account.
    pub audience: Audience,
    /// After how many days it is deprecated.
    pub deprecate_after: Option<u32>,
    /// Whether it is protected from deregistration, with a cooldown of a day.
    pub protect: bool,
    /// The user's tags.
    pub tags: Tags,
    /// Whether the parameter moves that points to the latest image.
    pub pointer: bool,
    /// The launch templates that get a version with the image.
    pub templates: Vec<Template>,
    /// Which version of a template a new one is made like.
    pub base: Base,
    /// Whether the new version becomes the template's default.
    pub set_default: bool,
}

/// Which version of a launch template a new one is made like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Base {
    /// The youngest.
    #[default]
    Latest,
    /// The one that is taken where none is named.
    Default,
}

impl Base {
    /// As EC2 names it.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Latest => "$Latest",
            Self::Default => "$Default",
        }
    }
}

/// A launch template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its region; that of the image if absent.
    pub region: Option<String>,
    /// Its name or id.
    pub which: Which,
}

/// The keys that snapshots are encrypted with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// That of every region that has none of its own.
    pub everywhere: Option<String>,
    /// By region.
    pub regions: BTreeMap<String, String>,
}

impl Keys {
    /// That of a region.
    pub fn of(&self, region: &str) -> Option<&str> {
        self.regions.get(region).or(self.everywhere.as_ref()).map(String::as_str)
    }
}

impl Publication {
    /// The regions beside `home`, each once.
    pub fn others(&self, home: &str) -> BTreeSet<String> {
        self.copy_to.iter().filter(|region| *region != home).cloned().collect()
    }

    /// Whether all of it can come to be, as far as that is known beforehand. `encrypted` says whether
    /// the image in `home` is.
    ///
    /// # Errors
    /// A matter of usage: what contradicts itself, or what AWS does for nobody.
    pub fn check(&self, home: &str, encrypted: bool) -> Result<(), Fault> {
        let others = self.others(home);
        let here = |region: &String| region == home || others.contains(region);
        if let Some(region) = self.keys.regions.keys().find(|region| !here(region)) {
            return Err(Fault::usage(format!(
                "there is a key for {region}, and nothing goes there"
            ))
            .hint(format!("add --copy-to {region}")));
        }
        for template in &self.templates {
            if let Some(region) = template.region.as_ref().filter(|region| !here(region)) {
                let text = format!(
                    "the launch template {} is in {region}, and nothing goes there",
                    template.which
                );
                return Err(Fault::usage(text).hint(format!("add --copy-to {region}")));
            }
        }
        for region in others.iter().map(String::as_str).chain([home]) {
            self.check_key(region, others.len())?;
            self.check_sharing(region, home, encrypted)?;
        }
        if self.tags.len() > TAGS - OWN_TAGS {
            let text = format!("{} tags are too many", self.tags.len());
            return Err(Fault::usage(text)
                .hint(format!("AWS has room for {TAGS}, and {OWN_TAGS} of them are hostkit's")));
        }
        Ok(())
    }

    /// A key is of one region. AWS finds out only when the copy has failed.
    fn check_key(&self, region: &str, others: usize) -> Result<(), Fault> {
        let Some(key) = self.keys.of(region) else { return Ok(()) };
        let hint = "give each region its own: --kms-key REGION=KEY, or an alias that all have";
        match key_region(key) {
            Some(of) if of != region => {
                let text = format!("the key {key} is of {of}, and cannot encrypt in {region}");
                Err(Fault::usage(text).hint(hint))
            }
            None if others > 0 && is_regional(key) && !self.keys.regions.contains_key(region) => {
                let text = format!("the key {key} is of one region, and there are several");
                Err(Fault::usage(text).hint(hint))
            }
            _ => Ok(()),
        }
    }

    /// What the account's default key encrypts, nobody else can read.
    fn check_sharing(&self, region: &str, home: &str, encrypted: bool) -> Result<(), Fault> {
        if self.audience.is_empty() {
            return Ok(());
        }
        let hint = format!("give a key of your own whose policy lets them in: --kms-key {region}=");
        match self.keys.of(region) {
            Some(key) if key.ends_with("alias/aws/ebs") => {
                let text = "an image that is encrypted with the account's default key cannot be \
                            shared: nobody else may use that key";
                Err(Fault::usage(text).hint(hint + "KEY"))
            }
            None if encrypted && region != home => {
                let text = format!(
                    "the image is encrypted, so its copy in {region} would be with the account's \
                     default key, and could not be shared"
                );
                Err(Fault::usage(text).hint(hint + "KEY"))
            }
            _ => Ok(()),
        }
    }
}

/// The region that an ARN of a key names.
fn key_region(key: &str) -> Option<&str> {
    key.starts_with("arn:").then(|| key.split(':').nth(3)).flatten()
}

/// Whether a key that is no ARN exists in one region only: neither an alias nor a multi-region key.
fn is_regional(key: &str) -> bool {
    !key.starts_with("alias/") && !key.starts_with("mrk-")
}

/// A region's name, as far as one can tell.
///
/// # Errors
/// It is none.
pub fn region(text: &str) -> Result<String, String> {
    let parts: Vec<_> = text.split('-').collect();
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_lowercase());
    let fine = match parts.split_last() {
        Some((number, words)) => {
            words.len() >= 2
                && words.iter().all(|word| letters(word))
                && number.parse::<u8>().is_ok_and(|number| number > 0)
        }
        None => false,
    };
    if fine { Ok(text.to_owned()) } else { Err("wanted a region, as us-east-1".to_owned()) }
}

/// An account's number.
///
/// # Errors
/// It is none.
pub fn account(text: &str) -> Result<String, String> {
    let fine = text.len() == 12 && text.bytes().all(|it| it.is_ascii_digit());
    if fine {
        Ok(text.to_owned())
    } else {
        Err("wanted the twelve digits of an account".to_owned())
    }
}

/// The ARN of an organisation.
///
/// # Errors
/// It is none.
pub fn organization(text: &str) -> Result<String, String> {
    organizations(text, "organization/o-").ok_or_else(|| {
        "wanted an ARN, as arn:aws:organizations::111122223333:organization/o-example".to_owned()
    })
}

/// The ARN of an organisational unit.
///
/// # Errors
/// It is none.
pub fn unit(text: &str) -> Result<String, String> {
    organizations(text, "ou/o-").ok_or_else(|| {
        "wanted an ARN, as arn:aws:organizations::111122223333:ou/o-example/ou-ab12-example"
            .to_owned()
    })
}

fn organizations(text: &str, kind: &str) -> Option<String> {
    let parts: Vec<_> = text.splitn(6, ':').collect();
    let [arn, partition, "organizations", "", owner, what] = parts[..] else { return None };
    let fine = arn == "arn" && partition.starts_with("aws") && account(owner).is_ok();
    (fine && what.starts_with(kind)).then(|| text.to_owned())
}

/// A tag, `KEY=VALUE`.
///
/// # Errors
/// It is none, or not one that a user may set.
pub fn tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("wanted KEY=VALUE")?;
    let lower = key.to_lowercase();
    if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
        return Err("a key has 1 to 128 characters, a value at most 256".to_owned());
    }
    match [OURS, "aws:"].into_iter().find(|prefix| lower.starts_with(prefix)) {
        Some(prefix) => Err(format!("tags that begin with `{prefix}` are not yours to set")),
        None => Ok((key.to_owned(), value.to_owned())),
    }
}

/// Something that may be of one region, `REGION=WHAT` or `WHAT`.
///
/// # Errors
/// Nothing is named.
pub fn of_region(text: &str) -> Result<(Option<String>, String), String> {
    let split = text.split_once('=').filter(|(before, _)| region(before).is_ok());
    let (region, what) = split.map_or((None, text), |(region, what)| (Some(region), what));
    if what.is_empty() || what.contains('=') {
        return Err("wanted WHAT or REGION=WHAT".to_owned());
    }
    Ok((region.map(str::to_owned), what.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared() -> Publication {
        let audience = Audience { accounts: vec!["1".repeat(12)], ..Audience::default() };
        Publication { audience, copy_to: vec!["us-east-1".into()], ..Publication::default() }
    }

    fn refusal(publication: &Publication, encrypted: bool) -> String {
        let fault = publication.check("eu-west-1", encrypted).unwrap_err();
        format!("{fault}; {}", fault.hint_text().unwrap_or_default())
    }

    #[test]
    fn what_the_default_key_encrypts_is_not_shared() {
        assert!(shared().check("eu-west-1", false).is_ok());
        insta::assert_snapshot!(refusal(&shared(), true), @"the image is encrypted, so its copy in us-east-1 would be with the account's default key, and could not be shared; give a key of your own whose policy lets them in: --kms-key us-east-1=KEY");
        let mut publication = shared();
        publication.keys.everywhere = Some("alias/aws/ebs".into());
        insta::assert_snapshot!(refusal(&publication, false), @"an image that is encrypted with the account's default key cannot be shared: nobody else may use that key; give a key of your own whose policy lets them in: --kms-key us-east-1=KEY");
        publication.audience = Audience::default();
        assert!(publication.check("eu-west-1", false).is_ok());
    }

    #[test]
    fn a_key_is_of_its_region() {
        let mut publication = shared();
        publication.keys.everywhere = Some("arn:aws:kms:eu-west-1:111122223333:key/a".into());
        assert!(refusal(&publication, true).contains("cannot encrypt in us-east-1"));
        publication.keys.everywhere = Some("1234abcd-12ab-34cd-56ef-1234567890ab".into());
        assert!(refusal(&publication, true).contains("is of one region"));
        publication.keys.everywhere = Some("alias/images".into());
        assert!(publication.check("eu-west-1", true).is_ok());
        publication.keys.regions.insert("us-west-2".into(), "alias/images".into());
        assert!(refusal(&publication, true).ends_with("add --copy-to us-west-2"));
    }

    #[test]
    fn what_is_given_is_what_it_looks_like() {
        assert!(region("us-gov-west-1").is_ok() && region("us-east").is_err());
        assert!(account("111122223333").is_ok() && account("1111-2222-3333").is_err());
        let organization_arn = "arn:aws:organizations::111122223333:organization/o-abc";
        let unit_arn = "arn:aws-us-gov:organizations::111122223333:ou/o-abc/ou-ab12-c";
        assert!(organization(organization_arn).is_ok() && organization(unit_arn).is_err());
        assert!(unit(unit_arn).is_ok() && unit("ou-ab12-c").is_err());
        assert_eq!(tag("team=ci=x").unwrap(), ("team".into(), "ci=x".into()));
        for refused in ["hostkit:state=kept", "AWS:x=1", "=1", "x"] {
            assert!(tag(refused).is_err(), "{refused}");
        }
        assert_eq!(of_region("eu-west-1=k").unwrap(), (Some("eu-west-1".into()), "k".into()));
        assert_eq!(of_region("alias/k").unwrap(), (None, "alias/k".into()));
        assert!(of_region("eu-west-1=").is_err());
    }
}
