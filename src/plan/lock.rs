//! `hostkit.lock`: what recipes resolved to when they were baked, so that the next bake gets the
//! same. TOML that people read in a diff and never write.
//!
//! Pure: whoever has the text of the file and an [`Entry`] gets the text of the next one.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::Plan;
use crate::digest::sha256;
use crate::error::Fault;

/// The version of the form.
pub const VERSION: u32 = 1;

/// The file's name.
pub const FILE: &str = "hostkit.lock";

/// What is said of a version that is the same and has other bytes.
pub const OTHER_DIGEST: &str = "has another digest";

/// The first lines of the file.
const HEAD: &str =
    "# Written by `hostkit bake`; `--update-lock` moves it. Keep it with the recipe.\n";

/// A whole lock file: an entry an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// See [`VERSION`].
    pub version: u32,
    /// The images, in the order of their names.
    #[serde(default)]
    pub image: Vec<Image>,
}

impl Default for Lock {
    fn default() -> Self {
        Self { version: VERSION, image: Vec::new() }
    }
}

/// What one image is locked to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// The recipe's name.
    pub recipe: String,
    /// The processor.
    pub arch: String,
    /// What is made of the tree.
    pub target: String,
    /// What the base is, as `debian:trixie`. Another one moves the lock.
    pub os: String,
    /// The clock that every program of the bake sees in `SOURCE_DATE_EPOCH`, and the youngest that
    /// a file in the image may be: seconds since 1970.
    pub epoch: i64,
    /// The AMI that it begins with, where the base is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ami: Option<LockedAmi>,
    /// The packages of the base tree.
    pub base: Resolution,
    /// The packages that the recipe adds, with all that they need.
    #[serde(default)]
    pub packages: Resolution,
    /// The files that are fetched by a signature, by the path that they are put at: a key may sign
    /// more than one.
    #[serde(default, skip_serializing_if = "Resolution::is_empty")]
    pub fetched: Resolution,
}

/// The AMI that a recipe's `[base.ami]` came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedAmi {
    /// What named it, as [`super::Ami`] shows itself. Something else there moves the lock.
    pub from: String,
    /// The region that it is in: ids are of one region.
    pub region: String,
    /// `ami-…`
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// The account that it belongs to.
    pub owner: String,
    /// When it was made, as EC2 writes it.
    pub created: String,
}

/// Packages by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Resolution(pub BTreeMap<String, Pin>);

/// A version and the digest of its file; written `VERSION ARCH sha256:DIGEST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The version.
    pub version: String,
    /// The processor, or `all`.
    pub arch: String,
    /// The SHA-256 of the package file.
    pub sha256: String,
}

/// The key of an image in the lock: recipe, processor and target.
type Name = [String; 3];

impl Lock {
    /// Reads the text of a lock file; `path` is for the error.
    pub fn parse(text: &str, path: &str) -> anyhow::Result<Self> {
        let hint = "restore it, or remove it and bake again";
        let lock: Self = toml::from_str(text)
            .with_context(|| Fault::recipe(format!("{path} is not a lock file")).hint(hint))?;
        if lock.version == VERSION {
            return Ok(lock);
        }
        let version = lock.version;
        Err(Fault::recipe(format!("{path} has form {version}, and this hostkit reads {VERSION}"))
            .hint(hint)
            .into())
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        HEAD.to_owned() + &toml::to_string(self).expect("a lock is plain data")
    }

    /// What the image of `plan` is locked to; nothing if it was locked on another base.
    pub fn entry(&self, plan: &Plan) -> Option<&Image> {
        self.image.iter().find(|image| image.name() == name(plan) && image.os == os(plan))
    }

    /// Puts an entry in the place of the one with the same name.
    pub fn set(&mut self, entry: Image) {
        match self.image.binary_search_by(|image| image.name().cmp(&entry.name())) {
            Ok(there) => self.image[there] = entry,
            Err(between) => self.image.insert(between, entry),
        }
    }
}

/// The name of the image of a plan.
fn name(plan: &Plan) -> Name {
    [plan.recipe.clone(), plan.base.arch.to_string(), plan.target.to_string()]
}

/// The base of a plan, as people write it.
fn os(plan: &Plan) -> String {
    format!("{}:{}", plan.base.distribution, plan.base.suite)
}

impl Image {
    /// An entry for the image of `plan`.
    pub fn new(plan: &Plan, epoch: i64, base: Resolution, packages: Resolution) -> Self {
        let [recipe, arch, target] = name(plan);
        let fetched = Resolution::default();
        let os = os(plan);
        Self { recipe, arch, target, os, epoch, ami: None, base, packages, fetched }
    }

    /// An entry for the image of `plan` that is built on an instance of this AMI. Packages are what
    /// the repositories have on the day.
    pub fn on(plan: &Plan, epoch: i64, ami: LockedAmi) -> Self {
        let entry = Self::new(plan, epoch, Resolution::default(), Resolution::default());
        Self { ami: Some(ami), ..entry }
    }

    /// With these fetched files.
    #[must_use]
    pub fn fetched(mut self, fetched: Resolution) -> Self {
        self.fetched = fetched;
        self
    }

    /// Names `plan` with these packages. The image's name has the engine in it, too.
    pub fn digest(&self, plan: &Plan) -> String {
        sha256(format!("{} {}", plan.digest, toml::to_string(self).expect("plain data")))
    }

    fn name(&self) -> Name {
        [self.recipe.clone(), self.arch.clone(), self.target.clone()]
    }
}

impl Resolution {
    /// A file at `path` that was taken because of its signature.
    pub fn signed(path: &str, sha256: &str) -> Self {
        let (version, arch) = ("signed".to_owned(), "file".to_owned());
        let pin = Pin { version, arch, sha256: sha256.to_owned() };
        Self([(path.to_owned(), pin)].into())
    }

    /// Whether nothing was resolved.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What stands here and is something else in `now`: a line a package, for people. What only one
    /// of them has is no conflict.
    pub fn conflicts(&self, now: &Self) -> Vec<String> {
        let both =
            self.0.iter().filter_map(|(name, locked)| Some((name, locked, now.0.get(name)?)));
        both.filter(|(_, locked, now)| locked != now)
            .map(|(name, locked, now)| {
                if locked.version == now.version {
                    format!("{name} {} {OTHER_DIGEST}", locked.version)
                } else {
                    format!("{name} {} is now {}", locked.version, now.version)
                }
            })
            .collect()
    }

    /// As preferences of apt: these versions and no other, also if that is a downgrade.
    pub fn preferences(&self) -> String {
        let pin = |(name, pin): (&String, &Pin)| {
            format!("Package: {name}\nPin: version {}\nPin-Priority: 1001\n\n", pin.version)
        };
        self.0.iter().map(pin).collect()
    }
}

impl FromIterator<(String, Pin)> for Resolution {
    fn from_iter<I: IntoIterator<Item = (String, Pin)>>(pins: I) -> Self {
        Self(pins.into_iter().collect())
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} sha256:{}", self.version, self.arch, self.sha256)
    }
}

impl FromStr for Pin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (version, arch, digest) = (word(), word(), word());
        let sha256 = digest.strip_prefix("sha256:").unwrap_or_default();
        let hex = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !hex || version.is_empty() || words.next().is_some() {
            return Err(format!("`{text}` is not like `1.2-3 amd64 sha256:0a1b…`"));
        }
        Ok(Self { version, arch, sha256: sha256.to_owned() })
    }
}

impl Serialize for Pin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(version: &str) -> Pin {
        Pin { version: version.to_owned(), arch: "amd64".to_owned(), sha256: sha256(version) }
    }

    fn image(recipe: &str, packages: &[(&str, &str)]) -> Image {
        let pins = |(name, version): &(&str, &str)| ((*name).to_owned(), pin(version));
        Image {
            recipe: recipe.to_owned(),
            arch: "amd64".to_owned(),
            target: "disk".to_owned(),
            os: "debian:trixie".to_owned(),
            epoch: 1_700_000_000,
            ami: None,
            base: Resolution::default(),
            packages: packages.iter().map(pins).collect(),
            fetched: Resolution::signed("/opt/tool", &sha256("tool")),
        }
    }

    #[test]
    fn a_lock_survives_its_text_and_keeps_its_order() {
        let mut lock = Lock::default();
        lock.set(image("b", &[("g++", "1:14.2"), ("git", "1:2.47")]));
        lock.set(image("a", &[]));
        lock.set(image("b", &[("git", "1:2.48")]));
        let names: Vec<_> = lock.image.iter().map(|image| image.recipe.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(Lock::parse(&lock.text(), "x").unwrap(), lock);
        insta::assert_snapshot!(lock.text());
    }

    #[test]
    fn an_ami_is_locked_by_its_id_with_all_that_tells_people_which_it_is() {
        let ami = LockedAmi {
            from: "the newest `al2023-ami-minimal-*` of amazon".to_owned(),
            region: "eu-west-1".to_owned(),
            id: "ami-0123456789abcdef0".to_owned(),
            name: "al2023-ami-minimal-2023.9".to_owned(),
            owner: "137112412989".to_owned(),
            created: "2026-11-01T00:00:00.000Z".to_owned(),
        };
        let mut lock = Lock::default();
        lock.set(Image { ami: Some(ami), ..image("node", &[]) });
        assert_eq!(Lock::parse(&lock.text(), "x").unwrap(), lock);
        insta::assert_snapshot!("a_lock_with_an_ami", lock.text());
    }

    #[test]
    fn what_is_no_lock_is_refused_with_its_name() {
        let newer = "version = 2\n";
        let key = "version = 1\ncolour = 1\n";
        let image =
            "version = 1\n[[image]]\nrecipe='a'\narch='x'\ntarget='disk'\nos='o'\nepoch=1\n";
        let digest = format!("{image}[image.base]\ngit = '1.2 all sha256:00'\n");
        for text in [newer, key, &digest, "<<<<<<< HEAD"] {
            let error = Lock::parse(text, "hostkit.lock").unwrap_err();
            assert_eq!(crate::error::blame(&error).exit_code(), 3);
            assert!(format!("{error}").contains("hostkit.lock"), "{error:#}");
        }
    }

    #[test]
    fn only_what_both_have_and_differently_is_a_conflict() {
        let locked = image("a", &[("git", "2.47"), ("nano", "8"), ("less", "1")]).packages;
        let mut now = image("a", &[("git", "2.48"), ("less", "1"), ("vim", "9")]).packages;
        assert_eq!(locked.conflicts(&now), ["git 2.47 is now 2.48"]);
        now.0.insert("less".to_owned(), Pin { sha256: sha256("other"), ..pin("1") });
        assert_eq!(locked.conflicts(&now)[1], "less 1 has another digest");
        assert_eq!(locked.conflicts(&locked), [""; 0]);
    }

    #[test]
    fn pins_win_over_whatever_a_repository_has() {
        let preferences = image("a", &[("git", "1:2.47")]).packages.preferences();
        assert_eq!(preferences, "Package: git\nPin: version 1:2.47\nPin-Priority: 1001\n\n");
    }
}
