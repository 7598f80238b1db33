//! How often keys are read again, where that is not as often as the image's timer says.
//!
//! The timer is enabled in the image and runs every ten minutes, so that a boot has nothing to do for
//! it. Another interval costs the boot a reload of systemd.

use anyhow::Context as _;
use camino::Utf8Path;

use super::site::Site;
use crate::host;
use crate::sys::{atomic, systemd};

const UNIT: &str = "hostkit-keys.timer";
const DROP_IN: &str = "run/systemd/system/hostkit-keys.timer.d/50-hostkit.conf";

/// Sets the timer. Where that cannot be done the host serves all the same, so it is only told.
pub(super) async fn set(site: &Site<'_>) {
    if let Err(error) = try_to_set(site).await {
        site.events.log(site.step, format!("the timer of the keys could not be set: {error:#}"));
    }
}

async fn try_to_set(site: &Site<'_>) -> anyhow::Result<()> {
    let (machine, refresh) = (site.machine, site.config.keys.refresh);
    let path = machine.path(DROP_IN);
    let usual = host::Keys::default().refresh;
    // Never is what `hostkit keys refresh` itself finds out.
    if (refresh == 0 || refresh == usual) && !path.exists() {
        return Ok(());
    }
    let seconds = if refresh == 0 { usual } else { refresh };
    let folder = path.parent().unwrap_or(Utf8Path::new("/"));
    atomic::make_directory(folder, 0o755).with_context(|| format!("making {folder}"))?;
    let text = interval(seconds);
    if atomic::write(&path, text.as_bytes(), 0o644).with_context(|| format!("writing {path}"))? {
        systemd::daemon_reload(&machine.runner).await?;
        systemd::restart_no_block(&machine.runner, UNIT).await?;
    }
    Ok(())
}

/// The longest interval is as told: what a rotation waits for counts on it.
fn interval(seconds: u32) -> String {
    let jitter = seconds / 10;
    let least = seconds - jitter;
    format!(
        "# Written by the boot: `keys.refresh` of this host.\n[Timer]\nOnActiveSec=\n\
         OnUnitInactiveSec=\nOnActiveSec={least}s\nOnUnitInactiveSec={least}s\n\
         RandomizedDelaySec={jitter}s\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_interval_is_longer_than_told() {
        let text = interval(600);
        assert!(text.contains("OnUnitInactiveSec=540s\nRandomizedDelaySec=60s"), "{text}");
        assert!(interval(60).contains("OnActiveSec=54s\n"));
    }

    #[test]
    fn the_image_has_the_interval_of_the_default() {
        let timer = include_str!("../../systemd/hostkit-keys.timer");
        let told = interval(host::Keys::default().refresh);
        for line in told.lines().filter(|line| line.ends_with("0s")) {
            assert!(timer.contains(line), "{line}");
        }
    }
}
