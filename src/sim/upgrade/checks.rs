//! What a night must have shown.

use std::collections::BTreeMap;

use super::Night;
use super::log::Sight;
use super::play::{JOB, Play, image_of};
use crate::sim::instance::State;
use crate::sim::nfs::Selection;
use crate::sim::nfs::interleave::{self, Verdict};

/// The exit status of an upgrade that put the old image back.
const PUT_BACK: i32 = 5;
/// How many violations are told; all are in the JSON.
const SHOWN: usize = 8;

impl Play {
    /// What stands after the command has ended: the one host that serves, and its image.
    pub(super) fn came_to(&mut self, serving: Option<&(String, String)>) {
        let (old, new) = (self.stage.old.id.clone(), self.stage.new.id.clone());
        let code = self.code;
        let seen = match serving {
            Some((host, image)) => format!("exit {code:?}, {host} of {image} serves"),
            None => format!("exit {code:?}, and there is no single host that serves"),
        };
        let image = serving.map(|(_, image)| image.as_str());
        let good = (code == Some(0) && image == Some(&new))
            || (code == Some(PUT_BACK) && image == Some(&old));
        match self.night {
            Night::Planned => {
                let holds = code == Some(0) && image == Some(&new);
                self.check("the new image serves, and the command ends with 0", holds, seen);
                self.build_was_waited_for();
                self.version_is_the_images();
            }
            Night::NeverHealthy => {
                let holds = code == Some(PUT_BACK) && image == Some(&old);
                self.check("the old image serves again, and the command ends with 5", holds, seen);
            }
            Night::EfsDies | Night::Ec2Down | Night::OldPaused | Night::Spot => {
                self.check("one image serves, and the exit status says which", good, seen);
            }
        }
        if self.night == Night::OldPaused {
            self.claimed_after_death();
        }
        self.home_is_the_same();
        self.books_are_right(image);
    }

    /// The old host was to go only after the build's end.
    fn build_was_waited_for(&mut self) {
        let Some(over) = self.build_over else { return };
        let leaves = self.stage.log.first(
            &self.old,
            self.began,
            |sight| matches!(sight, Sight::Lifecycle(word) if word.starts_with("Terminating")),
        );
        // The build's end is a whole second of another clock.
        let holds = leaves.is_some_and(|at| at.as_secs() + 2 >= over.as_secs());
        let seen = format!("the build ended at {over:.0?}, the host was to go at {leaves:.0?}");
        self.check("the build that ran was waited for", holds, seen);
    }

    /// Who answers is the Jenkins that the new image has.
    fn version_is_the_images(&mut self) {
        let Some(wanted) = self.stage.new.jenkins.clone() else { return };
        let all = self.stage.log.all();
        let served = all.iter().rev().find_map(|one| match &one.sight {
            Sight::Serves(version) if one.instance != self.old => Some(version.clone()),
            _ => None,
        });
        let holds = served.as_ref().is_some_and(|version| wanted.starts_with(version));
        let seen = format!("{served:?} serves");
        self.check(format!("Jenkins {wanted} serves"), holds, seen);
    }

    /// A host that stands still is not followed before EC2 says that it is gone.
    fn claimed_after_death(&mut self) {
        let gone = self
            .stage
            .log
            .first(&self.old, self.began, |sight| *sight == Sight::State(State::Terminated.word()));
        let all = self.stage.log.all();
        let claim = all.iter().find(|one| {
            one.sight == Sight::Holds && one.instance != self.old && one.at >= self.began
        });
        let claimed = claim.map(|one| one.at);
        let holds = matches!((gone, claimed), (Some(gone), Some(claimed)) if gone <= claimed);
        let seen = format!("gone at {gone:.1?}, claimed at {claimed:.1?}");
        self.check("nobody claims before EC2 says that the old host is gone", holds, seen);
    }

    fn home_is_the_same(&mut self) {
        let job = self.stage.folder.join(JOB);
        let text = std::fs::read_to_string(&job).unwrap_or_default();
        let holds = text.contains("before the upgrade");
        self.check("the jobs are in place", holds, format!("{} is `{text}`", job.display()));
    }

    /// What is written on AWS says what serves, and nobody holds the lock.
    fn books_are_right(&mut self, image: Option<&str>) {
        let current = self.stage.parameter("current").as_deref().and_then(image_of);
        let told = match (&current, self.code) {
            // Nothing was ever promoted: the first upgrade was put back.
            (None, Some(PUT_BACK)) => true,
            (current, _) => current.as_deref() == image,
        };
        let seen = format!("{current:?} is written, {image:?} serves");
        self.check("what is written down as current serves", told, seen);
        let lock = self.stage.parameter("lock");
        self.check("the lock is given back", lock.is_none(), format!("{lock:?}"));
    }

    /// The verdict on all that hosts did to the file system.
    pub(super) fn judge(&mut self) -> BTreeMap<String, Verdict> {
        let Ok(record) = self.stage.record() else { return BTreeMap::new() };
        let changes = record.changes(&Selection::default());
        let verdict = interleave::check(&changes, &record.versions(), record.blind());
        for violation in verdict.violations.iter().take(SHOWN) {
            self.stage.story.tell("EFS", &format!("VIOLATION {violation}"));
        }
        let seen = format!("{} violations; {:?}", verdict.violations.len(), verdict.blind);
        let what = format!("never two controllers ({} changes of the home)", verdict.changes);
        self.check(what, verdict.holds(), seen);
        BTreeMap::from([("EFS".to_owned(), verdict)])
    }
}
