//! Who holds the home, since when, and whether that host lives: as `hostkit lease status` sees it.

use serde::{Deserialize, Serialize};

use crate::doctor::efs::inside;
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};
use crate::error::Fault;
use crate::lease::order::Order;
use crate::lease::outlook::Does;
use crate::lease::status::{Standing, Status};
use crate::lease::visit::Visit;

/// The holder writes a heartbeat every ten seconds; one that is older was missed several times.
const OLD_BEAT: u64 = 60;

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// How it stands.
    Stands(Box<Stands>),
    /// It could not be read: why, and what may help.
    Unreadable(String, String),
}

/// How a lease stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stands {
    /// Whether somebody may be writing.
    pub held: bool,
    /// What a person must look at, and what to do: the record cannot be trusted.
    pub unclear: Option<(String, String)>,
    /// This host.
    pub host: String,
    /// Whether this host, in this boot, is the holder.
    pub mine: bool,
    /// The generation of the last claim.
    pub generation: Option<u64>,
    /// Whether the head says so, too.
    pub announced: bool,
    /// Who made the last claim.
    pub holder: Option<String>,
    /// How old the last claim is, in seconds.
    pub age: Option<u64>,
    /// The generation of the last heartbeat, and how old that is, in seconds.
    pub beat: Option<(u64, u64)>,
    /// What AWS says of the holder, and whether that proves that it is dead.
    pub word: Option<(String, bool)>,
    /// What a host that wants the home would do now, and why.
    pub newcomer: String,
    /// What would help, and the command.
    pub advice: Option<(String, String)>,
    /// What is odd beside that.
    pub warnings: Vec<String>,
}

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    inside::controller(scene)?;
    let order = Order::find(scene.root).await.map_err(|fault| Gap {
        needs: String::new(),
        denied: false,
        why: fault.to_string(),
    })?;
    let mut visit = Visit::new(&order, scene.runner.clone()).on(scene.ground);
    Ok(match visit.status().await {
        Ok(status) => Seen::Stands(Box::new(Stands::of(status))),
        Err(fault) => {
            let hint = Fault::hint_text(&fault).unwrap_or("hostkit lease status").to_owned();
            Seen::Unreadable(fault.to_string(), hint)
        }
    })
}

impl Stands {
    fn of(status: Status) -> Self {
        let does = match status.newcomer.does {
            Does::Claim => "takes it",
            Does::Hold => "has it",
            Does::Wait => "waits",
            Does::Terminate => "terminates the holder",
            Does::Refuse => "does not start",
        };
        let unclear = (status.state == Standing::Unclear).then(|| {
            let odd = ("the record cannot be trusted".to_owned(), "docs/lease.md".to_owned());
            status.problem.map_or(odd, |problem| (problem.why, problem.hint))
        });
        Self {
            held: status.state == Standing::Held,
            unclear,
            host: status.host,
            mine: status.is_holder,
            generation: status.generation,
            announced: status.announced,
            holder: status.holder.as_ref().map(|holder| holder.name().to_owned()),
            age: status.age,
            beat: status.heartbeat.map(|beat| (beat.generation, beat.age)),
            word: status.evidence.map(|evidence| (evidence.says, evidence.is_proof)),
            newcomer: format!("{} {does}: {}", status.newcomer.host, status.newcomer.why),
            advice: status.advice.map(|advice| (advice.purpose, advice.command)),
            warnings: status.warnings,
        }
    }
}

/// Says what it means.
pub fn judge(seen: &Seen, _case: &Case<'_>) -> Finding {
    match seen {
        Seen::Unreadable(why, hint) => finding(Verdict::Fail, why.clone()).mended_by(hint),
        Seen::Stands(stands) => {
            let found = stand(stands);
            if found.verdict == Verdict::Pass && stands.warnings.is_empty() {
                return found;
            }
            shown(found, stands)
        }
    }
}

fn finding(verdict: Verdict, says: impl Into<String>) -> Finding {
    Finding::new(Id::Lease.name(), verdict, says)
}

fn stand(stands: &Stands) -> Finding {
    let generation = stands.generation.unwrap_or_default();
    let holder = stands.holder.as_deref().unwrap_or("nobody known");
    if let Some((why, hint)) = &stands.unclear {
        let found = finding(Verdict::Fail, format!("who holds the home is not clear: {why}"));
        return found.mended_by(hint).mended_by("hostkit lease status");
    }
    if !stands.held {
        let says = match stands.generation {
            Some(_) => format!("nobody holds the home: {holder} gave generation {generation} up"),
            None => "nobody has ever held the home".to_owned(),
        };
        return finding(Verdict::Warn, says).mended_by("systemctl restart hostkit-boot");
    }
    if stands.mine {
        return mine(stands, generation);
    }
    let (says, is_dead) = stands.word.clone().unwrap_or_default();
    if is_dead {
        let says = format!("{holder} holds the home, is dead, and has not given it up: {says}");
        return finding(Verdict::Fail, says)
            .mended_by("the boot of this host takes it over by itself:")
            .mended_by("systemctl restart hostkit-boot");
    }
    finding(Verdict::Fail, format!("another host holds the home and may live: {holder}"))
        .mended_by("hostkit lease status")
}

fn mine(stands: &Stands, generation: u64) -> Finding {
    let watch = "systemctl status hostkit-lease; journalctl -u hostkit-lease -b";
    if !stands.announced {
        let says = format!(
            "this host has claimed generation {generation}, and the head still says another: two claims"
        );
        return finding(Verdict::Fail, says).mended_by("hostkit lease status").mended_by(watch);
    }
    match stands.beat {
        Some((of, age)) if of == generation && age <= OLD_BEAT => {
            let says = format!(
                "this host holds generation {generation}; its last heartbeat is {age} s old"
            );
            let verdict = if stands.warnings.is_empty() { Verdict::Pass } else { Verdict::Warn };
            finding(verdict, says)
        }
        Some((of, age)) if of == generation => {
            let says = format!("this host holds the home, and its last heartbeat is {age} s old");
            finding(Verdict::Warn, says).mended_by(watch)
        }
        _ => {
            let says =
                format!("this host holds generation {generation}, and has no heartbeat of it");
            finding(Verdict::Warn, says).mended_by(watch)
        }
    }
}

fn shown(found: Finding, stands: &Stands) -> Finding {
    let generation = stands.generation.map(|generation| {
        let holder = stands.holder.as_deref().unwrap_or("-");
        let age = stands.age.map(|age| format!(", claimed {age} s ago")).unwrap_or_default();
        format!("generation {generation} of {holder}{age}; this host is {}", stands.host)
    });
    let beat = stands.beat.map(|(of, age)| format!("heartbeat of generation {of}, {age} s old"));
    let word = stands.word.as_ref().map(|(says, _)| format!("AWS: {says}"));
    let newcomer = format!("who wants it: {}", stands.newcomer);
    let lines = generation.into_iter().chain(beat).chain(word).chain([newcomer]);
    let found = lines.chain(stands.warnings.iter().cloned()).fold(found, Finding::shown_by);
    match &stands.advice {
        Some((purpose, command)) => found.mended_by(format!("{purpose}: {command}")),
        None => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::efs::home::sample::{Setting, case};
    use crate::doctor::efs::inside::sample::home;
    use crate::doctor::render;
    use crate::lease::claim::Head;
    use crate::lease::clerk::{Answer, Clerk, Request};
    use crate::lease::ground::Ground;
    use crate::lease::record::State;
    use crate::lease::scene::{OLD, order, record};
    use crate::sys::dialogue::Reply;
    use crate::sys::runner::Script;

    /// A host whose clerk works on a folder, and that cannot ask AWS.
    fn setting() -> Setting {
        let script = Script::default().converse("hostkit inner clerk --anywhere", |_| {
            let mut clerk = Clerk::new(Ground::Any);
            Box::new(move |line| Reply::Line(clerk.answer_line(line)))
        });
        let setting = Setting::with(home(), script);
        let order = Order { mount_point: setting.tree.top().to_owned(), ..order() };
        setting.tree.put(".hostkit/fs-id", &format!("{}\n", order.me.fs_id));
        setting
            .machine
            .put("run/hostkit/lease/order.json", &serde_json::to_string(&order).unwrap());
        setting
    }

    #[tokio::test]
    async fn it_is_read_from_the_file_system() {
        let setting = setting();
        let seen = look(&setting.scene()).await.unwrap();
        let Seen::Stands(stands) = &seen else { panic!("{seen:?}") };
        assert_eq!((stands.held, stands.generation), (false, None));
        let mut clerk = Clerk::new(Ground::Any);
        let (mount_point, fs_id) = (setting.tree.top().to_owned(), order().me.fs_id);
        assert_eq!(clerk.answer(&Request::Open { mount_point, fs_id }), Answer::Done);
        let claim = Request::Claim(Box::new(record(1, State::Held, OLD)));
        assert_eq!(clerk.answer(&claim), Answer::Claimed);
        assert_eq!(clerk.answer(&Request::Announce), Answer::Done);
        assert!(matches!(clerk.answer(&Request::Look), Answer::Head(Head::Record(_))));
        let seen = look(&setting.scene()).await.unwrap();
        let Seen::Stands(stands) = &seen else { panic!("{seen:?}") };
        assert_eq!((stands.held, stands.mine, stands.generation), (true, false, Some(1)));
        assert_eq!(judge(&seen, &setting.case()).verdict, Verdict::Fail);
        setting.tree.put(".hostkit/lease/head", "garbage");
        let seen = look(&setting.scene()).await.unwrap();
        let told = setting.told(&judge(&seen, &setting.case()));
        assert!(told.starts_with("fail  home.lease  who holds the home is not clear"), "{told}");
    }

    #[tokio::test]
    async fn without_an_order_it_cannot_be_told() {
        let setting = Setting::on(home());
        let why = look(&setting.scene()).await.unwrap_err().why;
        assert!(why.contains("hostkit has not booted this machine"), "{why}");
    }

    #[test]
    fn each_way_in_which_it_stands_is_told() {
        let good = Stands {
            held: true,
            host: "i-0aaaaaaaaaaaaaaaa".to_owned(),
            mine: true,
            generation: Some(42),
            announced: true,
            holder: Some("i-0aaaaaaaaaaaaaaaa".to_owned()),
            age: Some(86_400),
            beat: Some((42, 4)),
            newcomer: "another host waits: i-0aaaaaaaaaaaaaaaa is running".to_owned(),
            ..Stands::default()
        };
        let other = Stands {
            mine: false,
            holder: Some("i-0bbbbbbbbbbbbbbbb".to_owned()),
            beat: Some((42, 4000)),
            word: Some(("EC2 says that it is running".to_owned(), false)),
            advice: Some((
                "to end it".to_owned(),
                "aws ec2 terminate-instances --region eu-west-1 --instance-ids i-0bbbbbbbbbbbbbbbb"
                    .to_owned(),
            )),
            ..good.clone()
        };
        let dead = Stands {
            word: Some(("EC2 says that it is terminated".to_owned(), true)),
            advice: None,
            ..other.clone()
        };
        let unclear = Stands {
            held: false,
            unclear: Some(("the head cannot be trusted".into(), "read docs/lease.md".into())),
            advice: Some((
                "to break it".to_owned(),
                "hostkit lease break --generation 42 --reason TEXT".to_owned(),
            )),
            ..other.clone()
        };
        let all = [
            Stands { beat: Some((42, 300)), ..good.clone() },
            Stands { beat: None, ..good.clone() },
            Stands { announced: false, ..good.clone() },
            Stands { warnings: vec!["the clocks differ by 90 s".to_owned()], ..good.clone() },
            Stands { held: false, mine: false, ..good.clone() },
            Stands { held: false, mine: false, generation: None, holder: None, ..good.clone() },
            other,
            dead,
            unclear,
        ];
        let mut told =
            vec![render(&[case(|case| judge(&Seen::Stands(Box::new(good.clone())), case))])];
        told.extend(
            all.into_iter()
                .map(|it| render(&[case(|case| judge(&Seen::Stands(Box::new(it.clone())), case))])),
        );
        let hang = Seen::Unreadable(
            "the lease cannot be looked at: the file system did not answer within 8 s".to_owned(),
            "the mount hangs".to_owned(),
        );
        told.push(render(&[case(|case| judge(&hang, case))]));
        insta::assert_snapshot!(told.join("\n"));
    }
}
