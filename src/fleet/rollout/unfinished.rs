//! A rollout that is not over: nothing new may be begun beside it, whether anybody holds the lock or
//! not. Told by its journal, as far as every hostkit can read that. Pure.

use super::journal::Glance;
use super::reaction::phase_name;
use super::{Phase, journal, lock};
use crate::error::Fault;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Its id, and where it is; absent where its journal cannot be read.
    known: Option<(String, String)>,
}

impl Unfinished {
    /// What a journal tells of it; none where its rollout is over.
    pub fn of(text: &str) -> Option<Self> {
        match Glance::of(text) {
            Some(glance) if glance.is_over() => None,
            Some(Glance { rollout, phase, .. }) => Some(Self { known: Some((rollout, phase)) }),
            None => Some(Self { known: None }),
        }
    }

    /// Whether it is this one.
    pub fn is(&self, rollout: &str) -> bool {
        self.known.as_ref().is_some_and(|(id, _)| id == rollout)
    }

    /// What is so, in a sentence without a full stop.
    pub fn says(&self, group: &str) -> String {
        match &self.known {
            Some((rollout, phase)) => {
                let phase = match serde_json::from_value::<Phase>(phase.as_str().into()) {
                    Ok(known) => phase_name(known),
                    Err(_) => phase,
                };
                format!(
                    "rollout {rollout} of {group} is not over: it is at `{phase}`, and what serves \
                     may not be proven"
                )
            }
            None => format!("the journal of {group} cannot be read: its rollout may not be over"),
        }
    }

    /// What ends it: by hostkit, and by hand.
    pub fn ways_on(group: &str) -> [String; 2] {
        let (lock, journal) = (lock::parameter(group), journal::parameter(group));
        [
            format!(
                "`hostkit upgrade --asg {group} --resume` carries it on, and with --back goes back to \
                 what served before"
            ),
            format!(
                "to forget it, once it is certain that nobody is at work and what serves does serve: \
                 aws ssm delete-parameters --names {lock} {journal}"
            ),
        ]
    }

    /// For whoever would begin another one.
    pub fn refused(&self, group: &str) -> Fault {
        let [on, _] = Self::ways_on(group);
        Fault::step(self.says(group)).hint(on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_that_it_is_over_is_over() {
        let old = include_str!("fixtures/journal-1.json");
        let open = Unfinished::of(old).unwrap();
        assert!(open.is("r-1") && !open.is("r-2"));
        let says = open.says("ci");
        assert!(says.starts_with("rollout r-1 of ci is not over: it is at `refresh`"), "{says}");
        assert!(open.refused("ci").hint_text().unwrap().contains("--asg ci --resume"));
        assert_eq!(
            Unfinished::of(&old.replace("\"refresh\",\"since", "\"recorded\",\"since")),
            None
        );
        // Of a hostkit that is newer, and of nobody's.
        let newer = r#"{"form":2,"rollout":"r-9","phase":"soak","ways":7}"#;
        let says = Unfinished::of(newer).unwrap().says("ci");
        assert!(says.contains("r-9") && says.contains("`soak`"), "{says}");
        assert_eq!(Unfinished::of(r#"{"form":2,"rollout":"r-9","phase":"recorded"}"#), None);
        let says = Unfinished::of("{").unwrap().says("ci");
        assert!(says.contains("cannot be read"), "{says}");
    }
}
