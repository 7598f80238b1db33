//! How far this clock is off AWS's.
//!
//! AWS refuses signatures of another time, and with them every call and every encrypted mount with
//! IAM. The date that comes with an answer is right to the second, which is enough here.

use std::fs;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::aws::clock;
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Who told the time.
    pub from: Source,
    /// What it is there.
    pub there: Timestamp,
    /// What it was here in the middle of the question.
    pub here: Timestamp,
    /// How long question and answer took, in milliseconds: half of it is uncertain.
    pub took: u64,
    /// The file that names the time service of AWS, 169.254.169.123.
    pub amazon: Option<String>,
    /// Whether somebody has set the clock by another one since the start of the machine.
    pub synchronized: bool,
}

/// Who told the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// AWS, with an answer of STS.
    Aws,
    /// The metadata service.
    Metadata,
}

/// Each of them is asked for so long.
const PATIENCE: Duration = Duration::from_millis(2500);

/// AWS refuses what is further off.
const REFUSED: SignedDuration = SignedDuration::from_mins(5);
/// No clock that anybody sets is so far off.
const ODD: SignedDuration = SignedDuration::from_secs(30);

/// The time service of AWS, which every instance reaches.
const AMAZON: &str = "169.254.169.123";

/// Where those who set the clock are told by whom. A name without an ending is a folder.
const SETTERS: [&str; 8] = [
    "/etc/chrony.conf",
    "/etc/chrony/chrony.conf",
    "/etc/chrony.d",
    "/etc/chrony/sources.d",
    "/etc/chrony/conf.d",
    "/etc/systemd/timesyncd.conf",
    "/etc/systemd/timesyncd.conf.d",
    "/usr/lib/systemd/timesyncd.conf.d",
];

/// What is there once systemd-timesyncd or chrony-wait has set the clock.
const SET: [&str; 2] = ["/run/systemd/timesync/synchronized", "/run/chrony/chronyd.pid"];

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let asked = Timestamp::now();
    let mut why = "nobody tells the time".to_owned();
    if let Ok(config) = scene.aws() {
        match tokio::time::timeout(PATIENCE, clock::heard(config)).await {
            Ok(Ok(Some(there))) => return Ok(seen(scene, Source::Aws, asked, there)),
            Ok(Ok(None)) => "AWS answered without a date".clone_into(&mut why),
            Ok(Err(failure)) => why = failure.to_string(),
            Err(_elapsed) => "AWS did not answer in time".clone_into(&mut why),
        }
    }
    let asked = Timestamp::now();
    if let Some(imds) = scene.imds {
        match tokio::time::timeout(PATIENCE, imds.date()).await {
            Ok(Ok(Some(there))) => return Ok(seen(scene, Source::Metadata, asked, there)),
            Ok(Ok(None)) => "the metadata service answered without a date".clone_into(&mut why),
            Ok(Err(error)) => why = error.to_string(),
            Err(_elapsed) => "the metadata service did not answer in time".clone_into(&mut why),
        }
    }
    Err(Gap { needs: "sts:GetCallerIdentity".to_owned(), denied: false, why })
}

fn seen(scene: &Scene<'_>, from: Source, asked: Timestamp, there: Timestamp) -> Seen {
    let took = Timestamp::now().duration_since(asked).max(SignedDuration::ZERO);
    Seen {
        from,
        there,
        here: asked + took / 2,
        took: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        amazon: SETTERS.iter().find_map(|place| names_amazon(scene, place)),
        synchronized: SET.iter().any(|path| scene.path(path).exists()),
    }
}

/// The file at this place, or in this folder, that names AWS's time service.
fn names_amazon(scene: &Scene<'_>, place: &str) -> Option<String> {
    let names = |path: &str| {
        let text = fs::read_to_string(scene.path(path)).ok()?;
        let said = |line: &str| !line.trim_start().starts_with('#') && line.contains(AMAZON);
        text.lines().any(said).then(|| path.to_owned())
    };
    names(place).or_else(|| {
        let mut files: Vec<_> =
            scene.path(place).read_dir_utf8().ok()?.filter_map(Result::ok).collect();
        files.sort_by_key(|file| file.file_name().to_owned());
        files.iter().find_map(|file| names(&format!("{place}/{}", file.file_name())))
    })
}

/// Says what it means.
pub fn judge(seen: &Seen, _case: &Case<'_>) -> Finding {
    // The date is cut off at the second: what is between is not off.
    let raw = seen.here.duration_since(seen.there);
    let second = SignedDuration::from_secs(1);
    let off = if raw.is_negative() { raw } else { (raw - second).max(SignedDuration::ZERO) };
    let who = match seen.from {
        Source::Aws => "AWS's",
        Source::Metadata => "that of the metadata service",
    };
    let verdict = match off.abs() {
        off if off > REFUSED => Verdict::Fail,
        off if off > ODD => Verdict::Warn,
        _ => Verdict::Pass,
    };
    let way = if off.is_negative() { "behind" } else { "ahead of" };
    let says = match verdict {
        Verdict::Pass => format!("this clock agrees with {who}, to the second"),
        Verdict::Fail => format!(
            "this clock is {} {way} {who}: AWS refuses every signature, and IAM every mount",
            rough(off)
        ),
        _ => format!("this clock is {} {way} {who}", rough(off)),
    };
    let shown = |time: Timestamp| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let finding = Finding::new(Id::Clock.name(), verdict, says)
        .shown_by(format!("here {}, there {}", shown(seen.here), shown(seen.there)))
        .shown_by(match &seen.amazon {
            Some(file) => format!("{file} names {AMAZON}"),
            None => format!("nothing here names {AMAZON}, the time service of AWS"),
        });
    if verdict == Verdict::Pass {
        return finding;
    }
    let finding = if seen.synchronized {
        finding
    } else {
        finding.shown_by("nobody has set this clock since the start")
    };
    let finding = finding.mended_by("chronyc makestep || timedatectl set-ntp true");
    if seen.amazon.is_some() {
        return finding;
    }
    finding.mended_by(format!(
        "put `server {AMAZON} prefer iburst minpoll 4 maxpoll 4` into the configuration of chrony"
    ))
}

/// In the unit that people would use.
fn rough(off: SignedDuration) -> String {
    match off.as_secs().unsigned_abs() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds if seconds < 7200 => format!("{} min", seconds / 60),
        seconds if seconds < 172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::efs::host::stage::{Stage, all};

    const ZONE: [(&str, &str); 1] = [("meta-data/placement/availability-zone-id", "euw1-az1")];

    #[tokio::test]
    async fn a_clock_is_compared_with_that_of_the_metadata_service() {
        for (ahead, verdict) in [
            (Duration::ZERO, Verdict::Pass),
            (Duration::from_secs(90), Verdict::Warn),
            (Duration::from_hours(1), Verdict::Fail),
        ] {
            let mut stage = Stage::new();
            stage.metadata(&ZONE, ahead).await;
            let seen = look(&stage.scene()).await.unwrap();
            assert_eq!(seen.from, Source::Metadata);
            assert_eq!(judge(&seen, &stage.case()).verdict, verdict, "{seen:?}");
        }
        let gap = look(&Stage::new().scene()).await.unwrap_err();
        assert_eq!((gap.needs.as_str(), gap.denied), ("sts:GetCallerIdentity", false));
    }

    #[tokio::test]
    async fn who_sets_the_clock_is_evidence() {
        let mut stage = Stage::new();
        stage.write("/etc/chrony/sources.d/amazon.sources", &format!("server {AMAZON} prefer\n"));
        stage.write("/etc/chrony/chrony.conf", &format!("# server {AMAZON}\n"));
        stage.metadata(&ZONE, Duration::ZERO).await;
        let seen = look(&stage.scene()).await.unwrap();
        assert_eq!(seen.amazon.as_deref(), Some("/etc/chrony/sources.d/amazon.sources"));
    }

    #[test]
    fn how_far_it_is_off_is_said_in_words() {
        let there: Timestamp = "2026-11-27T03:00:00Z".parse().unwrap();
        let case = Stage::new();
        let off = |millis: i64, amazon: bool| {
            let seen = Seen {
                from: if amazon { Source::Metadata } else { Source::Aws },
                there,
                here: there + SignedDuration::from_millis(millis),
                took: 4,
                amazon: amazon.then(|| "/etc/chrony.conf".to_owned()),
                synchronized: amazon,
            };
            judge(&seen, &case.case())
        };
        let findings = [
            off(900, true),
            off(-1200, false),
            off(45_000, true),
            off(-301_000, false),
            off(3 * 86_400_000, false),
        ];
        insta::assert_snapshot!(all(&findings));
        // Half a second into a second is still that second.
        assert_eq!(off(30_900, true).verdict, Verdict::Pass);
        assert_eq!(off(-30_900, true).verdict, Verdict::Warn);
    }
}
