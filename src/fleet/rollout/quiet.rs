//! Jenkins begins no builds, and those that run are waited for: asked of the guard of the host by a tag
//! of its instance, answered by it in Parameter Store. No token of Jenkins is needed here.
//!
//! An answer counts only if it is of this instance, and if it cannot be one to a word that was said
//! before.

use std::time::Duration;

use aws_config::SdkConfig;

use crate::aws::{Failure, ssm};
use crate::group::standing::{Standing, State, parameter};

/// The tag.
pub const TAG: &str = "hostkit:drain";
/// Begin no builds.
pub(super) const QUIET: &str = "quiet";
/// As if nothing had been said.
pub(super) const CANCEL: &str = "cancel";

/// A guard looks at the tag every two seconds, and its answers are ten seconds apart; a busy machine
/// may take its time.
pub(super) const ANSWER: Duration = Duration::from_secs(90);
/// A guard that cannot ask Jenkins tries again; after this long it is believed.
pub(super) const CANNOT: Duration = Duration::from_secs(30);
/// After this long a guard would have contradicted an answer that is out of date.
pub(super) const SETTLED: Duration = Duration::from_secs(40);
/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// There is none of this instance, or it may be one to what was said before.
    Nothing,
    /// It has not done it yet.
    NotYet,
    /// It cannot, and why.
    Cannot(String),
    /// It begins no builds; so many run, if it knows.
    Quiet(Option<u32>),
    /// It goes by itself: nothing is to be asked of it any more.
    Goes,
}

/// What is to be heard of the answer `now`, where `before` stood there before the tag was set, if that
/// was not set already. `settled` tells whether the guard had the time to contradict.
pub fn hear(
    instance: &str,
    before: Option<&Standing>,
    now: Option<&Standing>,
    settled: bool,
) -> Heard {
    let Some(now) = now.filter(|now| now.instance == instance) else { return Heard::Nothing };
    let is_old = before.is_some_and(|before| {
        (&before.instance, before.state, before.since) == (&now.instance, now.state, now.since)
    });
    match now.state {
        State::Draining | State::Drained => Heard::Goes,
        State::Quiet if is_old && !settled => Heard::Nothing,
        State::Quiet => Heard::Quiet(now.builds),
        State::Serving => now.cannot.clone().map_or(Heard::NotYet, Heard::Cannot),
    }
}

/// How the controller of a group stands, as its guard has said last; `None` where it has not, or says
/// what cannot be read.
pub async fn standing(config: &SdkConfig, group: &str) -> Result<Option<Standing>, Failure> {
    Ok(word(config, group).await?.map(|(standing, _)| standing))
}

/// As [`standing`], and how long ago it has said so, by AWS's clock; the clock of this machine may be
/// wrong.
pub(super) async fn word(
    config: &SdkConfig,
    group: &str,
) -> Result<Option<(Standing, Option<Duration>)>, Failure> {
    let found = ssm::parameter(config, &parameter(group)).await?;
    Ok(found.and_then(|found| Some((serde_json::from_str(&found.value).ok()?, found.age))))
}

/// Builds, for people.
pub(super) fn running(builds: Option<u32>) -> String {
    match builds {
        None => "builds may run".to_owned(),
        Some(1) => "1 build runs".to_owned(),
        Some(count) => format!("{count} builds run"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    const HOST: &str = "i-0bbbbbbbbbbbbbbbb";

    fn standing(instance: &str, state: State, builds: Option<u32>, second: i64) -> Standing {
        Standing {
            version: 1,
            instance: instance.to_owned(),
            state,
            builds,
            since: Timestamp::from_second(1_795_000_000 + second).unwrap(),
            why: None,
            cannot: None,
            again: None,
            proof: None,
        }
    }

    #[test]
    fn an_answer_to_what_was_said_before_is_believed_only_when_nobody_contradicts_it() {
        let old = standing(HOST, State::Quiet, Some(0), 0);
        let hear = |before: &Standing, now: &Standing, settled| {
            hear(HOST, Some(before), Some(now), settled)
        };
        assert_eq!(hear(&old, &old, false), Heard::Nothing);
        assert_eq!(hear(&old, &standing(HOST, State::Quiet, Some(2), 0), false), Heard::Nothing);
        assert_eq!(hear(&old, &old, true), Heard::Quiet(Some(0)));
        let again = standing(HOST, State::Quiet, Some(1), 9);
        assert_eq!(hear(&old, &again, false), Heard::Quiet(Some(1)));
        let mut cannot = standing(HOST, State::Serving, None, 0);
        assert_eq!(hear(&old, &cannot, false), Heard::NotYet);
        cannot.cannot = Some("hostkit's token cannot be read".to_owned());
        assert!(matches!(hear(&old, &cannot, false), Heard::Cannot(_)));
        assert_eq!(hear(&old, &standing(HOST, State::Draining, None, 3), false), Heard::Goes);
    }

    fn any_standing() -> impl Strategy<Value = Standing> {
        let states = [State::Serving, State::Quiet, State::Draining, State::Drained];
        let host = prop::sample::select(vec![HOST, "i-0aaaaaaaaaaaaaaaa"]);
        let builds = prop::option::of(0..3_u32);
        (host, prop::sample::select(states.to_vec()), builds, 0..3_i64)
            .prop_map(|(host, state, builds, at)| standing(host, state, builds, at))
    }

    use proptest::strategy::Strategy;

    proptest! {
        /// What another instance says is never heard, and quiet is only who says so.
        #[test]
        fn what_another_says_is_never_believed(
            before in prop::option::of(any_standing()),
            now in prop::option::of(any_standing()),
            settled: bool,
        ) {
            let heard = hear(HOST, before.as_ref(), now.as_ref(), settled);
            let is_ours = now.as_ref().is_some_and(|now| now.instance == HOST);
            prop_assert_eq!(heard == Heard::Nothing || is_ours, true);
            if let Heard::Quiet(builds) = heard {
                let now = now.unwrap();
                prop_assert_eq!((now.state, now.builds), (State::Quiet, builds));
                if !settled {
                    let same = before.is_some_and(|before| {
                        before.instance == HOST && before.since == now.since
                            && before.state == State::Quiet
                    });
                    prop_assert!(!same);
                }
            }
        }
    }
}
