//! An operator breaks a lease: what is allowed, what it takes, and what is written.
//!
//! A break is a claim like any other, created exclusively: nobody else can have taken the
//! generation meanwhile. It says `released` and what the operator said, and the next host takes the
//! home as after a clean stop. Pure; the command carries it out.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use super::advice::{self, Advice};
use super::clerk::Shown;
use super::order::Order;
use super::record::{Broken, Holder, Record, State, VERSION, claim_file};
use super::stand::Stand;
use super::status::{Evidence, is_holder};
use super::word::Word;
use crate::error::Fault;

/// The longest reason, in characters.
const LONGEST: usize = 500;

/// What an operator says: one line, neither empty nor long. It stays in the record for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words(String);

impl FromStr for Words {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match text.chars().count() {
            0 => Err("it is empty".to_owned()),
            count if count > LONGEST => {
                Err(format!("it has {count} characters, and {LONGEST} are allowed"))
            }
            _ if text.contains(char::is_control) => Err("it must be a single line".to_owned()),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The generation that is to be broken.
    pub generation: u64,
    /// Why.
    pub reason: Words,
    /// How the operator knows that the holder is dead, where AWS does not say so.
    pub proof: Option<Words>,
    /// The operator, as the host knows them.
    pub by: String,
}

/// What there is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Course {
    /// The generation can be broken, if its holder is dead.
    Break(Breakable),
    /// An earlier break was written, and the head does not say so: only that is left.
    Finish(Box<Record>),
    /// It was broken already.
    Nothing(Box<Record>),
}

/// A generation that can be broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breakable {
    /// Which.
    pub generation: u64,
    /// Its claim, if that can be read.
    pub last: Option<Box<Record>>,
    /// Whether it is about another file system: what AWS says of its holder proves nothing then.
    pub is_copy: bool,
}

impl Course {
    /// What there is to do for `wish` on the host of `order`, where the lease stands as `shown`.
    ///
    /// # Errors
    /// The lease needs no break, or must not be broken here, or has moved on.
    pub fn find(order: &Order, shown: &Shown, wish: &Wish) -> Result<Self, Fault> {
        let stand = Stand::of(shown, &order.me.fs_id);
        if let Some(course) = repeated(&stand, shown, wish) {
            return Ok(course);
        }
        let breakable = match &stand {
            Stand::Free => {
                return Err(Fault::step(
                    "nobody has ever held this home: there is nothing to break",
                )
                .hint("`hostkit lease status` shows how it stands"));
            }
            Stand::Strange(found) => {
                return Err(Fault::step(format!(
                    "this file system is no home and not empty (it has `{found}`): \
                     a break is no answer to that"
                ))
                .hint("use an empty file system, or move an existing JENKINS_HOME in"));
            }
            Stand::Newer(file, version) => {
                return Err(Fault::step(format!(
                    "{file} has form {version}, written by a newer hostkit: \
                     this one does not know what it would break"
                ))
                .hint("boot an image whose hostkit is at least as new, and break it there"));
            }
            Stand::Claimed(record) => {
                moved(&stand, wish)?;
                of_claim(record, &stand, order)?
            }
            Stand::Copy(record) => {
                moved(&stand, wish)?;
                let (generation, last) = (record.generation, Some(record.clone()));
                Breakable { generation, last, is_copy: true }
            }
            Stand::Lost { generation, last, .. } => {
                moved(&stand, wish)?;
                if last.as_ref().is_some_and(|last| last.holder.is_same_boot(&order.me)) {
                    return Err(own(&order.me));
                }
                let is_copy = last.as_ref().is_some_and(|last| last.holder.fs_id != order.me.fs_id);
                Breakable { generation: *generation, last: last.clone(), is_copy }
            }
        };
        match breakable.generation.checked_add(1) {
            Some(_) => Ok(Self::Break(breakable)),
            None => Err(Fault::step("there is no generation after this one")
                .hint("no host has made so many claims: look at `.hostkit/lease` by hand")),
        }
    }
}

/// The same break was asked for before: by an operator whose connection was cut, or by two.
fn repeated(stand: &Stand, shown: &Shown, wish: &Wish) -> Option<Course> {
    let Stand::Claimed(last) = stand else { return None };
    let broken = last.broken.as_ref().filter(|_| last.state == State::Released)?;
    let same = [broken.generation, last.generation].contains(&wish.generation);
    let head = matches!(&shown.head, super::claim::Head::Record(head) if head == last);
    let course = if head { Course::Nothing } else { Course::Finish };
    same.then(|| course(last.clone()))
}

/// Refuses where the last claim is not the one that the operator looked at.
fn moved(stand: &Stand, wish: &Wish) -> Result<(), Fault> {
    let now = stand.generation();
    if now == wish.generation {
        return Ok(());
    }
    let who = stand.last().map_or_else(String::new, |last| {
        let verb = if last.state == State::Held { "held" } else { "released" };
        format!(", {verb} by {}", last.holder.name())
    });
    let wanted = wish.generation;
    Err(Fault::step(format!("generation {wanted} is not the last one: it is {now} now{who}"))
        .hint("look again with `hostkit lease status` before you break anything"))
}

fn of_claim(record: &Record, stand: &Stand, order: &Order) -> Result<Breakable, Fault> {
    let generation = record.generation;
    if is_holder(stand, &order.me) {
        return Err(own(&order.me));
    }
    if record.state == State::Released {
        return Err(Fault::step(format!(
            "generation {generation} is released: there is nothing to break"
        ))
        .hint("a host that waits takes it by itself: `systemctl status hostkit-lease`"));
    }
    if record.holder.is_same_host(&order.me) {
        return Err(Fault::step(format!(
            "generation {generation} was held by this very host before it was restarted: it takes \
             the home again without a break"
        ))
        .hint("systemctl restart hostkit-boot"));
    }
    Ok(Breakable { generation, last: Some(Box::new(record.clone())), is_copy: false })
}

fn own(me: &Holder) -> Fault {
    Fault::step(format!("this host, {}, holds the home itself", me.name())).hint(
        "`systemctl stop hostkit-lease` stops Jenkins and gives the home up; if that unit has failed \
         already, restart this host",
    )
}

impl Breakable {
    /// Whose death AWS can be asked about; none where nothing is known of the last holder, or where
    /// it is this very host before its restart.
    pub fn suspect(&self, me: &Holder) -> Option<&Holder> {
        let holder = &self.last.as_ref()?.holder;
        (!holder.is_same_host(me)).then_some(holder)
    }

    /// What is known of the last holder. `word` is what AWS says of the [`Self::suspect`].
    pub fn evidence(&self, me: &Holder, word: Option<&Word>) -> Evidence {
        let nothing = |says: String| Evidence { says, is_proof: false };
        let Some(last) = &self.last else {
            return nothing("nothing is known of the last holder".to_owned());
        };
        if let Some(broken) = last.broken.as_ref().filter(|_| !self.is_copy) {
            let says =
                format!("nobody has held generation {} after {}", last.generation, broken.by);
            return Evidence { says: says + " broke the one before", is_proof: true };
        }
        if self.is_copy {
            let said = word.map(|word| Evidence::new(me, &last.holder, word).says);
            let says = said.map(|says| format!("; {says}")).unwrap_or_default();
            let original = &last.holder.fs_id;
            return nothing(format!("the original, {original}, may have another controller{says}"));
        }
        match word {
            Some(word) => Evidence::new(me, &last.holder, word),
            None => Evidence {
                says: format!("{} is this host, which was restarted since", last.holder.name()),
                is_proof: true,
            },
        }
    }

    /// The claim that breaks it.
    ///
    /// # Errors
    /// The holder is not proven dead, and the operator does not vouch for it.
    pub fn claim(
        &self,
        order: &Order,
        wish: &Wish,
        evidence: Evidence,
        word: Option<&Word>,
        now: Timestamp,
    ) -> Result<Record, Fault> {
        if !evidence.is_proof && wish.proof.is_none() {
            return Err(self.unproven(&evidence, word));
        }
        Ok(Record {
            version: VERSION,
            generation: self.generation + 1,
            state: State::Released,
            holder: Holder { since: Some(now), ..order.me.clone() },
            broken: Some(Broken {
                generation: self.generation,
                reason: wish.reason.to_string(),
                proof: wish.proof.as_ref().map(Words::to_string),
                evidence: evidence.says,
                by: wish.by.clone(),
                at: now,
            }),
        })
    }

    /// The refusal, and what to do first.
    fn unproven(&self, evidence: &Evidence, word: Option<&Word>) -> Fault {
        let generation = self.generation;
        let says = &evidence.says;
        let Some(last) = self.last.as_ref().filter(|_| !self.is_copy) else {
            let what = if self.is_copy {
                "make sure that nothing serves the original, or ever will while this runs"
            } else {
                "find out who serves this home, and see that its machine is terminated"
            };
            return Fault::step(format!("generation {generation} is not broken: {says}")).hint(
                format!("{what}; then say how you know it: --i-have-proof TEXT (it is recorded)"),
            );
        };
        let hint = first(&last.holder, word)
            + "\nOnly if you know in another way that it is dead: --i-have-proof TEXT, which is \
               recorded";
        Fault::step(format!("generation {generation} is not broken: {says}")).hint(hint)
    }
}

/// What to do before anything is broken.
fn first(holder: &Holder, word: Option<&Word>) -> String {
    let ends = "once AWS says that it is gone, a host that waits goes on by itself";
    let advice = word.and_then(|word| advice::against(holder, word));
    if let Some(Word::Instance(_) | Word::Task { .. }) = word {
        return match advice {
            Some(Advice { purpose, command }) => {
                format!("{purpose}, so that nothing has to be broken:\n  {command}\n{ends}")
            }
            None => format!("it is being terminated: wait; {ends}"),
        };
    }
    let command = advice.map(|advice| advice.command).unwrap_or_default();
    format!("ask from where AWS can be reached, as {}:\n  {command}", holder.account)
}

/// A break in a line, for the journal.
pub fn line(record: &Record) -> String {
    let Some(Broken { generation, reason, proof, evidence, by, .. }) = &record.broken else {
        return format!("lease: generation {} is no break", record.generation);
    };
    let proof = proof.as_ref().map(|proof| format!("; proof: {proof}")).unwrap_or_default();
    format!(
        "lease: generation {generation} was broken by {by}; reason: {reason}{proof}; {evidence}"
    )
}

/// What comes after a break, for people.
pub fn next(order: &Order, record: &Record, mark: Option<&str>, old: Option<&Holder>) -> String {
    let file = claim_file(record.generation);
    let mut out = format!("generation {} is recorded in {file}: `released`\n\n", record.generation);
    let next = record.generation + 1;
    out += &format!(
        "What comes next: a host that waits claims generation {next} within seconds and starts \
         Jenkins.\n   journalctl -fu hostkit-lease      # watches it on this host\n   systemctl \
         restart hostkit-boot   # has this host wait again, if it has given up\n"
    );
    if let Some(old) = old {
        out += &format!(
            "If {} is alive after all, it reads generation {} within 5 s of waking up and kills \
             its Jenkins.\nUntil then it may write: terminate it all the same.\n",
            old.name(),
            record.generation
        );
    }
    if let Some(mark) = mark.filter(|mark| *mark != order.me.fs_id) {
        let Order { mount_point, me, .. } = order;
        out += &format!(
            "\nThe boot will stop at `home`: {mount_point}/.hostkit/fs-id still says {mark}. If this \
             file system is\nto be the home from now on:\n   echo {} > {mount_point}/.hostkit/fs-id\n",
            me.fs_id
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::error;
    use crate::lease::claim::Head;
    use crate::lease::scene::{OLD, SERVER, at, held, holder, order, record, says, shown};
    use crate::lease::word::InstanceState;

    fn wish(generation: u64, proof: Option<&str>) -> Wish {
        Wish {
            generation,
            reason: "zone b is down".parse().unwrap(),
            proof: proof.map(|text| text.parse().unwrap()),
            by: "alice on i-0bbbbbbbbbbbbbbbb".to_owned(),
        }
    }

    /// The whole way without the file system and AWS.
    fn broken(order: &Order, shown: &Shown, wish: &Wish, word: &Word) -> Result<Record, Fault> {
        let Course::Break(breakable) = Course::find(order, shown, wish)? else {
            panic!("there is something to break");
        };
        let word = breakable.suspect(&order.me).map(|_| word);
        let evidence = breakable.evidence(&order.me, word);
        breakable.claim(order, wish, evidence, word, at(SERVER))
    }

    fn of_another_file_system() -> Shown {
        let mut copy = record(7, State::Released, OLD);
        copy.holder.fs_id = "fs-0fedcba9876543210".to_owned();
        let head = Head::Record(Box::new(copy));
        Shown { mark: Some("fs-0fedcba9876543210".to_owned()), ..shown(head) }
    }

    #[test]
    fn what_is_not_broken_and_why() {
        let running = says(InstanceState::Running);
        let released = shown(Head::Record(Box::new(record(7, State::Released, OLD))));
        let gone = Shown { highest: None, ..shown(Head::Gone) };
        let own = Order { me: holder(OLD), ..order() };
        let restarted = Holder { boot_id: "another".to_owned(), ..holder(OLD) };
        let restarted = Order { me: restarted, ..order() };
        let newer = shown(Head::Newer { version: 2, generation: None });
        let cases = [
            ("running", order(), held(), 7, running.clone()),
            ("being terminated", order(), held(), 7, says(InstanceState::ShuttingDown)),
            ("silence", order(), held(), 7, Word::Silent("timed out".to_owned())),
            ("refusal", order(), held(), 7, Word::Denied("no permission".to_owned())),
            ("moved", order(), held(), 6, running.clone()),
            ("released", order(), released, 7, running.clone()),
            ("own", own, held(), 7, running.clone()),
            ("own before its restart", restarted, held(), 7, running.clone()),
            (
                "a copy, and what EC2 says is of no use",
                order(),
                of_another_file_system(),
                7,
                says(InstanceState::Terminated),
            ),
            ("gone", order(), gone.clone(), 0, running.clone()),
            ("gone, and another number", order(), gone, 7, running.clone()),
            ("newer", order(), newer, 7, running.clone()),
            ("free", order(), Shown { highest: None, ..shown(Head::New) }, 0, running.clone()),
            ("strange", order(), shown(Head::Strange("www".to_owned())), 0, running),
        ];
        let mut out = String::new();
        for (name, order, shown, generation, word) in cases {
            let refusal = broken(&order, &shown, &wish(generation, None), &word).unwrap_err();
            let error = anyhow::Error::from(refusal);
            assert_eq!(error::blame(&error).exit_code(), 5, "{name}");
            let _ = writeln!(out, "=== {name}\n{}", error::render(&error));
        }
        insta::assert_snapshot!(out);
    }

    #[test]
    fn a_proof_is_enough_whoever_gives_it() {
        let by_ec2 = broken(&order(), &held(), &wish(7, None), &says(InstanceState::Terminated));
        let by_ec2 = by_ec2.unwrap();
        let told = by_ec2.broken.as_ref().unwrap();
        assert_eq!(
            (by_ec2.generation, by_ec2.state, told.proof.as_deref()),
            (8, State::Released, None)
        );
        assert_eq!(told.evidence, format!("EC2 says that {OLD} is terminated"));

        let by_person = wish(7, Some("I pulled the plug"));
        let word = says(InstanceState::Running);
        insta::assert_snapshot!(super::super::record::text(
            &broken(&order(), &held(), &by_person, &word).unwrap()
        ));
    }

    #[test]
    fn a_copy_and_a_lost_head_take_a_persons_word_and_get_this_file_systems_id() {
        let word = says(InstanceState::Terminated);
        let sure = wish(7, Some("the original was deleted"));
        let copy = broken(&order(), &of_another_file_system(), &sure, &word).unwrap();
        assert_eq!((copy.generation, copy.holder.fs_id), (8, order().me.fs_id));

        let gone = Shown { highest: None, ..shown(Head::Gone) };
        let sure = wish(0, Some("I deleted the folder myself"));
        assert_eq!(broken(&order(), &gone, &sure, &word).unwrap().generation, 1);
    }

    #[test]
    fn a_lost_head_is_mended_where_the_last_claim_tells_who_is_dead() {
        let last = Some(Head::Record(Box::new(record(7, State::Held, OLD))));
        let torn = Shown { beyond: last, ..shown(Head::Garbage("torn".to_owned())) };
        let dead = says(InstanceState::Terminated);
        assert_eq!(broken(&order(), &torn, &wish(7, None), &dead).unwrap().generation, 8);
        broken(&order(), &torn, &wish(7, None), &says(InstanceState::Running)).unwrap_err();
    }

    #[test]
    fn the_same_break_again_finishes_what_was_begun() {
        let once = broken(&order(), &held(), &wish(7, None), &says(InstanceState::Terminated));
        let once = Box::new(once.unwrap());
        let claimed =
            Shown { highest: Some(8), beyond: Some(Head::Record(once.clone())), ..held() };
        let again = Course::find(&order(), &claimed, &wish(7, None)).unwrap();
        assert_eq!(again, Course::Finish(once.clone()));
        let done = Shown { highest: Some(8), ..shown(Head::Record(once.clone())) };
        let again = Course::find(&order(), &done, &wish(7, None)).unwrap();
        assert_eq!(again, Course::Nothing(once));
        let other = Course::find(&order(), &done, &wish(6, None)).unwrap_err();
        assert!(other.to_string().contains("it is 8 now"), "{other}");
    }

    #[test]
    fn a_reason_is_one_short_line() {
        for bad in ["", "  \t", "two\nlines", &"x".repeat(501), "bell\u{7}"] {
            bad.parse::<Words>().unwrap_err();
        }
        assert_eq!(" zone b ".parse::<Words>().unwrap().to_string(), "zone b");
        "ä".repeat(500).parse::<Words>().unwrap();
    }

    #[test]
    fn what_comes_next_reads_like_this() {
        let sure = wish(7, Some("the original was deleted"));
        let copy = of_another_file_system();
        let word = says(InstanceState::Terminated);
        let mended = broken(&order(), &copy, &sure, &word).unwrap();
        let broken = broken(&order(), &held(), &sure, &word).unwrap();
        insta::assert_snapshot!(format!(
            "{}\n=== a copy\n{}",
            next(&order(), &broken, None, Some(&holder(OLD))),
            next(&order(), &mended, copy.mark.as_deref(), None)
        ));
    }
}
