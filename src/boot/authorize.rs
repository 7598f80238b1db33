//! Lets the controller's keys in on a build agent.
//!
//! Only the public half is ever asked for. The keys get a file of their own, which sshd reads beside
//! the user's; what was let in before stays until there is something better.

use std::sync::Arc;

use anyhow::Context as _;
use camino::Utf8Path;
use tokio::time::timeout;

use super::context::Context;
use super::public_key::is_key;
use crate::aws::ssm;
use crate::error::Fault;
use crate::event::{Events, Outcome};
use crate::sys::atomic;

const STEP: &str = "keys";

/// Where sshd looks for more keys than a user has at home.
pub(super) const FOLDER: &str = "etc/ssh/authorized_keys.d";

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let config = context.config();
    let path = context.machine.path(FOLDER).join(&config.agent.user);
    let name = config.keys.public.as_str();
    let aws = context.aws().await?;
    // A store that hangs must not take this step's whole time: keys of an earlier boot may be there.
    let asked = timeout(context.time_for(STEP), ssm::parameters(aws, &[name])).await;
    let problem = match asked {
        Ok(Ok(found)) => return let_in(&context, name, &found, &path),
        Ok(Err(failure)) if !failure.is_passing() => return Err(Fault::from(failure).into()),
        Ok(Err(failure)) => Fault::from(failure),
        Err(_elapsed) => Fault::aws("Parameter Store did not answer in time"),
    };
    if !has_keys(&path) {
        return Err(problem.into());
    }
    context.events.log(STEP, problem.to_string());
    let what = "Parameter Store cannot be asked: the keys of an earlier boot stay";
    Ok(Outcome::Skipped(what.to_owned()))
}

/// Writes the keys of the parameter `name` to `path`.
fn let_in(
    context: &Context,
    name: &str,
    found: &ssm::Found,
    path: &Utf8Path,
) -> anyhow::Result<Outcome> {
    let Some(value) = found.values.get(name) else {
        let known = context.must_know();
        let region = known.aws.region.as_deref().unwrap_or(&known.identity.region);
        return Err(Fault::aws(format!("the parameter `{name}` does not exist in {region}"))
            .hint("put the controller's public key there, or name another one in `keys.public`")
            .into());
    };
    let keys = keys_in(value, &context.events);
    if keys.is_empty() {
        return Err(no_keys(name, value).into());
    }
    let options = options(&context.config().agent.from);
    let lines: Vec<_> = keys.iter().map(|key| format!("{options} {key}")).collect();
    let text = lines.join("\n") + "\n";
    let folder = context.machine.path(FOLDER);
    atomic::make_directory(&folder, 0o755).with_context(|| format!("making {folder}"))?;
    let changed =
        atomic::write(path, text.as_bytes(), 0o644).with_context(|| format!("writing {path}"))?;
    Ok(Outcome::changed(changed))
}

/// Every line that is a key. One that is not is told by its number: it may be anything.
fn keys_in<'a>(value: &'a str, events: &Events) -> Vec<&'a str> {
    let mut keys = Vec::new();
    for (index, line) in value.lines().map(str::trim).enumerate() {
        if is_key(line) {
            keys.push(line);
        } else if !line.is_empty() && !line.starts_with('#') {
            let number = index + 1;
            events.log(STEP, format!("line {number} of the parameter is no public key; left out"));
        }
    }
    keys
}

fn no_keys(name: &str, value: &str) -> Fault {
    let fault = Fault::aws(format!("the parameter `{name}` holds no public key"));
    if value.contains("PRIVATE KEY") {
        fault.hint("it holds a private one: an agent must not be able to read that")
    } else {
        fault.hint(
            "one a line, as `ssh-ed25519 AAAA… comment`; whom it let in before, it still does",
        )
    }
}

/// What the controller may do with its keys: run programs and copy files, and nothing else.
fn options(from: &[String]) -> String {
    match from {
        [] => "restrict".to_owned(),
        from => format!("restrict,from=\"{}\"", from.join(",")),
    }
}

fn has_keys(path: &Utf8Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_controller_comes_from_is_an_option_of_its_keys() {
        assert_eq!(options(&[]), "restrict");
        let from = ["10.0.0.0/16".to_owned(), "10.1.0.0/16".to_owned()];
        assert_eq!(options(&from), "restrict,from=\"10.0.0.0/16,10.1.0.0/16\"");
    }
}
