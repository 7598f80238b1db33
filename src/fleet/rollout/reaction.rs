//! What follows when AWS refuses something. Pure.

use jiff::{SignedDuration, Timestamp};

use super::back::stuck;
use super::forward::failed;
use super::journal::{Journal, Loose, shortened};
use super::next::Act;
use super::record::{self, Record};
use super::seen::Seen;
use super::{Phase, Side, Way, lock};
use crate::aws::Failure;
use crate::aws::asg::refresh::{BUSY, IRREVERSIBLE, NONE, is_unheard};
use crate::doctor::group::quoted;

/// For so long a version that was made may be unknown to Auto Scaling.
const HEARD: SignedDuration = SignedDuration::from_mins(2);

/// In the codes that say that nothing can be done with these credentials any more.
const LOST: &[&str] = &[
    "ExpiredToken",
    "RequestExpired",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "AuthFailure",
    "InvalidAccessKeyId",
];

/// What follows.
#[derive(Clone, Debug, PartialEq)]
pub enum Reaction {
    /// It is looked again, and done again if it still is to be done.
    Again,
    /// The journal is written as it is here.
    Note(Box<Journal>),
    /// Nothing can be done any more, and nothing was decided: another process carries it on.
    Leave,
}

/// What follows when a call that only looks is refused.
pub fn is_lost(failure: &Failure) -> bool {
    let by_code = failure.code().is_some_and(|code| LOST.iter().any(|it| code.contains(it)));
    by_code || (failure.code().is_none() && failure.message().contains("credential"))
}

/// What follows when `act` is refused.
pub fn react(
    journal: &Journal,
    seen: &Seen,
    act: &Act,
    failure: &Failure,
    now: Timestamp,
) -> Reaction {
    let note = |journal| Reaction::Note(Box::new(journal));
    if is_lost(failure) {
        return Reaction::Leave;
    }
    let code = failure.code().unwrap_or_default();
    match act {
        // Whose it is, is to be seen.
        Act::Start(_) if code == BUSY => return Reaction::Again,
        // It was made a moment ago, and is not heard of everywhere.
        Act::Start(Way::Forward) if is_unheard(failure) && journal.phase_lasts(now) < HEARD => {
            return Reaction::Again;
        }
        Act::RollBack | Act::Cancel if code == NONE => return Reaction::Again,
        Act::RollBack if code == IRREVERSIBLE || !failure.is_passing() => {
            let mut next = journal.clone();
            next.forward.irreversible = true;
            return note(next);
        }
        _ if failure.is_passing() => return Reaction::Again,
        _ => {}
    }
    match (journal.way, act) {
        (
            _,
            Act::Unquiet(_)
            | Act::Untag(_)
            | Act::SetDefault
            | Act::Resume(_)
            | Act::Point
            | Act::Record
            | Act::Unlock,
        ) => {
            let mut next = journal.clone();
            let says = shortened(&failure.to_string(), 300);
            next.loose.push(Loose { act: act.name().to_owned(), says });
            note(next)
        }
        (Way::Forward, _) => {
            let phase = phase_name(journal.phase);
            note(failed(journal, seen, now, &format!("{phase}: {failure}")))
        }
        (Way::Back, _) => note(stuck(journal, &failure.to_string())),
    }
}

/// The phase's name, as in events.
pub const fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Begun => "lock",
        Phase::Version => "version",
        Phase::Suspend => "suspend",
        Phase::Quiet => "quiet",
        Phase::Refresh => "refresh",
        Phase::Proof => "proof",
        Phase::Promote => "promote",
        Phase::Recorded => "record",
    }
}

/// What does by hand what was left to a person.
///
/// It is not in the journal, which has no room for it.
pub fn by_hand(journal: &Journal, act: &str, who: &str, now: Timestamp) -> String {
    let order = &journal.order;
    let group = &order.group;
    let host = journal.quieted.as_deref().unwrap_or("INSTANCE");
    let aws = |words: String| format!("`{}`", order.command(&words));
    let put = |name: String, text: String| {
        let text = quoted(&text);
        aws(format!("aws ssm put-parameter --overwrite --type String --name {name} --value {text}"))
    };
    let side = |side: &Side| serde_json::to_string(side).expect("it is plain data");
    match act {
        "unquiet" => aws(format!(
            "aws ec2 create-tags --resources {host} --tags Key=hostkit:drain,Value=cancel"
        )),
        "untag" => aws(format!("aws ec2 delete-tags --resources {host} --tags Key=hostkit:drain")),
        "set-default" => aws(format!(
            "aws ec2 modify-launch-template --launch-template-id {} --default-version {}",
            order.to.template,
            order.to.version.unwrap_or_default()
        )),
        "resume" => aws(format!(
            "aws autoscaling resume-processes --auto-scaling-group-name {group} \
             --scaling-processes {}",
            journal.suspended.join(" ")
        )),
        "unlock" => aws(format!("aws ssm delete-parameter --name {}", lock::parameter(group))),
        "point" => {
            let before = put(record::previous(group), side(&order.from));
            format!("{before}, then {}", put(record::current(group), side(&order.to)))
        }
        _ => {
            let record = Record::of(journal, who, now);
            let text = serde_json::to_string(&record).expect("it is plain data");
            put(record::history(group), text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> Journal {
        serde_json::from_str(include_str!("fixtures/journal-1.json")).unwrap()
    }

    fn refused(code: &str, message: &str) -> Failure {
        Failure::Refused {
            call: "autoscaling:StartInstanceRefresh",
            status: 400,
            code: code.to_owned(),
            message: message.to_owned(),
            ahead: None,
        }
    }

    #[test]
    fn all_that_may_be_left_to_a_person_has_a_command_in_its_region() {
        let mut journal = journal();
        journal.order.region = "eu-west-1".to_owned();
        journal.suspended = vec!["HealthCheck".to_owned()];
        journal.cause = Some("it's late".to_owned());
        let now = "2026-09-21T15:00:00Z".parse().unwrap();
        let acts = [
            Act::Unquiet(String::new()),
            Act::Untag(String::new()),
            Act::SetDefault,
            Act::Resume(Vec::new()),
            Act::Point,
            Act::Record,
            Act::Unlock,
        ];
        let told = acts.map(|act| by_hand(&journal, act.name(), "ada", now));
        for text in &told {
            let commands = text.matches("aws ").count();
            assert_eq!(text.matches("--region eu-west-1").count(), commands, "{text}");
        }
        insta::assert_snapshot!(told.join("\n"));
        // What is pasted is what hostkit reads again.
        let text = told[4].split("--value '").nth(2).unwrap();
        let side: Side = serde_json::from_str(text.split('\'').next().unwrap()).unwrap();
        assert_eq!(side, journal.order.to);
        // A journal of before does not say where it is.
        journal.order.region.clear();
        assert!(!by_hand(&journal, "unlock", "ada", now).contains("region"));
    }

    #[test]
    fn a_version_that_was_made_a_moment_ago_is_waited_for() {
        let journal = journal();
        let says = "You must use a valid fully-formed launch template. Could not find the specified \
                    version 8 for the launch template with ID lt-1.";
        let react = |code: &str, message: &str, seconds: i64| {
            let now = journal.since + jiff::SignedDuration::from_secs(seconds);
            let failure = refused(code, message);
            react(&journal, &Seen::default(), &Act::Start(Way::Forward), &failure, now)
        };
        assert_eq!(react("ValidationError", says, 5), Reaction::Again);
        // It is not there at all, or something else is wrong.
        for (code, message, seconds) in [
            ("ValidationError", says, 600),
            ("ValidationError", "MinHealthyPercentage must be at most 100", 5),
            ("AccessDenied", says, 5),
        ] {
            let Reaction::Note(next) = react(code, message, seconds) else { panic!("{code}") };
            assert_eq!(next.way, Way::Back, "{message}");
        }
    }
}
