//! What the policy of the file system demands of this host, and whether it lets it mount, write and
//! be root.
//!
//! [`document`] reads what was written, [`request`] is what is known of a client, [`evaluate`] answers
//! it as AWS would. What is not known here (an organisation, a tag of the role) is named, and never
//! guessed. Nothing asks IAM: whether the role's own policy allows something is not known either.

pub mod condition;
pub mod document;
pub mod evaluate;
pub mod request;
mod words;

use serde::{Deserialize, Serialize};

use self::document::Policy;
use self::evaluate::{Answer, answer};
use self::request::{Client, MOUNT, Principal, ROOT, WRITE};
use crate::aws::efs;
use crate::doctor::efs::host::role;
use crate::doctor::efs::scene::{Case, Here, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Look, Verdict};
use crate::host::Role;

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The policy, as it was written; nothing if the file system has none, which lets everybody in
    /// who reaches a mount target.
    pub policy: Option<String>,
}

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let policy = efs::policy(scene.aws()?, &scene.asked.file_system).await?;
    Ok(Seen { policy })
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let Some(text) = &seen.policy else {
        let says = "it has no policy: whoever reaches a mount target may mount, write and be root";
        return say(Verdict::Pass, says);
    };
    let policy = match document::read(text) {
        Ok(policy) => policy,
        Err(why) => {
            let finding = say(Verdict::Skip, "what the policy says cannot be told");
            return finding.shown_by(why).mended_by(words::show(case));
        }
    };
    let Some(host) = case.here() else { return from_outside(&policy, case) };
    if let Some(client) = client(host, case) {
        on_host(&policy, host, &client, case)
    } else {
        let says = "whether the policy lets this host in cannot be told: as which role it comes is \
                    not known";
        say(Verdict::Skip, says)
    }
}

/// What one client may do.
struct Access {
    mount: Answer,
    write: Answer,
    root: Answer,
}

impl Access {
    fn of(policy: &Policy, client: &Client) -> Self {
        let to = |action| answer(policy, client, action);
        Self { mount: to(MOUNT), write: to(WRITE), root: to(ROOT) }
    }

    /// Whether the policy by itself leaves nothing to be wished for but to be root.
    fn is_enough(&self) -> bool {
        self.mount == Answer::Allowed && self.write == Answer::Allowed
    }
}

/// This host, as it comes by what host.toml says; nothing where that takes a role and nobody knows it.
fn client(host: &Here, case: &Case<'_>) -> Option<Client> {
    let file_system = arn(case);
    let access_point =
        host.efs.access_point.as_ref().map(|id| words::access_point(&file_system, id));
    let principal = if host.efs.iam { Some(principal(case)?) } else { None };
    Some(Client { principal, tls: host.efs.tls, access_point, file_system })
}

fn principal(case: &Case<'_>) -> Option<Principal> {
    let own = role::identity(case.observed)?;
    let (account, session) = (own.account.clone(), own.instance_id.clone());
    Some(Principal { account, role: own.role.clone()?, session })
}

/// The ARN of the file system.
fn arn(case: &Case<'_>) -> String {
    let found = case.observed.exists.seen().and_then(|seen| seen.file_system.as_ref());
    let known = found.map(|found| found.arn.clone()).filter(|arn| !arn.is_empty());
    known.unwrap_or_else(|| {
        let account = role::identity(case.observed).map_or("", |own| own.account.as_str());
        let (id, region) = (&case.asked.file_system, &case.asked.region);
        format!("arn:aws:elasticfilesystem:{region}:{account}:file-system/{id}")
    })
}

fn on_host(policy: &Policy, host: &Here, client: &Client, case: &Case<'_>) -> Finding {
    let access = Access::of(policy, client);
    let who = words::client(client);
    let refused = |what: &str, answer: &Answer| {
        let says = match answer {
            Answer::Denied(by) => {
                format!("the policy keeps this host from {what}: its statement {by} denies it")
            }
            _ => format!("nothing in the policy lets this host {what}"),
        };
        (answer.clone(), says)
    };
    let (verdict, (why, says)) = match &access {
        Access { mount: Answer::Denied(_) | Answer::Unmentioned, .. } => {
            let what = words::verb("mount", &access.mount);
            (Verdict::Fail, refused(&what, &access.mount))
        }
        Access { mount: Answer::Depends(on), .. } => return untold("mount", on, &who, case),
        Access { write: Answer::Denied(_) | Answer::Unmentioned, .. } => {
            let verdict = if host.role == Role::Controller { Verdict::Fail } else { Verdict::Warn };
            (verdict, refused(&words::verb("write", &access.write), &access.write))
        }
        Access { write: Answer::Depends(on), .. } => return untold("write", on, &who, case),
        Access { mount: Answer::ByRole, .. } | Access { write: Answer::ByRole, .. } => {
            return by_role(client, &who, case, policy);
        }
        Access { root: Answer::Denied(_) | Answer::Unmentioned, .. }
            if client.access_point.is_none() =>
        {
            let (why, _) = refused("", &access.root);
            let says = "this host may mount and write, and not be root: what is not made by others \
                        for it, it cannot hand to the user of Jenkins";
            (Verdict::Warn, (why, says.to_owned()))
        }
        _ => return say(Verdict::Pass, format!("{who} may {}", words::may(&access))),
    };
    let finding = say(verdict, says).shown_by(format!("{who} may {}", words::may(&access)));
    let finding = with_ghosts(finding, policy);
    if let Some(way) = way(policy, client, case).filter(|_| verdict == Verdict::Fail) {
        return finding.mended_by(format!("in host.toml, by recipe or user-data: [efs] {way}"));
    }
    let finding = finding.mended_by(words::show(case));
    let finding = match why {
        Answer::Denied(by) => {
            finding.mended_by(format!("in policy.json: take what it needs out of {by}"))
        }
        _ => finding.mended_by(words::statement(client)),
    };
    finding.mended_by(words::put(case))
}

/// Nothing keeps it out, and whether anything lets it in stands in IAM.
fn by_role(client: &Client, who: &str, case: &Case<'_>, policy: &Policy) -> Finding {
    let role = client.arn().unwrap_or_default();
    let says = if client.is_foreign() {
        format!("{who} is of another account: its own policy must allow it, too")
    } else {
        format!("the policy leaves it to the own policy of {role} whether it may mount and write")
    };
    with_ghosts(say(Verdict::Warn, says), policy)
        .mended_by(format!(
            "in a policy of the role: allow {MOUNT}, {WRITE} and {ROOT} on {}",
            client.file_system
        ))
        .mended_by(format!("or in that of the file system: {}", words::show(case)))
        .mended_by(words::statement(client))
        .mended_by(words::put(case))
}

fn untold(what: &str, on: &[String], who: &str, case: &Case<'_>) -> Finding {
    let says = format!("whether the policy lets this host {what} cannot be told here");
    let finding = say(Verdict::Skip, says).shown_by(who.to_owned());
    let finding =
        on.iter().fold(finding, |finding, on| finding.shown_by(format!("it depends on {on}")));
    finding.mended_by(words::show(case))
}

fn with_ghosts(finding: Finding, policy: &Policy) -> Finding {
    evaluate::ghosts(policy).into_iter().fold(finding, |finding, id| {
        finding.shown_by(format!(
            "it names {id}: a role that was deleted; one that was made again under the same name is \
             another to it"
        ))
    })
}

/// What of `[efs]` would have to be different for the policy to let this host mount and write: the
/// least.
fn way(policy: &Policy, client: &Client, case: &Case<'_>) -> Option<String> {
    let points = evaluate::access_points(policy);
    let points: Vec<_> = points
        .into_iter()
        .map(|point| (Some(point.to_owned()), point.rsplit('/').next().unwrap_or(point)))
        .collect();
    let tls = || Client { tls: true, ..client.clone() };
    let own = principal(case);
    let mut ways = vec![(tls(), "tls = true".to_owned())];
    for (point, id) in &points {
        let by = Client { access_point: point.clone(), ..tls() };
        ways.push((by, format!("tls = true, access_point = \"{id}\"")));
    }
    if own.is_some() {
        let proven = Client { principal: own, ..tls() };
        for (point, id) in &points {
            let by = Client { access_point: point.clone(), ..proven.clone() };
            ways.push((by, format!("tls = true, iam = true, access_point = \"{id}\"")));
        }
        ways.insert(1, (proven, "tls = true, iam = true".to_owned()));
    }
    ways.into_iter()
        .find(|(other, _)| other != client && Access::of(policy, other).is_enough())
        .map(|(_, way)| way)
}

/// What it demands of anybody.
fn from_outside(policy: &Policy, case: &Case<'_>) -> Finding {
    let plain = Client { principal: None, tls: false, access_point: None, file_system: arn(case) };
    let tls = Client { tls: true, ..plain.clone() };
    let by = |point: &str| Client { access_point: Some(point.to_owned()), ..tls.clone() };
    let points = evaluate::access_points(policy).into_iter().map(by);
    let kinds: Vec<_> = [plain, tls.clone()].into_iter().chain(points).collect();
    let says = if Access::of(policy, &kinds[0]).is_enough() {
        "the policy lets everybody in who reaches a mount target"
    } else if Access::of(policy, &tls).is_enough() {
        "the policy demands TLS (`efs.tls`)"
    } else if kinds[2..].iter().any(|it| Access::of(policy, it).is_enough()) {
        "the policy demands TLS and an access point (`efs.tls`, `efs.access_point`)"
    } else {
        "the policy lets nobody in, or write, who does not prove who he is (`efs.tls`, `efs.iam`)"
    };
    let unclear = |kind: &Client| matches!(Access::of(policy, kind).mount, Answer::Depends(_));
    let finding = if kinds.iter().any(unclear) {
        say(Verdict::Skip, "what the policy demands cannot be told here: it depends on who asks")
            .mended_by(words::show(case))
    } else {
        say(Verdict::Pass, says)
    };
    let line = |kind: &Client| {
        format!("{} may {}", words::client(kind), words::may(&Access::of(policy, kind)))
    };
    let finding = kinds.iter().fold(finding, |finding, kind| finding.shown_by(line(kind)));
    with_ghosts(finding, policy)
}

fn say(verdict: Verdict, says: impl Into<String>) -> Finding {
    Finding::new(Id::Policy.name(), verdict, says)
}

#[cfg(test)]
mod tests;
