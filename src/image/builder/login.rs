//! Waits until a builder lets us in, and says what keeps us out if it does not.
//!
//! Its host key is one that we gave it, or one that it says on its console: both come by way of
//! AWS's API, which nobody in between can change.

use std::time::Duration;

use tokio::time::Instant;

use super::keys::Keys;
use super::launch::Instance;
use super::remote::Remote;
use super::{Job, console};
use crate::aws::instances;
use crate::error::Fault;
use crate::sys::CmdError;
use crate::sys::ssh::{Login, Refusal};

const STEP: &str = "login";

const PAUSE: Duration = Duration::from_secs(3);

/// How often EC2 is asked for the console and the state: each costs a call.
const GLANCE: Duration = Duration::from_secs(20);

/// Logs in for the first time.
pub(super) async fn log_in(
    job: &Job<'_>,
    keys: &Keys,
    instance: &Instance,
) -> anyhow::Result<Remote> {
    let login = Login {
        host: instance.address.clone(),
        port: job.options.ssh_port,
        user: job.options.user(job.plan.base.distribution).to_owned(),
        identity: keys.identity(),
        known_hosts: keys.known_hosts(),
        alias: instance.id.clone(),
        proxy: job.options.proxy_command.clone(),
    };
    keys.vouch(&instance.id, std::slice::from_ref(&keys.host_public))?;
    let remote = Remote::new(login, instance.clone());
    let mut wait = Wait { job, keys, instance, vouched: Vec::new(), last: None };
    let deadline = Instant::now() + job.options.login_deadline;
    let mut glance = Instant::now() + GLANCE;
    loop {
        match remote.greet().await {
            Ok(()) => return Ok(remote),
            Err(error) => wait.note(&error)?,
        }
        if Instant::now() >= glance {
            wait.look().await?;
            glance = Instant::now() + GLANCE;
        }
        if Instant::now() >= deadline {
            return Err(wait.given_up(&remote).await);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

struct Wait<'a> {
    job: &'a Job<'a>,
    keys: &'a Keys,
    instance: &'a Instance,
    /// The host keys that the console has said.
    vouched: Vec<String>,
    last: Option<(Refusal, String)>,
}

impl Wait<'_> {
    /// Remembers why we were not let in, and says it if it is news.
    fn note(&mut self, error: &CmdError) -> anyhow::Result<()> {
        let Some(refusal) = Refusal::of(error) else {
            if let CmdError::Missing(fault) = error {
                return Err(fault.clone().into());
            }
            // It let us in, and `sudo` did not.
            let user = self.job.options.user(self.job.plan.base.distribution);
            let what = format!("{user} may not become root on the builder: {error}");
            return Err(Fault::environment(what)
                .hint("--ssh-user must name one that may use sudo without a password")
                .into());
        };
        if self.last.as_ref().is_none_or(|(last, _)| *last != refusal) {
            self.job.events.log(STEP, format!("not yet: {refusal}"));
        }
        self.last = Some((refusal, error.to_string()));
        Ok(())
    }

    /// Looks at the builder from outside.
    async fn look(&mut self) -> anyhow::Result<()> {
        let id = &self.instance.id;
        if let Ok(Some(seen)) = instances::see(self.job.config, id).await
            && !matches!(seen.state.as_str(), "running" | "pending")
        {
            let why = seen.reason.unwrap_or_else(|| "AWS gives no reason".to_owned());
            return Err(Fault::aws(format!("the builder {id} is {}: {why}", seen.state))
                .hint("a spot instance can be taken away at any time: bake without --spot")
                .into());
        }
        if self.last.as_ref().is_some_and(|(refusal, _)| *refusal == Refusal::HostKey) {
            let said = console::host_keys(&self.console().await);
            if !said.is_empty() && said != self.vouched {
                self.job.events.log(STEP, "the console says which host key the builder has");
                let ours = std::slice::from_ref(&self.keys.host_public);
                self.keys.vouch(id, &[ours, &said].concat())?;
                self.vouched = said;
            }
        }
        Ok(())
    }

    /// What is on the console; nothing where EC2 does not say.
    async fn console(&self) -> String {
        instances::console(self.job.config, &self.instance.id).await.unwrap_or_default()
    }

    async fn given_up(self, remote: &Remote) -> anyhow::Error {
        let minutes = self.job.options.login_deadline.as_secs_f64() / 60.0;
        let (refusal, told) = self.last.clone().unwrap_or((Refusal::Other, String::new()));
        let place = format!("{} ({})", self.instance.id, remote.address());
        let fault = Fault::environment(format!(
            "the builder {place} did not let us in within {minutes:.0} min: {refusal}"
        ));
        let console = console::tail(&self.console().await);
        let console = if console.is_empty() { "nothing".to_owned() } else { console };
        anyhow::anyhow!("the end of its console:\n{console}")
            .context(told)
            .context(fault.hint(hint(refusal)))
    }
}

/// What to look at.
const fn hint(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NoRoute | Refusal::NoName => {
            "is --ssh-from the address that you come from, does the subnet route to you, and is \
             --ssh-interface the right one?"
        }
        Refusal::Refused => "does the base start an SSH server, at --ssh-port? See its console",
        Refusal::Login => {
            "is --ssh-user the login user of the base (admin, ubuntu, ec2-user)? See its console"
        }
        Refusal::HostKey => {
            "the base must run cloud-init, which takes the host key from user-data, or say its \
             host keys on the console; else somebody is in between"
        }
        Refusal::Proxy => "try --proxy-command by hand, with the instance's id for %n",
        Refusal::Cut | Refusal::Other => "see what ssh says, and the console",
    }
}
