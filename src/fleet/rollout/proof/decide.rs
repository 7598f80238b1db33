//! Whether what is seen of a group proves that it serves what it shall. Pure: an observation in, a
//! verdict out.

use super::super::{Side, Strategy, Way};
use super::{AGENTS, Before, Cause, Proven, Seen, Stage, Target, Verdict, Wanted, many};
use crate::aws::asg::Host;
use crate::group::standing::{Proof, State};
use crate::host::Role;

/// See the module.
pub fn decide(seen: &Seen, wanted: &Wanted<'_>) -> Verdict {
    let verdict = match wanted.role {
        Role::Controller => controller(seen, wanted),
        Role::Agent | Role::Ecs => many::decide(seen, wanted),
    };
    match verdict {
        Verdict::Pending(_, missing) if seen.soaking || seen.looking >= wanted.patience => {
            Verdict::Failed(Cause::Late { after: seen.looking.min(wanted.patience), missing })
        }
        verdict => verdict,
    }
}

/// What keeps something from being proven yet, or for ever.
pub(super) enum Obstacle {
    NotYet(Stage, String),
    Never(Cause),
}

impl From<Obstacle> for Verdict {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::NotYet(stage, why) => Self::Pending(stage, why),
            Obstacle::Never(cause) => Self::Failed(cause),
        }
    }
}

fn not_yet<T>(stage: Stage, why: impl Into<String>) -> Result<T, Obstacle> {
    Err(Obstacle::NotYet(stage, why.into()))
}

fn controller(seen: &Seen, wanted: &Wanted<'_>) -> Verdict {
    let proven = || -> Result<Proven, Obstacle> {
        let host = newcomer(seen, wanted)?;
        let proof = says(seen, host)?;
        is_the_one(proof, wanted)?;
        holds(proof, host, wanted)?;
        gets_requests(seen, std::slice::from_ref(&host))?;
        let mut warnings = unproven(wanted.before);
        warnings.extend(agents(proof, seen, wanted)?);
        let instances = vec![host.id.clone()];
        Ok(Proven { instances, proof: Some(proof.clone()), warnings })
    };
    proven().map_or_else(Verdict::from, Verdict::Proven)
}

/// Whether a host was launched from what it shall be.
pub(super) fn is_wanted(host: &Host, side: &Side) -> bool {
    let same_template = host.template.as_ref().is_none_or(|template| *template == side.template);
    same_template && side.version.is_some() && host.version == side.version
}

/// The one host that is to serve.
fn newcomer<'a>(seen: &'a Seen, wanted: &Wanted<'_>) -> Result<&'a Host, Obstacle> {
    let may_stay = wanted.way == Way::Back || wanted.strategy == Strategy::ReplaceRootVolume;
    let is_former = |host: &Host| wanted.before.instance.as_ref() == Some(&host.id);
    let hosts = seen.crew.hosts.iter().filter(|host| !host.is_leaving());
    let (fit, other): (Vec<_>, Vec<_>) =
        hosts.partition(|host| is_wanted(host, wanted.side) && (may_stay || !is_former(host)));
    let Some(host) = fit.first() else {
        let going = seen.crew.hosts.iter().filter(|host| host.is_leaving());
        let there: Vec<_> =
            other.into_iter().chain(going).map(|it| format!("{} is {}", it.id, it.state)).collect();
        let there =
            if there.is_empty() { "the group has no host".to_owned() } else { there.join(", ") };
        return not_yet(Stage::Boot, format!("no host was launched from the new version: {there}"));
    };
    if fit.len() > 1 || !other.is_empty() {
        let more = fit.iter().skip(1).copied().chain(other).map(|it| it.id.as_str());
        let more = more.collect::<Vec<_>>().join(", ");
        return not_yet(Stage::Boot, format!("{} is there, and still {more}", host.id));
    }
    if !host.is_in_service() {
        let stage = if host.state == "Pending" { Stage::Boot } else { Stage::Ready };
        return not_yet(stage, format!("{} is {}", host.id, host.state));
    }
    if !host.healthy {
        return not_yet(Stage::Ready, format!("the group finds {} unhealthy", host.id));
    }
    Ok(host)
}

/// What this host says of itself, once it serves.
fn says<'a>(seen: &'a Seen, host: &Host) -> Result<&'a Proof, Obstacle> {
    let standing = seen.standing.as_ref().filter(|standing| standing.instance == host.id);
    let Some(standing) = standing else {
        return not_yet(Stage::Ready, format!("{} does not say yet that it serves", host.id));
    };
    let why = standing.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    if let Some(said) = seen.said.filter(|said| standing.is_silent(*said)) {
        let silent = format!("{} has said nothing for {} s", host.id, said.as_secs());
        return not_yet(Stage::Ready, silent);
    }
    match standing.state {
        State::Serving => {}
        State::Quiet => return not_yet(Stage::Proof, format!("{} begins no builds{why}", host.id)),
        State::Draining | State::Drained => {
            return not_yet(Stage::Ready, format!("{} goes again{why}", host.id));
        }
    }
    match &standing.proof {
        Some(proof) if proof.ready => Ok(proof),
        Some(_) => not_yet(Stage::Ready, format!("Jenkins on {} is not ready{why}", host.id)),
        None => not_yet(Stage::Ready, format!("{} does not say what it serves{why}", host.id)),
    }
}

/// Whether it serves what it shall, from where it shall.
fn is_the_one(proof: &Proof, wanted: &Wanted<'_>) -> Result<(), Obstacle> {
    let Proof { jenkins, file_system, image, .. } = proof;
    // What the metadata service says of a host that got a new root volume is not known for sure.
    if let Some(served) = image
        && wanted.strategy != Strategy::ReplaceRootVolume
        && *served != wanted.side.image
    {
        let (wanted, served) = (wanted.side.image.clone(), served.clone());
        return Err(Obstacle::Never(Cause::Image { wanted, served }));
    }
    match (&wanted.side.jenkins, jenkins) {
        (Some(wanted), Some(served)) if wanted != served => {
            let (wanted, served) = (wanted.clone(), served.clone());
            return Err(Obstacle::Never(Cause::Version { wanted, served }));
        }
        (Some(_), None) => return not_yet(Stage::Ready, "Jenkins does not say its version"),
        _ => {}
    }
    match (&wanted.before.file_system, file_system) {
        (Some(wanted), Some(served)) if wanted != served => {
            let (wanted, served) = (wanted.clone(), served.clone());
            Err(Obstacle::Never(Cause::Home { wanted, served }))
        }
        (_, None) => {
            not_yet(Stage::Proof, "the host does not say on which file system its home is")
        }
        _ => Ok(()),
    }
}

/// Whether it holds the home, after the host of before.
fn holds(proof: &Proof, host: &Host, wanted: &Wanted<'_>) -> Result<(), Obstacle> {
    let Some(held) = proof.generation else {
        return not_yet(Stage::Proof, format!("{} does not hold the lease of the home", host.id));
    };
    let Some(before) = wanted.before.generation else { return Ok(()) };
    let has_stayed = wanted.way == Way::Back && wanted.before.instance.as_ref() == Some(&host.id);
    if held > before || (has_stayed && held == before) {
        return Ok(());
    }
    // One that gets a new root volume says the old one until it has booted again.
    if wanted.before.instance.as_ref() == Some(&host.id) {
        return not_yet(Stage::Ready, format!("{} has not booted from its new volume", host.id));
    }
    Err(Obstacle::Never(Cause::Lease { before, held }))
}

/// What nobody can compare, since it was not known of the host of before.
fn unproven(before: &Before) -> Vec<String> {
    let home = before.file_system.is_none().then_some(
        "that the home is the one of before is not proven: neither guard nor user-data said which that was",
    );
    let lease = before.generation.is_none().then_some(
        "that the lease is newer than the one of before is not proven: no guard said which that was",
    );
    home.into_iter().chain(lease).map(str::to_owned).collect()
}

/// Whether requests get to the hosts, where a load balancer is in front of them.
pub(super) fn gets_requests(seen: &Seen, hosts: &[&Host]) -> Result<(), Obstacle> {
    for group in &seen.target_groups {
        for host in hosts {
            let of = |target: &&Target| target.group == *group && target.instance == host.id;
            match seen.targets.iter().find(of) {
                Some(target) if target.health.is_healthy() => {}
                Some(target) => {
                    let health = target.health.say();
                    return not_yet(Stage::Proof, format!("the load balancer finds it {health}"));
                }
                None => return not_yet(Stage::Proof, "the load balancer does not know it yet"),
            }
        }
    }
    Ok(())
}

/// Whether the agents of before are back; or what is to be said of it.
fn agents(proof: &Proof, seen: &Seen, wanted: &Wanted<'_>) -> Result<Vec<String>, Obstacle> {
    let before = wanted.before.agents.map_or(0, |agents| agents.online);
    let now = proof.agents.unwrap_or_default().online;
    if now >= before {
        return Ok(Vec::new());
    }
    let what = match proof.agents {
        Some(agents) => format!("{} of {before} agents are back", agents.online),
        None => format!("nobody knows whether the {before} agents are back"),
    };
    if seen.serving < AGENTS && !seen.soaking {
        return not_yet(Stage::Proof, what);
    }
    Ok(vec![format!("after {} s {what}", AGENTS.as_secs())])
}
