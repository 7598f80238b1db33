use super::*;
use crate::aws::alarm::{Alarm, State};
use crate::aws::asg::Kind;
use crate::doctor::group::sample::activity;
use crate::fleet::rollout::ended::Times;
use crate::fleet::rollout::record::{End, Record};
use crate::fleet::rollout::sample::{ask, contents, survey};
use crate::fleet::rollout::{Outlook, Prospect};

fn plan(survey: &Survey, ask: &Ask) -> Plan {
    match Prospect::of(survey, ask).outlook {
        Outlook::Change(plan) => *plan,
        other => panic!("{other:?}"),
    }
}

fn known() -> Survey {
    let mut survey = survey();
    survey.old = Some(contents(
        &[
            ("jenkins", "2.555.1"),
            ("linux-image-6.12.48-cloud-amd64", "6.12.48-1"),
            ("openjdk-21-jre-headless", "21.0.8+9-1"),
            ("vim-tiny", "9.1"),
        ],
        &[("git", "5.7.0"), ("workflow-aggregator", "600")],
    ));
    survey.new = Some(contents(
        &[
            ("curl", "8.14.1"),
            ("jenkins", "2.568.2"),
            ("linux-image-6.12.57-cloud-amd64", "6.12.57-1"),
            ("openjdk-21-jre-headless", "21.0.9+10-1"),
        ],
        &[("git", "5.8.0"), ("workflow-aggregator", "600")],
    ));
    survey.subject.standing.as_mut().unwrap().as_mut().unwrap().builds = Some(2);
    let now = survey.subject.now;
    survey.subject.activities =
        Ok(vec![activity(now, Kind::Launch, 140, true), activity(now, Kind::Terminate, 41, true)]);
    survey
}

#[test]
fn a_plan_reads_like_this() {
    insta::assert_snapshot!("known", plan(&known(), &ask()).text());
    insta::assert_snapshot!("unknown", plan(&survey(), &ask()).text());
    let mut agents = survey();
    agents.subject.part.role = Role::Agent;
    (agents.subject.group.max, agents.subject.group.desired) = (9, 1);
    let soak = std::time::Duration::from_mins(30);
    let watched = Ask { soak, alarms: vec!["ci-slow".into(), "ci errors".into()], ..ask() };
    let mut survey = survey();
    let alarm = |name: &String| Alarm {
        name: name.clone(),
        state: State::Ok,
        reason: String::new(),
        about: Vec::new(),
    };
    survey.alarms = Ok(watched.alarms.iter().map(alarm).collect());
    insta::assert_snapshot!("watched", plan(&survey, &watched).text());
    insta::assert_snapshot!("agents", plan(&agents, &ask()).text());
}

#[test]
fn each_lot_of_hosts_may_warm_up_and_the_home_is_known_without_a_guard() {
    let mut agents = survey();
    agents.subject.part.role = Role::Agent;
    (agents.subject.group.max, agents.subject.group.desired) = (9, 3);
    let patience = |agents: &Survey| plan(agents, &ask()).order.patience;
    let ask = ask();
    let own = (ask.patience + ask.builds_patience).as_secs();
    // Where nothing is said, AWS waits as long as the grace period.
    let grace = agents.subject.group.grace.as_secs();
    assert!(grace > 0);
    assert_eq!(patience(&agents), 3 * (own + grace));
    agents.subject.group.warmup = Some(std::time::Duration::ZERO);
    assert_eq!(patience(&agents), 3 * own);
    // Of a controller nobody waits for that.
    let order = plan(&survey(), &ask).order;
    assert_eq!((order.patience, order.home.as_deref()), (ask.patience.as_secs(), Some("fs-1")));
}

#[test]
fn programs_read_the_same() {
    let prospect = Prospect::of(&known(), &ask());
    assert_eq!(prospect.plan_exit_code(), 10);
    let mut json = serde_json::to_value(prospect.line()).unwrap();
    json["findings"] = json["findings"].as_array().unwrap().len().into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap());
}

#[test]
fn what_was_measured_last_time_is_what_is_expected() {
    let mut survey = known();
    let order = plan(&survey, &ask()).order;
    let past = |down| Record {
        form: 1,
        rollout: "r-1".into(),
        who: "ada".into(),
        rollback: false,
        from: order.from.clone(),
        to: order.to.clone(),
        end: End::Done,
        cause: None,
        begun: survey.subject.now,
        over: survey.subject.now,
        times: Times { down, ..Times::default() },
    };
    // One that went back before anything was down tells nothing.
    let all = vec![past(400.0), past(0.0), past(187.5)];
    survey.records.as_mut().unwrap().past = all;
    let plan = plan(&survey, &ask());
    assert_eq!(plan.downtime, Downtime::Past { seconds: 400.0, of: 2 });
    assert_eq!(plan.downtime.say(), "about 6 min 40 s, the longest of the last 2");
}
