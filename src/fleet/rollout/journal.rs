//! The journal of a rollout, `/hostkit/asg/ASG/journal`: where it is, written before each phase is
//! done, so that whatever ends the process, another one carries it on. Who writes it is
//! [`super::scribe`].

#[cfg(test)]
mod tests;

use anyhow::Context as _;
use aws_config::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::proof::Before;
use super::timeline::{Marks, Moment};
use super::unfinished::Unfinished;
use super::{Order, Phase, Way, refused};
use crate::aws::asg::refresh::Refresh;
use crate::aws::{inventory, ssm};
use crate::error::Fault;
use crate::group::standing::Standing;

/// What Parameter Store takes, in bytes.
const LIMIT: usize = 4096;
/// So many versions of a parameter does it keep.
const KEPT: usize = 100;
/// So many are asked for at once.
const BATCH: usize = 10;
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
    /// Since when it is there, or is carried on there; or is watched, since it is proven.
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
    /// Since when what was proven is so no more, while it must go on serving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faltered: Option<Timestamp>,
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
            faltered: None,
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
        let mut short = self.clone();
        let mut written = text(&short);
        for less in [Self::tell_less, Self::tell_least] {
            if written.len() > LIMIT {
                less(&mut short);
                written = text(&short);
            }
        }
        written
    }

    /// What is only told goes before what is needed to carry on.
    fn tell_less(&mut self) {
        self.words().for_each(|words| *words = shortened(words, 150));
        if let Some(answer) = &mut self.answer {
            (answer.why, answer.cannot) = (None, None);
        }
        self.hosts.truncate(3);
    }

    /// What is left is needed by whoever carries on, and bounded by AWS: names of groups and versions
    /// of Jenkins of 255 characters each, and ids.
    fn tell_least(&mut self) {
        self.words().for_each(|words| *words = shortened(words, 8));
        self.warnings.clear();
        for side in [&mut self.order.from, &mut self.order.to] {
            side.name.clear();
            side.recipe = None;
        }
        // It was looked at when the lock was taken, and is not again.
        self.order.crowd.apart.clear();
        // Nobody watches them any more.
        if self.way == Way::Back || self.phase >= Phase::Promote {
            self.order.alarms.clear();
        }
    }

    /// All that is only told.
    fn words(&mut self) -> impl Iterator<Item = &mut String> {
        let told = [&mut self.cause, &mut self.stuck, &mut self.proof].into_iter().flatten();
        let loose = self.loose.iter_mut().map(|loose| &mut loose.says);
        told.chain(loose).chain(&mut self.warnings)
    }
}

/// What every hostkit can tell of a journal, also of one that a newer one has written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Glance {
    /// The id of the rollout.
    pub rollout: String,
    /// The process that writes.
    #[serde(default)]
    pub writer: String,
    /// See there.
    #[serde(default)]
    pub term: u32,
    /// Where it is, by a word that may be unknown here.
    pub phase: String,
    /// When it began.
    #[serde(default)]
    pub begun: Timestamp,
}

impl Glance {
    pub(super) fn of(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Whether nothing is left to be done.
    pub(super) fn is_over(&self) -> bool {
        self.phase == "recorded"
    }

    /// Whether who writes `journal` must stop where this was written in between.
    ///
    /// A process of before that was taken over may write a last time before it sees that: its term is
    /// lower, since whoever takes over counts on, and whoever begins the next rollout does. Where
    /// somebody has removed the journal, there was nothing to count on from: then what began later
    /// counts.
    pub(super) fn fences(&self, journal: &Journal) -> bool {
        let later = self.rollout != journal.rollout && self.begun >= journal.begun;
        self.term >= journal.term || later
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

/// The newest version of a group's journal that is `wanted`, to be followed by who writes after the
/// newest of all. A process that was to stop may have left its own word as that one.
pub(super) async fn newest(
    config: &SdkConfig,
    group: &str,
    wanted: impl Fn(&Journal) -> bool,
) -> anyhow::Result<Option<Found>> {
    let Some(newest) = read(config, group).await? else { return Ok(None) };
    if wanted(&newest.journal) {
        return Ok(Some(newest));
    }
    let name = parameter(group);
    let before = (1..newest.number).rev().take(KEPT).map(|it| format!("{name}:{it}"));
    for names in before.collect::<Vec<_>>().chunks(BATCH) {
        let found = inventory::values(config, names).await.map_err(|it| refused(&it))?;
        let read = names.iter().filter_map(|name| {
            let version = found.iter().find(|version| version.name == *name)?;
            serde_json::from_str::<Journal>(&version.value).ok()
        });
        if let Some(journal) = read.into_iter().find(&wanted) {
            return Ok(Some(Found { journal, ..newest }));
        }
    }
    Ok(None)
}

/// What the last rollout of a group has left, for whoever begins the next one.
#[derive(Debug)]
pub(super) struct Last {
    /// The number of the newest version of its journal; 0 where there is none.
    pub number: i64,
    /// The term of who begins.
    pub term: u32,
    /// Why nothing may be begun.
    pub unfinished: Option<Unfinished>,
}

/// What the last rollout of a group has left.
pub(super) async fn last(config: &SdkConfig, group: &str) -> anyhow::Result<Last> {
    let found = ssm::parameter(config, &parameter(group)).await.map_err(|it| refused(&it))?;
    let Some(found) = found else { return Ok(Last { number: 0, term: 0, unfinished: None }) };
    Ok(Last {
        number: found.number,
        term: Glance::of(&found.value).map_or(0, |glance| glance.term.saturating_add(1)),
        unfinished: Unfinished::of(&found.value),
    })
}
