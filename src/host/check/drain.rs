//! `[drain]`, `[guard]` and `[logs]`.

use super::words::{is_path, made_of};
use super::{Look, key};
use crate::host::HostConfig;

/// As long as a termination hook can be kept waiting.
const LONGEST: u32 = 48 * 60 * 60;

impl Look {
    pub(super) fn drain(&mut self, config: &HostConfig) {
        let (drain, guard) = (&config.drain, &config.guard);
        let patience = drain.patience;
        let hint = "wanted are 0 to 172800 seconds: longer no group waits";
        self.require(patience <= LONGEST, key("drain.patience"), patience, hint);
        let message = &drain.message;
        let good = (1..=500).contains(&message.chars().count());
        let good = good && !message.chars().any(char::is_control);
        let hint = "wanted is one line of at most 500 characters, for the people in Jenkins";
        self.require(good, key("drain.message"), message, hint);
        let after = guard.unhealthy_after;
        let hint = "wanted are 30 to 86400 seconds";
        self.require((30..=86400).contains(&after), key("guard.unhealthy_after"), after, hint);
        let metrics = &guard.metrics;
        let hint = "wanted is an absolute path that ends in .prom, or an empty text for none";
        let good = metrics.is_empty() || is_path(metrics) && metrics.ends_with(".prom");
        self.require(good, key("guard.metrics"), metrics, hint);
        if let Some(group) = &config.logs.group {
            let part = |c: char| c.is_ascii_alphanumeric() || "-_/.#".contains(c);
            let hint = "wanted is the name of a log group that is there, as \"/hostkit/ci\"";
            self.require(made_of(group, 512, part), key("logs.group"), group, hint);
        }
    }
}
