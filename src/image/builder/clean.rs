//! The last that is done on a builder: what is installed there is written down, and everything of the
//! build is removed, what lets us in among it.
//!
//! It is a unit of its own, because the way in may be lost with it: Session Manager's agent keeps its
//! own state where no image may have any. What became of it is said on the console, too, and read
//! there if nobody hears it any more.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use super::aboard::Inventory;
use super::remote::{FOLDER, Remote};
use super::work::{LONG, SETTING, hand_over, variables};
use super::{Job, console};
use crate::aws::instances;
use crate::error::{Fault, rewritten};
use crate::sys::cmd::quote;
use crate::sys::ssh::Refusal;

const STEP: &str = "clean";

/// How long the console is looked at for the end. On some instance types it lags behind.
const PATIENCE: Duration = Duration::from_mins(15);
const PAUSE: Duration = Duration::from_secs(10);

/// What a kernel that writes no more answers.
const FROZEN: &str = "true";

/// Says what is installed.
pub(super) async fn inventory(remote: &Remote, epoch: i64) -> anyhow::Result<Inventory> {
    let script = format!("{FOLDER}/hostkit inner inventory {FOLDER}/plan.json {epoch}");
    let output = remote.until(&script, LONG, LONG).await;
    let output = output.context("asking what is installed on the builder")?;
    serde_json::from_slice(&output.stdout).context("reading what is installed on the builder")
}

/// Cleans it. Nobody gets in any more.
pub(super) async fn clean(job: &Job<'_>, remote: &Remote) -> anyhow::Result<()> {
    let end = match remote.script(&cleaning(&variables(job), job.build), LONG).await {
        Ok(output) => End::heard(&output.text(), job.build),
        Err(error) if Refusal::of(&error).is_some() => {
            job.events.log(STEP, "the connection is lost; the console says how it ends");
            listen(job, remote).await?
        }
        Err(error) => return Err(error).context("cleaning the builder"),
    };
    match end {
        Some(End { clean: true, said }) => {
            if !said.lines().any(|line| line.trim() == FROZEN) {
                let what = "the file systems of the builder stay writable while it goes down";
                job.events.log(STEP, what);
            }
            Ok(())
        }
        Some(End { clean: false, said }) => {
            let fault = Fault::step("the builder cannot be cleaned")
                .hint("take out what puts it there: the recipe's files and scripts, or the base");
            let error = anyhow::anyhow!(said.trim().to_owned()).context(fault);
            Err(rewritten(&error, |text| job.secrets.redact(text)))
        }
        None => Err(Fault::step("the builder does not say whether it is clean")
            .hint("see `aws ec2 get-console-output`, with --on-error keep")
            .into()),
    }
}

/// How the cleaning ended.
#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    clean: bool,
    /// What hostkit said.
    said: String,
}

impl End {
    /// What was said between the two marks of a build, on whatever way it came.
    fn heard(text: &str, build: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(&begin(build))?;
        let (said, _) = rest.split_once(&end(build))?;
        let said = console::plain(said);
        let (status, said) = said.trim_start().split_once('\n').unwrap_or((said.trim(), ""));
        Some(Self { clean: status.trim() == "0", said: said.to_owned() })
    }
}

fn begin(build: &str) -> String {
    format!("hostkit-clean {build}:")
}

fn end(build: &str) -> String {
    format!("hostkit-clean {build} said")
}

/// Looks at the console until it says how the cleaning ended.
async fn listen(job: &Job<'_>, remote: &Remote) -> anyhow::Result<Option<End>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let console = instances::console(job.config, &remote.instance.id).await;
        let heard = console.ok().and_then(|console| End::heard(&console, job.build));
        if heard.is_some() || Instant::now() > deadline {
            return Ok(heard);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What writes by itself is stopped first: a journal that is removed is begun again. Then it is done
/// in a mount namespace that shows the disks alone: not what the kernel or a memory puts over them.
fn cleaning(variables: &str, build: &str) -> String {
    let (begin, end) = (begin(build), end(build));
    let inside = format!(
        "root=/run/hostkit-build/root\n\
         mkdir -p $root\n\
         mount --bind / $root\n\
         for place in /boot /boot/efi /efi /home /opt /srv /usr /var; do\n\
         if mountpoint -q $place; then mount --bind $place $root$place; fi\n\
         done\n\
         exec {FOLDER}/hostkit inner clean $root {FOLDER}/plan.json\n"
    );
    let job = format!(
        "{SETTING}\
         shutdown -c >/dev/null 2>&1\n\
         journalctl --relinquish-var >/dev/null 2>&1\n\
         systemctl stop rsyslog.service syslog.socket systemd-timesyncd.service chronyd.service \
         chrony.service cron.service crond.service amazon-ssm-agent.service \
         snap.amazon-ssm-agent.amazon-ssm-agent.service >/dev/null 2>&1\n\
         cd /run/hostkit-build\n\
         unshare --mount --propagation private sh -euc {inside} >said 2>&1\n\
         code=$?\n\
         {{ echo '{begin}' $code; cat said; echo '{end}'; }} >end.part\n\
         cat end.part >/dev/console\n\
         mv end.part end\n",
        inside = quote(&inside)
    );
    format!(
        "set -eu\numask 077\n{secrets}\
         printf '%s' {job} >/run/hostkit-build/clean\n\
         if [ -d /run/systemd/system ]; then\n\
         systemd-run --quiet --collect --unit=hostkit-clean /bin/sh /run/hostkit-build/clean\n\
         else\n\
         setsid sh /run/hostkit-build/clean </dev/null >/dev/null 2>&1 &\n\
         fi\n\
         while [ ! -e /run/hostkit-build/end ]; do sleep 1; done\n\
         cat /run/hostkit-build/end\n",
        secrets = hand_over(variables),
        job = quote(&job)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_heard_over_ssh_and_on_the_console() {
        let over_ssh = "hostkit-clean ci-1: 0\ntrue\nhostkit-clean ci-1 said\n";
        let clean = End { clean: true, said: "true\n".into() };
        assert_eq!(End::heard(over_ssh, "ci-1"), Some(clean));
        let console = "[   1.0] noise\r\nhostkit-clean ci-1: 5\r\nerror: hygiene: x\r\n\
            /etc/y: a private key\r\nhostkit-clean ci-1 said\r\nlogin: ";
        let dirty = End { clean: false, said: "error: hygiene: x\n/etc/y: a private key\n".into() };
        assert_eq!(End::heard(console, "ci-1"), Some(dirty));
        assert_eq!(End::heard(console, "ci-2"), None, "another build's");
        assert_eq!(End::heard("hostkit-clean ci-1: 0\r\ntr", "ci-1"), None, "not whole");
    }

    #[test]
    fn cleaning_is_a_unit_of_its_own() {
        insta::assert_snapshot!(cleaning("HOSTKIT_VAR_token='it is'\n", "ci-1"));
    }
}
