//! What a rotation does next, from what stands in Parameter Store and nothing else. Pure.
//!
//! Three parameters have a part in it: the private key that controllers use, the list of public keys
//! that agents let in, and, while a rotation is under way, the key that will follow. So whoever is
//! killed between two steps is carried on by anybody who runs the same command, and two who run it at
//! the same time do the same.
//!
//! ```text
//!   .next    –        new      new      new      new      –
//!   list     old      old      old new  old new  new      new
//!   private  old      old      old      new      new      new
//! ```
//!
//! Between the second and the third list no agent may still have the first, and between the fourth
//! and the fifth no controller may still have the old private key: that takes two refreshes each.

use std::time::Duration;

use super::public::PublicKey;
use crate::error::Fault;

/// What the comment of a new key's line says of the key that it is to replace.
const MARK: &str = "replaces=";

/// How many refreshes are waited for: one may fail.
pub const REFRESHES: u32 = 2;

/// What stands in Parameter Store.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The public half of the private key.
    pub private: PublicKey,
    /// The public half of the key that is to follow it.
    pub next: Option<PublicKey>,
    /// The list of public keys.
    pub list: String,
    /// How long ago the list was written.
    pub list_age: Duration,
    /// How long ago the private key was written.
    pub private_age: Duration,
}

/// One step of a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Nothing is under way: the key that will follow is made.
    Make,
    /// The list becomes this one, with the new key.
    Add(String),
    /// Every agent must have read the list with the new key.
    AwaitAgents(Duration),
    /// The new private key takes the place of the old one.
    Replace,
    /// Every controller must have read the new private key.
    AwaitControllers(Duration),
    /// The list becomes this one, without the old key, which has this fingerprint.
    Remove(String, String),
    /// The key that followed is in its place: its parameter goes. `false`: the list does not tell
    /// which key was the old one, so it stays.
    Clear(bool),
}

impl Move {
    /// What it does, for people.
    pub fn title(&self) -> &'static str {
        match self {
            Self::Make => "making the new key",
            Self::Add(_) => "adding its public half to the list",
            Self::AwaitAgents(_) => "waiting until every agent lets the new key in",
            Self::Replace => "replacing the private key",
            Self::AwaitControllers(_) => "waiting until every controller uses the new key",
            Self::Remove(..) => "removing the old key from the list",
            Self::Clear(_) => "clearing up",
        }
    }

    /// A word for it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Make => "make",
            Self::Add(_) => "add",
            Self::AwaitAgents(_) => "agents",
            Self::Replace => "replace",
            Self::AwaitControllers(_) => "controllers",
            Self::Remove(..) => "remove",
            Self::Clear(_) => "clear",
        }
    }
}

/// What comes next, where hosts read their keys again every `refresh`.
pub fn next(seen: &Seen, refresh: Duration) -> Result<Move, Fault> {
    let patience = refresh * REFRESHES;
    let (private, lists) = (&seen.private, |key: &PublicKey| line_of(&seen.list, key).is_some());
    let Some(new) = &seen.next else {
        if lists(private) {
            return Ok(Move::Make);
        }
        let text = "no line of the list lets the private key in: the controller gets in nowhere";
        return Err(Fault::aws(text).hint(format!("add this line first: {}", private.line())));
    };
    if !new.is(private) {
        let old = private.fingerprint();
        let marked =
            line_of(&seen.list, new).is_some_and(|line| replaced(line.comment()) == Some(&old));
        if !marked {
            return Ok(Move::Add(with(&seen.list, new, Some(&old))));
        }
        let left = patience.saturating_sub(seen.list_age);
        return Ok(if left.is_zero() { Move::Replace } else { Move::AwaitAgents(left) });
    }
    let Some(line) = line_of(&seen.list, new) else {
        // Somebody took it away: at once again.
        return Ok(Move::Add(with(&seen.list, new, None)));
    };
    let Some(old) = replaced(line.comment()) else { return Ok(Move::Clear(false)) };
    let without = without(&seen.list, old);
    if without == seen.list {
        return Ok(Move::Clear(true));
    }
    let left = patience.saturating_sub(seen.private_age);
    if !left.is_zero() {
        return Ok(Move::AwaitControllers(left));
    }
    Ok(Move::Remove(without, old.to_owned()))
}

/// The line of `list` with this key.
fn line_of(list: &str, key: &PublicKey) -> Option<PublicKey> {
    list.lines().filter_map(|line| PublicKey::parse(line).ok()).find(|line| line.is(key))
}

/// The fingerprint of the key that a comment says to be replaced.
fn replaced(comment: &str) -> Option<&str> {
    comment.split_whitespace().find_map(|word| word.strip_prefix(MARK))
}

/// The list with the line of `new`, which replaces `old`. All other lines stay as they are.
fn with(list: &str, new: &PublicKey, old: Option<&str>) -> String {
    let others = list.lines().filter(|line| !PublicKey::parse(line).is_ok_and(|it| it.is(new)));
    let plain = new.comment().split_whitespace().filter(|word| !word.starts_with(MARK));
    let mark = old.map(|old| format!("{MARK}{old}"));
    let mut comment: Vec<_> = plain.map(str::to_owned).collect();
    if comment.is_empty() {
        comment.push("jenkins".to_owned());
    }
    comment.extend(mark);
    let line = new.clone().with_comment(comment.join(" ")).line();
    let lines: Vec<_> = others.map(str::trim_end).chain([line.as_str()]).collect();
    lines.join("\n")
}

/// The list without the key that has this fingerprint.
fn without(list: &str, fingerprint: &str) -> String {
    let stays =
        |line: &&str| PublicKey::parse(line).map_or(true, |key| key.fingerprint() != fingerprint);
    let all = list.lines().count();
    let lines: Vec<_> = list.lines().filter(stays).collect();
    if lines.len() == all { list.to_owned() } else { lines.join("\n") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REFRESH: Duration = Duration::from_mins(10);

    fn key(number: u8) -> PublicKey {
        let mut blob = vec![0, 0, 0, 11];
        blob.extend(b"ssh-ed25519");
        blob.extend([0, 0, 0, 32]);
        blob.extend([number; 32]);
        PublicKey::of_blob(blob).unwrap().with_comment(format!("key {number}"))
    }

    fn seen(private: u8, next: Option<u8>, list: &str) -> Seen {
        let age = Duration::from_hours(1);
        let next = next.map(key);
        Seen { private: key(private), next, list: list.to_owned(), list_age: age, private_age: age }
    }

    /// Does what a move does.
    fn done(seen: &Seen, step: &Move, new: u8) -> Seen {
        let mut seen = seen.clone();
        match step {
            Move::Make => seen.next = Some(key(new)),
            Move::Add(list) | Move::Remove(list, _) => {
                (seen.list, seen.list_age) = (list.clone(), Duration::ZERO);
            }
            Move::Replace => {
                (seen.private, seen.private_age) = (seen.next.clone().unwrap(), Duration::ZERO);
            }
            Move::Clear(_) => seen.next = None,
            Move::AwaitAgents(left) | Move::AwaitControllers(left) => {
                seen.list_age += *left;
                seen.private_age += *left;
            }
        }
        seen
    }

    #[test]
    fn a_rotation_takes_these_steps_and_leaves_what_others_have_in_the_list() {
        let other = key(9).line();
        let mut now = seen(1, None, &format!("# ours\n{}\nhm\n{other}\n", key(1).line()));
        let mut steps = Vec::new();
        loop {
            let step = next(&now, REFRESH).unwrap();
            steps.push(step.name());
            now = done(&now, &step, 2);
            if matches!(step, Move::Clear(_)) {
                break;
            }
        }
        let all = ["make", "add", "agents", "replace", "controllers", "remove", "clear"];
        assert_eq!(steps, all);
        let mark = format!("{} replaces={}", key(2).line(), key(1).fingerprint());
        assert_eq!(now.list, format!("# ours\nhm\n{other}\n{mark}"));
        assert!(now.private.is(&key(2)));
    }

    #[test]
    fn what_people_did_in_between_is_not_undone() {
        // The private key was exchanged by hand, for a third one.
        let old = format!("{}\n{}", key(3).line(), key(2).with_comment("replaces=SHA256:x").line());
        let Move::Add(list) = next(&seen(3, Some(2), &old), REFRESH).unwrap() else { panic!() };
        assert!(list.contains(&format!("replaces={}", key(3).fingerprint())), "{list}");
        // The mark is gone: nobody knows which key is old.
        let list = format!("{}\n{}", key(1).line(), key(2).line());
        assert_eq!(next(&seen(2, Some(2), &list), REFRESH).unwrap(), Move::Clear(false));
        // The new key's line is gone although it is in use.
        let step = next(&seen(2, Some(2), &key(1).line()), REFRESH).unwrap();
        assert!(matches!(step, Move::Add(_)), "{step:?}");
        let error = next(&seen(1, None, &key(9).line()), REFRESH).unwrap_err();
        assert!(error.hint_text().unwrap().contains(&key(1).line()));
    }

    /// What happens in one moment.
    const TICK: u64 = 20;

    /// A host that reads again every `REFRESH`, beginning at `phase`, in ticks.
    fn reads(now: u64, phase: u64) -> bool {
        now % REFRESH.as_secs() == phase * TICK
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// Agents and controllers read at any time within a refresh, and one reading of each in a row
        /// may fail; the rotation is killed and carried on at any time. At no second does an agent
        /// refuse a controller.
        #[test]
        fn no_login_is_ever_lost(
            phases in proptest::collection::vec(0_u64..30, 8),
            misses in proptest::collection::vec(any::<bool>(), 8),
            pauses in proptest::collection::vec(0_u64..40, 12),
        ) {
            let mut now = seen(1, None, &key(1).line());
            let mut agents = vec![now.list.clone(); 4];
            let mut controllers = vec![now.private.clone(); 4];
            let mut missed = [false; 8];
            let mut pauses = pauses.into_iter();
            let (mut wait, mut clear) = (0, false);
            for second in (0..9_000_u64).step_by(20) {
                now.list_age += Duration::from_secs(TICK);
                now.private_age += Duration::from_secs(TICK);
                if wait > 0 {
                    wait -= 1;
                } else if !clear {
                    let step = next(&now, REFRESH).unwrap();
                    clear = matches!(step, Move::Clear(_));
                    if !matches!(step, Move::AwaitAgents(_) | Move::AwaitControllers(_)) {
                        now = done(&now, &step, 2);
                        wait = pauses.next().unwrap_or(0);
                    }
                }
                for host in 0..8 {
                    if !reads(second, phases[host]) {
                        continue;
                    }
                    if misses[host] && !missed[host] {
                        missed[host] = true;
                    } else if host < 4 {
                        missed[host] = false;
                        agents[host] = now.list.clone();
                    } else {
                        missed[host] = false;
                        controllers[host - 4] = now.private.clone();
                    }
                }
                for (agent, controller) in agents.iter().zip(&controllers) {
                    prop_assert!(line_of(agent, controller).is_some(), "at {second} s");
                }
            }
            prop_assert!(clear && now.next.is_none());
        }
    }
}
