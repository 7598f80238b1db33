//! What is done on a builder once it lets us in: its first boot is waited for, hostkit and the plan
//! are taken there, and the plan is applied.
//!
//! The work is a unit of the builder's own systemd. A lost connection neither ends it nor has it
//! done again; what it says is in a file, which is read on from where one was.

use std::time::Duration;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use tokio::time::Instant;

use super::relay::Heard;
use super::remote::{FOLDER, PATIENCE, Remote};
use super::{Called as _, Job};
use crate::aws::instances;
use crate::error::Fault;
use crate::image::checks;
use crate::plan::Plan;
use crate::plan::test::On;
use crate::step::Step;
use crate::sys::CmdError;
use crate::sys::cmd::quote;
use crate::sys::ssh::Refusal;

/// How long the first boot of a base may go on after it lets us in, in seconds.
const FIRST_BOOT: u64 = 20 * 60;
/// How long a package manager that somebody has started may take, in seconds.
const LOCKS: u64 = 10 * 60;
/// What a plan may be applied to again because it restarted the builder.
const MOST_REBOOTS: usize = 3;
/// How long tests and cleaning may take.
pub(super) const LONG: Duration = Duration::from_mins(30);
/// A machine that goes down takes a while to be gone.
const GOING_DOWN: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_secs(3);

/// Waits for the end of the first boot, and for whoever changes packages. Puts off its own end.
pub(super) async fn settle(job: &Job<'_>, remote: &Remote) -> anyhow::Result<()> {
    let script = settling(job.options.lifetime);
    let limit = Duration::from_secs(FIRST_BOOT + LOCKS + 60);
    let end = remote.until(&script, limit, limit).await;
    let output = end.context(Fault::environment("the first boot of the builder does not end"))?;
    for line in output.text().lines() {
        job.events.log("settle", line);
    }
    Ok(())
}

/// May be said twice. Locks are looked up in the kernel's table: no base lacks that.
fn settling(lifetime: Duration) -> String {
    let minutes = lifetime.as_secs().div_ceil(60);
    format!(
        "shutdown -P +{minutes} 'hostkit: this builder has lived long enough' >/dev/null 2>&1 || true\n\
         if command -v cloud-init >/dev/null; then\n\
         timeout {FIRST_BOOT} cloud-init status --wait >/dev/null 2>&1\n\
         case $? in 0|2) ;; 124) echo 'cloud-init does not end' >&2; exit 1 ;;\n\
         *) echo \"cloud-init ended with an error: $(cloud-init status --long 2>&1 | tr '\\n' ' ')\" ;; esac\n\
         fi\n\
         systemctl stop apt-daily.timer apt-daily-upgrade.timer apt-daily.service \
         apt-daily-upgrade.service unattended-upgrades.service dnf-makecache.timer \
         >/dev/null 2>&1 || true\n\
         held() {{\n\
         for lock in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock \
         /var/lib/rpm/.rpm.lock /usr/lib/sysimage/rpm/.rpm.lock; do\n\
         [ -e $lock ] || continue\n\
         grep -q \":$(stat -c %i $lock) \" /proc/locks && return 0\n\
         done\n\
         return 1\n\
         }}\n\
         waited=0\n\
         while held; do\n\
         [ $waited -lt {LOCKS} ] || {{ echo 'somebody holds the lock of the packages' >&2; exit 1; }}\n\
         [ $waited -gt 0 ] || echo 'waiting for whoever changes packages'\n\
         sleep 2; waited=$((waited + 2))\n\
         done\n"
    )
}

/// Takes hostkit, the plan and the files that it names there.
pub(super) async fn ship(job: &Job<'_>, remote: &Remote) -> anyhow::Result<()> {
    let (plan, files) = aboard(job.plan);
    let folder = tempfile::tempdir().context("making a folder for the plan")?;
    let text = folder.path().join("plan.json");
    std::fs::write(&text, serde_json::to_vec(&plan)?).context("writing the plan")?;
    let text = Utf8Path::from_path(&text).context("the folder is not UTF-8")?;
    remote.put(job.binary, "hostkit", "755").await?;
    remote.put(text, "plan.json", "600").await?;
    for (from, name) in files {
        remote.put(&from, &name, "644").await?;
    }
    Ok(())
}

/// The plan as it is there, where files have other places; and which file is to be there by which
/// name.
fn aboard(plan: &Plan) -> (Plan, Vec<(Utf8PathBuf, String)>) {
    let mut plan = plan.clone();
    let mut files = Vec::new();
    for planned in &mut plan.steps {
        match &mut planned.step {
            Step::Packages(packages) => {
                for file in &mut packages.files {
                    let from = Utf8PathBuf::from(std::mem::take(&mut file.path));
                    let ending = from.extension().unwrap_or("bin");
                    let name = format!("package-{}.{ending}", files.len());
                    file.path = format!("{FOLDER}/{name}");
                    files.push((from, name));
                }
            }
            // The hostkit that applies the plan there is the one that goes into the image.
            Step::Agent(agent) => agent.path = None,
            _ => {}
        }
    }
    (plan, files)
}

/// Applies the plan, again where a step has restarted the builder.
pub(super) async fn apply(job: &Job<'_>, remote: &Remote) -> anyhow::Result<()> {
    for run in 0..=MOST_REBOOTS {
        let started = remote.patiently(&starting(run, &variables(job))).await;
        started.context(Fault::step("hostkit cannot be started on the builder"))?;
        let heard = follow(job, remote, run).await?;
        if heard.status == Some(0) {
            if job.options.reboot {
                reboot(job, remote).await?;
            }
            return Ok(());
        }
        if !heard.rebooted {
            return Err(heard.failure(job.secrets));
        }
        job.events.log("steps", "the builder was started again: the plan is applied again");
        settle(job, remote).await?;
    }
    let what = format!("the plan has restarted the builder {} times", MOST_REBOOTS + 1);
    Err(Fault::step(what)
        .hint("a script that reboots needs a guard, `creates` or `unless`, to do so once only")
        .into())
}

/// The secrets, as `hostkit apply` takes them: lines of a shell's settings.
pub(super) fn variables(job: &Job<'_>) -> String {
    let lines = job.secrets.iter();
    lines.map(|(name, value)| format!("HOSTKIT_VAR_{name}={}\n", quote(value))).collect()
}

/// What a unit's script begins with.
pub(super) const SETTING: &str = "if [ -e /run/hostkit-build/secrets ]; then\n\
    set -a; . /run/hostkit-build/secrets; set +a; rm -f /run/hostkit-build/secrets\n\
    fi\n\
    export HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n";

/// What puts the secrets where [`SETTING`] takes them from: a memory file system.
pub(super) fn hand_over(variables: &str) -> String {
    let folder = "mkdir -p -m 700 /run/hostkit-build\n";
    if variables.is_empty() {
        return folder.to_owned();
    }
    format!("{folder}printf '%s' {} >/run/hostkit-build/secrets\n", quote(variables))
}

/// Starts the work, once a run. The secrets pass through a file in memory that its reader removes;
/// `printf` is part of the shell, so that they stand in no list of processes.
fn starting(run: usize, variables: &str) -> String {
    let job = format!(
        "cd {FOLDER} || exit 1\n\
         cat /proc/sys/kernel/random/boot_id >boot-{run}\n\
         echo $$ >pid-{run}\n\
         {SETTING}\
         ./hostkit apply plan.json --format json >events-{run} 2>errors </dev/null\n\
         echo $? >status.part; mv status.part status-{run}\n"
    );
    let secrets = hand_over(variables);
    format!(
        "set -eu\numask 077\ncd {FOLDER}\n\
         [ ! -e started-{run} ] || exit 0\n\
         printf '%s' {job} >job\n\
         {secrets}\
         : >events-{run}\n\
         : >started-{run}\n\
         if [ -d /run/systemd/system ]; then\n\
         systemd-run --quiet --collect --unit=hostkit-build-{run} /bin/sh {FOLDER}/job\n\
         else\n\
         setsid sh {FOLDER}/job </dev/null >/dev/null 2>&1 &\n\
         fi\n",
        job = quote(&job)
    )
}

/// What says all that run `run` has said beyond the first `lines` lines, until it ends.
fn following(run: usize, lines: usize) -> String {
    let from = lines + 1;
    format!(
        "cd {FOLDER} || exit 1\n\
         n=0; while [ ! -e pid-{run} ] && [ $n -lt 60 ]; do sleep 1; n=$((n + 1)); done\n\
         now=$(cat /proc/sys/kernel/random/boot_id)\n\
         if [ ! -e status-{run} ] && [ \"$(cat boot-{run} 2>/dev/null)\" != \"$now\" ]; then\n\
         echo @@rebooted; exit 0\n\
         fi\n\
         tail -n +{from} -s 1 -f --pid=\"$(cat pid-{run})\" events-{run}\n\
         if [ -e status-{run} ]; then echo \"@@status $(cat status-{run})\"; fi\n"
    )
}

/// Hears what a run says until it ends, however often the connection is lost.
async fn follow(job: &Job<'_>, remote: &Remote, run: usize) -> anyhow::Result<Heard> {
    let mut heard = Heard::default();
    let (mut before, mut deadline) = (0, Instant::now() + PATIENCE);
    let mut lost = false;
    loop {
        let script = following(run, heard.lines);
        let end = remote.follow(&script, |line| heard.take(line, job.events, job.secrets)).await;
        if heard.status.is_some() || heard.rebooted {
            return Ok(heard);
        }
        if heard.lines > before {
            (before, deadline) = (heard.lines, Instant::now() + PATIENCE);
        }
        match end {
            // It ended without a word: the machine goes down, or somebody has killed it.
            Ok(_) if lost => return Ok(heard),
            Ok(_) => {
                lost = true;
                tokio::time::sleep(GOING_DOWN).await;
            }
            Err(error) => again(job, remote, error, deadline).await?,
        }
    }
}

/// Whether a lost connection is to be tried again: not on a machine that is gone.
async fn again(
    job: &Job<'_>,
    remote: &Remote,
    error: CmdError,
    deadline: Instant,
) -> anyhow::Result<()> {
    let id = &remote.instance.id;
    if Refusal::of(&error).is_none() {
        return Err(error).context("following the work on the builder");
    }
    let seen = instances::see(job.config, id).await;
    let seen = seen.called(|| format!("the builder {id} cannot be looked at"))?;
    if let Some(seen) = seen.filter(|seen| seen.state != "running") {
        let why = seen.reason.unwrap_or_else(|| "AWS gives no reason".to_owned());
        let what = format!("the builder {id} is {} in the midst of its work: {why}", seen.state);
        return Err(Fault::aws(what).hint("a spot instance can be taken away: see --spot").into());
    }
    if Instant::now() > deadline {
        let minutes = PATIENCE.as_secs() / 60;
        let what = format!("the builder {id} has not let us in again for {minutes} min");
        return Err(error).context(Fault::environment(what));
    }
    job.events.log("steps", "the connection is lost; the work goes on, and is looked for again");
    tokio::time::sleep(PAUSE).await;
    Ok(())
}

const BOOT_ID: &str = "cat /proc/sys/kernel/random/boot_id";

/// Restarts the builder, and waits until it is another boot that lets us in.
async fn reboot(job: &Job<'_>, remote: &Remote) -> anyhow::Result<()> {
    job.events.log("steps", "restarting the builder");
    let before = remote.patiently(BOOT_ID).await?.text();
    // It may be gone before it has answered.
    let going =
        remote.script("systemctl --no-block reboot || reboot", Duration::from_mins(1)).await;
    if let Err(error) = going
        && Refusal::of(&error).is_none()
    {
        return Err(error).context("restarting the builder");
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        match remote.script(BOOT_ID, Duration::from_mins(1)).await {
            Ok(now) if now.text() != before => return settle(job, remote).await,
            Err(error) if Refusal::of(&error).is_none() => return Err(error.into()),
            _ if Instant::now() > deadline => {
                return Err(Fault::step("the builder does not come up with what was done to it")
                    .hint("see `aws ec2 get-console-output`, with --on-error keep")
                    .into());
            }
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Runs the plan's tests of a tree there.
pub(super) async fn prove(job: &Job<'_>, remote: &Remote) -> anyhow::Result<()> {
    let tests: Vec<_> = job.plan.tests.iter().filter(|test| test.on == On::Tree).collect();
    if tests.is_empty() {
        return Ok(());
    }
    let output = remote.until(&checks::script(&tests, On::Tree), LONG, PATIENCE).await;
    let output = output.context("running the tests on the builder")?;
    let checked = checks::results(&tests, &output.text());
    checks::tell(&checked, job.events);
    checks::require(&checked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_started_once_a_run_and_read_on_from_where_one_was() {
        insta::assert_snapshot!("starting", starting(1, "HOSTKIT_VAR_token='it is'\n"));
        insta::assert_snapshot!("following", following(1, 41));
        insta::assert_snapshot!("settling", settling(Duration::from_hours(6)));
    }
}
