//! The gate between versions that a host keeps at its boot: a home that a newer Jenkins has served is
//! not given to an older one, unless a rollout that goes back, or whose refresh AWS takes back, has it put
//! back. Pure.
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

/// What is known of the rollout of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollout {
    /// Its journal.
    pub journal: Option<String>,
    /// The newest refresh of the group, and whether AWS takes it back or has.
    pub refresh: Option<(String, bool)>,
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
    /// A host wants to serve the home; `rollout` is that of its group.
    pub fn pass(&mut self, own: Software, rollout: &Rollout) -> Passage {
        let Some(last) = self.last.replace(own.clone()) else { return Passage::Open };
        if last == own {
            return Passage::Open;
        }
        let left = self.aside.as_ref().is_some_and(|(from, to)| (from, to) == (&own, &last));
        if left && rollout.goes_back(&last.image, &own.image) {
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

impl Rollout {
    /// Whether it is not over and goes back from the one image to the other, or AWS does with its
    /// refresh.
    fn goes_back(&self, from: &str, to: &str) -> bool {
        let journal = self.journal.as_deref().map(serde_json::from_str::<Value>);
        let Some(Ok(journal)) = journal else { return false };
        let order = &journal["order"];
        let taken_back =
            matches!(&self.refresh, Some((id, true)) if journal["forward"]["id"] == **id);
        let (back, forth) = ((&order["from"], &order["to"]), (&order["to"], &order["from"]));
        let fits = |(goal, other): (&Value, &Value)| goal["image"] == to && other["image"] == from;
        let permits = match journal["way"].as_str() {
            Some("back") => fits(back),
            _ => (taken_back && fits(back)) || (order["restores_home"] == true && fits(forth)),
        };
        permits && journal["phase"] != "recorded"
    }
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
                r#"{{"way": "{way}", "phase": "{phase}", "forward": {{"id": "r"}},
                "order": {{"restores_home": {restores},
                "from": {{"image": "ami-a"}}, "to": {{"image": "ami-b"}}}}}}"#
            )
        };
        let says = |journal: &str| Rollout { journal: Some(journal.to_owned()), refresh: None };
        let aws = |journal: &str, id: &str, back: bool| Rollout {
            refresh: Some((id.to_owned(), back)),
            ..says(journal)
        };
        let mut seen = Seen::default();
        assert_eq!(seen.pass(old.clone(), &Rollout::default()), Passage::Open);
        assert_eq!(seen.pass(new.clone(), &Rollout::default()), Passage::Open);
        let forward = journal("forward", "refresh", false);
        let over = journal("back", "recorded", false);
        let refused = [
            Rollout::default(),
            says(&forward),
            says(&over),
            says("{"),
            aws(&forward, "r", false),
            aws(&forward, "other", true),
            aws(&over, "r", true),
        ];
        for rollout in refused {
            assert_eq!(seen.pass(old.clone(), &rollout), Passage::Refused, "{rollout:?}");
        }
        assert_eq!(seen.last.as_ref(), Some(&new));
        let by_itself = aws(&forward, "r", true);
        assert_eq!(seen.clone().pass(old.clone(), &by_itself), Passage::PutBack);
        let back = says(&journal("back", "refresh", false));
        assert_eq!(seen.pass(old.clone(), &back), Passage::PutBack);
        assert_eq!(seen.last, Some(old));
        let again = says(&journal("forward", "refresh", true));
        assert_eq!(seen.pass(new, &again), Passage::PutBack);
        assert_eq!(seen.pass(of("2.9", "ami-c"), &back), Passage::Refused, "another image");
    }
}
