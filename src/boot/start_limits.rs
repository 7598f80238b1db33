//! How long Jenkins may take to start, and how often it is tried: into a drop-in, where the image's own
//! numbers are not what `jenkins.start_timeout` says.
//!
//! With the usual numbers nothing is written, so that most boots are spared a reload of systemd, which
//! takes seconds on a machine that is busy booting.

use anyhow::Context as _;

use super::context::Context;
use crate::sys::{atomic, systemd};

/// What systemd/jenkins.service.d/10-hostkit.conf says. A test compares them.
pub(super) const USUAL: u32 = 900;

/// How often it is started before systemd gives up.
pub(super) const ATTEMPTS: u32 = 3;

/// Between two starts, and for the last of a stop, in seconds.
pub(super) const BETWEEN: u32 = 10 + 90;

const FOLDER: &str = "run/systemd/system/jenkins.service.d";
const NAME: &str = "30-start.conf";

/// Within this many seconds `ATTEMPTS` starts must fit that each take as long as they may, or systemd
/// starts Jenkins again and again for ever.
pub(super) const fn interval(timeout: u32) -> u32 {
    ATTEMPTS * (timeout + BETWEEN) + 60
}

/// Writes the drop-in, or takes it away. Says whether anything was changed.
pub(super) async fn write(context: &Context) -> anyhow::Result<bool> {
    let timeout = context.config().jenkins.start_timeout;
    let folder = context.machine.path(FOLDER);
    let path = folder.join(NAME);
    let changed = if timeout == USUAL {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            other => other.map(|()| true).with_context(|| format!("removing {path}"))?,
        }
    } else {
        atomic::make_directory(&folder, 0o755).with_context(|| format!("making {folder}"))?;
        atomic::write(&path, drop_in(timeout).as_bytes(), 0o644)
            .with_context(|| format!("writing {path}"))?
    };
    if changed {
        systemd::daemon_reload(&context.machine.runner).await?;
    }
    Ok(changed)
}

fn drop_in(timeout: u32) -> String {
    let interval = interval(timeout);
    format!(
        "# Written by hostkit at boot, from jenkins.start_timeout of host.toml.\n\
         [Unit]\nStartLimitIntervalSec={interval}\nStartLimitBurst={ATTEMPTS}\n\
         [Service]\nTimeoutStartSec={timeout}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = include_str!("../../systemd/jenkins.service.d/10-hostkit.conf");

    fn number(text: &str, key: &str) -> u32 {
        let prefix = format!("{key}=");
        let value = text.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap();
        value.parse().unwrap_or_else(|_| panic!("{key} is in seconds, without a unit"))
    }

    #[test]
    fn all_starts_that_take_as_long_as_they_may_fit_into_the_interval() {
        for (text, timeout) in [(IMAGE.to_owned(), USUAL), (drop_in(3600), 3600)] {
            assert_eq!(number(&text, "TimeoutStartSec"), timeout);
            let burst = number(&text, "StartLimitBurst");
            let longest = burst * (timeout + BETWEEN);
            assert!(number(&text, "StartLimitIntervalSec") > longest, "{text}");
        }
        assert_eq!(number(IMAGE, "RestartSec"), 10);
    }
}
