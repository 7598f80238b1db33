//! From a builder that is clean to an image that is whole, and everything about it written down.

use std::cell::RefCell;

use anyhow::Context as _;

use super::remote::Remote;
use super::{Build, Built, Called as _, Job, Made, Pending};
use crate::aws::image::{self, Image, State};
use crate::aws::operator::region;
use crate::aws::{instances, patience, snapshot, tag};
use crate::error::Fault;
use crate::event::Unit;
use crate::image::manifest::{File, Phase, stem};
use crate::image::publish::{self, Output};
use crate::teardown::{BUILD_TAG, Fate, Journal, KEPT, Kind, STATE_TAG};

/// How long an instance may take to stop. Its operating system gets a few minutes from EC2.
const STOPPED: std::time::Duration = std::time::Duration::from_mins(15);

const STEP: &str = "image";

impl Build<'_> {
    /// Stops the builder and has an image made of it.
    pub(super) async fn make_image(
        &mut self,
        remote: &Remote,
        journal: &mut Journal,
    ) -> anyhow::Result<Built> {
        let stopping = stop(self.job, &remote.instance.id);
        self.clock.phase("stop", "stopping the builder", stopping).await?;
        self.job.keep_manifest(&self.manifest)?;
        self.begin_image(remote, journal).await?;
        self.await_image(journal).await
    }

    async fn begin_image(&self, remote: &Remote, journal: &mut Journal) -> anyhow::Result<()> {
        let Self { job, manifest, .. } = self;
        let (here, name) = (region(job.config), job.image_name(&manifest.digest));
        let mut tags = job.tags(manifest);
        tags.insert("Name".to_owned(), name.clone());
        // An image that is undone leaves its snapshots: they are things of their own.
        journal.intend(Kind::Snapshot, here, &name)?;
        let number = journal.intend(Kind::Image, here, &name)?;
        let description = format!(
            "{} {} on {}, baked by hostkit {}",
            manifest.recipe, manifest.image_version, self.base.ami.id, manifest.hostkit
        );
        let device = &remote.instance.root_device;
        let instance = &remote.instance.id;
        let made =
            instances::create_image(job.config, instance, &name, &description, device, &tags);
        let made = made.await;
        if let Err(failure) = &made
            && failure.code().is_some()
            && !failure.is_passing()
        {
            // AWS has said no: nothing has come to be.
            for (number, resource) in journal.unsettled() {
                if resource.token == name && resource.id.is_none() {
                    journal.settle(number, Fate::Gone)?;
                }
            }
        }
        let id = made.called(|| format!("the image {name} cannot be made"))?;
        job.events.log(STEP, format!("{id} is being made"));
        journal.made(number, id)
    }

    /// Waits until the image is available, and finishes what is ours.
    pub(super) async fn await_image(&mut self, journal: &mut Journal) -> anyhow::Result<Built> {
        let job = self.job;
        let mut open = journal.unsettled().into_iter();
        let (_, resource) = open
            .find(|(_, resource)| resource.kind == Kind::Image)
            .context("the journal knows of no image that is being made")?;
        let id = if let Some(id) = resource.id {
            id
        } else {
            let none = || Fault::aws(format!("there is no image {}", resource.token));
            by_name(job, &resource.token).await?.ok_or_else(none)?
        };
        let waiting = wait(job, &id);
        let image = self.clock.phase("image", "waiting for the image", waiting).await?;
        let Some(image) = image else {
            let minutes = job.options.image_deadline.as_secs() / 60;
            let text = format!("the image {id} is not available after {minutes} minutes");
            let hint = "AWS carries on by itself: the same command with --resume waits again";
            return Err(anyhow::Error::from(Pending).context(Fault::aws(text).hint(hint)));
        };
        self.keep(journal, image).await
    }

    /// Says on AWS, in the journal and in the output folder that it stays.
    async fn keep(&mut self, journal: &mut Journal, image: Image) -> anyhow::Result<Built> {
        let job = self.job;
        let snapshots = image.snapshots();
        name_snapshots(journal, region(job.config), &snapshots)?;
        let ids = [std::slice::from_ref(&image.id), &snapshots].concat();
        let kept = [(STATE_TAG.to_owned(), KEPT.to_owned())].into();
        let tagged = tag::set(job.config, &ids, &kept).await;
        tagged.called(|| format!("the tags of {} cannot be set", image.id))?;
        let open = journal.unsettled().into_iter();
        let part = |kind| matches!(kind, Kind::Image | Kind::Snapshot);
        for (number, _) in open.filter(|(_, resource)| part(resource.kind)) {
            journal.settle(number, Fate::Kept)?;
        }
        self.clock.close();
        let phases = self.clock.phases.iter();
        let phase =
            |(name, seconds): &(String, f64)| Phase { name: name.clone(), seconds: *seconds };
        self.manifest.phases.extend(phases.map(phase));
        self.publish().await?;
        let made = Made {
            region: region(job.config).to_owned(),
            image: image.id,
            name: image.name,
            snapshot: snapshots.into_iter().next(),
            parent: None,
            sent: None,
            existed: false,
        };
        Ok(Built { made, manifest: self.manifest.clone() })
    }

    /// Puts the manifest and the bill of materials into the output folder.
    async fn publish(&mut self) -> anyhow::Result<()> {
        let job = self.job;
        let fault = || Fault::environment(format!("{} cannot be made", job.output));
        std::fs::create_dir_all(job.output).with_context(fault)?;
        let mut outputs = Vec::new();
        let from = job.kept_bom();
        if let Ok(meta) = std::fs::metadata(&from) {
            let name = format!("{}.cdx.json", stem(&job.plan.recipe, job.plan.target));
            self.manifest.bom = Some(File { file: name.clone(), bytes: meta.len() });
            outputs.push(Output { from, name });
        }
        publish::publish(&self.manifest, outputs, job.output).await
    }
}

/// The journal knows the snapshots by their ids before anything says that they stay: else who undoes
/// would look for them by their tags.
fn name_snapshots(journal: &mut Journal, here: &str, snapshots: &[String]) -> anyhow::Result<()> {
    let open = journal.unsettled().into_iter();
    let mut open: Vec<_> = open
        .filter(|(_, resource)| resource.kind == Kind::Snapshot && resource.id.is_none())
        .map(|(number, _)| number)
        .collect();
    for id in snapshots {
        let number = match open.pop() {
            Some(number) => number,
            None => journal.intend(Kind::Snapshot, here, id)?,
        };
        journal.made(number, id)?;
    }
    Ok(())
}

/// Has EC2 stop it: its disk is then what was proven to be clean. A spot instance that was asked for
/// once cannot be stopped, and need not be: its disks are read-only since they were cleaned.
async fn stop(job: &Job<'_>, id: &str) -> anyhow::Result<()> {
    const CANNOT: &str = "UnsupportedOperation";
    let stopping = async {
        instances::survive_shutdown(job.config, id).await?;
        instances::stop(job.config, id).await
    };
    match stopping.await {
        Err(failure) if failure.code() == Some(CANNOT) => {
            let text = "it cannot be stopped: the image is made of its disk, which is read-only";
            job.events.log("stop", text);
            return Ok(());
        }
        end => end.called(|| format!("{id} cannot be stopped"))?,
    }
    let seen = patience::until(STOPPED, async || {
        let seen = instances::see(job.config, id).await?;
        Ok(seen.filter(|seen| !matches!(seen.state.as_str(), "running" | "stopping")))
    });
    let seen = seen.await.called(|| format!("the builder {id} cannot be looked at"))?;
    match seen {
        Some(seen) if seen.state == "stopped" => Ok(()),
        Some(seen) => Err(Fault::aws(format!("the builder {id} is {}", seen.state)).into()),
        None => {
            let minutes = STOPPED.as_secs() / 60;
            Err(Fault::aws(format!("the builder {id} is not off after {minutes} min")).into())
        }
    }
}

/// The image whose id never came, because the answer that had it was lost; none if it was never made.
pub(super) async fn by_name(job: &Job<'_>, name: &str) -> anyhow::Result<Option<String>> {
    let found = image::by_name(job.config, name).await;
    let found = found.called(|| format!("the image {name} cannot be looked up"))?;
    Ok(found.map(|image| image.id))
}

/// Waits until the image is available; none if it is still being made at the deadline.
async fn wait(job: &Job<'_>, id: &str) -> anyhow::Result<Option<Image>> {
    let ours = [(BUILD_TAG, job.build)];
    let percent = RefCell::new(None);
    let seen = patience::until(job.options.image_deadline, async || {
        let Some(image) = image::describe(job.config, id).await? else { return Ok(None) };
        if image.state != State::Pending {
            return Ok(Some(image));
        }
        let snapshots = snapshot::by_tags(job.config, &ours).await?;
        if let Some(now) = snapshots.iter().map(|snapshot| u64::from(snapshot.percent)).min()
            && percent.replace(Some(now)) != Some(now)
        {
            job.events.progress(STEP, now, Some(100), Unit::Items);
        }
        Ok(None)
    });
    let seen = seen.await.called(|| format!("the image {id} cannot be looked at"))?;
    match seen {
        Some(image) if image.state == State::Available => Ok(Some(image)),
        Some(image) => {
            let why = image.reason.as_deref().unwrap_or("AWS gives no reason");
            Err(Fault::aws(format!("the image {id} could not be made: {why}")).into())
        }
        None => Ok(None),
    }
}
