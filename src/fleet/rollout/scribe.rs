//! Who writes the journal of a rollout, and when it must not any more.
//!
//! Whoever writes looks at the number of the newest version before, and at that of the version that was
//! written. One that is not the next means that somebody else writes, too: then this process stops, and
//! does nothing more.

use aws_config::SdkConfig;
use jiff::{SignedDuration, Timestamp};

use super::journal::{Glance, Journal, parameter};
use crate::aws::{inventory, ssm};

/// Who has written a journal this long ago, and finds none, does not look at what AWS has not heard of
/// everywhere yet: somebody has removed it.
const SETTLED: SignedDuration = SignedDuration::from_secs(20);

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

    /// Its name in what it writes.
    pub fn name(&self) -> &str {
        &self.writer
    }

    /// Whether it has written anything.
    pub fn has_written(&self) -> bool {
        self.written != Timestamp::UNIX_EPOCH
    }

    /// How long ago it last wrote. A machine that slept sees that here.
    pub fn silent_for(&self, now: Timestamp) -> SignedDuration {
        now.duration_since(self.written)
    }

    /// Writes, unless somebody else has: what they have written is not written over.
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
        self.look(config, &name, journal).await?;
        let before = Timestamp::now();
        let number = ssm::write_numbered(config, &name, &journal.text()).await;
        let number = number.map_err(Unwritten::Refused)?;
        if number != self.last + 1 {
            self.explain(config, &name, number, journal).await?;
        }
        self.last = number;
        self.written = before;
        Ok(())
    }

    /// Looks whether it is its turn. Somebody may still write between this and what is written then:
    /// the number tells that.
    async fn look(
        &mut self,
        config: &SdkConfig,
        name: &str,
        journal: &Journal,
    ) -> Result<(), Unwritten> {
        let found = ssm::parameter(config, name).await.map_err(Unwritten::Refused)?;
        match found.map(|found| found.number) {
            None if self.last > 0 && self.silent_for(Timestamp::now()).abs() > SETTLED => {
                Err(Unwritten::Fenced("the journal was removed in between".to_owned()))
            }
            Some(number) if number > self.last => {
                self.explain(config, name, number + 1, journal).await?;
                self.last = number;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What came between its last word and version `number`. An answer that was lost makes this process
    /// write twice, and one that was taken over may write a last time before it sees that. Whatever else
    /// there is, is somebody else's who carries on.
    async fn explain(
        &self,
        config: &SdkConfig,
        name: &str,
        number: i64,
        journal: &Journal,
    ) -> Result<(), Unwritten> {
        if number <= self.last {
            return Err(Unwritten::Fenced("the journal was removed in between".to_owned()));
        }
        let between: Vec<String> =
            (self.last + 1..number).map(|it| format!("{name}:{it}")).take(20).collect();
        let written = inventory::values(config, &between).await.map_err(Unwritten::Refused)?;
        let mut others = written.iter().filter_map(|it| match Glance::of(&it.value) {
            Some(glance) if glance.writer == self.writer => None,
            // The first word of a process that takes over must follow what it has read.
            Some(glance) if self.has_written() && !glance.fences(journal) => None,
            Some(glance) => Some(format!("it carries on rollout {}", glance.rollout)),
            None => Some("it writes what cannot be read here".to_owned()),
        });
        match others.next_back() {
            None if written.len() == between.len() => Ok(()),
            None => Err(Unwritten::Fenced("versions of it are missing".to_owned())),
            Some(why) => Err(Unwritten::Fenced(why)),
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
