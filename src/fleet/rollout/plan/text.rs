//! A plan for people.

use std::fmt::Write as _;

use super::{Change, Downtime, Plan};
use crate::fleet::rollout::journal::shortened;
use crate::fleet::rollout::{Side, Strategy};
use crate::host::Role;
use crate::image::compare::Packages;

/// So many packages or plugins of a kind are listed.
const SHOWN: usize = 12;
/// So many characters are shown of what a launch template says.
const WORDS: usize = 120;

impl Plan {
    /// A plan for people.
    pub fn text(&self) -> String {
        let order = &self.order;
        let verb = if order.rollback { "rollback" } else { "upgrade" };
        let (group, role) = (&order.group, order.role.name());
        let mut text = format!("{verb} of {group} ({role}, {})\n\n", self.region);
        let mut line = |key: &str, value: &str| {
            let _ = writeln!(text, "  {key:<10} {value}");
        };
        line("image", &format!("{} -> {}", side(&order.from), side(&order.to)));
        for change in &self.highlights {
            line(&change.what, &arrow(change));
        }
        for (what, changed) in [("plugins", &self.plugins), ("packages", &self.packages)] {
            let Some(changed) = changed else { continue };
            line(what, &counted(changed));
            for one in listed(changed) {
                line("", &one);
            }
        }
        if !self.unknown.is_empty() {
            let which = self.unknown.join(" and ");
            line("packages", &format!("not known of {which}: it was not baked on this machine"));
        }
        line("template", &self.template_line());
        for change in self.template.iter().skip(2) {
            line("", &otherwise(change));
        }
        line("strategy", &format!("{}: {}", word(order.strategy), self.because));
        if order.role != Role::Controller {
            let hosts = if self.hosts == 1 { "host" } else { "hosts" };
            line("hosts", &format!("{} {hosts}, one after the other", self.hosts));
        }
        if order.restores_home {
            line("home", "configuration and plugins as this image had left them; the rest stays");
        }
        line("downtime", &self.downtime.say());
        if !order.alarms.is_empty() {
            let names = order.alarms.join(", ");
            line(
                "alarms",
                &format!(
                    "{names}: if one fires before the image counts, what serves now is put back"
                ),
            );
        }
        if order.soak > 0 {
            let soak =
                jiff::SignedDuration::from_secs(i64::try_from(order.soak).unwrap_or(i64::MAX));
            line("soak", &format!("the image counts once it has served for {soak:#}, proven"));
        }
        if order.role == Role::Controller {
            line("builds", &self.builds_line());
        }
        if !self.untried.is_empty() {
            let says = "AWS says only when they are used whether they are allowed; `hostkit iam \
                        upgrade` has them all";
            line("rights", &format!("{says}: {}", self.untried.join(", ")));
        }
        text
    }

    fn template_line(&self) -> String {
        let (from, to) = (&self.order.from, &self.order.to);
        let old = from.version.unwrap_or_default();
        match to.version {
            Some(number) => {
                format!("{} version {old} -> {number}, which launched it before", from.template)
            }
            None => format!(
                "{} version {old} -> a new one: ImageId {} -> {}, all else as in {old}",
                from.template, from.image, to.image
            ),
        }
    }

    fn builds_line(&self) -> String {
        let now = match self.builds {
            None => "how many run is not known".to_owned(),
            Some(0) => "none runs now".to_owned(),
            Some(1) => "one runs now".to_owned(),
            Some(many) => format!("{many} run now"),
        };
        format!("{now}; {}", self.order.builds.say(self.order.builds_patience))
    }
}

const fn word(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::TerminateFirst => "terminate-first",
        Strategy::Rolling => "rolling",
        Strategy::ReplaceRootVolume => "replace-root-volume",
    }
}

fn side(side: &Side) -> String {
    if side.name.is_empty() {
        side.image.clone()
    } else {
        format!("{} ({})", side.image, side.name)
    }
}

fn arrow(change: &Change) -> String {
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "not known".to_owned());
    if change.from == change.to {
        return format!("{}, unchanged", known(&change.from));
    }
    format!("{} -> {}", known(&change.from), known(&change.to))
}

/// What a version of the launch template says otherwise.
fn otherwise(change: &Change) -> String {
    let said = |text: &Option<String>| {
        text.as_deref().map_or_else(|| "nothing".to_owned(), |it| shortened(it, WORDS))
    };
    format!("{} {} -> {}", change.what, said(&change.from), said(&change.to))
}

fn counted(changed: &Packages) -> String {
    let Packages { added, removed, changed } = changed;
    if added.is_empty() && removed.is_empty() && changed.is_empty() {
        return "the same in both".to_owned();
    }
    format!(
        "{} added, {} removed, {} in another version",
        added.len(),
        removed.len(),
        changed.len()
    )
}

fn listed(packages: &Packages) -> Vec<String> {
    let added = packages.added.iter().map(|(name, version)| format!("+ {name} {version}"));
    let removed = packages.removed.iter().map(|(name, version)| format!("- {name} {version}"));
    let changed = packages.changed.iter();
    let changed = changed.map(|(name, (from, to))| format!("~ {name} {from} -> {to}"));
    let mut all: Vec<_> = changed.chain(added).chain(removed).collect();
    if all.len() > SHOWN {
        let more = all.len() - SHOWN;
        all.truncate(SHOWN);
        all.push(format!("… and {more} more: `hostkit images diff` shows them"));
    }
    all
}

impl Downtime {
    /// How long nobody is served, for people.
    pub fn say(&self) -> String {
        match self {
            Self::None => "none: the others serve meanwhile".to_owned(),
            Self::Past { seconds, of: 1 } => {
                format!("about {}, as the last replacement took", long(*seconds))
            }
            Self::Past { seconds, of } => {
                format!("about {}, the longest of the last {of}", long(*seconds))
            }
            Self::Measured { drain, boot } => format!(
                "about {}: of late a termination took {} at most, and a launch {}",
                long(drain + boot),
                long(*drain),
                long(*boot)
            ),
            Self::Boot { seconds } => {
                format!("{} for the boot, as the last one took, and Jenkins' end", long(*seconds))
            }
            Self::Unknown => "not known: nothing of this group was measured yet".to_owned(),
        }
    }
}

/// A duration as people say it.
fn long(seconds: f64) -> String {
    let seconds = seconds.round().max(0.0);
    if seconds < 90.0 {
        return format!("{seconds:.0} s");
    }
    let minutes = (seconds / 60.0).floor();
    let rest = seconds - minutes * 60.0;
    if rest < 1.0 { format!("{minutes:.0} min") } else { format!("{minutes:.0} min {rest:.0} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_as_people_say_them() {
        let said: Vec<_> = [0.0, 4.4, 89.0, 120.0, 187.5].into_iter().map(long).collect();
        assert_eq!(said, ["0 s", "4 s", "89 s", "2 min", "3 min 8 s"]);
    }
}
