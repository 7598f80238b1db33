//! The alarms of CloudWatch that a replacement has to do with: those that are to be watched meanwhile, by
//! AWS and then by hostkit, or those of the group that fire already. Makes and changes none.

use aws_config::SdkConfig;

use super::Ask;
use super::reaction::is_lost;
use crate::aws::Failure;
use crate::aws::alarm::{self, Alarm, State};
use crate::doctor::group::Subject;
use crate::error::Fault;

/// So many alarms AWS watches during one refresh.
const MOST: usize = 10;
/// So long their names may be together, in bytes: they are in the journal, which has 4 KiB for all.
const ROOM: usize = 600;

/// The alarms that somebody names, each once.
///
/// # Errors
/// They are more than AWS watches, or longer than the journal has room for.
pub fn chosen(names: &[String]) -> Result<Vec<String>, Fault> {
    let mut alarms: Vec<String> = Vec::new();
    for name in names {
        if !alarms.contains(name) {
            alarms.push(name.clone());
        }
    }
    let says = if alarms.len() > MOST {
        format!(
            "{} alarms are named, and AWS watches at most {MOST} during a refresh",
            alarms.len()
        )
    } else if alarms.iter().map(String::len).sum::<usize>() > ROOM {
        format!("the names of the alarms are longer than {ROOM} bytes together")
    } else {
        return Ok(alarms);
    };
    Err(Fault::usage(says).hint("name a composite alarm: it fires when one of several does"))
}

/// The alarms that were named; where none was, those about the group that fire now.
pub(super) async fn look(
    config: &SdkConfig,
    ask: &Ask,
    subject: &Subject,
) -> Result<Vec<Alarm>, Failure> {
    if !ask.alarms.is_empty() {
        return alarm::named(config, &ask.alarms).await;
    }
    let mut firing = alarm::firing(config).await?;
    firing.retain(|alarm| concerns(alarm, subject));
    Ok(firing)
}

/// How those alarms are that somebody has named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlarmStates {
    /// Those that fire, each in a line.
    pub firing: Vec<String>,
    /// Those that cannot, and why, each in a line.
    pub blind: Vec<String>,
}

impl AlarmStates {
    /// Of those with these names, of which these are there.
    fn of(names: &[String], there: &[Alarm]) -> Self {
        let mut states = Self::default();
        for name in names {
            match there.iter().find(|alarm| alarm.name == *name) {
                None => states.blind.push(format!("alarm {name} is not there any more")),
                Some(alarm) if alarm.state == State::Alarm => states.firing.push(alarm.say()),
                Some(alarm) if alarm.state == State::InsufficientData => {
                    states.blind.push(format!("alarm {name} knows nothing, and cannot fire"));
                }
                Some(_) => {}
            }
        }
        states
    }
}

/// Looks how those are that were named. Where that is refused, it is told, and all else goes on.
///
/// # Errors
/// AWS does not answer, or has too much to do.
pub(super) async fn states(config: &SdkConfig, names: &[String]) -> Result<AlarmStates, Failure> {
    match alarm::named(config, names).await {
        Ok(there) => Ok(AlarmStates::of(names, &there)),
        Err(failure) if failure.is_passing() || is_lost(&failure) => Err(failure),
        Err(failure) => {
            let blind = vec![format!("nobody looks at the alarms: {failure}")];
            Ok(AlarmStates { blind, ..AlarmStates::default() })
        }
    }
}

/// Whether an alarm looks at the group, one of its hosts, or what sends requests to them.
fn concerns(alarm: &Alarm, subject: &Subject) -> bool {
    let group = &subject.group;
    let targets = subject.targets.as_deref().unwrap_or_default();
    let balancers = targets.iter().flat_map(|one| &one.group.balancers);
    alarm.is_about("AutoScalingGroupName", &group.name)
        || group.members.iter().any(|member| alarm.is_about("InstanceId", &member.id))
        || group.target_groups.iter().any(|arn| alarm.is_about("TargetGroup", after(arn, ":")))
        || balancers
            .into_iter()
            .any(|arn| alarm.is_about("LoadBalancer", after(arn, "loadbalancer/")))
}

/// What CloudWatch calls something of a load balancer by: the end of its ARN, after the last `mark`.
fn after<'a>(arn: &'a str, mark: &str) -> &'a str {
    arn.rsplit_once(mark).map_or(arn, |(_, name)| name)
}

/// What is to be said of alarms beside what AWS said of why it ended a refresh: nothing where that
/// names one of those that it watched, or none was watched. `status` is what AWS says of where the
/// refresh is.
pub(super) fn watched(alarms: &[String], said: &str, status: Option<&str>) -> String {
    let names = |text: &str| alarms.iter().any(|name| text.contains(name.as_str()));
    if alarms.is_empty() || names(said) {
        return String::new();
    }
    if let Some(status) = status.filter(|status| names(status)) {
        return format!(": {status}");
    }
    let (which, names) = (if alarms.len() == 1 { "alarm" } else { "alarms" }, alarms.join(", "));
    format!(" (it watched the {which} {names})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::group::sample::sound;

    fn about(name: &str, value: &str) -> Alarm {
        Alarm {
            name: "x".into(),
            state: State::Alarm,
            reason: String::new(),
            about: vec![(name.into(), value.into())],
        }
    }

    #[test]
    fn an_alarm_concerns_the_group_by_itself_its_hosts_and_its_load_balancer() {
        let mut subject = sound();
        let of = "arn:aws:elasticloadbalancing:eu-west-1:123456789012";
        subject.group.target_groups = vec![format!("{of}:targetgroup/ci/0123")];
        subject.targets.as_mut().unwrap()[0].group.balancers =
            vec![format!("{of}:loadbalancer/app/ci/4567")];
        for (name, value) in [
            ("AutoScalingGroupName", "ci-controller"),
            ("InstanceId", "i-0aaaaaaaaaaaaaaaa"),
            ("TargetGroup", "targetgroup/ci/0123"),
            ("LoadBalancer", "app/ci/4567"),
        ] {
            assert!(concerns(&about(name, value), &subject), "{name}");
            assert!(!concerns(&about(name, "another"), &subject), "{name}");
        }
        assert!(!concerns(&about("FileSystemId", "ci-controller"), &subject));
    }

    #[test]
    fn an_alarm_fires_cannot_or_is_silent() {
        let alarm = |name: &str, state| Alarm { name: name.into(), state, ..about("x", "y") };
        let there = [
            alarm("slow", State::Alarm),
            alarm("new", State::InsufficientData),
            alarm("fine", State::Ok),
        ];
        let names = ["slow", "new", "fine", "gone"].map(str::to_owned);
        let states = AlarmStates::of(&names, &there);
        assert_eq!(states.firing, ["slow is ALARM"]);
        let blind =
            ["alarm new knows nothing, and cannot fire", "alarm gone is not there any more"];
        assert_eq!(states.blind, blind);
    }

    #[test]
    fn alarms_are_named_once_and_no_more_than_aws_watches() {
        let names = |count: usize| (0..count).map(|it| format!("ci-{it}")).collect::<Vec<_>>();
        let twice = [names(10), names(10)].concat();
        assert_eq!(chosen(&twice).unwrap(), names(10));
        let refused = chosen(&names(11)).unwrap_err().to_string();
        assert_eq!(refused, "11 alarms are named, and AWS watches at most 10 during a refresh");
        assert!(chosen(&["a".repeat(255), "b".repeat(255), "c".repeat(255)]).is_err());
    }

    #[test]
    fn what_was_watched_is_said_where_aws_does_not() {
        let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        assert_eq!(watched(&names(&["slow"]), ": Alarm slow is in ALARM", None), "");
        assert_eq!(watched(&[], ": nothing", Some("slow")), "");
        let both = names(&["slow", "errors"]);
        let watching = " (it watched the alarms slow, errors)";
        assert_eq!(watched(&both, ": it failed", Some("Waiting")), watching);
        assert_eq!(watched(&both, ": by itself", Some("slow fires")), ": slow fires");
    }
}
