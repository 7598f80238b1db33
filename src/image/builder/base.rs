//! Which AMI a plan begins with: what the lock names, else what the recipe's words come to today.

use super::{Called as _, Job};
use crate::aws::base_ami::{self, BaseAmi};
use crate::aws::operator::region;
use crate::error::Fault;
use crate::image::agreement;
use crate::plan::lock::{Image, LockedAmi};
use crate::plan::{Ami, Arch};

/// The step under which it is told.
const STEP: &str = "base";

/// The AMI that a plan begins with.
#[derive(Clone, Debug)]
pub(super) struct Base {
    /// What EC2 says of it.
    pub ami: BaseAmi,
    /// What named it.
    from: String,
    /// The clock of the bake, if the lock has one.
    epoch: Option<i64>,
}

impl Base {
    /// The lock's entry for an image that begins with it.
    pub(super) fn lock(&self, job: &Job<'_>) -> Image {
        let BaseAmi { id, name, owner, created, .. } = self.ami.clone();
        let region = region(job.config).to_owned();
        let ami = LockedAmi { from: self.from.clone(), region, id, name, owner, created };
        Image::on(job.plan, self.epoch.unwrap_or_else(agreement::today), ami)
    }
}

/// Finds the AMI, and refuses one that cannot be begun with.
pub(super) async fn resolve(job: &Job<'_>) -> anyhow::Result<Base> {
    let words = words(job)?;
    let from = words.to_string();
    let here = region(job.config);
    let entry = job.locked.and_then(|entry| Some((entry, entry.ami.as_ref()?)));
    if let Some((entry, ami)) = entry.filter(|(_, ami)| ami.from == from && ami.region == here) {
        return at(job, entry, ami, from).await;
    }
    let ami = match words {
        Ami::Id(id) => exactly(job, id).await?,
        Ami::Newest { name, owner } => newest(job, name, owner).await?,
        Ami::Parameter(parameter) => pointed_at(job, parameter).await?,
    };
    check(&ami, job)?;
    job.events.log(STEP, format!("{from} is {} ({}, made {})", ami.id, ami.name, ami.created));
    Ok(Base { ami, from, epoch: None })
}

/// The AMI that an entry of the lock names.
pub(super) async fn locked(job: &Job<'_>, entry: &Image) -> anyhow::Result<Base> {
    let ami = entry.ami.as_ref();
    let ami = ami.ok_or_else(|| Fault::recipe("hostkit.lock names no AMI for this image"))?;
    at(job, entry, ami, ami.from.clone()).await
}

fn words<'a>(job: &Job<'a>) -> Result<&'a Ami, Fault> {
    job.plan.base.ami.as_ref().ok_or_else(|| {
        Fault::recipe("the recipe begins with no AMI, and so needs no instance to be built on")
            .hint("bake it without `--via instance`, or say `[base.ami]`")
    })
}

async fn at(job: &Job<'_>, entry: &Image, ami: &LockedAmi, from: String) -> anyhow::Result<Base> {
    let found = base_ami::by_id(job.config, &ami.id).await;
    let found = found.called(|| format!("the AMI {} cannot be looked up", ami.id))?;
    let found = found.ok_or_else(|| {
        let LockedAmi { id, name, owner, .. } = ami;
        Fault::recipe(format!("{id} is gone, which hostkit.lock names ({name} of {owner})"))
            .hint("take the one of today with --update-lock")
    })?;
    check(&found, job)?;
    Ok(Base { ami: found, from, epoch: Some(entry.epoch) })
}

async fn exactly(job: &Job<'_>, id: &str) -> anyhow::Result<BaseAmi> {
    let found = base_ami::by_id(job.config, id).await;
    let found = found.called(|| format!("the AMI {id} cannot be looked up"))?;
    let here = region(job.config);
    Ok(found.ok_or_else(|| {
        Fault::recipe(format!("there is no AMI {id} in {here} that we may use"))
            .hint("ids are of one region; another account's must be shared with this one")
    })?)
}

async fn newest(job: &Job<'_>, name: &str, owner: &str) -> anyhow::Result<BaseAmi> {
    let found = base_ami::by_name(job.config, name, owner).await;
    let found = found.called(|| format!("the AMIs of {owner} cannot be looked up"))?;
    Ok(choose(found, name, owner, job.plan.base.arch)?)
}

/// The newest for this processor.
fn choose(found: Vec<BaseAmi>, name: &str, owner: &str, arch: Arch) -> Result<BaseAmi, Fault> {
    let other = found.first().map(|ami| ami.architecture.clone());
    let fit = found.into_iter().filter(|ami| ami.architecture == word(arch));
    fit.max_by(|one, two| (&one.created, &one.id).cmp(&(&two.created, &two.id))).ok_or_else(|| {
        match other {
            Some(other) => Fault::recipe(format!(
                "the AMIs `{name}` of {owner} are for {other}, and the plan is for {}",
                word(arch)
            ))
            .hint("bake with --arch, or name those of the other processor"),
            None => Fault::recipe(format!("{owner} has no AMI whose name fits `{name}`"))
                .hint("a deprecated one is found by its `id` only; names differ in upper case"),
        }
    })
}

async fn pointed_at(job: &Job<'_>, parameter: &str) -> anyhow::Result<BaseAmi> {
    let id = base_ami::pointer(job.config, parameter).await;
    let id = id.called(|| format!("the parameter {parameter} cannot be read"))?;
    let id = id.ok_or_else(|| {
        let here = region(job.config);
        Fault::recipe(format!("there is no parameter {parameter} in {here}"))
    })?;
    if !id.starts_with("ami-") {
        return Err(Fault::recipe(format!("the parameter {parameter} holds no id of an AMI"))
            .hint("it must hold `ami-…` and nothing else")
            .into());
    }
    exactly(job, &id).await
}

/// Whether instances can be launched from it that the plan can be applied to.
fn check(ami: &BaseAmi, job: &Job<'_>) -> Result<(), Fault> {
    let arch = job.plan.base.arch;
    let BaseAmi { id, name, architecture, state, .. } = ami;
    if architecture != word(arch) {
        let wanted = word(arch);
        return Err(Fault::recipe(format!("{id} is for {architecture}, the plan for {wanted}"))
            .hint("bake with the other --arch, or begin with another AMI"));
    }
    if state != "available" {
        return Err(Fault::recipe(format!("{id} ({name}) is {state}")));
    }
    if ami.root_gib.is_none() {
        return Err(Fault::recipe(format!("the root of {id} is no EBS volume"))
            .hint("no image can be made of an instance store"));
    }
    if let Some(since) = ami.deprecated.filter(|since| *since <= jiff::Timestamp::now()) {
        let text = format!("{id} ({name}) is deprecated since {since}: --update-lock moves on");
        job.events.log(STEP, text);
    }
    Ok(())
}

/// EC2's word for a processor.
const fn word(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "x86_64",
        Arch::Arm64 => "arm64",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ami(id: &str, created: &str, architecture: &str) -> BaseAmi {
        BaseAmi {
            id: id.into(),
            name: "n".into(),
            owner: "1".into(),
            owner_alias: None,
            created: created.into(),
            architecture: architecture.into(),
            state: "available".into(),
            deprecated: None,
            root_device: "/dev/xvda".into(),
            root_gib: Some(8),
        }
    }

    #[test]
    fn the_newest_for_the_processor_is_taken() {
        let all = vec![
            ami("ami-2", "2026-11-02T00:00:00.000Z", "x86_64"),
            ami("ami-9", "2026-11-09T00:00:00.000Z", "arm64"),
            ami("ami-3", "2026-11-03T00:00:00.000Z", "x86_64"),
        ];
        assert_eq!(choose(all.clone(), "n", "amazon", Arch::Amd64).unwrap().id, "ami-3");
        assert_eq!(choose(all.clone(), "n", "amazon", Arch::Arm64).unwrap().id, "ami-9");
        let fault = choose(all[..1].to_vec(), "n*", "amazon", Arch::Arm64).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "the AMIs `n*` of amazon are for x86_64, and the plan is for arm64"
        );
        let fault = choose(Vec::new(), "n*", "self", Arch::Arm64).unwrap_err();
        assert_eq!(fault.to_string(), "self has no AMI whose name fits `n*`");
    }
}
