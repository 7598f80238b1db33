//! What systemd is told while a service works: `systemctl status` shows it.

/// Sets the one-line status of this service. Outside a service it does nothing.
pub fn status(line: &str) {
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Status(line)]) {
        tracing::debug!(%error, "systemd was not told");
    }
}
