//! A lease's status for people: one screen.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;

use super::{Standing, Status};
use crate::lease::record::Holder;

impl Status {
    /// How it stands in one line.
    pub fn headline(&self) -> String {
        let name = self.holder.as_ref().map_or("nobody", Holder::name);
        match (self.state, &self.broken) {
            (Standing::Free, _) => "free: nobody has ever held this home".to_owned(),
            (Standing::Held, _) if self.is_holder => format!("held by this host, {name}"),
            (Standing::Held, _) => format!("held by {name}"),
            (Standing::Released, Some(broken)) => {
                format!("released: generation {} was broken by {}", broken.generation, broken.by)
            }
            (Standing::Released, None) => format!("released by {name}"),
            (Standing::Unclear, _) => "unclear: nobody may start, a person must look".to_owned(),
        }
    }

    /// The whole of it.
    pub fn render(&self) -> String {
        let mut out = self.headline() + "\n";
        let mut place = vec![format!("{} at {}", self.fs_id, self.mount_point)];
        place.extend(self.generation.map(|generation| format!("generation {generation}")));
        let here = if self.is_holder { "the holder" } else { self.host.as_str() };
        place.push(format!("asked on {here}"));
        let _ = writeln!(out, "{}\n", place.join(" · "));
        let rows = self.rows();
        let gap = if rows.is_empty() { "" } else { "\n" };
        for (what, text) in rows {
            let _ = writeln!(out, "   {what:<11} {text}");
        }
        out += gap;
        for (what, text) in self.future() {
            let _ = writeln!(out, "   {what:<11} {text}");
        }
        if !self.warnings.is_empty() {
            out.push('\n');
        }
        for warning in &self.warnings {
            let _ = writeln!(out, " ! {warning}");
        }
        out
    }

    /// What is known of the last claim, a line each.
    fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = Vec::new();
        if let Some(holder) = &self.holder {
            let past = self.broken.is_some() || self.state == Standing::Unclear;
            let who = if past { "recorded" } else { "holder" };
            rows.push((who, whereabouts(holder)));
            let image = holder.ami.as_deref().unwrap_or("unknown image");
            let hostkit = holder.hostkit.as_deref().unwrap_or("of unknown version");
            rows.push(("image", format!("{image}, hostkit {hostkit}")));
            let launched = holder.launched.map(|at| format!(", launched {}", moment(at)));
            rows.push(("boot", format!("{}{}", holder.boot_id, launched.unwrap_or_default())));
            rows.extend(self.since(holder).map(|since| ("since", since)));
        }
        if let Some(broken) = &self.broken {
            rows.push(("broken", format!("{} by {}", moment(broken.at), broken.by)));
            rows.push(("reason", broken.reason.clone()));
            rows.push(("evidence", broken.evidence.clone()));
            rows.extend(broken.proof.clone().map(|proof| ("proof", proof)));
        }
        if let Some(beat) = &self.heartbeat {
            let age = span(Duration::from_secs(beat.age));
            let other = self.generation.filter(|generation| *generation != beat.generation);
            let of = other.map(|_| format!(", of generation {}", beat.generation));
            rows.push((
                "heartbeat",
                format!("{age} ago (number {}{})", beat.count, of.unwrap_or_default()),
            ));
        }
        if let Some(evidence) = &self.evidence {
            let proves = match (self.is_holder, evidence.is_proof) {
                (true, _) => "",
                (false, true) => ": it is dead",
                (false, false) => ": it may be alive",
            };
            rows.push(("AWS", format!("{}{proves}", evidence.says)));
        }
        rows
    }

    /// What a newcomer would do, why, and what a person can do about it.
    fn future(&self) -> Vec<(&str, String)> {
        let mut rows = vec![("newcomer", self.newcomer.sentence())];
        let (why, hint) = match &self.problem {
            Some(problem) => (problem.why.as_str(), Some(&problem.hint)),
            None => (self.newcomer.why.as_str(), self.newcomer.hint.as_ref()),
        };
        // Most of it has been said above.
        let said = self.evidence.as_ref().map_or("", |evidence| evidence.says.as_str());
        let why = why.rsplit_once(said).filter(|_| !said.is_empty()).map_or(why, |(_, rest)| rest);
        let why = why.trim_start_matches([';', ',', ' ']);
        rows.extend((!why.is_empty()).then(|| ("why", why.to_owned())));
        rows.extend(hint.map(|hint| ("hint", hint.clone())));
        rows.extend(
            self.advice.iter().map(|advice| (advice.purpose.as_str(), advice.command.clone())),
        );
        rows
    }

    fn since(&self, holder: &Holder) -> Option<String> {
        let age = self.age.map(|age| format!("{} ago", span(Duration::from_secs(age))));
        match (holder.since.map(moment), age) {
            (Some(since), Some(age)) => Some(format!("{since} by its clock, {age}")),
            (Some(since), None) => Some(format!("{since} by its clock")),
            (None, age) => age,
        }
    }
}

fn whereabouts(holder: &Holder) -> String {
    let Holder { account, region, .. } = holder;
    let on = match (&holder.task, &holder.instance_id) {
        (Some(_), Some(instance)) => format!(" on {instance}"),
        _ => String::new(),
    };
    format!("{}{on}, account {account}, {region}", holder.name())
}

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A time span as people say it: its two largest units.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let two = |large: u64, name: &str, small: u64, small_name: &str| match small {
        0 => format!("{large} {name}"),
        _ => format!("{large} {name} {small} {small_name}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}
