//! A file that says what is to go wrong: the conditions of an account, and its disturbances.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use jiff::SignedDuration;
use serde::Deserialize;

use super::conditions::Conditions;
use super::disturbance::{Disturbance, Kind, When};
use super::service::Service;
use super::shortage::Shortage;
use crate::error::Fault;

const HINT: &str = "docs/rehearsal.md has an example";

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct File {
    puts_per_second: Option<u32>,
    appears_after: Option<SignedDuration>,
    unseen_for: Option<SignedDuration>,
    unwell_for: Option<SignedDuration>,
    clock_ahead: Option<SignedDuration>,
    pending_snapshots: Option<usize>,
    impatience: Option<f64>,
    fault: Vec<Entry>,
    shortage: Vec<Shortage>,
}

/// One `[[fault]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Entry {
    service: Option<Service>,
    action: Option<String>,
    region: Option<String>,
    caller: Option<String>,
    block: Option<u32>,
    next: Option<u64>,
    from: Option<u64>,
    chance: Option<f64>,
    #[serde(default)]
    seed: u64,
    does: Does,
    after: Option<SignedDuration>,
    bytes: Option<u64>,
}

/// How it goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Does {
    Throttled,
    Unavailable,
    InternalError,
    Denied,
    Closed,
    ClosedAfter,
    Silent,
    AnswerLost,
    Slow,
    Stale,
    Fails,
}

/// What is to go wrong.
#[derive(Clone, Debug)]
pub struct Faults {
    /// How the whole account is.
    pub conditions: Conditions,
    /// What happens to requests.
    pub disturbances: Vec<Disturbance>,
    /// What instances cannot be had.
    pub shortages: Vec<Shortage>,
}

/// What a file says, on top of `conditions`.
pub fn load(path: &Path, conditions: &Conditions) -> anyhow::Result<Faults> {
    let text = std::fs::read_to_string(path)
        .with_context(|| Fault::usage(format!("reading the faults in {}", path.display())))?;
    parse(&text, conditions).with_context(|| {
        Fault::recipe(format!("{} does not say what is to go wrong", path.display())).hint(HINT)
    })
}

fn parse(text: &str, conditions: &Conditions) -> anyhow::Result<Faults> {
    let file: File = toml::from_str(text)?;
    let faults = file.fault.iter().map(Entry::disturbance).collect::<anyhow::Result<_>>()?;
    if file.puts_per_second == Some(0) {
        anyhow::bail!("`puts-per-second` must be above 0");
    }
    if file.impatience.is_some_and(|factor| !(factor.is_finite() && factor > 0.0)) {
        anyhow::bail!("`impatience` must be above 0");
    }
    let time =
        |wanted: Option<SignedDuration>, otherwise: Duration| wanted.map_or(Ok(otherwise), length);
    let conditions = Conditions {
        puts_per_second: file.puts_per_second.unwrap_or(conditions.puts_per_second),
        appears_after: time(file.appears_after, conditions.appears_after)?,
        unseen_for: time(file.unseen_for, conditions.unseen_for)?,
        unwell_for: time(file.unwell_for, conditions.unwell_for)?,
        clock_ahead: file.clock_ahead.unwrap_or(conditions.clock_ahead),
        pending_snapshots: file.pending_snapshots.unwrap_or(conditions.pending_snapshots),
        impatience: file.impatience.unwrap_or(conditions.impatience),
        ..conditions.clone()
    };
    Ok(Faults { conditions, disturbances: faults, shortages: file.shortage })
}

fn length(time: SignedDuration) -> anyhow::Result<Duration> {
    Duration::try_from(time).context("a time cannot be negative here")
}

impl Entry {
    fn disturbance(&self) -> anyhow::Result<Disturbance> {
        Ok(Disturbance {
            service: self.service,
            action: self.action.clone(),
            region: self.region.clone(),
            caller: self.caller.clone(),
            block: self.block,
            when: self.when()?,
            kind: self.kind()?,
            seen: 0,
        })
    }

    fn when(&self) -> anyhow::Result<When> {
        Ok(match (self.next, self.from, self.chance) {
            (None, None, None) => When::Always,
            (Some(next), None, None) => When::Next(next),
            (None, Some(from), None) => When::From(from),
            (None, None, Some(chance)) if (0.0..=1.0).contains(&chance) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "0 to 1"
                )]
                let per_million = (chance * 1e6) as u32;
                When::Chance { per_million, seed: self.seed }
            }
            (None, None, Some(_)) => anyhow::bail!("`chance` must be from 0 to 1"),
            _ => anyhow::bail!("a fault has one of `next`, `from` and `chance`"),
        })
    }

    fn kind(&self) -> anyhow::Result<Kind> {
        let after = || length(self.after.context("a fault of this kind needs `after`")?);
        Ok(match self.does {
            Does::Throttled => Kind::Throttled,
            Does::Unavailable => Kind::Unavailable,
            Does::InternalError => Kind::InternalError,
            Does::Denied => Kind::Denied,
            Does::Closed => Kind::Closed,
            Does::ClosedAfter => {
                Kind::ClosedAfter(self.bytes.context("a fault of this kind needs `bytes`")?)
            }
            Does::Silent => Kind::Silent,
            Does::AnswerLost => Kind::AnswerLost,
            Does::Slow => Kind::Slow(after()?),
            Does::Stale => Kind::Stale(after()?),
            Does::Fails => Kind::Fails,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_is_to_go_wrong() {
        let text = r#"
            puts-per-second = 200
            appears-after = "2s"
            clock-ahead = "-20m"
            [[fault]]
            service = "ebs"
            action = "PutSnapshotBlock"
            block = 100
            next = 3
            does = "closed-after"
            bytes = 1000
            [[fault]]
            service = "ec2"
            region = "us-west-2"
            chance = 0.25
            seed = 7
            does = "slow"
            after = "1500ms"
        "#;
        let Faults { conditions, disturbances: faults, shortages } =
            parse(text, &Conditions::default()).unwrap();
        assert!(shortages.is_empty());
        assert_eq!(conditions.puts_per_second, 200);
        assert_eq!(conditions.appears_after, Duration::from_secs(2));
        assert_eq!(conditions.clock_ahead, SignedDuration::from_mins(-20));
        assert_eq!(faults[0].kind, Kind::ClosedAfter(1000));
        assert_eq!((faults[0].block, faults[0].when), (Some(100), When::Next(3)));
        assert_eq!(faults[1].kind, Kind::Slow(Duration::from_millis(1500)));
        assert_eq!(faults[1].when, When::Chance { per_million: 250_000, seed: 7 });
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |text: &str, why: &str| {
            let error = parse(text, &Conditions::default()).unwrap_err();
            assert!(format!("{error:#}").contains(why), "{error:#}");
        };
        refused("speed = 3", "unknown field `speed`");
        refused("puts-per-second = 0", "above 0");
        refused("appears-after = '-1s'", "negative");
        refused("[[fault]]\ndoes = 'slow'", "needs `after`");
        refused("[[fault]]\ndoes = 'closed'\nnext = 1\nfrom = 2", "one of");
        refused("[[fault]]\ndoes = 'closed'\nchance = 2", "from 0 to 1");
        refused("[[fault]]\ndoes = 'explodes'", "unknown variant");
        refused("[[fault]]\ndoes = 'closed'\nservice = 's3'", "unknown variant");
    }
}
