//! What a policy answers to a client: as AWS evaluates the policy of a resource, as far as it can be
//! known from outside.
//!
//! A denial wins, then a permission, and what neither denies nor allows is denied. Where a statement
//! depends on what is not known here, so does the answer.

use super::condition::{Holds, glob, holds};
use super::document::{Listed, Policy, Statement, Who};
use super::request::Client;

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is allowed.
    Allowed,
    /// This statement denies it.
    Denied(String),
    /// Nothing allows it.
    Unmentioned,
    /// Nothing here denies it, and the policy of the client's own role decides.
    ByRole,
    /// It depends on this.
    Depends(Vec<String>),
}

/// What is answered to a client that wants to do this.
pub fn answer(policy: &Policy, client: &Client, action: &str) -> Answer {
    let mut open = Vec::new();
    for statement in policy.statements.iter().filter(|it| it.denies) {
        match applies(statement, client, action) {
            Holds::Yes => return Answer::Denied(statement.name.clone()),
            Holds::No => {}
            Holds::Depends(on) => open.extend(named(statement, on)),
        }
    }
    let (mut allowed, mut by_role, mut perhaps) = (false, false, Vec::new());
    for statement in policy.statements.iter().filter(|it| !it.denies) {
        match applies(statement, client, action) {
            Holds::Yes if delegates(statement, client) => by_role = true,
            Holds::Yes => allowed = true,
            Holds::No => {}
            Holds::Depends(on) => perhaps.extend(named(statement, on)),
        }
    }
    if !open.is_empty() {
        return Answer::Depends(open);
    }
    if allowed {
        // Another account's role needs a permission at home, too.
        return if client.is_foreign() { Answer::ByRole } else { Answer::Allowed };
    }
    if !perhaps.is_empty() {
        return Answer::Depends(perhaps);
    }
    // Within an account either policy is enough.
    if by_role || (client.principal.is_some() && !client.is_foreign()) {
        return Answer::ByRole;
    }
    Answer::Unmentioned
}

fn named(statement: &Statement, on: Vec<String>) -> impl Iterator<Item = String> {
    let name = statement.name.clone();
    on.into_iter().map(move |on| format!("{on} in {name}"))
}

/// Whether a statement is about this.
fn applies(statement: &Statement, client: &Client, action: &str) -> Holds {
    let lower = |text: &str| text.to_ascii_lowercase();
    let action = lower(action);
    let of_action = fits(&statement.actions, |pattern| glob(&lower(pattern), &action));
    let of_resource = statement
        .resources
        .as_ref()
        .is_none_or(|listed| fits(listed, |pattern| glob(pattern, &client.file_system)));
    let plain = of_action && of_resource && is_meant(&statement.who, client);
    statement
        .conditions
        .iter()
        .fold(Holds::of(plain), |so_far, condition| so_far.and(holds(condition, client)))
}

fn fits(listed: &Listed, fits: impl Fn(&str) -> bool) -> bool {
    listed.patterns.iter().any(|pattern| fits(pattern)) != listed.not
}

fn is_meant(who: &Who, client: &Client) -> bool {
    who.principals.iter().any(|one| is(one, client) || account(one, client)) != who.not
}

/// Whether a principal is everybody, or this client's role or session.
fn is(principal: &str, client: &Client) -> bool {
    if principal == "*" {
        return true;
    }
    let Some(own) = &client.principal else { return false };
    let parts: Vec<_> = principal.splitn(6, ':').collect();
    let [_, _, service, _, account, what] = parts[..] else { return false };
    if account != own.account {
        return false;
    }
    match (service, what.split_once('/')) {
        // A role has a path that it does not know itself; its name has no other in its account.
        ("iam", Some(("role", path))) => path.rsplit('/').next() == Some(own.role.as_str()),
        ("sts", Some(("assumed-role", session))) => {
            session.split_once('/') == Some((own.role.as_str(), own.session.as_str()))
        }
        _ => false,
    }
}

/// Whether a principal is the whole account of this client.
fn account(principal: &str, client: &Client) -> bool {
    let Some(own) = &client.principal else { return false };
    let root = principal.strip_suffix(":root").and_then(|it| it.rsplit(':').next());
    principal == own.account || (principal.starts_with("arn:") && root == Some(&own.account))
}

/// Whether a statement leaves it to an account whom of its own it lets in.
fn delegates(statement: &Statement, client: &Client) -> bool {
    !statement.who.not && !statement.who.principals.iter().any(|one| is(one, client))
}

/// The roles and users that a policy names and that are not there any more: AWS puts an id in the
/// place of a name when it is deleted, and never takes it back.
pub fn ghosts(policy: &Policy) -> Vec<&str> {
    let all = policy.statements.iter().flat_map(|it| &it.who.principals);
    let is_id = |it: &&String| {
        (it.starts_with("AROA") || it.starts_with("AIDA"))
            && it.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    all.filter(is_id).map(String::as_str).collect()
}

/// The access points that a policy names.
pub fn access_points(policy: &Policy) -> Vec<&str> {
    let conditions = policy.statements.iter().flat_map(|it| &it.conditions);
    let named = conditions
        .filter(|it| it.key.eq_ignore_ascii_case("elasticfilesystem:AccessPointArn"))
        .flat_map(|it| &it.values)
        .filter(|it| it.contains(":access-point/") && !it.contains(['*', '?', '$']));
    let mut all: Vec<_> = named.map(String::as_str).collect();
    all.sort_unstable();
    all.dedup();
    all
}
