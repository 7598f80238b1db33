//! What scripted hosts do, as people write it: TOML, one `[[host]]` for each kind of host.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;

use crate::error::Fault;

const HINT: &str = "docs/rehearsal.md has an example";

/// What a host is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The one Jenkins controller on its home.
    #[default]
    Controller,
    /// A build agent.
    Agent,
    /// An ECS container host.
    Ecs,
}

/// What a host does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Does {
    /// It boots and serves.
    #[default]
    Healthy,
    /// It boots and takes the home, but never serves: its port answers 503.
    NeverReady,
    /// It boots and takes the home, and its Jenkins was up and has written to it; then its port answers
    /// 503.
    NeverHealthy,
    /// It serves another version of Jenkins than it should.
    WrongVersion,
    /// It serves another home than it should.
    WrongHome,
    /// It serves, and is terminated from outside.
    Dies,
    /// Its boot fails, and it says so to its launch hook.
    HookAbandon,
    /// It boots ten times as long.
    Slow,
}

/// What some hosts are, and do. The seconds are AWS's: they pass at the account's speed.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Part {
    /// Only hosts of this image: `ami-…`
    pub image: Option<String>,
    /// Only hosts of an image whose name is like this; `*` stands for anything.
    pub name: Option<String>,
    /// Only hosts of this version of a launch template.
    pub version: Option<u64>,
    /// Only hosts of this group.
    pub group: Option<String>,
    /// What they are for.
    pub role: Role,
    /// What they do.
    pub does: Does,
    /// The version of Jenkins in them.
    pub jenkins: Option<String>,
    /// The file system of the home; the account's first if absent.
    pub file_system: Option<String>,
    /// From running until they have booted.
    pub boot_seconds: f64,
    /// The build agents that the controller knows, and of them those that are connected; those of
    /// the account's hosts that are agents, if absent.
    pub agents: Option<Agents>,
    /// Builds that run on them when they begin to serve, and how long each takes.
    pub builds: Vec<f64>,
    /// Whether another build begins when one ends, unless they are quiet.
    pub keeps_building: bool,
    /// How long builds are waited for when they go; then they are lost.
    pub patience: f64,
    /// From running until they are terminated from outside, where they die.
    pub dies_after: f64,
    /// From running until a boot that does not succeed is given up; never if absent.
    pub gives_up_after: Option<f64>,
    /// The cluster of a container host.
    pub cluster: String,
    /// The services that have a task on a container host.
    pub tasks: Vec<String>,
    /// The port that answers.
    pub port: u16,
}

/// Build agents of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Agents {
    /// Those that Jenkins knows.
    pub known: u32,
    /// Those of them that are connected.
    pub online: u32,
}

impl Default for Part {
    fn default() -> Self {
        Self {
            image: None,
            name: None,
            version: None,
            group: None,
            role: Role::Controller,
            does: Does::Healthy,
            jenkins: None,
            file_system: None,
            boot_seconds: 60.0,
            agents: None,
            builds: Vec::new(),
            keeps_building: false,
            patience: 3600.0,
            dies_after: 120.0,
            gives_up_after: None,
            cluster: crate::sim::cluster::CLUSTER.to_owned(),
            tasks: Vec::new(),
            port: 8080,
        }
    }
}

impl Part {
    /// A controller that serves this version of Jenkins.
    pub fn controller(jenkins: &str) -> Self {
        Self { jenkins: Some(jenkins.to_owned()), ..Self::default() }
    }

    /// The same, of hosts of one image.
    #[must_use]
    pub fn of_image(self, image: &str) -> Self {
        Self { image: Some(image.to_owned()), ..self }
    }

    /// The same hosts, that do something else.
    #[must_use]
    pub fn that(self, does: Does) -> Self {
        Self { does, ..self }
    }

    /// How long they boot.
    pub fn boots_for(&self) -> Duration {
        let times = if self.does == Does::Slow { 10.0 } else { 1.0 };
        seconds(self.boot_seconds * times)
    }

    /// The version of Jenkins that they say.
    pub fn says_jenkins(&self) -> Option<String> {
        match self.does {
            Does::WrongVersion => Some(self.jenkins.clone().unwrap_or_else(|| "1.0".to_owned())),
            _ => self.jenkins.clone(),
        }
    }

    fn fits(&self, who: &Who<'_>) -> bool {
        let only = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|one| one == is);
        only(&self.image, who.image)
            && only(&self.group, who.group)
            && self.name.as_ref().is_none_or(|like| alike(like, who.name))
            && self.version.is_none_or(|version| who.version == Some(version))
    }

    fn check(&self) -> anyhow::Result<()> {
        let times = [self.boot_seconds, self.patience, self.dies_after];
        let times = times.into_iter().chain(self.gives_up_after).chain(self.builds.iter().copied());
        for time in times {
            if !(time.is_finite() && time >= 0.0) {
                anyhow::bail!("{time} is no number of seconds");
            }
        }
        Ok(())
    }
}

/// So many seconds; none where that is no time.
pub fn seconds(count: f64) -> Duration {
    Duration::try_from_secs_f64(count).unwrap_or_default()
}

/// Whose part is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// The image's id.
    pub image: &'a str,
    /// The image's name.
    pub name: &'a str,
    /// The version of the launch template.
    pub version: Option<u64>,
    /// The group.
    pub group: &'a str,
}

/// A whole script.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Script {
    /// The parts; the first that fits is a host's.
    pub host: Vec<Part>,
}

impl Script {
    /// These parts.
    pub fn of(parts: impl IntoIterator<Item = Part>) -> Self {
        Self { host: parts.into_iter().collect() }
    }

    /// What a file says.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| Fault::usage(format!("reading the hosts in {}", path.display())))?;
        Self::parse(&text).with_context(|| {
            Fault::recipe(format!("{} does not say what hosts do", path.display())).hint(HINT)
        })
    }

    /// What a text says.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let script: Self = toml::from_str(text)?;
        script.host.iter().try_for_each(Part::check)?;
        Ok(script)
    }

    /// The part of a host; none where it has none: it runs, and nothing is in it.
    pub fn part(&self, who: &Who<'_>) -> Option<&Part> {
        self.host.iter().find(|part| part.fits(who))
    }
}

/// Whether a name is like a pattern, in which `*` stands for anything.
fn alike(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(head) else { return false };
    (0..=name.len()).any(|at| name.is_char_boundary(at) && alike(rest, &name[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_says_what_each_image_does() {
        let script = Script::parse(
            r#"
            [[host]]
            name = "jenkins-controller-*"
            version = 2
            does = "never-ready"
            gives-up-after = 300

            [[host]]
            image = "ami-1"
            jenkins = "2.516.1"
            boot-seconds = 40
            agents = { known = 2, online = 2 }
            builds = [30, 60.5]
            "#,
        )
        .unwrap();
        let who = Who { image: "ami-1", name: "jenkins-controller-1", version: Some(2), group: "" };
        assert_eq!(script.part(&who).unwrap().does, Does::NeverReady);
        let first = Who { version: Some(1), ..who };
        let part = script.part(&first).unwrap();
        assert_eq!((part.does, part.builds.len()), (Does::Healthy, 2));
        assert_eq!(script.part(&Who { image: "ami-2", ..first }), None);
    }

    #[test]
    fn what_is_no_script_is_refused() {
        for wrong in ["[[host]]\ncolour = 1", "[[host]]\nboot-seconds = -1", "[[host]]\ndoes = 'x'"]
        {
            assert!(Script::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_star_stands_for_anything() {
        assert!(alike("a*", "abc") && alike("*", "") && alike("a*c*", "abcd") && alike("a", "a"));
        assert!(!alike("a*d", "abc") && !alike("a", "ab") && !alike("", "a"));
    }
}
