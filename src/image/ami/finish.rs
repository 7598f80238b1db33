//! What is done to an image that is available in a region: who may use it, until when, and what points
//! to it. Each thing is looked at first where AWS tells how it is, and what was not asked for is not
//! touched. Nothing is ever taken back here.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::copy::is_encrypted;
use super::distribute::Site;
use super::publication::Template;
use crate::aws::image::{self, Audience, Image};
use crate::aws::{Failure, launch_template, operator, patience, snapshot, ssm};
use crate::digest::sha256;
use crate::error::Fault;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// How long Parameter Store may look at an image until it has the new value.
const POINTED: Duration = Duration::from_mins(2);

fn fault(failure: &Failure) -> anyhow::Error {
    operator::fault(failure).into()
}

/// Everything, in its order. `done` tells what was.
pub(super) async fn all(
    site: &Site<'_>,
    image: &Image,
    done: &mut Vec<String>,
) -> anyhow::Result<()> {
    share(site, image, done).await?;
    deprecate(site, image, done).await?;
    protect(site, image, done).await?;
    for template in &site.job.wanted.templates {
        if template.region.as_ref().map_or(site.is_home(), |region| *region == site.region) {
            launch(site, image, template, done).await?;
        }
    }
    point(site, image, done).await
}

/// Who may already is left as it is. Whoever may not look whether somebody may, tells it again: AWS
/// does not mind.
async fn share(site: &Site<'_>, image: &Image, done: &mut Vec<String>) -> anyhow::Result<()> {
    let audience = &site.job.wanted.audience;
    if audience.is_empty() {
        return Ok(());
    }
    // The snapshots first: an image whose snapshots cannot be read is of no use to anybody.
    let mut news = false;
    if !audience.accounts.is_empty() {
        for id in image.snapshots() {
            let there = snapshot::accounts(&site.config, &id).await.unwrap_or_default();
            let missing = audience.accounts.iter().filter(|one| !there.contains(one));
            let missing: Vec<_> = missing.cloned().collect();
            if !missing.is_empty() {
                let shared = snapshot::share(&site.config, &id, &missing).await;
                shared.map_err(|failure| unshared(image, &failure))?;
                news = true;
            }
        }
    }
    let there = image::audience(&site.config, &image.id).await.unwrap_or_default();
    let missing = audience.without(&there);
    if !missing.is_empty() {
        image::share(&site.config, &image.id, &missing).await.map_err(|it| unshared(image, &it))?;
        news = true;
    }
    if news {
        done.push(format!("shared with {}", told(audience)));
    }
    Ok(())
}

fn told(audience: &Audience) -> String {
    let who = [
        (audience.accounts.len(), "account"),
        (audience.organizations.len(), "organisation"),
        (audience.units.len(), "organisational unit"),
    ];
    let who = who.into_iter().filter(|(count, _)| *count > 0);
    let who = who.map(|(n, of)| format!("{n} {of}{}", if n == 1 { "" } else { "s" }));
    who.collect::<Vec<_>>().join(", ")
}

/// That the default key cannot be shared is what AWS says in three ways.
fn unshared(image: &Image, failure: &Failure) -> anyhow::Error {
    let fault = operator::fault(failure);
    let fault = if is_encrypted(image) && failure.code().is_some() && !failure.is_denied() {
        fault.hint(
            "an image that is encrypted with the account's default key cannot be shared: give a \
             key of your own with --kms-key",
        )
    } else {
        fault
    };
    fault.into()
}

async fn deprecate(site: &Site<'_>, image: &Image, done: &mut Vec<String>) -> anyhow::Result<()> {
    let Some(days) = site.job.wanted.deprecate_after else { return Ok(()) };
    let at = Timestamp::now() + DAY * i32::try_from(days).unwrap_or(i32::MAX);
    // The same command a little later is no reason to move it.
    if image.deprecated.is_some_and(|there| at.duration_since(there).abs() < DAY) {
        return Ok(());
    }
    image::deprecate(&site.config, &image.id, at).await.map_err(|it| fault(&it))?;
    done.push(format!("deprecated from {}", at.strftime("%Y-%m-%d")));
    Ok(())
}

async fn protect(site: &Site<'_>, image: &Image, done: &mut Vec<String>) -> anyhow::Result<()> {
    if !site.job.wanted.protect || image.protected {
        return Ok(());
    }
    image::protect(&site.config, &image.id, true).await.map_err(|it| fault(&it))?;
    done.push("protected".to_owned());
    Ok(())
}

/// A version of a launch template with this image, unless the youngest has it.
async fn launch(
    site: &Site<'_>,
    image: &Image,
    template: &Template,
    done: &mut Vec<String>,
) -> anyhow::Result<()> {
    let which = &template.which;
    let version = async |version| {
        let found = launch_template::version(&site.config, which, version)
            .await
            .map_err(|it| fault(&it))?;
        let none = || {
            Fault::aws(format!("there is no launch template {which} in {}", site.region))
                .hint("`aws ec2 describe-launch-templates` lists them; it must have a version")
        };
        anyhow::Ok(found.ok_or_else(none)?)
    };
    let mut chosen = version("$Latest").await?;
    if chosen.image.as_ref() != Some(&image.id) {
        let base = site.job.wanted.base.version();
        let base = version(base).await?;
        let token = sha256(format!("{} {} {}", base.template, chosen.number, image.id));
        let subject = &site.job.subject;
        let digest = subject.digest.get(..8).unwrap_or(&subject.digest);
        let text = format!("hostkit: {} {} ({digest})", subject.recipe, subject.version);
        let text: String = text.chars().take(255).collect();
        chosen = launch_template::add_version(
            &site.config,
            &base.template,
            base.number,
            &image.id,
            &text,
            &token,
        )
        .await
        .map_err(|it| fault(&it))?;
        done.push(format!("version {} of {which}", chosen.number));
    }
    if site.job.wanted.set_default && !chosen.is_default {
        let set = launch_template::set_default(&site.config, &chosen.template, chosen.number).await;
        set.map_err(|it| fault(&it))?;
        done.push(format!("default of {which}"));
    }
    Ok(())
}

/// The parameter that points to the latest image, the last of all.
async fn point(site: &Site<'_>, image: &Image, done: &mut Vec<String>) -> anyhow::Result<()> {
    if !site.job.wanted.pointer {
        return Ok(());
    }
    let name = site.job.subject.pointer();
    let there = async || {
        let found = ssm::parameters(&site.config, &[name.as_str()]).await?;
        Ok((found.values.get(&name) == Some(&image.id)).then_some(()))
    };
    if there().await.map_err(|it| fault(&it))?.is_some() {
        return Ok(());
    }
    let text =
        format!("the latest image of {} for {}", site.job.subject.recipe, site.job.subject.arch);
    ssm::point(&site.config, &name, &image.id, &text).await.map_err(|it| fault(&it))?;
    // AWS looks at the image after it has answered, and forgets what it does not like.
    let pointed = patience::until(POINTED, there).await.map_err(|it| fault(&it))?;
    pointed.ok_or_else(|| {
        Fault::aws(format!("the parameter {name} does not take {}", image.id))
            .hint("Parameter Store looks whether the image can be launched; the same command again")
    })?;
    done.push(format!("{name} moved"));
    Ok(())
}
