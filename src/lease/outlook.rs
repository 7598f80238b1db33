//! What a newcomer would do about a lease as it stands, and why.
//!
//! It is the real [`Claimant`] that decides: it is run ahead on what was observed, time is told to
//! pass, and nothing of what it wants is done.

use schemars::JsonSchema;
use serde::Serialize;

use super::claim::{Action, Claimant, Head, Manner, Observed};
use super::clerk::Shown;
use super::record::Holder;
use super::word::Word;

/// So many seconds are looked ahead beyond the patience of the newcomer.
const AHEAD: u32 = 60;

/// A newcomer that is more patient than this simply waits, as far as anybody can foresee.
const FORESEEABLE: u32 = 3600;

/// What a newcomer would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Outlook {
    /// Who: this host, or any other where this host is the holder.
    pub host: String,
    /// What.
    pub does: Does,
    /// After how many seconds.
    pub after: u32,
    /// Of `claim` and `hold`: the generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Why.
    pub why: String,
    /// What a person can do, where only a person can do something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The kinds of things that a newcomer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Does {
    /// It takes the home.
    Claim,
    /// It has the home already.
    Hold,
    /// It waits until AWS says that the holder is dead, or the holder gives the home up.
    Wait,
    /// It terminates the holder's instance, and then waits.
    Terminate,
    /// It does not start, whatever AWS says.
    Refuse,
}

/// Who the newcomer is that is asked about: this host where it waits for the home, and a host like
/// it where it holds the home itself.
pub fn newcomer(me: &Holder, is_holder: bool) -> Holder {
    if !is_holder {
        return me.clone();
    }
    let (instance_id, boot_id) = (Some("another host".to_owned()), "another boot".to_owned());
    Holder { instance_id, task: None, boot_id, ..me.clone() }
}

/// What must be known to look further ahead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ahead {
    /// What AWS says of this holder; its claim has this generation. The answer is
    /// [`Observed::Word`].
    Ask(Box<Holder>, u64),
    /// The claim of this generation. The answer is [`Observed::Claim`].
    Read(u64),
    /// Nothing: this is what the newcomer would do.
    Seen(Outlook),
}

/// A newcomer that is run ahead.
#[derive(Clone, Debug)]
pub struct Foresight {
    claimant: Claimant,
    head: Head,
    highest: Option<u64>,
    outlook: Outlook,
    /// What AWS said, by generation: it says the same as long as the future lasts.
    heard: Vec<(u64, Word)>,
    /// What was read, by generation, likewise.
    read: Vec<(u64, Option<Head>)>,
    passed: u32,
    horizon: u32,
}

impl Foresight {
    /// The newcomer `me` before what was `shown`.
    pub fn new(me: Holder, manner: Manner, shown: &Shown) -> Self {
        let outlook = Outlook {
            host: me.name().to_owned(),
            does: Does::Wait,
            after: 0,
            generation: None,
            why: String::new(),
            hint: None,
        };
        Self {
            horizon: manner.patience.min(FORESEEABLE).saturating_add(AHEAD),
            claimant: Claimant::new(me, manner, None),
            head: shown.head.clone(),
            highest: shown.highest,
            outlook,
            heard: Vec::new(),
            read: Vec::new(),
            passed: 0,
        }
    }

    /// Looks ahead until something must be known, or the end. For the first time, the answer is
    /// the head.
    pub fn next(&mut self, answer: Observed) -> Ahead {
        let mut observed = answer;
        loop {
            match (&observed, self.heard.last_mut(), self.read.last_mut()) {
                (Observed::Word(word), Some((_, known)), _) => known.clone_from(word),
                (Observed::Claim(claim), _, Some((_, known))) => known.clone_from(claim),
                _ => {}
            }
            observed = match self.claimant.next(observed) {
                Action::Look => Observed::Head(self.head.clone()),
                Action::Ask(holder, generation) => {
                    let known = self.heard.iter().position(|(of, _)| *of == generation);
                    let Some(known) = known else {
                        self.heard.push((generation, Word::Silent("not asked yet".to_owned())));
                        return Ahead::Ask(holder, generation);
                    };
                    // The last one is the one that is spoken of.
                    let known = self.heard.remove(known);
                    self.heard.push(known.clone());
                    Observed::Word(known.1)
                }
                Action::Claim(generation) if Some(generation) <= self.highest => Observed::Taken,
                Action::Claim(generation) => return self.ends(Does::Claim, Some(generation)),
                Action::ReadClaim(generation) => {
                    let Some(known) = self.read.iter().position(|(of, _)| *of == generation) else {
                        self.read.push((generation, None));
                        return Ahead::Read(generation);
                    };
                    let known = self.read.remove(known);
                    self.read.push(known.clone());
                    Observed::Claim(known.1)
                }
                Action::Announce(generation) | Action::Hold(generation) => {
                    return self.ends(Does::Hold, Some(generation));
                }
                Action::Terminate(_) => return self.ends(Does::Terminate, None),
                Action::Refuse(refusal) => {
                    self.outlook.why = refusal.why;
                    self.outlook.hint = Some(refusal.hint);
                    return self.ends(Does::Refuse, None);
                }
                Action::Wait(why) => {
                    if self.outlook.why.is_empty() {
                        self.outlook.why = why;
                    }
                    if self.passed >= self.horizon {
                        self.passed = 0;
                        return self.ends(Does::Wait, None);
                    }
                    self.passed += 1;
                    Observed::Elapsed
                }
            };
        }
    }

    /// The last holder that AWS was asked about, by the generation of its claim, and the answer.
    pub fn heard(&self) -> Option<&(u64, Word)> {
        self.heard.last()
    }

    fn ends(&mut self, does: Does, generation: Option<u64>) -> Ahead {
        let Outlook { host, why, hint, .. } = self.outlook.clone();
        Ahead::Seen(Outlook { host, does, after: self.passed, generation, why, hint })
    }
}

impl Outlook {
    /// In a sentence without its end.
    pub fn sentence(&self) -> String {
        let Self { host, does, after, generation, .. } = self;
        let generation = generation.unwrap_or_default();
        let when = if *after == 0 { "now".to_owned() } else { format!("after {after} s") };
        match does {
            Does::Claim => format!("{host} claims generation {generation} {when}"),
            Does::Hold => format!("{host} holds generation {generation} already"),
            Does::Wait => format!("{host} waits"),
            Does::Terminate => {
                format!("{host} terminates the holder {when}, and waits for its end")
            }
            Does::Refuse => format!("{host} does not start"),
        }
    }
}
