//! Renders what Jenkins reads when it starts.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context as _;
use camino::Utf8Path;

use super::context::Context;
use super::credentials;
use crate::error::Fault;
use crate::event::Outcome;
use crate::jenkins::{Templates, Values};
use crate::sys::atomic;

#[expect(clippy::unused_async, reason = "every row of the table has the same shape")]
pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let known = context.must_know();
    let jenkins = &context.config().jenkins;
    let address = format!("http://{}:8080/", known.identity.private_ip);
    let values = Values {
        url: jenkins.url.as_deref().unwrap_or(&address),
        admin_user: &jenkins.security.admin_user,
        agent_user: &jenkins.agent_user,
        memory: context.facts.memory,
    };
    let folder = context.machine.path("usr/share/hostkit/templates");
    let template = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).map_err(|error| {
            Fault::environment(format!("the template {path} cannot be read: {error}"))
                .hint("the image must have hostkit's templates in /usr/share/hostkit/templates")
        })
    };
    let templates = Templates {
        configuration: &template("jenkins.yaml.tera")?,
        environment: &template("jenkins.env.tera")?,
    };
    let rendered = crate::jenkins::render(&templates, &values)?;
    let directory = context.machine.run("jenkins");
    atomic::make_directory(&directory, 0o755).with_context(|| format!("making {directory}"))?;
    let configuration = put(
        &directory.join("jenkins.yaml"),
        &credentials::refer_to_copies(&context.machine, &rendered.configuration),
    )?;
    let environment = put(&directory.join("environment"), &rendered.environment)?;
    context.news.fetch_or(configuration || environment, Ordering::Relaxed);
    Ok(Outcome::changed(configuration || environment))
}

/// There is no secret in these: anybody on the host may read them.
fn put(path: &Utf8Path, text: &str) -> anyhow::Result<bool> {
    atomic::write(path, text.as_bytes(), 0o644).with_context(|| format!("writing {path}"))
}
