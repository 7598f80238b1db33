//! From a snapshot to an image that can be launched, and back from a digest to the image that it is.
//!
//! `RegisterImage` knows no client token, so a name is what keeps one image from being registered
//! twice: one that is taken is looked at, and is ours if it has our digest.

use std::time::{Duration, Instant};

use aws_config::SdkConfig;

use super::build::Pending;
use super::name::{self, DIGEST_TAG, Tags};
use crate::aws::image::{self, Boot, Image, Registration, State, Wait};
use crate::aws::{Failure, operator, patience, snapshot};
use crate::error::Fault;
use crate::event::{Events, Outcome};
use crate::image::Manifest;
use crate::plan::Arch;
use crate::teardown::{Journal, KEPT, Kind, Number, STATE_TAG};

/// The step's id in the events.
const STEP: &str = "register";

/// How long AWS may need until it has heard everywhere of a snapshot that is whole.
const KNOWN: Duration = Duration::from_mins(2);

/// The longest description that AWS takes.
const DESCRIPTION: usize = 255;

/// What an image is like beyond its disk's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The name of the root device.
    pub root_device: String,
    /// The size of the root disk in GiB; that of the snapshot if absent.
    pub gib: Option<u32>,
    /// Input and output operations a second; gp3's 3000 if absent.
    pub iops: Option<u32>,
    /// MiB a second; gp3's 125 if absent.
    pub throughput: Option<u32>,
    /// Whether instances have a TPM 2.0, and so nothing but UEFI.
    pub tpm: bool,
    /// How long AWS may take until the image is available.
    pub patience: Duration,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            root_device: "/dev/xvda".to_owned(),
            gib: None,
            iops: None,
            throughput: None,
            tpm: false,
            patience: Duration::from_hours(2),
        }
    }
}

/// The snapshot that an image is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `snap-…`; it is whole.
    pub snapshot: String,
    /// The size of its volume in GiB.
    pub gib: u32,
}

/// An image that is available.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The image.
    pub image: Image,
    /// Whether it was there already: the snapshot is then not part of it.
    pub existed: bool,
}

/// The image of a digest in this account and region, in one call. Of several (a build that did not
/// come to its end may have left one) one that is to stay.
pub async fn find(config: &SdkConfig, digest: &str) -> Result<Option<Image>, Failure> {
    let images = image::by_tags(config, &[(DIGEST_TAG, digest)]).await?;
    let mut images: Vec<_> =
        images.into_iter().filter(|image| image.state == State::Available).collect();
    images.sort_by_key(|image| (image.tag(STATE_TAG) != Some(KEPT), image.created));
    Ok(images.into_iter().next())
}

/// Registers an image and waits until it is available. `tags` are those of
/// [`name::building`]; what is made stands in the journal before it is.
///
/// # Errors
/// The name belongs to another image, AWS refuses, or the image does not become available.
pub async fn register(
    config: &SdkConfig,
    journal: &mut Journal,
    manifest: &Manifest,
    source: &Source,
    shape: &Shape,
    tags: &Tags,
    events: &Events,
) -> anyhow::Result<Registered> {
    let begun = Instant::now();
    let wanted = Naming::of(manifest)?;
    events.started(STEP, format!("registering {}", wanted.name));
    let end = registered(config, journal, &wanted, source, shape, tags, events).await;
    let outcome = match &end {
        Ok(registered) => Outcome::changed(!registered.existed),
        Err(error) => Outcome::Failed(format!("{error:#}")),
    };
    events.finished(STEP, outcome, begun.elapsed());
    end
}

async fn registered(
    config: &SdkConfig,
    journal: &mut Journal,
    wanted: &Naming<'_>,
    source: &Source,
    shape: &Shape,
    tags: &Tags,
    events: &Events,
) -> anyhow::Result<Registered> {
    // Before anything is made: a name that is taken is the common case of a build that runs twice.
    let there = image::by_name(config, &wanted.name).await.map_err(|it| operator::fault(&it))?;
    if let Some(there) = there {
        let image = wanted.same(there, shape)?;
        let existed = !image.snapshots().contains(&source.snapshot);
        if !existed {
            // A build that is carried on with has registered it, and did not live to write it down.
            let number = place(journal, config, &wanted.name)?;
            journal.made(number, &image.id)?;
        }
        let image = available(config, &image.id, shape.patience, events).await?;
        return Ok(Registered { image, existed });
    }
    let number = place(journal, config, &wanted.name)?;
    let call = Registration {
        name: &wanted.name,
        description: &wanted.description,
        architecture: architecture(wanted.arch),
        root_device: &shape.root_device,
        snapshot: &source.snapshot,
        gib: shape.gib.unwrap_or(source.gib).max(source.gib),
        iops: shape.iops,
        throughput: shape.throughput,
        boot: boot(wanted.arch, shape.tpm),
        tpm: shape.tpm,
        tags,
    };
    let made = patience::while_unknown(KNOWN, &[snapshot::UNKNOWN], async || {
        image::register(config, &call).await
    });
    let id = match made.await {
        Ok(id) => id,
        // Our own first attempt, whose answer was lost, or somebody who was faster.
        Err(failure) if failure.code() == Some(image::NAME_TAKEN) => {
            let there = image::by_name(config, &wanted.name).await;
            let there = there.map_err(|it| operator::fault(&it))?;
            wanted.same(there.ok_or_else(|| operator::fault(&failure))?, shape)?.id
        }
        Err(failure) => return Err(operator::fault(&failure).into()),
    };
    journal.made(number, &id)?;
    let image = available(config, &id, shape.patience, events).await?;
    let existed = !image.snapshots().contains(&source.snapshot);
    Ok(Registered { image, existed })
}

/// The image's place in the journal: the one that it has already, if a build is carried on with.
fn place(journal: &mut Journal, config: &SdkConfig, name: &str) -> anyhow::Result<Number> {
    let region = operator::region(config);
    let open = journal.unsettled().into_iter().find(|(_, resource)| {
        resource.kind == Kind::Image && resource.region == region && resource.token == name
    });
    open.map_or_else(|| journal.intend(Kind::Image, region, name), |(number, _)| Ok(number))
}

/// Waits until an image is available.
///
/// # Errors
/// With [`Pending`] in its chain: AWS carries on, and what is made must stay.
async fn available(
    config: &SdkConfig,
    id: &str,
    patience: Duration,
    events: &Events,
) -> anyhow::Result<Image> {
    let mut told = false;
    let progress = |image: &Image| {
        if !std::mem::replace(&mut told, true) {
            events.log(STEP, format!("{} is pending", image.id));
        }
    };
    let end = image::wait(config, id, patience, progress).await;
    let end = end.map_err(|it| operator::fault(&it))?;
    let late = end == Wait::Late;
    arrived(id, end, patience).map_err(|fault| {
        if late { anyhow::Error::from(Pending).context(fault) } else { fault.into() }
    })
}

/// What the end of a wait for an image means.
pub(super) fn arrived(id: &str, end: Wait, patience: Duration) -> Result<Image, Fault> {
    match end {
        Wait::Available(image) => Ok(image),
        Wait::Broken(image) => {
            let reason = image.reason.as_deref().unwrap_or("AWS gives no reason");
            Err(Fault::aws(format!("the image {id} could not be made: {reason}"))
                .hint("the same command tries again with a new image"))
        }
        Wait::Gone => Err(Fault::aws(format!("the image {id} is gone"))
            .hint("somebody deregistered it; the same command makes it again")),
        Wait::Late => {
            let minutes = patience.as_secs() / 60;
            Err(Fault::aws(format!("the image {id} is still pending after {minutes} minutes"))
                .hint("AWS carries on by itself; the same command finds it when it is done"))
        }
    }
}

/// What an image is called and told to be.
struct Naming<'a> {
    name: String,
    description: String,
    arch: Arch,
    digest: &'a str,
}

impl<'a> Naming<'a> {
    fn of(manifest: &'a Manifest) -> Result<Self, Fault> {
        let arch: Arch = arch(&manifest.arch)?;
        let Manifest { recipe, image_version, digest, base, hostkit, .. } = manifest;
        let mut description =
            format!("{recipe} {image_version} ({arch}) on {base}, baked by hostkit {hostkit}");
        // AWS takes ASCII only here.
        description.retain(|c| c.is_ascii() && !c.is_ascii_control());
        description.truncate(DESCRIPTION);
        let name = name::image_name(recipe, arch, image_version, digest);
        Ok(Self { name, description, arch, digest })
    }

    /// The image that has the name already, if it is this one.
    fn same(&self, there: Image, shape: &Shape) -> Result<Image, Fault> {
        let (id, name) = (&there.id, &self.name);
        let take_away = format!(
            "deregister {id} if nobody needs it, or give the recipe another version: the name is \
             made of recipe, version and digest"
        );
        match there.tag(DIGEST_TAG) {
            Some(digest) if digest == self.digest => {}
            Some(digest) => {
                let text = format!(
                    "the name {name} belongs to {id} of digest {digest}, and this image has digest \
                     {}",
                    self.digest
                );
                return Err(Fault::aws(text).hint(take_away));
            }
            None => {
                let text = format!("the name {name} belongs to {id}, which hostkit did not make");
                return Err(Fault::aws(text).hint(take_away));
            }
        }
        match &there.state {
            State::Disabled => Err(Fault::aws(format!("{id} is this image, and is disabled"))
                .hint(format!("`aws ec2 enable-image --image-id {id}` brings it back"))),
            State::Broken(state) => Err(Fault::aws(format!(
                "{id} is this image, and is in the state `{state}`, which does not pass"
            ))
            .hint(format!("`aws ec2 deregister-image --image-id {id}`, and try again"))),
            State::Pending | State::Available if there.tpm != shape.tpm => {
                let has = if there.tpm { "with" } else { "without" };
                Err(Fault::aws(format!("{id} is this image, and is registered {has} a TPM"))
                    .hint("an image cannot change in that: deregister it, or leave it so"))
            }
            State::Pending | State::Available => Ok(there),
        }
    }
}

/// The processor as a manifest names it.
fn arch(text: &str) -> Result<Arch, Fault> {
    let all = [Arch::Amd64, Arch::Arm64];
    let known = all.into_iter().find(|arch| arch.to_string() == text);
    known.ok_or_else(|| Fault::recipe(format!("there is no AMI for the processor `{text}`")))
}

/// The processor as EC2 names it.
const fn architecture(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "x86_64",
        Arch::Arm64 => "arm64",
    }
}

/// Our disks boot both ways, but arm64 instances have only UEFI, and a TPM needs it.
const fn boot(arch: Arch, tpm: bool) -> Boot {
    match arch {
        Arch::Amd64 if !tpm => Boot::UefiPreferred,
        Arch::Amd64 | Arch::Arm64 => Boot::Uefi,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(digest: Option<&str>, state: State) -> Image {
        Image {
            id: "ami-1".into(),
            name: "ci-amd64-1-aaaaaaaa".into(),
            state,
            reason: None,
            architecture: "x86_64".into(),
            description: String::new(),
            created: None,
            deprecated: None,
            protected: false,
            tpm: false,
            tokens: true,
            owner: "123456789012".to_owned(),
            boot_mode: None,
            ena: true,
            root_device: "/dev/xvda".to_owned(),
            tags: digest.map(|it| (DIGEST_TAG.to_owned(), it.to_owned())).into_iter().collect(),
            disks: Vec::new(),
        }
    }

    fn naming() -> Naming<'static> {
        Naming {
            name: "ci-amd64-1-aaaaaaaa".into(),
            description: String::new(),
            arch: Arch::Amd64,
            digest: "aaaaaaaa1",
        }
    }

    #[test]
    fn a_name_that_is_taken_is_ours_only_with_our_digest() {
        let shape = Shape::default();
        let same = |digest, state| naming().same(there(digest, state), &shape);
        assert_eq!(same(Some("aaaaaaaa1"), State::Available).unwrap().id, "ami-1");
        let other = same(Some("aaaaaaaa2"), State::Available).unwrap_err().to_string();
        for named in ["ami-1", "aaaaaaaa1", "aaaaaaaa2", "ci-amd64-1-aaaaaaaa"] {
            assert!(other.contains(named), "{other}");
        }
        let foreign = same(None, State::Available).unwrap_err().to_string();
        assert!(foreign.ends_with("belongs to ami-1, which hostkit did not make"), "{foreign}");
        let disabled = same(Some("aaaaaaaa1"), State::Disabled).unwrap_err();
        assert!(disabled.hint_text().unwrap().contains("enable-image"), "{disabled}");
        let with_tpm = Shape { tpm: true, ..Shape::default() };
        let plain = naming().same(there(Some("aaaaaaaa1"), State::Available), &with_tpm);
        assert!(plain.unwrap_err().to_string().ends_with("is registered without a TPM"));
    }

    #[test]
    fn firmware_is_what_the_processor_and_the_tpm_allow() {
        assert_eq!(boot(Arch::Amd64, false), Boot::UefiPreferred);
        assert_eq!(boot(Arch::Amd64, true), Boot::Uefi);
        assert_eq!(boot(Arch::Arm64, false), Boot::Uefi);
        assert!(arch("riscv64").is_err());
    }
}
