//! `hostkit bake --target ami`: the arguments that only an AMI has, and what happens to a build whose
//! work ends early.

use std::time::Duration;

use aws_config::SdkConfig;
use camino::{Utf8Path, Utf8PathBuf};
use clap::ValueEnum;
use indicatif::HumanBytes;

use super::aws::Aws;
use super::cache::age;
use super::publish;
use crate::aws::ebs::Encryption;
use crate::aws::image::{self, Image};
use crate::aws::operator::{self, Identity};
use crate::error::Fault;
use crate::event::Events;
use crate::image::ami::build::{Disk, Job, Made, Pending, Place, Wish};
use crate::image::ami::distribute::{self, Subject};
use crate::image::ami::name::Labels;
use crate::image::ami::register::{self, Shape};
use crate::image::ami::{outputs, resume, undo};
use crate::image::{Manifest, upload};
use crate::teardown::{self, Journal};
use crate::ui::Format;

/// How many puts a second are asked of AWS at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate(Option<f64>);

/// What becomes of what a failed bake has made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// It is removed.
    #[default]
    Cleanup,
    /// It stays on AWS, for --resume.
    Keep,
    /// A shell opens where the step failed; then it is removed.
    Shell,
}

/// What only an AMI has.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "With --target ami")]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
pub struct Ami {
    /// Encrypt it with the account's default key
    #[arg(long)]
    encrypt: bool,
    /// Instances have a TPM 2.0, and start by UEFI only
    #[arg(long)]
    tpm: bool,
    /// The size of the root volume; that of the disk if not given
    #[arg(long, value_name = "GIB")]
    pub(super) volume_size: Option<u32>,
    /// Send every block, as if there were no earlier image
    #[arg(long)]
    no_parent: bool,
    /// Carry on with the build that was interrupted; fail if there is none
    #[arg(long)]
    resume: bool,
    /// How many blocks a second are sent at most, or `none`
    #[arg(long, value_name = "N", value_parser = rate, default_value = "950")]
    rate: Rate,
    /// Publish it once it is made, as `hostkit publish` does; each option under "Publishing"
    /// asks for that, too
    #[arg(long)]
    publish: bool,
    /// How long AWS may take to make a snapshot or an image usable
    #[arg(long, value_name = "TIME", value_parser = age, default_value = "2h")]
    pub(super) patience: Duration,
    #[command(flatten)]
    pub(super) aws: Aws,
    #[command(flatten)]
    publishing: publish::Options,
}

/// An image on AWS once the bake is done with it: where it was published, if that was asked for.
#[derive(Debug)]
pub struct Published {
    subject: Subject,
    places: Option<Vec<distribute::Place>>,
}

impl Published {
    /// The image of its own region as it is now, if it was published.
    pub fn home(&self) -> Option<&Image> {
        self.places.as_ref()?.first()?.image.as_ref()
    }
}

/// An account on AWS that somebody is signed in to.
#[derive(Debug)]
pub struct Cloud {
    pub(super) config: SdkConfig,
    pub(super) identity: Identity,
    journals: Utf8PathBuf,
    endpoint_url: Option<String>,
}

/// A build that is under way.
#[derive(Debug)]
pub struct Build {
    labels: Labels,
    pub(super) journal: Journal,
    early: Option<Place>,
}

impl Build {
    /// The digest of the image that it is for.
    pub fn digest(&self) -> &str {
        &self.labels.digest
    }
}

impl Ami {
    /// Asks AWS who this is: what is wrong with credentials is found before a bake, not after it.
    pub async fn sign_in(&self) -> anyhow::Result<Cloud> {
        let (config, identity) = self.aws.sign_in().await?;
        self.publishing.publication().check(operator::region(&config), self.encrypt)?;
        let endpoint_url = self.aws.endpoint_url.clone();
        Ok(Cloud { config, identity, journals: teardown::folder()?, endpoint_url })
    }

    /// Whether there must be a build to carry on with.
    pub const fn resumes(&self) -> bool {
        self.resume
    }

    /// Refuses an image that is there and is not as it is wanted: it cannot be changed.
    fn accepts(&self, image: &Image) -> Result<(), Fault> {
        let id = &image.id;
        let encrypted = image.disks.iter().all(|disk| disk.encrypted);
        if self.encrypt && !encrypted {
            return Err(Fault::usage(format!("{id} is this image, and is not encrypted"))
                .hint("--kms-key makes an encrypted copy of it; or deregister it"));
        }
        if self.tpm && !image.tpm {
            return Err(Fault::usage(format!(
                "{id} is this image, and is registered without a TPM"
            ))
            .hint("an image cannot change in that: deregister it, or leave it so"));
        }
        Ok(())
    }

    /// Refuses what only an image of our own disk can be.
    pub fn apart_from_disks(&self) -> Result<(), Fault> {
        let given =
            [("--tpm", self.tpm), ("--encrypt", self.encrypt), ("--no-parent", self.no_parent)];
        let Some(option) = first(&given) else { return Ok(()) };
        let fault = Fault::usage(format!("{option} is for disks that are baked here"));
        Err(fault.hint(
            "an image that is made on an instance is as the AMI that it begins with; \
            --kms-key encrypts it afterwards",
        ))
    }

    /// Refuses what only an AMI can be, where none is made.
    pub fn unused(&self) -> Result<(), Fault> {
        let given = [
            ("--publish", self.publish),
            ("--resume", self.resume),
            ("--encrypt", self.encrypt),
            ("--tpm", self.tpm),
            ("--volume-size", self.volume_size.is_some()),
            ("an option of publishing", self.publishing.is_asked()),
        ];
        let Some(option) = first(&given) else { return Ok(()) };
        Err(Fault::usage(format!("{option} is for AMIs")).hint("give --target ami, too"))
    }

    /// What is wanted of the AMI, in its own region.
    pub fn wish(&self, cloud: &Cloud) -> Wish {
        let key = self.publishing.key(operator::region(&cloud.config));
        Wish {
            encryption: match key {
                Some(key) => Encryption::Key(key),
                None if self.encrypt => Encryption::DefaultKey,
                None => Encryption::Inherited,
            },
            shape: Shape {
                gib: self.volume_size,
                tpm: self.tpm,
                patience: self.patience,
                ..Shape::default()
            },
            tags: self.publishing.tags(),
            incremental: !self.no_parent,
            upload: upload::Options { rate: self.rate.0, ..upload::Options::default() },
            patience: self.patience,
        }
    }
}

impl Cloud {
    /// Publishes what was made, if that is asked for.
    pub async fn publish(
        &self,
        made: &Made,
        ami: &Ami,
        output: &Utf8Path,
        events: &Events,
    ) -> anyhow::Result<Published> {
        let there = image::describe(&self.config, &made.image).await;
        let there = there.map_err(|failure| operator::fault(&failure))?;
        let gone = || Fault::aws(format!("the image {} is gone", made.image));
        let mut subject = Subject::of(there.ok_or_else(gone)?)?;
        subject.fresh = made.sent.is_some() && !made.existed;
        let asked = ami.publish || ami.publishing.is_asked();
        let places = if asked {
            Some(Box::pin(self.errand(ami, output, &subject).run(events)).await?)
        } else {
            None
        };
        Ok(Published { subject, places })
    }

    /// Tells what was published where, and writes what other tools read.
    pub fn tell(
        &self,
        published: &Published,
        ami: &Ami,
        output: &Utf8Path,
        format: Format,
    ) -> anyhow::Result<()> {
        let Published { subject, places } = published;
        if let Some(places) = places {
            return self.errand(ami, output, subject).tell(places, format);
        }
        let home = operator::region(&self.config).to_owned();
        let ids = [(home.clone(), subject.image.id.clone())].into();
        outputs::write(output, subject, &home, &ids).map(drop)
    }

    fn errand<'a>(
        &'a self,
        ami: &'a Ami,
        output: &'a Utf8Path,
        subject: &'a Subject,
    ) -> publish::Errand<'a> {
        publish::Errand {
            config: &self.config,
            identity: &self.identity,
            aws: &ami.aws,
            options: &ami.publishing,
            output,
            journals: &self.journals,
            subject,
        }
    }

    fn place(&self) -> resume::Place<'_> {
        resume::Place {
            account: &self.identity.account,
            region: operator::region(&self.config),
            endpoint_url: self.endpoint_url.as_deref(),
        }
    }

    /// The image of a digest, if it is there. What an earlier run left open of it is closed.
    pub async fn existing(
        &self,
        digest: &str,
        ami: &Ami,
        events: &Events,
    ) -> anyhow::Result<Option<Made>> {
        let found = register::find(&self.config, digest).await;
        let Some(image) = found.map_err(|failure| operator::fault(&failure))? else {
            return Ok(None);
        };
        if image.tag(teardown::STATE_TAG) != Some(teardown::KEPT) {
            // A build that did not come to its end: it is carried on with.
            return Ok(None);
        }
        ami.accepts(&image)?;
        for mut journal in resume::left(&self.journals, digest, &self.place()) {
            resume::adopt(&mut journal, &image)?;
            self.tidy(journal, events).await?;
        }
        Ok(Some(self.made(image)))
    }

    fn made(&self, image: Image) -> Made {
        Made {
            region: operator::region(&self.config).to_owned(),
            snapshot: image.snapshots().into_iter().next(),
            image: image.id,
            name: image.name,
            parent: None,
            sent: None,
            existed: true,
        }
    }

    /// Opens the journal of a build, new or carried on with.
    pub fn open(&self, labels: Labels, insist: bool, events: &Events) -> anyhow::Result<Build> {
        let (journal, carried_on) =
            resume::journal(&self.journals, &labels, &self.place(), insist)?;
        if carried_on {
            events.log("snapshot", format!("carrying on with {}", journal.header().build));
        }
        Ok(Build { labels, journal, early: None })
    }

    /// Begins the snapshot while the disk is still being made. What goes wrong is tried again later.
    pub async fn begin_early(&self, build: &mut Build, wish: &Wish, events: &Events) {
        let Build { labels, journal, early } = build;
        let job = Job { config: &self.config, labels, wish, events };
        match job.begin_early(journal).await {
            Ok(place) => *early = place,
            Err(error) => events.log("snapshot", format!("it is begun later: {error:#}")),
        }
    }

    /// Makes an AMI of what was baked. What comes to nothing is removed, unless it is to stay.
    pub async fn make(
        &self,
        mut build: Build,
        wish: &Wish,
        on_error: OnError,
        (manifest, folder): (&Manifest, &Utf8Path),
        events: &Events,
    ) -> anyhow::Result<Made> {
        let Build { labels, journal, early } = &mut build;
        let job = Job { config: &self.config, labels, wish, events };
        let making = async {
            let disk = Disk::of(manifest, folder)?;
            job.make(&disk, early.take(), manifest, journal).await
        };
        let end = tokio::select! {
            end = making => end,
            () = super::stop_signal() => Err(Fault::interrupted().into()),
        };
        match end {
            Ok(made) => {
                self.tidy(build.journal, events).await?;
                Ok(made)
            }
            Err(error) => Err(self.give_up(error, build, on_error, events).await),
        }
    }

    /// A build has failed: what it made is removed, unless it is to stay.
    pub async fn give_up(
        &self,
        error: anyhow::Error,
        build: Build,
        on_error: OnError,
        events: &Events,
    ) -> anyhow::Error {
        let waits = error.downcast_ref::<Pending>().is_some();
        if waits || error.downcast_ref::<upload::Stalled>().is_some() {
            return error;
        }
        if on_error == OnError::Keep {
            let id = &build.journal.header().build;
            let hint = format!(
                "what it made stays: the same command carries on, and `hostkit gc --build {id} --yes` \
                 removes it"
            );
            return amended(error, &hint);
        }
        self.tear_down(error, build.journal, events).await
    }

    /// Removes what is open of a build that succeeded: a snapshot that the image did not need.
    async fn tidy(&self, mut journal: Journal, events: &Events) -> anyhow::Result<()> {
        let left = undo::all(&mut journal, &self.config, "keep", events).await?;
        if left.is_empty() {
            return resume::close(journal);
        }
        let build = &journal.header().build;
        events.log("keep", format!("`hostkit gc --build {build} --yes` removes what is left"));
        Ok(())
    }

    /// Removes all of a build that is of no use.
    pub async fn discard(&self, build: Build, events: &Events) -> anyhow::Result<()> {
        self.tidy(build.journal, events).await
    }

    /// Removes what a failed build has made. A second Ctrl-C leaves it.
    async fn tear_down(
        &self,
        error: anyhow::Error,
        mut journal: Journal,
        events: &Events,
    ) -> anyhow::Error {
        if journal.unsettled().is_empty() {
            return resume::close(journal).err().unwrap_or(error);
        }
        let build = journal.header().build.clone();
        let hint = format!("`hostkit gc --build {build} --yes` removes what is left");
        let started = std::time::Instant::now();
        events.started("tear-down", "removing what the build made");
        let left = tokio::select! {
            left = undo::all(&mut journal, &self.config, "tear-down", events) => left,
            () = super::stop_signal() => return amended(error, &hint),
        };
        let outcome = match &left {
            Ok(left) if left.is_empty() => crate::event::Outcome::Changed,
            _ => crate::event::Outcome::Failed("something is left".to_owned()),
        };
        events.finished("tear-down", outcome, started.elapsed());
        match left {
            Ok(left) if left.is_empty() => resume::close(journal).err().unwrap_or(error),
            _ => amended(error, &hint),
        }
    }
}

/// The first of these options that was given.
pub(super) fn first<'a>(options: &[(&'a str, bool)]) -> Option<&'a str> {
    options.iter().find(|(_, given)| *given).map(|(option, _)| *option)
}

/// The same error with one more thing that a person can do.
fn amended(error: anyhow::Error, hint: &str) -> anyhow::Error {
    let Some(fault) = crate::error::fault(&error) else {
        return error.context(Fault::aws("the AMI was not made").hint(hint));
    };
    let hint = match fault.hint_text() {
        Some(first) => format!("{first}\n{hint}"),
        None => hint.to_owned(),
    };
    let fault = fault.clone().hint(hint);
    error.context(fault)
}

/// How the last lines of a bake tell of an AMI.
pub(super) fn recap(made: &Made) -> String {
    let mut text = format!("  ami       {} in {}, named {}\n", made.image, made.region, made.name);
    if let Some(snapshot) = &made.snapshot {
        text += &format!("  snapshot  {snapshot}");
        if let Some(parent) = &made.parent {
            text += &format!(", on {parent}");
        }
        text += "\n";
    }
    if let Some(sent) = &made.sent {
        text += &format!(
            "  sent      {} blocks ({})",
            sent.blocks - sent.before,
            HumanBytes(sent.bytes)
        );
        if sent.before > 0 {
            text += &format!(", and {} before", sent.before);
        }
        text += "\n";
    }
    text
}

fn rate(text: &str) -> Result<Rate, String> {
    if text == "none" {
        return Ok(Rate(None));
    }
    let rate: f64 = text.parse().map_err(|_| "wanted a number of blocks, or `none`".to_owned())?;
    let sound = rate.is_finite() && rate >= 1.0;
    if sound { Ok(Rate(Some(rate))) } else { Err("it must be at least 1".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_or_none() {
        assert_eq!(rate("none"), Ok(Rate(None)));
        assert_eq!(rate("950"), Ok(Rate(Some(950.0))));
        for wrong in ["0", "nan", "many", "-1"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_error_keeps_its_hint_and_gets_another() {
        let error = anyhow::Error::from(Fault::aws("refused").hint("wait"));
        let text = crate::error::render(&amended(error, "run gc"));
        assert!(text.ends_with("  hint: wait\n  run gc\n"), "{text}");
    }
}
