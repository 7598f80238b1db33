//! The gate between versions that a host keeps at its boot: a home that a newer Jenkins has served is
//! not given to an older one, unless a rollout that goes back has it put back. Pure.
//!
//! Written anew here, since the simulation knows nothing of hostkit.

use serde::Serialize;
use serde_json::Value;

/// What serves a home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Software {
    /// The version of Jenkins.
    pub jenkins: String,
    /// The image: `ami-…`
    pub image: String,
}

/// What a home has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// What served it last.
    pub last: Option<Software>,
    /// What was kept aside last: of whom, and for whom.
    pub aside: Option<(Software, Software)>,
}

/// What becomes of a host that has the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It serves.
    Open,
    /// It serves what its Jenkins had left.
    PutBack,
    /// It must not.
    Refused,
}

impl Seen {
    /// A host wants to serve the home; `journal` is that of its group's rollout.
    pub fn pass(&mut self, own: Software, journal: Option<&str>) -> Passage {
        let Some(last) = self.last.replace(own.clone()) else { return Passage::Open };
        if last == own {
            return Passage::Open;
        }
        let left = self.aside.as_ref().is_some_and(|(from, to)| (from, to) == (&own, &last));
        if left && goes_back(journal, &last.image, &own.image) {
            self.aside = Some((last, own));
            return Passage::PutBack;
        }
        if numbers(&last.jenkins) > numbers(&own.jenkins) {
            self.last = Some(last);
            return Passage::Refused;
        }
        self.aside = Some((last, own));
        Passage::Open
    }
}

/// Whether a rollout that is not over goes back from the one image to the other.
fn goes_back(journal: Option<&str>, from: &str, to: &str) -> bool {
    let Some(Ok(journal)) = journal.map(serde_json::from_str::<Value>) else { return false };
    let order = &journal["order"];
    let (goal, other) = match journal["way"].as_str() {
        Some("back") => (&order["from"], &order["to"]),
        _ if order["restores_home"] == true => (&order["to"], &order["from"]),
        _ => return false,
    };
    journal["phase"] != "recorded" && goal["image"] == to && other["image"] == from
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(jenkins: &str, image: &str) -> Software {
        Software { jenkins: jenkins.to_owned(), image: image.to_owned() }
    }

    #[test]
    fn an_older_jenkins_gets_the_home_only_from_a_rollout_that_goes_back() {
        let (old, new) = (of("2.9", "ami-a"), of("2.10", "ami-b"));
        let journal = |way: &str, phase: &str, restores: bool| {
            format!(
                r#"{{"way": "{way}", "phase": "{phase}", "order": {{"restores_home": {restores},
                "from": {{"image": "ami-a"}}, "to": {{"image": "ami-b"}}}}}}"#
            )
        };
        let mut seen = Seen::default();
        assert_eq!(seen.pass(old.clone(), None), Passage::Open);
        assert_eq!(seen.pass(new.clone(), None), Passage::Open);
        let forward = journal("forward", "refresh", false);
        let over = journal("back", "recorded", false);
        for journal in [None, Some(forward.as_str()), Some(over.as_str()), Some("{")] {
            assert_eq!(seen.pass(old.clone(), journal), Passage::Refused, "{journal:?}");
        }
        assert_eq!(seen.last.as_ref(), Some(&new));
        let back = journal("back", "refresh", false);
        assert_eq!(seen.pass(old.clone(), Some(&back)), Passage::PutBack);
        assert_eq!(seen.last, Some(old));
        let again = journal("forward", "refresh", true);
        assert_eq!(seen.pass(new, Some(&again)), Passage::PutBack);
        assert_eq!(seen.pass(of("2.9", "ami-c"), Some(&back)), Passage::Refused, "another image");
    }
}
