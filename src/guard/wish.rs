//! What is wanted of this host, by all that is said to it. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What the metadata service says. What was never answered yet, or is not there, is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    /// The state that the group is bringing the instance to: `InService`, `Terminated`, …
    pub target_state: Option<String>,
    /// EC2 takes a spot instance back.
    pub interruption: Option<Interruption>,
    /// EC2 thinks that it will soon take a spot instance back, and since when.
    pub rebalance: Option<String>,
    /// EC2 will work on the machine below.
    pub maintenance: Vec<Maintenance>,
    /// The instance tag `hostkit:drain`.
    pub tag: Option<Tag>,
}

/// What the instance tag `hostkit:drain` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tag {
    /// No more builds begin.
    Quiet,
    /// As if nothing had been said.
    Cancel,
    /// Something else, which nobody obeys.
    Unknown(String),
}

impl Tag {
    /// Reads its value. An empty one is as good as none.
    pub fn read(text: &str) -> Option<Self> {
        Some(match text.trim() {
            "" => return None,
            "quiet" => Self::Quiet,
            "cancel" => Self::Cancel,
            other => Self::Unknown(other.chars().filter(|c| !c.is_control()).take(40).collect()),
        })
    }
}

/// A spot instance is taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interruption {
    /// `terminate`, `stop` or `hibernate`.
    pub action: String,
    /// When, by AWS's clock.
    pub time: Timestamp,
}

impl Interruption {
    /// Reads `spot/instance-action`. `None`: it cannot be understood.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// Work on the machine below that EC2 has planned.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Maintenance {
    /// `instance-retirement`, `instance-stop`, `system-reboot`, …
    pub code: String,
    /// `active`, `completed`, `canceled`.
    #[serde(default)]
    pub state: String,
    /// When it begins at the earliest, as AWS writes it.
    #[serde(default)]
    pub not_before: String,
}

impl Maintenance {
    /// Reads `events/maintenance/scheduled`: what is still to come. What cannot be understood is none.
    pub fn read(text: &str) -> Vec<Self> {
        let all: Vec<Self> = serde_json::from_str(text).unwrap_or_default();
        all.into_iter().filter(|one| one.state.is_empty() || one.state == "active").collect()
    }

    /// In one line.
    pub fn say(&self) -> String {
        let when = if self.not_before.is_empty() { "soon" } else { self.not_before.as_str() };
        format!("EC2 has planned {} ({when})", self.code)
    }
}

/// Why a host goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// EC2 takes the spot instance back.
    Spot,
    /// Its group terminates it.
    Terminate,
    /// EC2 recommends to leave.
    Rebalance,
    /// A person said so.
    Person,
}

impl Reason {
    /// For people, after `because`.
    pub const fn why(self) -> &'static str {
        match self {
            Self::Spot => "EC2 takes this spot instance back",
            Self::Terminate => "the group terminates this host",
            Self::Rebalance => "EC2 recommends to leave this machine",
            Self::Person => "a person wants it",
        }
    }

    /// Whether it can be taken back.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Spot | Self::Terminate)
    }
}

/// What is wanted of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To do what it is for.
    Serve,
    /// To do it and begin nothing new.
    Quiet,
    /// To go.
    Drain(Reason),
}

/// What is wanted, the strongest of what is said. `begun` is why a drain is under way that was not
/// taken back: what was begun is carried on though the sign for it is gone.
pub fn wish(signs: &Signs, begun: Option<Reason>, on_rebalance: bool) -> Wish {
    let state = signs.target_state.as_deref().unwrap_or_default();
    // From a warm pool, too.
    let terminated = state.strip_prefix("Warmed:").unwrap_or(state) == "Terminated";
    let cancelled = signs.tag == Some(Tag::Cancel);
    if signs.interruption.is_some() {
        return Wish::Drain(Reason::Spot);
    }
    if terminated {
        return Wish::Drain(Reason::Terminate);
    }
    match begun {
        Some(reason) if reason.is_final() || !cancelled => return Wish::Drain(reason),
        _ => {}
    }
    if cancelled {
        return Wish::Serve;
    }
    if signs.rebalance.is_some() && on_rebalance {
        return Wish::Drain(Reason::Rebalance);
    }
    if signs.tag == Some(Tag::Quiet) { Wish::Quiet } else { Wish::Serve }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs(tag: &str) -> Signs {
        Signs { tag: Tag::read(tag), ..Signs::default() }
    }

    #[test]
    fn the_strongest_sign_wins() {
        let mut all = signs("quiet");
        assert_eq!(wish(&all, None, false), Wish::Quiet);
        all.rebalance = Some("2026-11-27T13:00:00Z".to_owned());
        assert_eq!(wish(&all, None, false), Wish::Quiet, "a recommendation is only told");
        assert_eq!(wish(&all, None, true), Wish::Drain(Reason::Rebalance));
        all.target_state = Some("Terminated".to_owned());
        assert_eq!(wish(&all, None, true), Wish::Drain(Reason::Terminate));
        let text = r#"{"action": "terminate", "time": "2026-11-27T13:02:00Z"}"#;
        all.interruption = Interruption::read(text);
        assert_eq!(wish(&all, Some(Reason::Person), true), Wish::Drain(Reason::Spot));
    }

    #[test]
    fn what_a_person_began_is_taken_back_by_a_tag_and_what_aws_began_is_not() {
        assert_eq!(wish(&signs("cancel"), Some(Reason::Person), false), Wish::Serve);
        assert_eq!(wish(&signs(""), Some(Reason::Person), false), Wish::Drain(Reason::Person));
        assert_eq!(wish(&signs("cancel"), Some(Reason::Spot), false), Wish::Drain(Reason::Spot));
        assert_eq!(wish(&signs("quite"), None, false), Wish::Serve);
    }

    #[test]
    fn events_are_read_as_ec2_writes_them() {
        let text = r#"[
            {"NotBefore": "21 Jan 2027 09:00:43 GMT", "Code": "system-reboot",
             "Description": "scheduled reboot", "EventId": "instance-event-0d59937288b749b32",
             "NotAfter": "21 Jan 2027 09:17:23 GMT", "State": "active"},
            {"Code": "instance-stop", "State": "canceled"}]"#;
        let said: Vec<_> = Maintenance::read(text).iter().map(Maintenance::say).collect();
        assert_eq!(said, ["EC2 has planned system-reboot (21 Jan 2027 09:00:43 GMT)"]);
        assert_eq!(Maintenance::read("<html>"), []);
        assert_eq!(Interruption::read("none"), None);
    }
}
