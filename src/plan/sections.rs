//! The sections of a recipe as steps: what is said in one of them, checked and made complete.

use std::collections::BTreeMap;

use anyhow::Context as _;

use super::build::{AgentBinary, Planner};
use super::{Planned, Section};
use crate::error::Fault;
use crate::host;
use crate::recipe::platform;
use crate::recipe::types::{self, Hook, PackageGroup, Packages, UnitState};
use crate::recipe::{Recipe, assets::Asset, is_file};
use crate::step::openpgp::Key;
use crate::step::unit::State;
use crate::step::{self, Family, Step};

/// The mode of a fetched file if nobody says another.
const FILE_MODE: u32 = 0o644;

/// The mode of a folder that is unpacked into if nobody says another.
const FOLDER_MODE: u32 = 0o755;

impl Planner<'_> {
    /// The package manager of the base.
    fn family(&self) -> Family {
        match self.base.distribution.family() {
            platform::Family::Debian => Family::Debian,
            platform::Family::Redhat => Family::Redhat,
        }
    }

    pub(super) fn repository(&self, r: &types::Repository) -> anyhow::Result<Planned> {
        let wherefrom = format!("[[repository]] {}", r.name);
        let kind = match self.family() {
            Family::Debian if r.suite.is_empty() => {
                let hint = "one that ends in `/` has no components";
                return Err(wrong(format!("{wherefrom} needs a `suite` for apt"), hint));
            }
            Family::Debian => step::repository::Kind::Apt {
                suite: r.suite.clone(),
                components: r.components.clone(),
            },
            Family::Redhat if !(r.suite.is_empty() && r.components.is_empty()) => {
                let hint = "give it `when = { family = \"debian\" }`";
                return Err(wrong(
                    format!("{wherefrom} has a suite, which dnf does not know"),
                    hint,
                ));
            }
            Family::Redhat => step::repository::Kind::Dnf {},
        };
        let keys = r.key.iter().map(|key| pinned(key, &wherefrom));
        let repository = step::repository::Repository {
            name: r.name.clone(),
            uri: r.uri.clone(),
            kind,
            packages: r.packages.clone(),
            keys: keys.collect::<anyhow::Result<_>>()?,
        };
        let id = format!("repository:{}", r.name);
        Ok(planned(Section::Repositories, id, Step::Repository(repository)))
    }

    /// What is installed in the end. A group whose condition is a package sees those that have no
    /// such condition.
    pub(super) fn installs_of(&self, packages: &Packages) -> Vec<String> {
        let groups = self.groups(packages, |group| group.when.installs.is_none());
        let mut installs: Vec<_> =
            packages.install.iter().chain(groups.flat_map(|g| &g.install)).cloned().collect();
        let seeing = Planner { installs: installs.clone(), ..*self };
        let groups = seeing.groups(packages, |group| group.when.installs.is_some());
        installs.extend(groups.flat_map(|g| &g.install).cloned());
        installs
    }

    fn groups<'p>(
        &self,
        packages: &'p Packages,
        which: impl Fn(&PackageGroup) -> bool,
    ) -> impl Iterator<Item = &'p PackageGroup> {
        packages.group.iter().filter(move |group| which(group) && self.applies(&group.when))
    }

    pub(super) fn packages(&self, steps: &mut Vec<Planned>, recipe: &Recipe) -> anyhow::Result<()> {
        let (files, install): (Vec<_>, Vec<_>) = self.installs.iter().partition(|p| is_file(p));
        let files = files.into_iter().map(|name| {
            let known = self.inputs.package_files.get(name);
            let (path, sha256) = known.with_context(|| format!("{name} was not read"))?;
            Ok(step::packages::PackageFile { path: path.clone(), sha256: sha256.clone() })
        });
        let all = |list: fn(&PackageGroup) -> &Vec<String>, always: &Vec<String>| {
            let groups = self.groups(&recipe.packages, |_| true).flat_map(list);
            unique(always.iter().chain(groups))
        };
        let packages = step::packages::Packages {
            family: self.family(),
            install: unique(install),
            remove: all(|group| &group.remove, &recipe.packages.remove),
            hold: all(|group| &group.hold, &recipe.packages.hold),
            files: files.collect::<anyhow::Result<_>>()?,
        };
        let named = |name: &&String| {
            packages.install.iter().any(|p| step::packages::name_of(p) == name.as_str())
        };
        if let Some(both) = packages.remove.iter().find(named) {
            let hint = "say it once, or give each group a `when` that excludes the other";
            return Err(wrong(format!("the package `{both}` is installed and removed"), hint));
        }
        let lists = [&packages.install, &packages.remove, &packages.hold];
        if lists.iter().any(|list| !list.is_empty()) || !packages.files.is_empty() {
            steps.push(planned(Section::Packages, "packages".to_owned(), Step::Packages(packages)));
        }
        Ok(())
    }

    pub(super) fn file(&self, f: &types::File) -> anyhow::Result<Planned> {
        let wherefrom = format!("[[file]] {}", f.path);
        let content =
            self.text(f.content.as_ref(), f.source.as_ref(), f.template.as_ref(), &wherefrom)?;
        Ok(file(&f.path, content, f.mode, (f.owner.clone(), f.group.clone())))
    }

    /// What stands in a file: given, copied or rendered.
    fn text(
        &self,
        content: Option<&String>,
        source: Option<&String>,
        template: Option<&String>,
        wherefrom: &str,
    ) -> anyhow::Result<String> {
        match (content, source, template) {
            (Some(content), None, None) => Ok(content.clone()),
            (None, Some(source), None) => text_of(self.asset(source, wherefrom)?),
            (None, None, Some(template)) => {
                let asset = self.asset(template, wherefrom)?;
                self.vars.render_template(&text_of(asset)?, &asset.name)
            }
            _ => {
                let what = "exactly one of `content`, `source` and `template`";
                Err(Fault::recipe(format!("{wherefrom} needs {what}")).into())
            }
        }
    }

    /// The binary.
    pub(super) fn agent(&self, steps: &mut Vec<Planned>, recipe: &Recipe) {
        if !recipe.host.is_empty() {
            let AgentBinary { sha256, path } = self.inputs.agent.clone();
            let arch = self.base.arch.name().to_owned();
            let agent = Step::Agent(step::agent::Agent { sha256, path, arch });
            steps.push(planned(Section::Agent, "agent".to_owned(), agent));
        }
    }

    /// What the agent renders at boot, and what it is told to be.
    pub(super) fn host(&self, steps: &mut Vec<Planned>, recipe: &Recipe) -> anyhow::Result<()> {
        if recipe.host.is_empty() {
            return Ok(());
        }
        let root = || ("root".to_owned(), "root".to_owned());
        for (name, asset) in &self.inputs.boot_templates {
            let path = format!("/usr/share/hostkit/templates/{name}");
            steps.push(file(&path, text_of(asset)?, 0o644, root()));
        }
        let text = host_text(recipe)?;
        steps.push(file("/etc/hostkit/host.toml", text, 0o644, root()));
        Ok(())
    }

    pub(super) fn unit(&self, u: &types::Unit) -> anyhow::Result<Planned> {
        let drop_ins = u.drop_in.iter().map(|d| {
            let wherefrom = format!("[[unit]] {}, drop_in {}", u.name, d.name);
            if !is_file_name(&d.name) || !d.name.ends_with(".conf") {
                let hint = "systemd reads files that end in .conf, as `10-order.conf`";
                return Err(wrong(format!("{wherefrom}: that is no name of a drop-in"), hint));
            }
            let content =
                self.text(d.content.as_ref(), d.source.as_ref(), d.template.as_ref(), &wherefrom)?;
            Ok(step::unit::DropIn { name: d.name.clone(), content })
        });
        let unit = step::unit::Unit {
            name: u.name.clone(),
            state: u.state.map(|state| match state {
                UnitState::Enabled => State::Enabled,
                UnitState::Disabled => State::Disabled,
                UnitState::Masked => State::Masked,
            }),
            drop_ins: drop_ins.collect::<anyhow::Result<_>>()?,
        };
        if !is_file_name(&u.name) || !u.name.contains('.') {
            let hint = "a unit has its full name, as `jenkins.service`";
            return Err(wrong(format!("[[unit]] name cannot be `{}`", u.name), hint));
        }
        if unit.state.is_none() && unit.drop_ins.is_empty() {
            let hint = "give it a `state` or a `drop_in`";
            return Err(wrong(format!("[[unit]] {} says nothing", u.name), hint));
        }
        Ok(planned(Section::Files, format!("unit:{}", u.name), Step::Unit(unit)))
    }

    pub(super) fn scripts(
        &self,
        steps: &mut Vec<Planned>,
        recipe: &Recipe,
        hook: Hook,
    ) -> anyhow::Result<()> {
        let section = match hook {
            Hook::Early => Section::Early,
            Hook::Installed => Section::Installed,
            Hook::Late => Section::Late,
        };
        for script in recipe.script.iter().filter(|script| script.hook == hook) {
            if self.applies(&script.when) {
                let step = Step::Script(self.script(script)?);
                steps.push(planned(section, format!("script:{}", script.name), step));
            }
        }
        Ok(())
    }

    fn script(&self, s: &types::Script) -> anyhow::Result<step::script::Script> {
        let wherefrom = format!("[[script]] {}", s.name);
        let run = match (&s.run, &s.source) {
            (Some(run), None) => run.clone(),
            (None, Some(source)) => text_of(self.asset(source, &wherefrom)?)?,
            _ => {
                let what = format!("{wherefrom} needs exactly one of `run` and `source`");
                return Err(Fault::recipe(what).into());
            }
        };
        let input = s.input.as_ref().map(|name| text_of(self.asset(name, &wherefrom)?));
        if let Some(name) = s.env.keys().find(|name| !is_variable(name)) {
            let hint = "wanted are letters, digits and `_`";
            return Err(wrong(format!("{wherefrom}: no variable is called `{name}`"), hint));
        }
        Ok(step::script::Script {
            name: s.name.clone(),
            run,
            input: input.transpose()?,
            env: s.env.clone(),
            creates: s.creates.clone(),
            unless: s.unless.clone(),
            timeout: s.timeout,
        })
    }

    fn asset(&self, name: &str, wherefrom: &str) -> anyhow::Result<&Asset> {
        self.inputs.assets.get(name).ok_or_else(|| {
            let hint =
                "the path is relative to the project, or that of a file shipped with hostkit";
            wrong(format!("{wherefrom} names {name}, which is not there"), hint)
        })
    }
}

/// The recipe's `[host]` as it stands in the image.
fn host_text(recipe: &Recipe) -> anyhow::Result<String> {
    toml::to_string(&without_empty(&recipe.host)).context("writing [host]")
}

/// The home of a controller: what was written to its place while it is not mounted would be lost.
pub(super) fn mount_points(recipe: &Recipe) -> anyhow::Result<Vec<String>> {
    if recipe.host.is_empty() {
        return Ok(Vec::new());
    }
    let text = host_text(recipe)?;
    let host = host::read(&[host::Layer { origin: "[host]", text: &text }])?;
    let controller = host.role == Some(host::Role::Controller);
    Ok(if controller { vec![host::HOME.to_owned()] } else { Vec::new() })
}

/// The files of the project that a recipe names: they must be read before planning.
pub fn named_files(recipe: &Recipe) -> impl Iterator<Item = &String> {
    let files = recipe.file.iter().flat_map(|f| [&f.source, &f.template]);
    let drop_ins = recipe.unit.iter().flat_map(|u| &u.drop_in);
    let drop_ins = drop_ins.flat_map(|d| [&d.source, &d.template]);
    let scripts = recipe.script.iter().flat_map(|s| [&s.source, &s.input]);
    files.chain(drop_ins).chain(scripts).flatten()
}

pub(super) fn group(g: &types::Group) -> anyhow::Result<Planned> {
    is_account(&g.name, "[[group]]")?;
    let group = step::group::Group { name: g.name.clone(), gid: g.gid };
    Ok(planned(Section::Users, format!("group:{}", g.name), Step::Group(group)))
}

pub(super) fn user(u: &types::User) -> anyhow::Result<Planned> {
    is_account(&u.name, "[[user]]")?;
    let user = step::user::User {
        name: u.name.clone(),
        uid: u.uid,
        gid: u.gid.unwrap_or(u.uid),
        home: u.home.clone().unwrap_or_else(|| step::user::NO_HOME.to_owned()),
        shell: u.shell.clone().unwrap_or_else(|| "/usr/sbin/nologin".to_owned()),
        groups: u.groups.clone(),
        system: u.system,
    };
    Ok(planned(Section::Users, format!("user:{}", u.name), Step::User(user)))
}

pub(super) fn fetch(f: &types::Fetch) -> anyhow::Result<Planned> {
    let wherefrom = format!("[[fetch]] {}", f.path);
    let proof = match (&f.sha256, &f.signature, &f.key) {
        (Some(sha256), None, None) => step::fetch::Proof::Sha256(sha256.to_ascii_lowercase()),
        (None, Some(url), Some(key)) => {
            step::fetch::Proof::Signature { url: url.clone(), key: pinned(key, &wherefrom)? }
        }
        _ => {
            let hint = "what is fetched is verified, or it is not fetched";
            let what = "exactly one of `sha256` and `signature` with its `key`";
            return Err(wrong(format!("{wherefrom} needs {what}"), hint));
        }
    };
    if f.strip > 0 && !f.unpack {
        return Err(wrong(format!("{wherefrom} has `strip`"), "it goes with `unpack = true`"));
    }
    let header = |name: &&String| {
        name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if let Some(name) = f.headers.keys().find(header) {
        let hint = "wanted are letters, digits and `-`";
        return Err(wrong(format!("{wherefrom}: no header is called `{name}`"), hint));
    }
    let fetch = step::fetch::Fetch {
        url: f.url.clone(),
        proof,
        path: f.path.clone(),
        mode: f.mode.unwrap_or(if f.unpack { FOLDER_MODE } else { FILE_MODE }),
        owner: f.owner.clone(),
        group: f.group.clone(),
        unpack: f.unpack.then_some(f.strip),
        headers: f.headers.clone(),
    };
    Ok(planned(Section::Fetches, format!("fetch:{}", f.path), Step::Fetch(fetch)))
}

pub(super) fn sysctl(steps: &mut Vec<Planned>, recipe: &Recipe) {
    let settings: BTreeMap<_, _> =
        recipe.sysctl.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
    if !settings.is_empty() {
        let sysctl = Step::Sysctl(step::sysctl::Sysctl { settings });
        steps.push(planned(Section::Files, "sysctl".to_owned(), sysctl));
    }
}

pub(super) fn kernel(steps: &mut Vec<Planned>, recipe: &Recipe) {
    let types::Kernel { modules, blacklist, command_line } = recipe.kernel.clone();
    let kernel = step::kernel::Kernel { modules, blacklist, command_line };
    if kernel != step::kernel::Kernel::default() {
        steps.push(planned(Section::Files, "kernel".to_owned(), Step::Kernel(kernel)));
    }
}

pub(super) fn directory(d: &types::Directory) -> Planned {
    let directory = step::directory::Directory {
        path: d.path.clone(),
        mode: d.mode,
        owner: d.owner.clone(),
        group: d.group.clone(),
    };
    planned(Section::Files, format!("directory:{}", d.path), Step::Directory(directory))
}

pub(super) fn link(l: &types::Link) -> Planned {
    let link = step::link::Link { path: l.path.clone(), to: l.to.clone() };
    planned(Section::Files, format!("link:{}", l.path), Step::Link(link))
}

/// `[host]` without its empty strings: a variable with an empty default leaves the matter to
/// user-data.
fn without_empty(table: &toml::Table) -> toml::Table {
    let kept = table.iter().filter(|(_, value)| value.as_str() != Some(""));
    kept.map(|(key, value)| match value {
        toml::Value::Table(inner) => (key.clone(), toml::Value::Table(without_empty(inner))),
        value => (key.clone(), value.clone()),
    })
    .collect()
}

fn planned(section: Section, id: String, step: Step) -> Planned {
    Planned { id, section, step }
}

fn file(path: &str, content: String, mode: u32, (owner, group): (String, String)) -> Planned {
    let file = step::file::File { path: path.to_owned(), content, mode, owner, group };
    planned(Section::Files, format!("file:{path}"), Step::File(file))
}

fn text_of(asset: &Asset) -> anyhow::Result<String> {
    String::from_utf8(asset.bytes.clone())
        .map_err(|_| Fault::recipe(format!("{} is not UTF-8 text", asset.name)).into())
}

fn pinned(key: &types::RepositoryKey, wherefrom: &str) -> anyhow::Result<Key> {
    let fingerprint = fingerprint(&key.fingerprint, wherefrom)?;
    Ok(Key { url: key.url.clone(), fingerprint })
}

/// Forty hexadecimal digits, upper case, as gpg prints them.
fn fingerprint(text: &str, wherefrom: &str) -> anyhow::Result<String> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if digits.len() != 40 || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(Fault::recipe(format!(
            "{wherefrom}: `{text}` is not a fingerprint of 40 hexadecimal digits"
        ))
        .into());
    }
    Ok(digits.to_ascii_uppercase())
}

fn wrong(what: String, hint: &str) -> anyhow::Error {
    Fault::recipe(what).hint(hint).into()
}

/// A name that `useradd` takes, and that no account file or command line misunderstands.
fn is_account(name: &str, section: &str) -> anyhow::Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    let first = |c: char| c.is_ascii_lowercase() || c == '_';
    if name.starts_with(first) && name.chars().all(plain) && name.len() <= 32 {
        return Ok(());
    }
    let hint = "wanted are small letters, digits, `_` and `-`, a letter first";
    Err(wrong(format!("{section} name cannot be `{name}`"), hint))
}

/// A name that is no path and no option.
fn is_file_name(name: &str) -> bool {
    !name.starts_with(['.', '-']) && !name.contains(['/', '\0', '\n']) && !name.is_empty()
}

fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Each item once, where it stood first.
fn unique<'a>(items: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for item in items {
        if !all.contains(item) {
            all.push(item.clone());
        }
    }
    all
}
