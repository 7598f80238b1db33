//! From a packed disk to an image that is available: the acts of one build, each written into its
//! journal before it happens.
//!
//! [`Job::make`] is the table of contents. A build that was killed, or that AWS kept waiting for too
//! long, goes on where it stopped: it is called again with the same journal. What is made is not torn
//! down here: that is [`super::undo`]'s, whoever calls it and when.

use std::time::Duration;

use aws_config::SdkConfig;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::name::{self, Labels, PARENT_TAG, Tags};
use super::parent::{self, Parent};
use super::register::{self, Registered, Shape, Source};
use crate::aws::ebs::{Begun, Encryption, Order, Status};
use crate::aws::operator::{self, region};
use crate::aws::{snapshot, tag};
use crate::error::Fault;
use crate::event::{Events, Unit};
use crate::image::blocks::Table;
use crate::image::upload::{self, Sent};
use crate::image::{Clock, Manifest};
use crate::teardown::{BUILD_TAG, Fate, Journal, KEPT, Kind, STATE_TAG};

/// AWS gives a snapshot up that nothing was put into for so long, in minutes: a night and a day, so
/// that what broke off in the evening can be carried on with in the morning.
const TIMEOUT_MINUTES: u16 = 24 * 60;

/// What a person wants of an AMI.
#[derive(Clone, Debug)]
pub struct Wish {
    /// How its snapshot is encrypted.
    pub encryption: Encryption,
    /// What it is like beyond its bytes.
    pub shape: Shape,
    /// The user's tags.
    pub tags: Tags,
    /// Whether the last image's snapshot may be its parent.
    pub incremental: bool,
    /// How it is uploaded.
    pub upload: upload::Options,
    /// How long AWS may take for the snapshot.
    pub patience: Duration,
}

/// An image on AWS.
#[derive(Clone, Debug, Serialize)]
pub struct Made {
    /// Its region.
    pub region: String,
    /// Its id.
    pub image: String,
    /// Its name.
    pub name: String,
    /// The snapshot that it is of.
    pub snapshot: Option<String>,
    /// The snapshot that this one stands on.
    pub parent: Option<String>,
    /// What was sent.
    pub sent: Option<Sent>,
    /// Whether somebody else had made it meanwhile: what was sent is then not part of it.
    #[serde(skip)]
    pub existed: bool,
}

/// AWS is not done yet, and will be: what is made must not be torn down.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("AWS needs longer than it was given")]
pub struct Pending;

/// One build.
#[derive(Debug)]
pub struct Job<'a> {
    /// How AWS is called.
    pub config: &'a SdkConfig,
    /// What the image is called by.
    pub labels: &'a Labels,
    /// What is wanted.
    pub wish: &'a Wish,
    /// Who is told.
    pub events: &'a Events,
}

/// A snapshot to write to, and what it stands on.
#[derive(Debug)]
pub struct Place {
    begun: Begun,
    parent: Option<Parent>,
    /// The size of its volume.
    gib: u32,
}

impl Place {
    fn job<'a>(&'a self, disk: &'a Disk, record: &'a Utf8Path) -> upload::Job<'a> {
        let parent = self.parent.as_ref().map(|parent| &parent.table);
        upload::Job { disk: &disk.path, table: &disk.table, begun: &self.begun, parent, record }
    }
}

/// A packed disk.
#[derive(Debug)]
pub struct Disk {
    path: Utf8PathBuf,
    table: Table,
}

impl Disk {
    /// The disk of an image in a folder.
    pub fn of(manifest: &Manifest, folder: &Utf8Path) -> anyhow::Result<Self> {
        let disk = manifest.disk.as_ref();
        let disk = disk.ok_or_else(|| Fault::usage("only a disk can become an AMI"))?;
        let path = folder.join(&disk.file);
        let known = disk.blocks.as_ref().zip(disk.digest.as_ref());
        let known = known.and_then(|(file, digest)| Table::read(&folder.join(file), digest));
        let table = known.map_or_else(|| Table::of(&path), Ok)?;
        Ok(Self { path, table })
    }
}

impl Job<'_> {
    /// Begins the snapshot before there is a disk, if its size can be known: AWS takes up to two
    /// minutes until blocks can be put into a new one. Only where an earlier image says how large it
    /// will be.
    pub async fn begin_early(&self, journal: &mut Journal) -> anyhow::Result<Option<Place>> {
        if let Some(place) = self.carry_on(journal).await? {
            return Ok(Some(place));
        }
        match self.parent().await {
            Ok(parent) => self.start(journal, 1, Ok(parent)).await.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Makes the image of a disk. What is open in `journal` is carried on with.
    pub async fn make(
        &self,
        disk: &Disk,
        early: Option<Place>,
        manifest: &Manifest,
        journal: &mut Journal,
    ) -> anyhow::Result<Made> {
        let mut clock = Clock::new(self.events);
        let begin = self.begin(disk, early, journal);
        let place = clock.phase("snapshot", "beginning the snapshot", begin).await?;
        let send = self.send(disk, &place, journal);
        let sent = clock.phase("upload", "sending the blocks that differ", send).await?;
        let complete = self.complete(disk, &place, journal);
        clock.phase("complete", "waiting for the snapshot", complete).await?;
        let registered = self.register(&place, manifest, journal).await?;
        let keep = self.keep(disk, &place, &registered, journal);
        clock.phase("keep", "marking it as done", keep).await?;
        let Registered { image, existed } = registered;
        Ok(Made {
            region: region(self.config).to_owned(),
            snapshot: image.snapshots().into_iter().next(),
            image: image.id,
            name: image.name,
            parent: place.begun.parent.filter(|_| !existed),
            sent: Some(sent),
            existed,
        })
    }

    /// The snapshot of this build: the one that it has, if the disk fits into it, or a new one.
    async fn begin(
        &self,
        disk: &Disk,
        early: Option<Place>,
        journal: &mut Journal,
    ) -> anyhow::Result<Place> {
        let needed = upload::volume_gib(&disk.table, None);
        let there = match early {
            Some(place) => Some(place),
            None => self.carry_on(journal).await?,
        };
        if let Some(place) = there.filter(|place| place.gib >= needed) {
            return Ok(place);
        }
        let parent = self.parent().await;
        self.start(journal, needed, parent).await
    }

    /// What a new snapshot stands on, or why on nothing.
    async fn parent(&self) -> Result<Parent, String> {
        if !self.wish.incremental {
            return Err("--no-parent".to_owned());
        }
        parent::find(self.config, self.labels, &self.wish.encryption).await
    }

    async fn start(
        &self,
        journal: &mut Journal,
        needed: u32,
        parent: Result<Parent, String>,
    ) -> anyhow::Result<Place> {
        let reason = match parent {
            Ok(parent) => {
                let id = parent.snapshot.clone();
                match self.start_on(journal, needed, Some(parent)).await {
                    Ok(place) => {
                        self.say(format!("it stands on {id}: only what differs is sent"));
                        return Ok(place);
                    }
                    Err(error) => format!("{id} cannot be its parent: {error:#}"),
                }
            }
            Err(reason) => reason,
        };
        self.say(format!("every block is sent: {reason}"));
        self.start_on(journal, needed, None).await
    }

    fn say(&self, line: String) {
        self.events.log("snapshot", line);
    }

    async fn start_on(
        &self,
        journal: &mut Journal,
        needed: u32,
        parent: Option<Parent>,
    ) -> anyhow::Result<Place> {
        let order = self.order(needed, parent.as_ref(), journal);
        let number = journal.intend(Kind::Snapshot, region(self.config), &order.client_token)?;
        let begun = upload::begin(self.config, &order).await?;
        journal.made(number, &begun.snapshot)?;
        // What was sent to an earlier snapshot of this build is not in this one.
        upload::forget(&record(journal))?;
        Ok(Place { begun, parent, gib: order.volume_gib })
    }

    /// What the snapshot is to be.
    fn order(&self, needed: u32, parent: Option<&Parent>, journal: &Journal) -> Order {
        let build = &journal.header().build;
        let mut tags = name::building(self.labels, build, &self.wish.tags);
        if let Some(parent) = parent {
            tags.insert(PARENT_TAG.to_owned(), parent.snapshot.clone());
        }
        let tries = journal.resources().filter(|(_, one, _)| one.kind == Kind::Snapshot).count();
        Order {
            volume_gib: parent.map_or(needed, |parent| needed.max(parent.gib)),
            description: format!("{} {}", self.labels.recipe, self.labels.version),
            tags,
            client_token: format!("{build}-{tries}"),
            timeout_minutes: TIMEOUT_MINUTES,
            parent: parent.map(|parent| parent.snapshot.clone()),
            encryption: self.wish.encryption.clone(),
        }
    }

    /// The snapshot that an earlier run of this build has begun, if it can be gone on with. One that
    /// cannot is undone with the rest.
    async fn carry_on(&self, journal: &mut Journal) -> anyhow::Result<Option<Place>> {
        let open = journal.unsettled().into_iter();
        let mut open = open.filter(|(_, resource)| resource.kind == Kind::Snapshot);
        let Some((number, resource)) = open.next() else { return Ok(None) };
        let found = if let Some(id) = &resource.id {
            snapshot::describe(self.config, id).await
        } else {
            // The answer that had its id was lost.
            let build = journal.header().build.clone();
            let found = snapshot::by_tags(self.config, &[(BUILD_TAG, build.as_str())]).await;
            found.map(|found| found.into_iter().next())
        };
        // One that AWS does not know may be quite new: it stays open, and another one is begun.
        let Some(found) = found.map_err(|failure| operator::fault(&failure))? else {
            return Ok(None);
        };
        if let Err(why) = parent::suits(self.config, &found, &self.wish.encryption).await {
            self.say(format!("{} is of no use any more: {why}", found.id));
            return Ok(None);
        }
        let status = match found.state {
            snapshot::State::Pending => Status::Pending,
            snapshot::State::Completed => Status::Completed,
            snapshot::State::Broken(_) => return Ok(None),
        };
        journal.made(number, &found.id)?;
        let mut parent = None;
        if let Some(id) = found.tags.get(PARENT_TAG).filter(|_| status == Status::Pending) {
            let there = parent::of_snapshot(self.config, id, &self.wish.encryption).await;
            let Ok(there) = there else { return Ok(None) };
            parent = Some(there);
        }
        self.say(format!("going on with {}", found.id));
        let begun = Begun {
            snapshot: found.id,
            parent: found.tags.get(PARENT_TAG).cloned(),
            encrypted: found.encrypted,
            status,
        };
        Ok(Some(Place { begun, parent, gib: u32::try_from(found.gib).unwrap_or(u32::MAX) }))
    }

    async fn send(&self, disk: &Disk, place: &Place, journal: &Journal) -> anyhow::Result<Sent> {
        let record = record(journal);
        let job = place.job(disk, &record);
        upload::upload(self.config, &job, &self.wish.upload, self.events, "upload").await
    }

    /// Waits until the snapshot is whole, and asks whether it has what was sent.
    async fn complete(&self, disk: &Disk, place: &Place, journal: &Journal) -> anyhow::Result<()> {
        let id = &place.begun.snapshot;
        let progress = |snapshot: &snapshot::Snapshot| {
            self.events.progress("complete", snapshot.percent.into(), Some(100), Unit::Items);
        };
        let end = snapshot::wait(self.config, id, self.wish.patience, progress).await;
        match end.map_err(|failure| operator::fault(&failure))? {
            snapshot::Wait::Completed(_) => {}
            snapshot::Wait::Late => {
                let minutes = self.wish.patience.as_secs() / 60;
                let text = format!("the snapshot {id} is still pending after {minutes} minutes");
                return Err(anyhow::Error::from(Pending).context(Fault::aws(text).hint(RESUME)));
            }
            snapshot::Wait::Broken(snapshot) => {
                let reason = snapshot.reason.as_deref().unwrap_or("AWS gives no reason");
                return Err(Fault::aws(format!("the snapshot {id} could not be made: {reason}"))
                    .hint("the same command tries again with a new one")
                    .into());
            }
            snapshot::Wait::Gone => {
                return Err(Fault::aws(format!("the snapshot {id} is gone"))
                    .hint("somebody deleted it; the same command makes it again")
                    .into());
            }
        }
        let record = record(journal);
        if place.begun.status == Status::Pending {
            self.verify(&place.job(disk, &record)).await?;
        }
        upload::forget(&record)
    }

    /// A second opinion: EBS says itself which blocks the snapshot has that its parent has not.
    async fn verify(&self, job: &upload::Job<'_>) -> anyhow::Result<()> {
        let wrong = match upload::verify(self.config, job).await {
            Ok(wrong) => wrong,
            // The checksum over all blocks was compared already: without the right to list, that is
            // what is known.
            Err(error) => {
                let text = format!("which blocks it has was not compared: {error:#}");
                self.events.log("complete", text);
                return Ok(());
            }
        };
        if wrong.is_empty() {
            return Ok(());
        }
        let text = format!("{} blocks are not what was sent, of them {}", wrong.len(), wrong[0]);
        Err(Fault::aws(text).hint("the same command tries again with a new snapshot").into())
    }

    async fn register(
        &self,
        place: &Place,
        manifest: &Manifest,
        journal: &mut Journal,
    ) -> anyhow::Result<Registered> {
        let mut tags = name::building(self.labels, &journal.header().build, &self.wish.tags);
        tags.extend(name::contents(manifest));
        let source = Source { snapshot: place.begun.snapshot.clone(), gib: place.gib };
        let Self { config, wish, events, .. } = self;
        register::register(config, journal, manifest, &source, &wish.shape, &tags, events).await
    }

    /// Everything of the image stays: its tags say so, and then the journal.
    async fn keep(
        &self,
        disk: &Disk,
        place: &Place,
        registered: &Registered,
        journal: &mut Journal,
    ) -> anyhow::Result<()> {
        let image = &registered.image;
        let mut kept = image.snapshots();
        kept.push(image.id.clone());
        // By its digest the next image knows that the table in the snapshot is the right one.
        let blocks = Tags::from([(name::BLOCKS_TAG.to_owned(), disk.table.digest())]);
        let state = Tags::from([(STATE_TAG.to_owned(), KEPT.to_owned())]);
        for (ids, tags) in [(image.snapshots(), blocks), (kept.clone(), state)] {
            tag::set(self.config, &ids, &tags).await.map_err(|it| operator::fault(&it))?;
        }
        for (number, resource) in journal.unsettled() {
            let id = resource.id.as_ref();
            if id.is_some_and(|id| kept.contains(id)) {
                journal.settle(number, Fate::Kept)?;
            }
        }
        if registered.existed {
            let (id, image) = (&place.begun.snapshot, &image.id);
            self.events.log("keep", format!("{image} was there already: {id} is not needed"));
        }
        Ok(())
    }
}

/// What to do when AWS takes too long.
const RESUME: &str = "AWS carries on by itself: the same command with --resume waits again";

/// Where the acknowledged blocks of a build are written down.
pub(super) fn record(journal: &Journal) -> Utf8PathBuf {
    journal.path().with_extension("acked")
}
