//! The tags of an instance that may tell it something, and no others: who may tag it must not
//! thereby command it.

/// How a tag that is meant for hostkit begins.
const PREFIX: &str = "hostkit:";

/// What hostkit itself writes on what it makes.
const WRITTEN: &[&str] = &["build", "digest", "parent", "recipe", "state", "version"];

/// A tag that may say something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// `hostkit:pool`: the pool of which a build agent is.
    Pool,
    /// `hostkit:labels`: the labels of a build agent, with spaces or commas in between.
    Labels,
    /// `hostkit:drain`: what an operator wants of a host that serves.
    Drain,
}

impl Tag {
    /// The tag of this name, if it may say something.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "hostkit:pool" => Some(Self::Pool),
            "hostkit:labels" => Some(Self::Labels),
            "hostkit:drain" => Some(Self::Drain),
            _ => None,
        }
    }

    /// Whether a tag of this name looks as if it could tell a host something, and cannot.
    pub fn is_foreign(name: &str) -> bool {
        let rest = name.strip_prefix(PREFIX);
        Self::named(name).is_none() && rest.is_some_and(|rest| !WRITTEN.contains(&rest))
    }

    /// What the layer is called that it is.
    pub const fn origin(self) -> &'static str {
        match self {
            Self::Pool => "the tag hostkit:pool",
            Self::Labels => "the tag hostkit:labels",
            Self::Drain => "the tag hostkit:drain",
        }
    }

    /// A layer of `host.toml` that says what this tag says with `value`.
    pub fn layer(self, value: &str) -> String {
        let agent = |key: &str, value: toml::Value| {
            let section = toml::Table::from_iter([(key.to_owned(), value)]);
            let table = toml::Table::from_iter([("agent".to_owned(), section.into())]);
            toml::to_string(&table).expect("a table of strings has a form in TOML")
        };
        match self {
            Self::Pool => agent("pool", value.trim().into()),
            Self::Labels => {
                let labels = value.split([' ', ',']).filter(|label| !label.is_empty());
                agent("labels", labels.collect::<Vec<_>>().into())
            }
            Self::Drain => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Layer, read};

    fn told(tag: Tag, value: &str) -> Result<crate::host::HostConfig, String> {
        let text = tag.layer(value);
        let layer = Layer { origin: tag.origin(), text: &text };
        read(&[layer]).map_err(|fault| format!("{fault}"))
    }

    #[test]
    fn a_tag_sets_its_own_key_and_nothing_else() {
        assert_eq!(told(Tag::Pool, "linux").unwrap().agent.pool.as_deref(), Some("linux"));
        assert_eq!(told(Tag::Labels, "arm, docker  big").unwrap().agent.labels.len(), 3);
        let escape = "x\"\n[lease]\npolicy = \"stonith";
        let error = told(Tag::Pool, escape).unwrap_err();
        assert!(error.contains("agent.pool") && error.contains("the tag hostkit:pool"), "{error}");
    }

    #[test]
    fn other_tags_are_noticed_unless_hostkit_writes_them() {
        assert!(Tag::is_foreign("hostkit:role") && Tag::is_foreign("hostkit:lease.policy"));
        for name in ["Name", "hostkit:pool", "hostkit:drain", "hostkit:digest", "aws:x"] {
            assert!(!Tag::is_foreign(name), "{name}");
        }
    }
}
