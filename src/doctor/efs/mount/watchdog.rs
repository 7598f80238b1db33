//! Whether `amazon-efs-mount-watchdog` runs and has said something of late: it restarts tunnels and
//! renews their certificates.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::there;
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};
use crate::sys::systemd;

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// It is mounted without a tunnel, from here: there is nothing to watch.
    Without(String),
    /// It is mounted through one.
    Through(Box<Watchdog>),
}

/// Who watches tunnels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watchdog {
    /// What systemd says of its unit; none where systemd did not answer, and why.
    pub unit: Option<Unit>,
    /// Why systemd did not tell.
    pub silent: Option<String>,
    /// The last line of its log that has a time.
    pub last: Option<Line>,
}

/// Its unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// `loaded`, `not-found`
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating`
    pub active: String,
    /// `enabled`, `disabled`
    pub file: String,
    /// How often it was started again by itself.
    pub restarts: u64,
}

/// A line of its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When.
    pub at: Timestamp,
    /// How bad: `INFO`, `WARNING`, `ERROR`.
    pub level: String,
    /// The beginning of what it says.
    pub says: String,
}

const UNIT: &str = "amazon-efs-mount-watchdog.service";
const LOG: &str = "/var/log/amazon/efs/mount-watchdog.log";

/// How much of the log's end is read.
const TAIL: u64 = 16 << 10;

/// systemd answers at once; one that does not is part of the trouble.
const PATIENCE: Duration = Duration::from_secs(2);

/// It renews a certificate every hour, and says so; after three a certificate has ended.
const SILENCE: SignedDuration = SignedDuration::from_hours(3);

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let Some(top) = there::top(scene.observed) else {
        let why = "nothing is mounted there".to_owned();
        return Err(Gap { needs: String::new(), denied: false, why });
    };
    if !top.is_tunnelled() {
        return Ok(Seen::Without(top.source.clone()));
    }
    let names = ["LoadState", "ActiveState", "UnitFileState", "NRestarts"];
    let asked = tokio::time::timeout(PATIENCE, systemd::show(scene.runner, UNIT, &names)).await;
    let (unit, silent) = match asked {
        Ok(Ok(shown)) if !shown.contains_key("ActiveState") => {
            (None, Some("systemd told nothing of it".to_owned()))
        }
        Ok(Ok(shown)) => {
            let of = |name: &str| shown.get(name).cloned().unwrap_or_default();
            let restarts = of("NRestarts").parse().unwrap_or_default();
            let (load, active) = (of("LoadState"), of("ActiveState"));
            (Some(Unit { load, active, file: of("UnitFileState"), restarts }), None)
        }
        Ok(Err(error)) => (None, Some(error.to_string().replace('\n', " "))),
        Err(_elapsed) => (None, Some(format!("no answer within {} s", PATIENCE.as_secs()))),
    };
    let end = end(scene).unwrap_or_default();
    Ok(Seen::Through(Box::new(Watchdog { unit, silent, last: last(&end) })))
}

/// The end of the log, which is on this host's own disk.
fn end(scene: &Scene<'_>) -> std::io::Result<String> {
    let mut file = File::open(scene.path(LOG))?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `2026-11-27 02:58:01 UTC - INFO - …`; a traceback has lines without a time.
fn last(text: &str) -> Option<Line> {
    text.lines().rev().find_map(|line| {
        let mut parts = line.splitn(3, " - ");
        let time = parts.next()?.trim().trim_end_matches(" UTC");
        let time = DateTime::strptime("%Y-%m-%d %H:%M:%S", time).ok()?;
        let at = time.to_zoned(TimeZone::UTC).ok()?.timestamp();
        let level = parts.next()?.trim().to_owned();
        let says = parts.next()?.chars().filter(|c| !c.is_control()).take(160).collect();
        Some(Line { at, level, says })
    })
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let finding = |verdict, says: String| Finding::new(Id::Watchdog.name(), verdict, says);
    let dog = match seen {
        Seen::Without(source) => {
            return finding(
                Verdict::Skip,
                format!("it is mounted from {source}, without a tunnel"),
            );
        }
        Seen::Through(dog) => &**dog,
    };
    let shown = |finding: Finding| match &dog.last {
        Some(Line { at, level, says }) => finding
            .shown_by(format!("{LOG}: {} {level} {says}", at.strftime("%Y-%m-%d %H:%M:%S UTC"))),
        None => finding.shown_by(format!("{LOG} has no line with a time")),
    };
    let Some(unit) = &dog.unit else {
        let why = dog.silent.as_deref().unwrap_or("nobody asked it");
        let says = "systemd does not tell whether the watchdog of the tunnel runs";
        return shown(finding(Verdict::Warn, says.to_owned()).shown_by(why))
            .mended_by(format!("systemctl status {UNIT}"));
    };
    if unit.load == "not-found" {
        let says =
            "there is no watchdog for the tunnel: nobody restarts it or renews its certificate";
        return finding(Verdict::Fail, says.to_owned())
            .shown_by(format!("{UNIT} is not installed"))
            .mended_by("dnf install amazon-efs-utils   # and add it to the recipe");
    }
    if unit.active != "active" {
        let says = format!("the watchdog of the tunnel does not run: it is {}", unit.active);
        return shown(finding(Verdict::Fail, says).shown_by(format!("{UNIT} is {}", unit.file)))
            .mended_by(format!("systemctl enable --now {UNIT}"));
    }
    let age = dog.last.as_ref().map(|line| case.now.duration_since(line.at));
    if unit.restarts > 3 {
        let says = format!("the watchdog of the tunnel was started again {} times", unit.restarts);
        return shown(finding(Verdict::Warn, says))
            .mended_by(format!("journalctl -u {UNIT} -n 50"));
    }
    match (&dog.last, age) {
        (Some(line), _) if ["ERROR", "CRITICAL", "FATAL"].contains(&line.level.as_str()) => {
            shown(finding(
                Verdict::Warn,
                "the last that the watchdog of the tunnel said is an error".to_owned(),
            ))
            .mended_by(format!("tail -n 50 {LOG}"))
        }
        (_, Some(age)) if age > SILENCE => {
            let says = format!(
                "the watchdog of the tunnel runs, and has said nothing for {} h",
                age.as_hours()
            );
            shown(finding(Verdict::Warn, says)).mended_by(format!("systemctl restart {UNIT}"))
        }
        (_, Some(age)) => {
            let says =
                format!("the watchdog runs, and said something {} min ago", age.as_mins().max(0));
            shown(finding(Verdict::Pass, says))
        }
        (_, None) => shown(finding(Verdict::Pass, "the watchdog runs".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::efs::host::stage::{Stage, all};
    use crate::sys::runner::Script;

    const GOOD: &str = "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nNRestarts=0\n";
    const LINES: &str = "2026-11-27 01:58:01 UTC - ERROR - Failed to restart\nTraceback:\n  x\n\
        2026-11-27 02:58:01 UTC - INFO - Recreating certificate for fs-0123456789abcdef0\n  more\n";

    fn stage(source: &str, script: Script, log: &str) -> Stage {
        let mut stage = Stage::new();
        stage.runner = script.runner().0;
        stage.mount(source, "nfs4", "port=20049");
        stage.write(LOG, log);
        stage
    }

    async fn found(stage: &Stage) -> Finding {
        judge(&look(&stage.scene()).await.unwrap(), &stage.case())
    }

    fn says(answer: &str) -> Script {
        Script::default().answer("systemctl show amazon-efs-mount-watchdog.service", answer)
    }

    #[tokio::test]
    async fn one_that_runs_and_talks_passes() {
        let long = format!("{}{LINES}", "2026-11-26 00:00:00 UTC - INFO - x\n".repeat(2000));
        let talks = stage("127.0.0.1:/", says(GOOD), &long);
        let without = stage("10.0.1.9:/", Script::default(), "");
        let quiet = stage("127.0.0.1:/", says(GOOD), "\u{0}no log\n");
        let findings = [found(&talks).await, found(&without).await, found(&quiet).await];
        insta::assert_snapshot!(all(&findings));
        assert!(look(&Stage::new().scene()).await.is_err());
    }

    #[tokio::test]
    async fn one_that_is_gone_stopped_silent_or_in_trouble_is_told() {
        let with = |from: &str, to: &str| says(&GOOD.replace(from, to));
        let through = |script, log| stage("127.0.0.1:/", script, log);
        let failing = Script::default().fail("systemctl show", 1, "Failed to connect to bus");
        let (error, _) = LINES.split_once("\nTrace").unwrap();
        let stages = vec![
            through(says("LoadState=not-found\nActiveState=inactive\n"), ""),
            through(with("ActiveState=active", "ActiveState=failed"), LINES),
            through(with("NRestarts=0", "NRestarts=17"), LINES),
            through(says(GOOD), error),
            through(says(GOOD), "2026-11-26 12:00:00 UTC - INFO - Starting\n"),
            through(failing, LINES),
            through(says("garbage"), LINES),
        ];
        let mut findings = Vec::new();
        for stage in &stages {
            findings.push(found(stage).await);
        }
        insta::assert_snapshot!(all(&findings));
    }
}
