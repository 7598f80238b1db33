//! What systemd is told while a service works. Outside a service all of it does nothing.

use sd_notify::NotifyState;

/// Sets the one-line status of this service: `systemctl status` shows it.
pub fn status(line: &str) {
    tell(&[NotifyState::Status(line)]);
}

/// This service is up: what comes after it may start.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// This service is going down.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// This service is alive.
pub fn watchdog() {
    tell(&[NotifyState::Watchdog]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd was not told");
    }
}
