//! Which AMI a plan begins with: what the lock names, else what the recipe's words come to today.

use aws_config::SdkConfig;

use super::Called as _;
use crate::aws::base_ami::{self, BaseAmi};
use crate::aws::operator::region;
use crate::error::Fault;
use crate::event::Events;
use crate::image::agreement;
use crate::plan::lock::{Image, LockedAmi};
use crate::plan::{Ami, Arch, Plan};

/// The step under which it is told.
const STEP: &str = "base";

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    /// What is baked.
    pub plan: &'a Plan,
    /// What it is locked to.
    pub locked: Option<&'a Image>,
    /// Whether the lock must have it.
    pub frozen: bool,
    /// How calls are made.
    pub config: &'a SdkConfig,
    /// The listener.
    pub events: &'a Events,
}

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
    pub(super) fn lock(&self, asked: &Question<'_>) -> Image {
        let BaseAmi { id, name, owner, created, .. } = self.ami.clone();
        let region = region(asked.config).to_owned();
        let ami = LockedAmi { from: self.from.clone(), region, id, name, owner, created };
        Image::on(asked.plan, self.epoch.unwrap_or_else(agreement::today), ami)
    }
}

/// Finds the AMI, and refuses one that cannot be begun with.
pub(super) async fn resolve(asked: &Question<'_>) -> anyhow::Result<Base> {
    let words = words(asked)?;
    let from = words.to_string();
    let here = region(asked.config);
    let entry = asked.locked.and_then(|entry| Some((entry, entry.ami.as_ref()?)));
    if let Some((entry, ami)) = entry.filter(|(_, ami)| ami.from == from && ami.region == here) {
        return at(asked, entry, ami, from).await;
    }
    if asked.frozen {
        return Err(Fault::recipe(format!("hostkit.lock does not say what {from} is in {here}"))
            .hint("bake it once without --locked, and keep the lock with the recipe")
            .into());
    }
    let ami = match words {
        Ami::Id(id) => exactly(asked, id).await?,
        Ami::Newest { name, owner } => newest(asked, name, owner).await?,
        Ami::Parameter(parameter) => pointed_at(asked, parameter).await?,
    };
    check(&ami, asked)?;
    asked.events.log(STEP, format!("{from} is {} ({}, made {})", ami.id, ami.name, ami.created));
    Ok(Base { ami, from, epoch: None })
}

fn words<'a>(asked: &Question<'a>) -> Result<&'a Ami, Fault> {
    asked.plan.base.ami.as_ref().ok_or_else(|| {
        Fault::recipe("the recipe begins with no AMI, and so needs no instance to be built on")
            .hint("bake it without `--via instance`, or say `[base.ami]`")
    })
}

async fn at(
    asked: &Question<'_>,
    entry: &Image,
    ami: &LockedAmi,
    from: String,
) -> anyhow::Result<Base> {
    let found = base_ami::by_id(asked.config, &ami.id).await;
    let found = found.called(|| format!("the AMI {} cannot be looked up", ami.id))?;
    let found = found.ok_or_else(|| {
        let LockedAmi { id, name, owner, .. } = ami;
        Fault::recipe(format!("{id} is gone, which hostkit.lock names ({name} of {owner})"))
            .hint("take the one of today with --update-lock")
    })?;
    check(&found, asked)?;
    Ok(Base { ami: found, from, epoch: Some(entry.epoch) })
}

async fn exactly(asked: &Question<'_>, id: &str) -> anyhow::Result<BaseAmi> {
    let found = base_ami::by_id(asked.config, id).await;
    let found = found.called(|| format!("the AMI {id} cannot be looked up"))?;
    let here = region(asked.config);
    Ok(found.ok_or_else(|| {
        Fault::recipe(format!("there is no AMI {id} in {here} that we may use"))
            .hint("ids are of one region; another account's must be shared with this one")
    })?)
}

async fn newest(asked: &Question<'_>, name: &str, owner: &str) -> anyhow::Result<BaseAmi> {
    let found = base_ami::by_name(asked.config, name, owner).await;
    let found = found.called(|| format!("the AMIs of {owner} cannot be looked up"))?;
    Ok(choose(found, name, owner, asked.plan.base.arch)?)
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

async fn pointed_at(asked: &Question<'_>, parameter: &str) -> anyhow::Result<BaseAmi> {
    let id = base_ami::pointer(asked.config, parameter).await;
    let id = id.called(|| format!("the parameter {parameter} cannot be read"))?;
    let id = id.ok_or_else(|| {
        let here = region(asked.config);
        Fault::recipe(format!("there is no parameter {parameter} in {here}"))
    })?;
    if !id.starts_with("ami-") {
        return Err(Fault::recipe(format!("the parameter {parameter} holds no id of an AMI"))
            .hint("it must hold `ami-…` and nothing else")
            .into());
    }
    exactly(asked, &id).await
}

/// Whether instances can be launched from it that the plan can be applied to.
fn check(ami: &BaseAmi, asked: &Question<'_>) -> Result<(), Fault> {
    let arch = asked.plan.base.arch;
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
        asked.events.log(STEP, text);
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
            more_devices: Vec::new(),
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
