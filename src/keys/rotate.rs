//! Exchanges the key pair of the controllers while logins go on: [`super::rotation`] says what comes
//! next, and this does it.
//!
//! It keeps nothing between two steps, so it can be killed at any time and run again, by anybody.

use std::time::Duration;

use anyhow::Context as _;
use aws_config::SdkConfig;
use jiff::{SignedDuration, Timestamp};

use super::generate::Place;
use super::make::{self, Kind};
use super::next_of;
use super::private::PrivateKey;
use super::public::PublicKey;
use super::rotation::{self, Move, Seen};
use crate::aws::operator::fault;
use crate::aws::{clock, ssm};
use crate::error::Fault;
use crate::event::{Events, Outcome};

/// Between two looks at what others may have changed meanwhile.
const LOOK: Duration = Duration::from_secs(15);

/// What is rotated.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The pair.
    pub place: Place,
    /// What kind the new one is of.
    pub kind: Kind,
    /// How often hosts read their keys again: `keys.refresh` of host.toml.
    pub refresh: Duration,
}

/// What stands in Parameter Store, values and all.
struct Store {
    seen: Seen,
    next: Option<PrivateKey>,
}

/// What would be done from now on, for people. Nothing is changed.
pub async fn plan(config: &SdkConfig, rotation: &Rotation) -> anyhow::Result<Vec<String>> {
    let mut seen = look(config, &rotation.place).await?.seen;
    let (private, public) = (&rotation.place.private, &rotation.place.public);
    let mut lines = vec![format!("in use: {}", seen.private.fingerprint())];
    loop {
        let step = rotation::next(&seen, rotation.refresh)?;
        let new = seen.next.as_ref().map_or("a new key".into(), PublicKey::fingerprint);
        lines.push(match &step {
            Move::Make => {
                format!(
                    "make a key of the kind {:?}, kept in {} meanwhile",
                    rotation.kind,
                    next_of(private)
                )
            }
            Move::Add(_) => format!("add {new} to {public}"),
            Move::AwaitAgents(left) => {
                format!("wait {}: every agent reads {public} again", time(*left))
            }
            Move::Replace => format!("replace {private}"),
            Move::AwaitControllers(left) => {
                format!(
                    "wait {}: every controller reads {private} again, and Jenkins takes it",
                    time(*left)
                )
            }
            Move::Remove(_, old) => format!("remove {old} from {public}"),
            Move::Clear(_) => format!("remove {}", next_of(private)),
        });
        match step {
            // Of a key that is not made yet nothing is known.
            Move::Make => {
                let (left, old) =
                    (time(rotation.refresh * rotation::REFRESHES), seen.private.fingerprint());
                lines.push(format!("add its public half to {public}"));
                lines.push(format!("wait {left}: every agent reads {public} again"));
                lines.push(format!("replace {private}"));
                lines.push(format!(
                    "wait {left}: every controller reads {private} again, and Jenkins takes it"
                ));
                lines.push(format!("remove {old} from {public}, and {}", next_of(private)));
                return Ok(lines);
            }
            Move::Add(list) | Move::Remove(list, _) => {
                (seen.list, seen.list_age) = (list, Duration::ZERO);
            }
            Move::Replace => {
                seen.private = seen.next.clone().context("a key that follows was seen")?;
                seen.private_age = Duration::ZERO;
            }
            Move::AwaitAgents(left) | Move::AwaitControllers(left) => {
                seen.list_age += left;
                seen.private_age += left;
            }
            Move::Clear(_) => return Ok(lines),
        }
    }
}

/// Rotates to the end. Returns the fingerprint of the key that is in use then.
pub async fn rotate(
    config: &SdkConfig,
    rotation: &Rotation,
    events: &Events,
) -> anyhow::Result<String> {
    let mut told: Option<&'static str> = None;
    let mut followed: Option<PublicKey> = None;
    loop {
        let store = look(config, &rotation.place).await?;
        let step = rotation::next(&store.seen, rotation.refresh)?;
        let name = step.name();
        let used = &store.seen.private;
        if step == Move::Make && followed.as_ref().is_some_and(|key| key.is(used)) {
            // Somebody else did the last steps of the same rotation.
            return Ok(used.fingerprint());
        }
        followed = store.seen.next.clone().or(followed);
        if told != Some(name) {
            if let Some(before) = told.replace(name) {
                events.finished(before, Outcome::Changed, Duration::ZERO);
            }
            events.started(name, step.title());
            if let Move::AwaitAgents(left) | Move::AwaitControllers(left) = &step {
                events.log(name, until(*left));
            }
        }
        act(config, rotation, &store, &step).await?;
        if let Move::Clear(known) = step {
            if !known {
                let what =
                    "the list does not say which key the new one replaced: remove it by hand";
                events.log(name, what);
            }
            events.finished(name, Outcome::Changed, Duration::ZERO);
            return Ok(store.seen.private.fingerprint());
        }
    }
}

/// Does one step. Each is one call that changes one parameter.
async fn act(
    config: &SdkConfig,
    rotation: &Rotation,
    store: &Store,
    step: &Move,
) -> anyhow::Result<()> {
    let Place { private, public, .. } = &rotation.place;
    match step {
        Move::Make => {
            let comment = format!("jenkins-{}", Timestamp::now().strftime("%Y-%m-%d"));
            let pair = make::pair(rotation.kind, &comment).await?;
            let key = ssm::key_of(config, private).await.map_err(|it| fault(&it))?;
            let (name, kind) = (next_of(private), ssm::Kind::Secret(key.as_deref()));
            let about = format!("What will follow {private}: a rotation is under way");
            match ssm::create(config, &name, pair.private.text(), kind, &about).await {
                // Somebody else has begun in this moment: theirs is carried on.
                Err(failure) if failure.code() == Some("ParameterAlreadyExists") => {}
                made => made.map_err(|it| fault(&it))?,
            }
        }
        Move::Add(list) | Move::Remove(list, _) => {
            ssm::replace(config, public, list).await.map_err(|it| fault(&it))?;
        }
        Move::Replace => {
            let next = store.next.as_ref().context("a key that follows was seen")?;
            ssm::replace(config, private, next.text()).await.map_err(|it| fault(&it))?;
        }
        Move::AwaitAgents(left) | Move::AwaitControllers(left) => {
            tokio::time::sleep((*left).min(LOOK)).await;
        }
        Move::Clear(_) => {
            ssm::remove(config, &next_of(private)).await.map_err(|it| fault(&it))?;
        }
    }
    Ok(())
}

async fn look(config: &SdkConfig, place: &Place) -> anyhow::Result<Store> {
    let Place { private, public, .. } = place;
    let next = next_of(private);
    let found =
        ssm::parameters(config, &[private, public, &next]).await.map_err(|it| fault(&it))?;
    let now = clock::now(config).await.map_err(|it| fault(&it))?;
    let there = |name: &str| {
        found.values.parameter(name).ok_or_else(|| {
            Fault::aws(format!("the parameter `{name}` does not exist")).hint(
                "`hostkit keys generate` makes a pair; check --region, --private and --public",
            )
        })
    };
    let (used, list) = (there(private)?, there(public)?);
    let age = |written: Option<Timestamp>| {
        let age = written.map(|written| now.duration_since(written)).unwrap_or_default();
        Duration::try_from(age.max(SignedDuration::ZERO)).unwrap_or_default()
    };
    let following = match found.values.get(&next) {
        Some(value) => Some(read(&next, value)?),
        None => None,
    };
    let half = match &following {
        Some(key) => Some(half(&next, key).await?),
        None => None,
    };
    let seen = Seen {
        private: half_of(private, &used.value).await?,
        next: half,
        list: list.value.to_string(),
        list_age: age(list.written),
        private_age: age(used.written),
    };
    Ok(Store { seen, next: following })
}

async fn half_of(name: &str, value: &str) -> anyhow::Result<PublicKey> {
    half(name, &read(name, value)?).await
}

async fn half(name: &str, key: &PrivateKey) -> anyhow::Result<PublicKey> {
    make::half_of(key).await.with_context(|| format!("the parameter `{name}`"))
}

fn read(name: &str, value: &str) -> Result<PrivateKey, Fault> {
    PrivateKey::read(value)
        .map_err(|wrong| Fault::aws(format!("the parameter `{name}` {wrong}")).hint(wrong.hint()))
}

fn time(left: Duration) -> String {
    let seconds = left.as_secs_f64().ceil();
    if seconds < 120.0 {
        format!("{seconds} s")
    } else {
        format!("{:.0} min", (seconds / 60.0).ceil())
    }
}

fn until(left: Duration) -> String {
    let end = SignedDuration::try_from(left)
        .ok()
        .and_then(|left| Timestamp::now().checked_add(left).ok());
    let end = end.map_or_else(String::new, |end| end.strftime(", until %H:%M:%S UTC").to_string());
    format!("for {}{end}; Ctrl-C is safe, and the same command carries on", time(left))
}
