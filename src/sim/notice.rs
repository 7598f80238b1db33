//! What is announced to an instance while it runs, and when: the events that its metadata service
//! tells, and the tags that somebody gives it.

use std::str::FromStr;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::vm::options::parse_duration;

/// How long after its announcement a spot instance is taken back.
pub const SPOT_WARNING: Duration = Duration::from_mins(2);
/// How long before it scheduled maintenance is announced here.
const MAINTENANCE_AHEAD: SignedDuration = SignedDuration::from_hours(24 * 7);

/// Something that is announced, or done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The spot instance is taken back two minutes later, whatever it does meanwhile.
    SpotInterruption,
    /// The spot instance is at more risk than others.
    Rebalance,
    /// The machine will be restarted a week later.
    Maintenance,
    /// The group lets the instance go: its terminate hooks wait.
    Terminate,
    /// Somebody gives the instance a tag; takes it away if the value is empty.
    Tag(String, String),
}

impl FromStr for Notice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "spot-interruption" => Self::SpotInterruption,
            "rebalance" => Self::Rebalance,
            "maintenance" => Self::Maintenance,
            "terminate" => Self::Terminate,
            _ => {
                let tag = text.strip_prefix("tag:").and_then(|rest| rest.split_once('='));
                let (key, value) = tag.filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
                    format!(
                        "`{text}` is none of spot-interruption, rebalance, maintenance, terminate, \
                         tag:KEY=VALUE"
                    )
                })?;
                Self::Tag(key.to_owned(), value.to_owned())
            }
        })
    }
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SpotInterruption => f.write_str("spot interruption"),
            Self::Rebalance => f.write_str("rebalance recommendation"),
            Self::Maintenance => f.write_str("scheduled maintenance"),
            Self::Terminate => f.write_str("its group lets it go"),
            Self::Tag(key, value) => write!(f, "tag {key}={value}"),
        }
    }
}

/// From when time counts until a notice comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// The machine was switched on.
    PowerOn,
    /// All that was waited for has come.
    Goals,
}

/// A notice, and when it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    /// From when it counts.
    pub since: Since,
    /// After so long.
    pub after: Duration,
    /// What.
    pub notice: Notice,
}

impl FromStr for Scheduled {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not TIME=EVENT, as 40s=spot-interruption");
        let (after, notice) = text.split_once('=').ok_or_else(wrong)?;
        let (since, after) = match after.strip_prefix('+') {
            Some(after) => (Since::Goals, after),
            None => (Since::PowerOn, after),
        };
        Ok(Self { since, after: parse_duration(after)?, notice: notice.parse()? })
    }
}

/// What was announced to an instance, as its metadata service tells it.
#[derive(Clone, Debug, Default)]
pub struct Announced {
    /// When the spot instance is taken back: by the clock of the world, and by the account's.
    pub spot: Option<(Timestamp, Instant)>,
    /// Since when it is at more risk.
    pub rebalance: Option<Timestamp>,
    /// When the machine is restarted.
    pub maintenance: Option<Timestamp>,
}

impl Announced {
    /// The paths below `meta-data/` that there are, and what they say.
    pub fn leaves(&self) -> Vec<(&'static str, String)> {
        let mut leaves = Vec::new();
        if let Some((at, _)) = self.spot {
            let action = json!({ "action": "terminate", "time": seconds(at) });
            leaves.push(("spot/instance-action", action.to_string()));
            leaves.push(("spot/termination-time", seconds(at)));
        }
        if let Some(at) = self.rebalance {
            let notice = json!({ "noticeTime": seconds(at) });
            leaves.push(("events/recommendations/rebalance", notice.to_string()));
        }
        if let Some(at) = self.maintenance {
            let until = at.saturating_add(SignedDuration::from_hours(2)).unwrap_or(at);
            let written = |time: Timestamp| time.strftime("%d %b %Y %H:%M:%S GMT").to_string();
            let event = json!([{
                "NotBefore": written(at),
                "Code": "system-reboot",
                "Description": "scheduled reboot",
                "EventId": "instance-event-0d59937288b749b32",
                "NotAfter": written(until),
                "State": "active",
            }]);
            leaves.push(("events/maintenance/scheduled", event.to_string()));
        }
        leaves
    }

    /// Announces `notice`, as far as that is told by the metadata service.
    pub(super) fn announce(&mut self, notice: &Notice, now: Instant, world: Timestamp) {
        let ahead = |by: SignedDuration| world.saturating_add(by).unwrap_or(world);
        match notice {
            Notice::SpotInterruption => {
                let at = ahead(SignedDuration::try_from(SPOT_WARNING).unwrap_or_default());
                self.spot = Some((at, now + SPOT_WARNING));
            }
            Notice::Rebalance => self.rebalance = Some(world),
            Notice::Maintenance => self.maintenance = Some(ahead(MAINTENANCE_AHEAD)),
            Notice::Terminate | Notice::Tag(..) => {}
        }
    }
}

fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_a_time_and_an_event() {
        let parse = |text: &str| text.parse::<Scheduled>();
        let at = |seconds: u64, notice: Notice| {
            let (since, after) = (Since::PowerOn, Duration::from_secs(seconds));
            Ok(Scheduled { since, after, notice })
        };
        assert_eq!(parse("40s=spot-interruption"), at(40, Notice::SpotInterruption));
        let tag = Notice::Tag("hostkit:drain".to_owned(), "quiet".to_owned());
        assert_eq!(parse("2m=tag:hostkit:drain=quiet"), at(120, tag));
        let later = parse("+5s=rebalance").unwrap();
        assert_eq!((later.since, later.after), (Since::Goals, Duration::from_secs(5)));
        for wrong in
            ["40s", "+=rebalance", "spot-interruption", "40s=flood", "x=rebalance", "1s=tag:=a"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_spot_instance_is_told_when_it_goes_in_the_words_of_ec2() {
        let (now, world) = (Instant::now(), "2026-11-27T13:00:00Z".parse().unwrap());
        let mut announced = Announced::default();
        assert!(announced.leaves().is_empty());
        announced.announce(&Notice::SpotInterruption, now, world);
        announced.announce(&Notice::Maintenance, now, world);
        let text = format!("{:#?}", announced.leaves());
        insta::assert_snapshot!(text);
        assert_eq!(announced.spot.unwrap().1, now + SPOT_WARNING);
    }
}
