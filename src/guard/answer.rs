//! When the guard tells how the controller stands, and when not. Pure.

use crate::group::standing::{Standing, State};

/// Answers are this far apart at least, in seconds; the last one always gets there.
const APART: f64 = 10.0;

/// But what somebody waits for is told at once, or almost.
const APART_IF_AWAITED: f64 = 1.0;

/// After one that did not get there, the next is sent after so many seconds.
const AFTER_FAILURE: f64 = 60.0;

/// What was answered, and when.
#[derive(Clone, Debug, Default)]
pub struct Teller {
    told: Option<Standing>,
    last: Option<f64>,
    failed: bool,
}

impl Teller {
    /// What to answer at `now`, if that is news, or was promised to be said again, and the last answer
    /// is old enough. `since` is kept while the state is the same; but who was made quiet anew is quiet
    /// since then.
    pub fn next(&mut self, now: f64, mut standing: Standing) -> Option<Standing> {
        let same = |told: &&Standing| told.state == standing.state && told.state != State::Quiet;
        if let Some(told) = self.told.as_ref().filter(same) {
            standing.since = told.since;
        }
        let apart = match (self.failed, self.is_awaited(&standing)) {
            (true, _) => AFTER_FAILURE,
            (false, true) => APART_IF_AWAITED,
            (false, false) => APART,
        };
        let is_new = self.failed || self.told.as_ref() != Some(&standing);
        let again = standing.again.map(f64::from);
        let is_promised = again.is_some_and(|again| self.last.is_some_and(|it| now - it >= again));
        if !(is_new || is_promised) || self.last.is_some_and(|last| now - last < apart) {
            return None;
        }
        self.last = Some(now);
        self.told = Some(standing.clone());
        Some(standing)
    }

    /// Whether somebody may wait for it: it stands otherwise than before, or nothing is built any more.
    fn is_awaited(&self, standing: &Standing) -> bool {
        self.told.as_ref().is_some_and(|told| {
            told.state != standing.state
                || (standing.builds == Some(0) && told.builds.is_some_and(|builds| builds > 0))
        })
    }

    /// Whether the last answer got there. True where that is news.
    pub const fn arrived(&mut self, arrived: bool) -> bool {
        let is_news = self.failed == arrived;
        self.failed = !arrived;
        is_news
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::group::standing::{Agents, Proof, parameter};

    fn standing(state: State, builds: u32, second: i64) -> Standing {
        Standing {
            version: 1,
            instance: "i-0bbbbbbbbbbbbbbbb".to_owned(),
            state,
            builds: Some(builds),
            since: Timestamp::from_second(1_795_000_000 + second).unwrap(),
            why: (state == State::Quiet).then(|| "the tag hostkit:drain".to_owned()),
            cannot: None,
            again: None,
            proof: None,
        }
    }

    #[test]
    fn only_news_is_told_not_too_often_and_the_last_always() {
        let mut teller = Teller::default();
        let told = teller.next(0.0, standing(State::Serving, 0, 0)).unwrap();
        assert_eq!(told.builds, Some(0));
        assert_eq!(teller.next(60.0, standing(State::Serving, 0, 60)), None);
        let quiet = teller.next(61.0, standing(State::Quiet, 3, 61)).unwrap();
        assert_eq!(teller.next(63.0, standing(State::Quiet, 2, 61)), None, "too soon");
        let fewer = teller.next(71.0, standing(State::Quiet, 1, 61)).unwrap();
        assert_eq!((fewer.builds, fewer.since), (Some(1), quiet.since));
        assert!(teller.arrived(false) && !teller.arrived(false));
        assert_eq!(teller.next(100.0, standing(State::Quiet, 1, 61)), None);
        assert!(teller.next(131.0, standing(State::Quiet, 1, 61)).is_some(), "it did not arrive");
        assert!(teller.arrived(true));
        // Whoever was made quiet a second time says so, though nothing else has changed.
        assert_eq!(teller.next(150.0, standing(State::Quiet, 1, 61)), None);
        assert!(teller.next(151.0, standing(State::Quiet, 1, 140)).is_some());
        // The end of the last build is waited for, and so is another state.
        assert!(teller.next(152.0, standing(State::Quiet, 0, 140)).is_some());
        assert_eq!(teller.next(152.5, standing(State::Draining, 0, 152)), None);
        assert!(teller.next(153.0, standing(State::Draining, 0, 152)).is_some());
    }

    #[test]
    fn what_was_promised_is_said_again_and_a_longer_promise_is_news() {
        let mut teller = Teller::default();
        let promises = |again| Standing { again: Some(again), ..standing(State::Serving, 0, 0) };
        let told = teller.next(0.0, promises(60)).unwrap();
        assert_eq!(teller.next(59.0, promises(60)), None);
        assert_eq!(teller.next(60.0, promises(60)), Some(told.clone()), "the same, word for word");
        assert_eq!(teller.next(100.0, promises(60)), None);
        // Else it were silent for longer than what stands there promises.
        assert!(teller.next(101.0, promises(300)).is_some());
        assert_eq!(teller.next(161.0, promises(300)), None);
        assert!(teller.next(401.0, promises(300)).is_some());
        // Who goes says no more than what is new.
        assert!(teller.next(410.0, standing(State::Drained, 0, 410)).is_some());
        assert_eq!(teller.next(9_999.0, standing(State::Drained, 0, 9_999)), None);
        // Silence is what is longer than three of its promises.
        let seconds = std::time::Duration::from_secs;
        assert!(!told.is_silent(seconds(180)) && told.is_silent(seconds(181)));
        assert!(
            !standing(State::Serving, 0, 0).is_silent(seconds(1_000_000)),
            "it promised nothing"
        );
    }

    #[test]
    fn another_proof_is_news() {
        let mut teller = Teller::default();
        let agents = |online| {
            let proof = Proof { agents: Some(Agents { known: 3, online }), ..Proof::default() };
            Standing { proof: Some(proof), ..standing(State::Serving, 0, 0) }
        };
        assert!(teller.next(0.0, agents(1)).is_some());
        assert_eq!(teller.next(20.0, agents(1)), None);
        assert!(teller.next(21.0, agents(3)).is_some());
    }

    #[test]
    fn it_reads_like_this() {
        let text = serde_json::to_string_pretty(&standing(State::Quiet, 2, 0)).unwrap();
        insta::assert_snapshot!(text);
        assert_eq!(parameter("ci-controller"), "/hostkit/asg/ci-controller/host");
    }
}
