//! The sections of a recipe, as people write them.
//!
//! Every type refuses unknown keys. Nothing is untagged, flattened or internally tagged: an error
//! points at the line and column that is wrong. Every string but the recipe's name and its parent's
//! may use `{{ variable }}`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::platform::{Arch, Family, Os, Target};
pub use super::system::{DropIn, Group, Kernel, Setting, Unit, UnitState};
pub use super::test::{On, Test, TestKind, TestState};
use super::value::{Kind, Value};
use crate::error::Fault;

/// A whole recipe file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What it is.
    pub recipe: Header,
    /// What it starts from. A parent may say it.
    pub base: Option<Base>,
    /// The variables that a bake may set, by name.
    #[serde(default)]
    pub vars: BTreeMap<String, Variable>,
    /// Package repositories beside the base's own.
    #[serde(default)]
    pub repository: Vec<Repository>,
    /// Packages.
    #[serde(default)]
    pub packages: Packages,
    /// Groups. Made before the users.
    #[serde(default)]
    pub group: Vec<Group>,
    /// Accounts. Made before packages are installed, so that a package finds the numbers pinned.
    #[serde(default)]
    pub user: Vec<User>,
    /// Settings of the running kernel, by name: `/etc/sysctl.d/60-hostkit.conf`.
    #[serde(default)]
    pub sysctl: BTreeMap<String, Setting>,
    /// Modules and command line of the kernel.
    #[serde(default)]
    pub kernel: Kernel,
    /// Directories.
    #[serde(default)]
    pub directory: Vec<Directory>,
    /// Files.
    #[serde(default)]
    pub file: Vec<File>,
    /// Symbolic links.
    #[serde(default)]
    pub link: Vec<Link>,
    /// systemd units.
    #[serde(default)]
    pub unit: Vec<Unit>,
    /// Files from elsewhere, verified.
    #[serde(default)]
    pub fetch: Vec<Fetch>,
    /// Programs to run, as the last resort.
    #[serde(default)]
    pub script: Vec<Script>,
    /// What must hold before an image counts as baked.
    #[serde(default)]
    pub test: Vec<Test>,
    /// What the boot agent does: becomes `/etc/hostkit/host.toml`.
    #[serde(default)]
    #[schemars(with = "crate::host::HostConfig")]
    pub host: toml::Table,
}

/// `[recipe]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The recipe's name; images are named after it.
    pub name: String,
    /// The version of the image that it describes.
    #[serde(default)]
    pub version: String,
    /// One line for people.
    #[serde(default)]
    pub description: String,
    /// The name of a recipe whose sections come first.
    pub extends: Option<String>,
}

/// `[base]`: a distribution built from its packages, or a disk or an AMI that has one already.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// The distribution and its release: `debian:trixie`, `ubuntu:noble`, `amazon:2023`.
    pub os: String,
    /// The mirror to take its packages from; else the distribution's own.
    pub mirror: Option<String>,
    /// The mirror of its security updates; else the distribution's own.
    pub security_mirror: Option<String>,
    /// The moment whose packages are taken, as `20261101T000000Z`; else the newest.
    pub snapshot: Option<String>,
    /// Where the distribution's packages are kept by date; else <https://snapshot.debian.org>.
    pub snapshot_mirror: Option<String>,
    /// An existing disk to begin with: a raw or qcow2 file of this machine. Needs `sha256`.
    pub image: Option<String>,
    /// The SHA-256 of `image`, in hexadecimal.
    pub sha256: Option<String>,
    /// An AMI to begin with. Without one, `amazon:2023` begins with Amazon's minimal AMI.
    pub ami: Option<Ami>,
}

impl Base {
    /// The distribution and the release that `os` names.
    ///
    /// # Errors
    /// An `os` that is not one of ours.
    pub fn release(&self) -> Result<(Os, &str), Fault> {
        let (name, release) = self.os.split_once(':').unwrap_or((&self.os, ""));
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        match Os::ALL.into_iter().find(|os| os.name() == name) {
            // Earlier ones have no dnf.
            Some(Os::Amazon) if release != "2023" => Err(Fault::recipe(format!(
                "there is no base `{}`",
                self.os
            ))
            .hint("of Amazon Linux, `amazon:2023` is known")),
            Some(os) if !release.is_empty() && release.chars().all(plain) => Ok((os, release)),
            _ => Err(Fault::recipe(format!("there is no base `{}`", self.os))
                .hint("a base is `debian:trixie`, `ubuntu:noble`, `amazon:2023` or another release of these")),
        }
    }
}

/// `[base.ami]`: exactly one of `id`, `ssm`, and `name` with `owner`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ami {
    /// Its id, as `ami-0123456789abcdef0`.
    pub id: Option<String>,
    /// A name with `*`: the newest that fits it and belongs to `owner`.
    pub name: Option<String>,
    /// The account that owns it: twelve digits, `amazon` or `self`. Anybody may give an image any
    /// name.
    pub owner: Option<String>,
    /// An SSM parameter that holds its id.
    pub ssm: Option<String>,
}

/// `[vars.NAME]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// What its values are.
    #[serde(default)]
    pub r#type: Kind,
    /// Its value if nobody sets it. Without one, a bake must set it.
    pub default: Option<Value>,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// A bake must set it, though it has a default (which a parent may have given).
    #[serde(default)]
    pub required: bool,
    /// Its value is in no plan and no image. It may stand only as a whole value of `[[script]] env`
    /// or of `[[fetch]] headers`, and never comes from `--var` or a default.
    #[serde(default)]
    pub secret: bool,
    /// The only values that it may have; of a list, the only elements.
    #[serde(default)]
    pub allowed: Vec<Value>,
}

/// When a section applies: all that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// The package family of the base.
    pub family: Option<Family>,
    /// The distribution of the base.
    pub os: Option<Os>,
    /// The processor.
    pub arch: Option<Arch>,
    /// What is made.
    pub target: Option<Target>,
    /// A package that is installed by name from a repository, not from a file.
    pub installs: Option<String>,
    /// Text that must not be empty, as `{{ variable }}`; of a list, `{{ variable | join }}`.
    pub given: Option<String>,
}

impl When {
    /// Whether it holds for this image. `installs` says whether a package is installed by name.
    pub fn holds(
        &self,
        os: Os,
        arch: Arch,
        target: Target,
        installs: impl Fn(&str) -> bool,
    ) -> bool {
        self.family.is_none_or(|family| family == os.family())
            && self.os.is_none_or(|wanted| wanted == os)
            && self.arch.is_none_or(|wanted| wanted == arch)
            && self.target.is_none_or(|wanted| wanted == target)
            && self.installs.as_deref().is_none_or(installs)
            && self.is_given()
    }

    fn is_given(&self) -> bool {
        self.given.as_deref().is_none_or(|text| !text.trim().is_empty())
    }

    /// Whether both can hold for one image, as far as that can be told from them alone.
    pub fn meets(&self, other: &Self) -> bool {
        let family = |when: &Self| when.family.or(when.os.map(Os::family));
        agree(family(self), family(other))
            && agree(self.os, other.os)
            && agree(self.arch, other.arch)
            && agree(self.target, other.target)
            && self.installs == other.installs
            && self.is_given()
            && other.is_given()
    }
}

fn agree<T: Copy + PartialEq>(one: Option<T>, other: Option<T>) -> bool {
    one.is_none() || other.is_none() || one == other
}

/// `[[repository]]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// The name of its files.
    pub name: String,
    /// Where it is. For dnf its `baseurl`, which may use dnf's own `$releasever` and `$basearch`.
    pub uri: String,
    /// Its suite, for apt; one that ends in `/` has no components.
    #[serde(default)]
    pub suite: String,
    /// Its components, for apt.
    #[serde(default)]
    pub components: Vec<String>,
    /// The only packages that may come from it; empty means any.
    #[serde(default)]
    pub packages: Vec<String>,
    /// The keys that may sign it, each pinned by fingerprint.
    pub key: Vec<RepositoryKey>,
    /// When it applies.
    #[serde(default)]
    pub when: When,
}

/// A key that may sign a repository.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepositoryKey {
    /// Where it is: `https:` or `file:`.
    pub url: String,
    /// Its full fingerprint, in hexadecimal; blanks are ignored.
    pub fingerprint: String,
}

/// `[packages]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Packages {
    /// `name`, `name=version`, or the path of a package file on this machine.
    #[serde(default)]
    pub install: Vec<String>,
    /// Packages that must not be there, nor their configuration.
    #[serde(default)]
    pub remove: Vec<String>,
    /// Packages that no upgrade may change.
    #[serde(default)]
    pub hold: Vec<String>,
    /// More of the same, for some images only.
    #[serde(default)]
    pub group: Vec<PackageGroup>,
}

/// `[[packages.group]]`: packages with a condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackageGroup {
    /// When it applies.
    #[serde(default)]
    pub when: When,
    /// As in `[packages]`.
    #[serde(default)]
    pub install: Vec<String>,
    /// As in `[packages]`.
    #[serde(default)]
    pub remove: Vec<String>,
    /// As in `[packages]`.
    #[serde(default)]
    pub hold: Vec<String>,
}

/// `[[user]]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The login name; its group has the same.
    pub name: String,
    /// Its number. Pinned, because files on EFS know owners by number only.
    pub uid: u32,
    /// Its group's number; else the same as its own.
    pub gid: Option<u32>,
    /// Its home directory, which is not made for a system account.
    pub home: Option<String>,
    /// Its shell; else one that refuses to log in.
    pub shell: Option<String>,
    /// Further groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// A system account: no home is made.
    #[serde(default)]
    pub system: bool,
    /// When it applies.
    #[serde(default)]
    pub when: When,
}

/// `[[directory]]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// Where it is.
    pub path: String,
    /// Its mode, as `0o755`.
    #[serde(default = "directory_mode")]
    pub mode: u32,
    /// Its user.
    #[serde(default = "root")]
    pub owner: String,
    /// Its group.
    #[serde(default = "root")]
    pub group: String,
    /// When it applies.
    #[serde(default)]
    pub when: When,
}

/// `[[file]]`: exactly one of `content`, `source` and `template`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where it goes.
    pub path: String,
    /// What is in it.
    pub content: Option<String>,
    /// A file that is copied as it is: of the project, else shipped with hostkit.
    pub source: Option<String>,
    /// A template that is rendered with the recipe's variables: of the project, else shipped.
    pub template: Option<String>,
    /// Its mode, as `0o644`.
    #[serde(default = "file_mode")]
    pub mode: u32,
    /// Its user.
    #[serde(default = "root")]
    pub owner: String,
    /// Its group.
    #[serde(default = "root")]
    pub group: String,
    /// When it applies.
    #[serde(default)]
    pub when: When,
}

/// `[[link]]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Where the link is.
    pub path: String,
    /// What it names.
    pub to: String,
    /// When it applies.
    #[serde(default)]
    pub when: When,
}

/// `[[fetch]]`: exactly one of `sha256` and `signature` with its `key`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// Where it is: `https:` or `file:`.
    pub url: String,
    /// The SHA-256 of what must arrive, in hexadecimal.
    pub sha256: Option<String>,
    /// Where its detached `OpenPGP` signature is.
    pub signature: Option<String>,
    /// The key that must have made the signature.
    pub key: Option<RepositoryKey>,
    /// Where it goes.
    pub path: String,
    /// Its mode, else `0o644`; of a folder that is unpacked into, else `0o755`.
    pub mode: Option<u32>,
    /// Its user, and that of all that is unpacked.
    #[serde(default = "root")]
    pub owner: String,
    /// Its group, and that of all that is unpacked.
    #[serde(default = "root")]
    pub group: String,
    /// It is an archive (tar with gzip, xz, zstd or nothing, or zip) to unpack into `path`.
    #[serde(default)]
    pub unpack: bool,
    /// How many leading parts of the paths in the archive are dropped.
    #[serde(default)]
    pub strip: u32,
    /// Headers of the request. A value may be a secret variable.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// When it applies.
    #[serde(default)]
    pub when: When,
}

/// `[[script]]`: exactly one of `run` and `source`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Its name in plans and logs.
    pub name: String,
    /// When in the order it runs.
    pub hook: Hook,
    /// What `sh -eu` runs inside the tree.
    pub run: Option<String>,
    /// A file that `sh -eu` runs inside the tree: of the project, else shipped with hostkit.
    pub source: Option<String>,
    /// A file whose bytes are its standard input: of the project, else shipped with hostkit.
    pub input: Option<String>,
    /// Variables of its environment. A value may be a secret variable.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// A path that it makes: where that is, it does not run again.
    pub creates: Option<String>,
    /// A command that only looks: where it succeeds, the script does not run.
    pub unless: Option<String>,
    /// Seconds until it is killed.
    #[serde(default = "script_timeout")]
    pub timeout: u64,
    /// When it applies.
    #[serde(default)]
    pub when: When,
}

/// The places where a script may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// After the repositories, before the packages.
    Early,
    /// After the packages and what was fetched, before the recipe's own files: what is slow and
    /// does not need those files belongs here, and is not run again when one of them changes.
    Installed,
    /// After everything else.
    Late,
}

const fn directory_mode() -> u32 {
    0o755
}

const fn file_mode() -> u32 {
    0o644
}

fn root() -> String {
    "root".to_owned()
}

const fn script_timeout() -> u64 {
    600
}
