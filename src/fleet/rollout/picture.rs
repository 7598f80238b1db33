//! How a group stands while it is changed, for somebody who watches: its hosts, the load balancer, who
//! holds the home, builds and agents. Pure.

use super::journal::Journal;
use super::seen::Seen;
use crate::aws::asg::Host;
use crate::event::Fact;
use crate::group::standing::{Standing, State};
use crate::host::Role;

/// So many hosts are told one by one.
const FEW: usize = 3;

/// How it stands now.
pub fn picture(journal: &Journal, seen: &Seen) -> Vec<Fact> {
    let mut facts = hosts(journal, seen);
    if journal.order.role == Role::Controller
        && let Some(standing) = &seen.standing
    {
        facts.extend(controller(standing));
    }
    if !seen.targets.is_empty() {
        facts.push(targets(seen));
    }
    facts
}

/// Which side a host was launched from.
fn side(journal: &Journal, host: &Host) -> &'static str {
    let order = &journal.order;
    match host.version {
        version if version.is_some() && version == order.to.version => "new",
        version if version.is_some() && version == order.from.version => "old",
        _ => "other",
    }
}

fn hosts(journal: &Journal, seen: &Seen) -> Vec<Fact> {
    let hosts = &seen.crew.hosts;
    if hosts.len() <= FEW {
        let one = |host: &Host| {
            let health = if host.healthy { "" } else { ", unhealthy" };
            let what = format!("{} host", side(journal, host));
            Fact::new(what, format!("{}  {}{health}", host.id, host.state))
        };
        return hosts.iter().map(one).collect();
    }
    let count = |name: &str, well: bool| {
        let is_it = |host: &&Host| side(journal, host) == name && host.is_in_service() == well;
        hosts.iter().filter(is_it).count()
    };
    let line = |name: &str| {
        let (serve, other) = (count(name, true), count(name, false));
        (serve + other > 0).then(|| {
            let other = if other > 0 { format!(", {other} come or go") } else { String::new() };
            Fact::new(format!("{name} hosts"), format!("{serve} in service{other}"))
        })
    };
    ["new", "old", "other"].into_iter().filter_map(line).collect()
}

/// What a controller says of itself.
fn controller(standing: &Standing) -> Vec<Fact> {
    let state = match standing.state {
        State::Serving => "serves",
        State::Quiet => "serves, begins no builds",
        State::Draining => "goes",
        State::Drained => "is down, the home is released",
    };
    let proof = standing.proof.as_ref();
    let version = proof.and_then(|proof| proof.jenkins.as_ref());
    let version = version.map_or_else(String::new, |version| format!(" {version}"));
    let mut facts = vec![Fact::new(
        "Jenkins",
        format!("{}{version} {state}", standing.instance).trim().to_owned(),
    )];
    let holder = match proof.and_then(|proof| proof.generation) {
        Some(generation) => format!("{}, generation {generation}", standing.instance),
        None if standing.state == State::Drained => "nobody".to_owned(),
        None => standing.instance.clone(),
    };
    facts.push(Fact::new("home held by", holder));
    if let Some(builds) = standing.builds {
        facts.push(Fact::new("builds", builds.to_string()));
    }
    if let Some(agents) = proof.and_then(|proof| proof.agents) {
        facts.push(Fact::new("agents", format!("{} of {} connected", agents.online, agents.known)));
    }
    facts
}

fn targets(seen: &Seen) -> Fact {
    let healthy = seen.targets.iter().filter(|target| target.health.is_healthy()).count();
    let how = match seen.targets.as_slice() {
        [one] => format!("{}: {}", one.instance, one.health.say()),
        all => format!("{healthy} of {} healthy", all.len()),
    };
    Fact::new("load balancer", how)
}
