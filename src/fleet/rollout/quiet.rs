//! Jenkins begins no builds, and those that run are waited for: asked of the guard of the host by a tag
//! of its instance, answered by it in Parameter Store. No token of Jenkins is needed here.
//!
//! An answer counts only if it is of this instance, and if it cannot be one to a word that was said
//! before.

use std::time::Duration;

use aws_config::SdkConfig;
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{Builds, Order};
use crate::aws::operator::fault;
use crate::aws::{Failure, channel, ssm};
use crate::error::Fault;
use crate::event::{Events, Unit};
use crate::group::standing::{Standing, State, parameter};

/// The tag.
pub const TAG: &str = "hostkit:drain";
/// Begin no builds.
pub(super) const QUIET: &str = "quiet";
/// As if nothing had been said.
pub(super) const CANCEL: &str = "cancel";

/// The name of what it says.
const STEP: &str = "quiet";

/// Between two looks at the answer.
const PAUSE: Duration = Duration::from_secs(1);
/// A guard looks at the tag every four seconds, and its answers are ten seconds apart; a busy machine
/// may take its time.
pub(super) const ANSWER: Duration = Duration::from_secs(90);
/// A guard that cannot ask Jenkins tries again; after this long it is believed.
pub(super) const CANNOT: Duration = Duration::from_secs(30);
/// After this long a guard would have contradicted an answer that is out of date.
pub(super) const SETTLED: Duration = Duration::from_secs(40);
/// A passing failure of AWS is borne for so long.
const BEAR: Duration = Duration::from_mins(2);

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quieted {
    /// No builds begin, and none runs.
    Still,
    /// Builds run, so many if anybody knows, and are lost when the host goes.
    Builds(Option<u32>),
}

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

/// Has the controller `instance` begin no builds, and waits for those that run as `order` says.
///
/// What was begun is not taken back here if it does not succeed: see [`take_back`].
///
/// # Errors
/// The guard does not hear or does not answer, it cannot ask its Jenkins, or builds take too long and
/// must not be lost.
pub async fn quiet(
    config: &SdkConfig,
    order: &Order,
    instance: &str,
    events: &Events,
) -> anyhow::Result<Quieted> {
    let force = order.builds == Builds::Force;
    let channel = channel::look(config, instance, TAG).await.map_err(|it| fault(&it))?;
    let Some(channel) = channel.filter(channel::Channel::has_reader) else {
        return Err(
            Fault::step(format!("{instance} runs no more: there is nothing to quiet")).into()
        );
    };
    if !channel.is_open && !force {
        return Err(closed(instance).into());
    }
    let answer = Answer::new(config, order, instance);
    let was_said = channel.word.as_deref() == Some(QUIET);
    let before = if was_said { None } else { answer.read().await? };
    channel::say(config, instance, TAG, QUIET).await.map_err(|it| fault(&it))?;
    if force {
        let builds = before.filter(|it| it.instance == instance).and_then(|it| it.builds);
        events.log(STEP, "builds are not waited for");
        return Ok(Quieted::Builds(builds));
    }
    wait(&answer, order, before.as_ref(), events).await
}

async fn wait(
    answer: &Answer<'_>,
    order: &Order,
    before: Option<&Standing>,
    events: &Events,
) -> anyhow::Result<Quieted> {
    let instance = answer.instance;
    let (began, mut cannot, mut quiet_since) = (Instant::now(), None, None);
    let mut told = Told::default();
    loop {
        let now = answer.read().await?;
        let heard = hear(instance, before, now.as_ref(), began.elapsed() >= SETTLED);
        match &heard {
            Heard::Quiet(Some(0)) => return Ok(Quieted::Still),
            Heard::Quiet(builds) => {
                told.builds(*builds, events);
                let since = *quiet_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= Duration::from_secs(order.builds_patience) {
                    return too_long(order, *builds);
                }
            }
            Heard::Goes => {
                events.log(STEP, format!("{instance} goes already, and quiets Jenkins itself"));
                return Ok(Quieted::Builds(None));
            }
            Heard::Cannot(why) => {
                let since = *cannot.get_or_insert_with(Instant::now);
                told.once(why, events);
                if since.elapsed() >= CANNOT {
                    return Err(unable(instance, why).into());
                }
            }
            Heard::Nothing | Heard::NotYet => cannot = None,
        }
        if quiet_since.is_none() && cannot.is_none() && began.elapsed() >= ANSWER {
            return Err(silent(instance, &heard, now.as_ref()).into());
        }
        sleep(PAUSE).await;
    }
}

/// Takes it back: Jenkins begins builds again, and the tag is gone. Returns the answer that says so;
/// none where the host goes or is gone.
///
/// # Errors
/// The guard does not say in time that it serves; the tag is gone nevertheless.
pub async fn take_back(
    config: &SdkConfig,
    order: &Order,
    instance: &str,
    events: &Events,
) -> anyhow::Result<Option<Standing>> {
    let said = channel::say(config, instance, TAG, CANCEL).await.map_err(|it| fault(&it))?;
    if !said {
        return Ok(None);
    }
    let answer = Answer::new(config, order, instance);
    let began = Instant::now();
    let end = loop {
        match answer.read().await? {
            Some(now) if now.instance == instance => match now.state {
                State::Serving => break Ok(Some(now)),
                State::Draining | State::Drained => break Ok(None),
                State::Quiet => {}
            },
            _ => {}
        }
        let channel = channel::look(config, instance, TAG).await.map_err(|it| fault(&it))?;
        if channel.is_none_or(|channel| !channel.has_reader()) {
            break Ok(None);
        }
        if began.elapsed() >= ANSWER {
            let text = format!("{instance} does not say that it begins builds again");
            break Err(Fault::step(text).hint(format!(
                "on the host: journalctl -u hostkit-guard; in Jenkins: Manage Jenkins, cancel \
                 shutdown; the tag {TAG} is removed"
            )));
        }
        sleep(PAUSE).await;
    };
    channel::clear(config, instance, TAG).await.map_err(|it| fault(&it))?;
    if matches!(end, Ok(Some(_))) {
        events.log(STEP, "Jenkins begins builds again");
    }
    Ok(end?)
}

/// How the controller of a group stands, as its guard has said last; `None` where it has not, or says
/// what cannot be read.
pub async fn standing(config: &SdkConfig, group: &str) -> Result<Option<Standing>, Failure> {
    let found = ssm::parameter(config, &parameter(group)).await?;
    Ok(found.and_then(|found| serde_json::from_str(&found.value).ok()))
}

/// Where the answer of an instance stands.
struct Answer<'a> {
    config: &'a SdkConfig,
    group: &'a str,
    instance: &'a str,
}

impl<'a> Answer<'a> {
    fn new(config: &'a SdkConfig, order: &'a Order, instance: &'a str) -> Self {
        Self { config, group: &order.group, instance }
    }

    async fn read(&self) -> Result<Option<Standing>, Fault> {
        let began = Instant::now();
        loop {
            match standing(self.config, self.group).await {
                Err(failure) if failure.is_passing() && began.elapsed() < BEAR => {
                    sleep(PAUSE).await;
                }
                end => return end.map_err(|failure| fault(&failure)),
            }
        }
    }
}

/// What was told already.
#[derive(Debug, Default)]
struct Told {
    most: u64,
    builds: Option<Option<u32>>,
    line: String,
}

impl Told {
    /// How many builds run, where that is news.
    fn builds(&mut self, builds: Option<u32>, events: &Events) {
        if self.builds == Some(builds) {
            return;
        }
        self.builds = Some(builds);
        let Some(left) = builds else {
            events.log(STEP, "Jenkins begins no builds; how many run is not known yet");
            return;
        };
        let left = u64::from(left);
        self.most = self.most.max(left);
        events.log(STEP, format!("Jenkins begins no builds; {}", running(builds)));
        events.progress(STEP, self.most - left, Some(self.most), Unit::Items);
    }

    fn once(&mut self, line: &str, events: &Events) {
        if self.line != line {
            line.clone_into(&mut self.line);
            events.log(STEP, line);
        }
    }
}

/// Builds, for people.
pub(super) fn running(builds: Option<u32>) -> String {
    match builds {
        None => "builds may run".to_owned(),
        Some(1) => "1 build runs".to_owned(),
        Some(count) => format!("{count} builds run"),
    }
}

fn too_long(order: &Order, builds: Option<u32>) -> anyhow::Result<Quieted> {
    if order.builds == Builds::WaitThenForce {
        return Ok(Quieted::Builds(builds));
    }
    let after = Duration::from_secs(order.builds_patience).as_secs().div_ceil(60);
    let text = format!("after {after} minutes {}", running(builds));
    Err(Fault::step(text)
        .hint("--builds-patience waits longer; --builds wait-then-force loses what is left then")
        .into())
}

fn closed(instance: &str) -> Fault {
    Fault::recipe(format!(
        "{instance} cannot read its tags, so that nobody can tell it to begin no builds"
    ))
    .hint(format!(
        "aws ec2 modify-instance-metadata-options --instance-metadata-tags enabled --instance-id \
         {instance}; and in the launch template, MetadataOptions"
    ))
}

fn unable(instance: &str, why: &str) -> Fault {
    Fault::environment(format!(
        "the guard of {instance} cannot have Jenkins begin no builds: {why}"
    ))
    .hint(
        "on the host: systemctl restart hostkit-boot makes a new token; --builds force does not \
             wait for builds",
    )
}

fn silent(instance: &str, heard: &Heard, now: Option<&Standing>) -> Fault {
    let last = match (heard, now) {
        (Heard::Nothing, Some(other)) if other.instance != instance => {
            format!("; what was said last is of {}", other.instance)
        }
        (_, Some(now)) => format!("; what it said last is of {}", short(now.since)),
        (_, None) => "; it has never said anything".to_owned(),
    };
    Fault::step(format!(
        "the guard of {instance} does not say within {} s that Jenkins begins no builds{last}",
        ANSWER.as_secs()
    ))
    .hint("on the host: journalctl -u hostkit-guard; may its role call ssm:PutParameter?")
}

fn short(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
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
