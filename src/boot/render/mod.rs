//! Writes what Jenkins reads when it starts: its configuration as code, checked, its build agents, the
//! options of its Java machine, and the tokens with which hostkit asks it.
//!
//! A template or a file of the user's that is broken does not keep a controller down that has served
//! before: then the configuration with which it last served is used, and that is told.

mod fall_back;
mod set;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context as _;
use camino::Utf8Path;

use super::agents;
use super::context::Context;
use super::home::{MOUNT_POINT, OWNER};
use super::inside::{self, Answer, Request};
use super::start_limits;
use crate::error::Fault;
use crate::event::Outcome;
use crate::host::SecurityMode;
use crate::jenkins::{self, Tokens, Values, casc, fleet};
use crate::sys::atomic;

pub(super) use fall_back::{keep, with_last_good};
pub(super) use set::FOLDER;

pub(super) const STEP: &str = "render";

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let security = security(&context)?;
    let folder = context.machine.run("secrets");
    atomic::make_directory(&folder, 0o700).context("making the secrets' folder")?;
    let (_, made) = Tokens::keep(&folder).context("making hostkit's tokens for Jenkins")?;
    let names = set::names(&context).await;
    let chosen = match set::assemble(&context, security).and_then(|set| set.checked(&names)) {
        Ok(checked) => checked,
        Err(fault) => fall_back::last_good(&context, fault, &names).await?,
    };
    context.fell_back.store(chosen.instead.is_some(), Ordering::Relaxed);
    for warning in &chosen.warnings {
        context.events.log(STEP, warning);
    }
    let agents = agents::find_all(&context).await;
    let mut changed = made;
    changed |= set::write(&context, &chosen.files)?;
    changed |= put(&set::path(&context, casc::FLEET), &agents.text)?;
    changed |= environment(&context, security)?;
    changed |= start_limits::write(&context).await?;
    changed |= script(&context).await?;
    context.news.fetch_or(changed, Ordering::Relaxed);
    let worse = [chosen.instead, agents.trouble].into_iter().flatten().collect::<Vec<_>>();
    if worse.is_empty() {
        return Ok(Outcome::changed(changed));
    }
    Ok(Outcome::Degraded(worse.join("; ")))
}

/// Without an answer to who may use it, Jenkins is not started: nobody wants the answer "everybody".
fn security(context: &Context) -> Result<SecurityMode, Fault> {
    context.config().jenkins.security.mode.ok_or_else(|| {
        Fault::recipe("nothing says who may use Jenkins").hint(
            "set `mode` in [jenkins.security] of host.toml: \"local\" for one administrator, or \
             \"casc\" where your own files in /etc/hostkit/casc.d say it",
        )
    })
}

/// What the templates may name.
fn values<'a>(context: &'a Context, url: &'a str, security: SecurityMode) -> Values<'a> {
    let jenkins = &context.config().jenkins;
    Values {
        url,
        security,
        admin_user: &jenkins.security.admin_user,
        hostkit_user: &jenkins.security.hostkit_user,
        agent_user: &jenkins.agent_user,
        agent_port: (!jenkins.clouds.is_empty()).then_some(fleet::AGENT_PORT),
        memory: context.facts.memory,
        heap: jenkins.heap,
        java_options: &jenkins.java_options,
    }
}

/// The address that people use.
fn url(context: &Context) -> String {
    let own = || format!("http://{}:8080/", context.must_know().identity.private_ip);
    context.config().jenkins.url.clone().unwrap_or_else(own)
}

fn template(context: &Context, name: &str) -> Result<String, Fault> {
    let path = context.machine.path("usr/share/hostkit/templates").join(name);
    std::fs::read_to_string(&path).map_err(|error| {
        Fault::environment(format!("the template {path} cannot be read: {error}"))
            .hint("the image must have hostkit's templates in /usr/share/hostkit/templates")
    })
}

/// The environment of the unit. There is no last known good one: it has no part that a user writes
/// but the template, and that is tested when the image is baked.
fn environment(context: &Context, security: SecurityMode) -> anyhow::Result<bool> {
    let text = template(context, "jenkins.env.tera")?;
    let url = url(context);
    let rendered = jenkins::environment(&text, &values(context, &url, security))?;
    let user = &context.config().jenkins.security.hostkit_user;
    let all = format!("{}\nHOSTKIT_USER={user}\n", rendered.trim_end());
    let path = context.machine.run("jenkins/environment");
    put(&path, &all)
}

/// What makes hostkit's user known to Jenkins, in the home.
async fn script(context: &Context) -> anyhow::Result<bool> {
    let request =
        Request::Script { mount_point: context.machine.path(MOUNT_POINT), user: OWNER.to_owned() };
    match inside::ask(&context.machine.runner, &request).await? {
        Answer::Done { changed, .. } => Ok(changed),
        answer => anyhow::bail!("the child answered {answer:?}"),
    }
}

/// There is no secret in these: anybody on the host may read them.
fn put(path: &Utf8Path, text: &str) -> anyhow::Result<bool> {
    atomic::write(path, text.as_bytes(), 0o644).with_context(|| format!("writing {path}"))
}
