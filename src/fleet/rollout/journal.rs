//! The journal of a rollout, `/hostkit/asg/ASG/journal`: where it is, written before each phase is
//! done, so that whatever ends the process, another one carries it on.
//!
//! Whoever writes looks at the number of the version that was written. One that is not the next means
//! that somebody else writes, too: then this process stops, and does nothing more.

use anyhow::Context as _;
use aws_config::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::proof::Before;
use super::timeline::{Marks, Moment};
use super::{Order, Phase, Way, refused};
use crate::aws::asg::refresh::Refresh;
use crate::aws::{inventory, ssm};
use crate::error::Fault;
use crate::group::standing::Standing;

/// What Parameter Store takes.
const LIMIT: usize = 4096;
/// Nothing that is told of a failure is longer, in characters.
pub(super) const CAUSE: usize = 900;

/// The journal, as JSON. All that came later than its first form may be absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    /// The form: 1.
    pub form: u32,
    /// The id of the rollout.
    pub rollout: String,
    /// The process that writes: a random name.
    #[serde(default)]
    pub writer: String,
    /// The how-manieth process it is that carries it out: whoever takes over counts on. What a process
    /// of before still writes is not heeded.
    #[serde(default)]
    pub term: u32,
    /// What is carried out. The version to be made is filled in once it is.
    pub order: Order,
    /// Which way it goes.
    pub way: Way,
    /// Where it is.
    pub phase: Phase,
    /// Since when it is there, or since when it is carried on there.
    pub since: Timestamp,
    /// When it began.
    pub begun: Timestamp,
    /// The hosts that served when it began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// What is known of the controller of then.
    #[serde(default)]
    pub before: Before,
    /// What stood in the place of a host's answer before it was told to be quiet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Standing>,
    /// What the group was told not to do, and did before: to be resumed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspended: Vec<String>,
    /// The host that was made quiet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quieted: Option<String>,
    /// The refresh to the new image.
    #[serde(default)]
    pub forward: Attempt,
    /// The refresh back to the old one.
    #[serde(default)]
    pub back: Attempt,
    /// Why it goes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Where it was when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_in: Option<Phase>,
    /// Why the way back failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck: Option<String>,
    /// What proves that it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// What somebody should look at nevertheless.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What could not be done at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loose: Vec<Loose>,
    /// Whether its process was stopped on purpose, so that nobody is at work.
    #[serde(default)]
    pub stopped: bool,
    /// What hostkit itself took so far, in seconds.
    #[serde(default)]
    pub own: f64,
    /// Since when nobody is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<Timestamp>,
    /// When that began for the first time, and when it last ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage: Option<(Timestamp, Timestamp)>,
    /// How long nobody was served in all, in seconds, what goes on left out.
    #[serde(default)]
    pub outages: f64,
}

/// A refresh that is to be begun, or was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attempt {
    /// The newest refresh that there was before: what is newer may be ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Its id, once that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// AWS says that it cannot be rolled back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub irreversible: bool,
    /// When what happened.
    #[serde(skip_serializing_if = "Marks::is_empty")]
    pub marks: Marks,
}

/// Something that could not be done and is no reason to go back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loose {
    /// Which act it is, by its name.
    pub act: String,
    /// What AWS said; in journals of before also what does it by hand.
    pub says: String,
}

impl Attempt {
    /// The refresh among those of the group, the newest first, where it is there: by its id, or else
    /// one that came later than those that were known and has this version.
    pub fn find<'a>(
        &self,
        refreshes: &'a [Refresh],
        template: &str,
        version: Option<i64>,
    ) -> Option<&'a Refresh> {
        self.marks.at(Moment::Began)?;
        if let Some(id) = &self.id {
            return refreshes.iter().find(|refresh| refresh.id == *id);
        }
        let newer = refreshes.iter().take_while(|it| Some(&it.id) != self.after.as_ref());
        newer
            .filter(|it| it.template.as_deref() == Some(template) && it.version.is_some())
            .find(|it| it.version == version)
    }
}

impl Journal {
    /// That of a rollout that begins.
    pub fn new(rollout: &str, order: Order, now: Timestamp) -> Self {
        Self {
            form: 1,
            rollout: rollout.to_owned(),
            writer: String::new(),
            term: 0,
            order,
            way: Way::Forward,
            phase: Phase::Begun,
            since: now,
            begun: now,
            hosts: Vec::new(),
            before: Before::default(),
            answer: None,
            suspended: Vec::new(),
            quieted: None,
            forward: Attempt::default(),
            back: Attempt::default(),
            cause: None,
            failed_in: None,
            stuck: None,
            proof: None,
            warnings: Vec::new(),
            loose: Vec::new(),
            stopped: false,
            own: 0.0,
            down: None,
            outage: None,
            outages: 0.0,
        }
    }

    /// For how long it is in its phase.
    pub fn phase_lasts(&self, now: Timestamp) -> SignedDuration {
        now.duration_since(self.since)
    }

    /// The refresh of the way that it goes.
    pub const fn attempt_mut(&mut self) -> &mut Attempt {
        match self.way {
            Way::Forward => &mut self.forward,
            Way::Back => &mut self.back,
        }
    }

    /// Whether nothing is left to be done.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Recorded
    }

    /// As it is written: never longer than Parameter Store takes.
    pub(super) fn text(&self) -> String {
        let text = |journal: &Self| serde_json::to_string(journal).expect("it is plain data");
        let whole = text(self);
        if whole.len() <= LIMIT {
            return whole;
        }
        // What is only told goes before what is needed to carry on.
        let mut short = self.clone();
        for words in [&mut short.cause, &mut short.stuck, &mut short.proof].into_iter().flatten() {
            *words = shortened(words, 200);
        }
        for loose in &mut short.loose {
            loose.says = shortened(&loose.says, 100);
        }
        short.hosts.truncate(3);
        text(&short)
    }
}

/// The first `count` characters of a text.
pub(super) fn shortened(text: &str, count: usize) -> String {
    match text.char_indices().nth(count) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// The parameter of a group's journal.
pub fn parameter(group: &str) -> String {
    format!("/hostkit/asg/{group}/journal")
}

/// A journal as it was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// See there.
    pub journal: Journal,
    /// The number of its version.
    pub number: i64,
    /// When it was written, by AWS's clock.
    pub written: Option<Timestamp>,
}

/// The journal of the group's last rollout, if there was any.
pub async fn read(config: &SdkConfig, group: &str) -> anyhow::Result<Option<Found>> {
    let found = ssm::parameter(config, &parameter(group)).await.map_err(|it| refused(&it))?;
    let Some(found) = found else { return Ok(None) };
    let journal: Journal = serde_json::from_str(&found.value).with_context(|| {
        let name = parameter(group);
        Fault::step(format!("the journal {name} cannot be read"))
            .hint("it may be of a newer hostkit: use that one")
    })?;
    Ok(Some(Found { journal, number: found.number, written: found.written }))
}

/// The number of the newest version of a group's journal; 0 where there is none.
pub(super) async fn number(config: &SdkConfig, group: &str) -> anyhow::Result<i64> {
    let found = ssm::parameter(config, &parameter(group)).await.map_err(|it| refused(&it))?;
    Ok(found.map_or(0, |found| found.number))
}

/// The one that writes the journal.
#[derive(Debug)]
pub struct Scribe {
    group: String,
    writer: String,
    last: i64,
    written: Timestamp,
}

impl Scribe {
    /// Who writes after version `last` of a group's journal; 0 where there is none.
    pub fn new(group: &str, last: i64) -> Self {
        let writer = format!("{:016x}", fastrand::u64(..));
        Self { group: group.to_owned(), writer, last, written: Timestamp::UNIX_EPOCH }
    }

    /// How long ago it last wrote. A machine that slept sees that here.
    pub fn silent_for(&self, now: Timestamp) -> SignedDuration {
        now.duration_since(self.written)
    }

    /// Writes.
    ///
    /// # Errors
    /// Somebody else has written in between, and carries the rollout on: nothing more may be done.
    pub async fn write(
        &mut self,
        config: &SdkConfig,
        journal: &mut Journal,
    ) -> Result<(), Unwritten> {
        journal.writer.clone_from(&self.writer);
        let name = parameter(&self.group);
        let before = Timestamp::now();
        let number = ssm::write_numbered(config, &name, &journal.text()).await;
        let number = number.map_err(Unwritten::Refused)?;
        if number != self.last + 1 {
            self.explain(config, &name, number, journal.term).await?;
        }
        self.last = number;
        self.written = before;
        Ok(())
    }

    /// An answer that was lost makes this process write twice, and one that was taken over may write a
    /// last time before it sees that. Whatever else came in between is somebody else's who carries on.
    async fn explain(
        &self,
        config: &SdkConfig,
        name: &str,
        number: i64,
        term: u32,
    ) -> Result<(), Unwritten> {
        if number <= self.last {
            return Err(Unwritten::Fenced("the journal was removed in between".to_owned()));
        }
        let between: Vec<String> =
            (self.last + 1..number).map(|it| format!("{name}:{it}")).take(20).collect();
        let written = inventory::values(config, &between).await.map_err(Unwritten::Refused)?;
        // The first word of a process that takes over must follow what it has read.
        let is_first = self.written == Timestamp::UNIX_EPOCH;
        let mut others = written.iter().filter_map(|it| {
            let journal: Journal = serde_json::from_str(&it.value).ok()?;
            let heeded = is_first || journal.term >= term;
            (journal.writer != self.writer && heeded).then_some(journal.rollout)
        });
        match others.next_back() {
            None if written.len() == between.len() => Ok(()),
            None => Err(Unwritten::Fenced("versions of it are missing".to_owned())),
            Some(rollout) => Err(Unwritten::Fenced(format!("it carries on rollout {rollout}"))),
        }
    }
}

/// Why the journal was not written.
#[derive(Debug)]
pub enum Unwritten {
    /// AWS did not take it.
    Refused(crate::aws::Failure),
    /// Somebody else writes it.
    Fenced(String),
}
