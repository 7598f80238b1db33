//! What systemd is told while a service works. Outside a service all of it does nothing.

use sd_notify::NotifyState;

/// Sets the one-line status of this service: `systemctl status` shows it.
///
/// It stays one line: what follows a line end would be taken for another message to systemd.
pub fn status(line: &str) {
    let line = crate::secret::redact(line).replace(|c: char| c.is_control(), " ");
    tell(&[NotifyState::Status(&line)]);
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

/// This service is going down and needs so much longer for it.
pub fn extend(time: std::time::Duration) {
    let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::ExtendTimeoutUsec(micros)]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd was not told");
    }
}
