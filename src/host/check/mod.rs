//! What the types of `host.toml` cannot say.
//!
//! Names end up in paths, in rendered files and in options of sshd, so they are narrow. Every refusal
//! says what to write instead. Nothing here asks a machine whether what is named exists.

mod agent;
mod aws;
mod drain;
mod ecs;
mod jenkins;
mod keys;
mod storage;
mod words;

use std::fmt::Write as _;

use super::{EcsAgent, HostConfig, Role};
use crate::error::Fault;

pub use words::is_region;
pub(super) use words::is_user_name;

/// A step from a table or a list to something inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Of a table.
    Name(String),
    /// Of a list, from 0.
    Index(usize),
}

/// A key whose value cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The way to it.
    pub path: Vec<Part>,
    /// Its value, or as much of it as may be shown.
    pub value: String,
    /// What to write instead.
    pub hint: String,
}

impl Refused {
    /// The key with its section, as people write it.
    pub fn key(&self) -> String {
        let names = self.path.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Index(_) => None,
        });
        names.collect::<Vec<_>>().join(".")
    }

    /// What is wrong, in a line.
    pub fn message(&self) -> String {
        format!("`{}` cannot be `{}`", self.key(), self.value.escape_debug())
    }
}

/// What is looked at, and what was found.
#[derive(Debug, Default)]
struct Look(Vec<Refused>);

impl Look {
    /// Refuses the value at `path`, unless it `holds`.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "numbers, texts and names as they are at hand"
    )]
    fn require(&mut self, holds: bool, path: Vec<Part>, value: impl ToString, hint: &str) {
        if !holds {
            self.0.push(Refused { path, value: value.to_string(), hint: hint.to_owned() });
        }
    }
}

/// The path of a key, its parts separated by dots.
fn key(dotted: &str) -> Vec<Part> {
    dotted.split('.').map(|name| Part::Name(name.to_owned())).collect()
}

/// The path of what is called `name` in the table `dotted`.
fn named(dotted: &str, name: &str) -> Vec<Part> {
    let mut path = key(dotted);
    path.push(Part::Name(name.to_owned()));
    path
}

/// The path of `key` in the entry `name` of the table `dotted`.
fn of_named(dotted: &str, name: &str, key: &str) -> Vec<Part> {
    let mut path = named(dotted, name);
    path.push(Part::Name(key.to_owned()));
    path
}

/// Refuses what could mean something else where it ends up. `origin` is who said a key.
pub(super) fn check<'a>(
    config: &HostConfig,
    origin: impl Fn(&str) -> Option<&'a str>,
) -> Result<(), Fault> {
    let refused = refused(config);
    let Some(first) = refused.first() else { return Ok(()) };
    let said = |it: &Refused| match origin(&it.key()) {
        Some(origin) => format!("{}, as {origin} says", it.message()),
        None => it.message(),
    };
    let mut hint = first.hint.clone();
    for other in &refused[1..] {
        let _ = write!(hint, "\n{}: {}", said(other), other.hint);
    }
    Err(Fault::recipe(said(first)).hint(hint))
}

/// The keys whose values cannot be.
pub fn refused(config: &HostConfig) -> Vec<Refused> {
    let mut look = Look::default();
    look.aws(config);
    look.storage(config);
    look.keys(config);
    look.jenkins(&config.jenkins);
    look.agent(config);
    look.ecs(&config.ecs);
    look.drain(config);
    look.0
}

/// A key that a host must be told, and is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The key.
    pub key: &'static str,
    /// What a host cannot do without it.
    pub what: &'static str,
    /// What to write.
    pub hint: &'static str,
}

const ROLE: Missing = Missing {
    key: "role",
    what: "nothing tells this host its role",
    hint: "set `role` to \"controller\", \"agent\" or \"ecs\"",
};

const EFS: Missing = Missing {
    key: "efs.id",
    what: "a controller needs the file system of its home",
    hint: "set `efs.id`, as \"fs-0123456789abcdef0\"",
};

const SECURITY: Missing = Missing {
    key: "jenkins.security.mode",
    what: "nothing says who may use Jenkins, so it is not started",
    hint: "set `jenkins.security.mode` to \"local\" (one administrator, whose password is in the SSM \
           parameter `jenkins.security.admin_password`) or to \"casc\" (the image's own files in \
           /etc/hostkit/casc.d have a security realm and an authorization strategy)",
};

const CLUSTER: Missing = Missing {
    key: "ecs.cluster",
    what: "a container host needs the cluster that it joins",
    hint: "set `ecs.cluster` to its name or its ARN",
};

/// What a host lacks that was told this by all layers.
pub fn missing(config: &HostConfig) -> Vec<Missing> {
    let mut missing = Vec::new();
    match config.role {
        None => missing.push(ROLE),
        Some(Role::Controller) => {
            missing.extend(config.efs.id.is_none().then_some(EFS));
            missing.extend(config.jenkins.security.mode.is_none().then_some(SECURITY));
        }
        // A host that joins `default` because nobody named a cluster runs what was meant for others.
        Some(Role::Ecs) => {
            let needed = config.ecs.agent == EcsAgent::Required;
            missing.extend((needed && config.ecs.cluster.is_none()).then_some(CLUSTER));
        }
        Some(Role::Agent) => {}
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a host.toml, one refusal a line.
    fn said(text: &str) -> String {
        let refused = refused(&toml::from_str(text).unwrap());
        refused.iter().map(|it| format!("{}\n    {}\n", it.message(), it.hint)).collect()
    }

    #[test]
    fn every_refusal_says_what_to_write_instead() {
        insta::assert_snapshot!(said(include_str!("wrong.toml")));
    }

    #[test]
    fn what_is_right_is_not_refused() {
        assert_eq!(said(include_str!("right.toml")), "");
        assert_eq!(said(""), "");
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let text = "[efs]\nid = \"fs-x\"\n[jenkins]\nheap = 95\n";
        let fault = check(&toml::from_str(text).unwrap(), |_| None).unwrap_err();
        assert_eq!(fault.to_string(), "`efs.id` cannot be `fs-x`");
        assert!(fault.hint_text().unwrap().contains("`jenkins.heap` cannot be `95`"), "{fault:?}");
    }

    #[test]
    fn a_host_is_told_what_it_lacks() {
        let lacks = |text: &str| -> Vec<&str> {
            missing(&toml::from_str(text).unwrap()).iter().map(|it| it.key).collect()
        };
        assert_eq!(lacks(""), ["role"]);
        assert_eq!(lacks("role = 'controller'"), ["efs.id", "jenkins.security.mode"]);
        let told = "role = 'controller'\nefs.id = 'fs-aaaaaaaa'\njenkins.security.mode = 'casc'";
        assert_eq!(lacks(told), [""; 0]);
        assert_eq!(lacks("role = 'agent'"), [""; 0]);
        assert_eq!(lacks("role = 'ecs'"), ["ecs.cluster"]);
        assert_eq!(lacks("role = 'ecs'\necs.agent = 'optional'"), [""; 0]);
    }
}
