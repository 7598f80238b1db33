//! Whether this host does what it is for, and what is wrong with it. Pure.

use std::collections::BTreeMap;

/// What is looked at. The order is that in which problems are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Jenkins answers.
    Jenkins,
    /// The ECS agent runs.
    EcsAgent,
    /// SSH answers.
    Ssh,
    /// File systems answer.
    Mount,
    /// This host holds its home.
    Lease,
    /// Local disks have room.
    Disk,
    /// There is memory.
    Memory,
    /// Certificates are good for a while.
    Certificates,
    /// The metadata service answers.
    Metadata,
    /// EC2 leaves the machine below alone.
    Maintenance,
}

impl Part {
    /// Its name, for people and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jenkins => "jenkins",
            Self::EcsAgent => "ecs-agent",
            Self::Ssh => "ssh",
            Self::Mount => "mount",
            Self::Lease => "lease",
            Self::Disk => "disk",
            Self::Memory => "memory",
            Self::Certificates => "certificates",
            Self::Metadata => "metadata",
            Self::Maintenance => "maintenance",
        }
    }

    /// Whether a host does not serve where this is wrong.
    pub const fn is_vital(self) -> bool {
        matches!(self, Self::Jenkins | Self::EcsAgent | Self::Ssh | Self::Mount)
    }
}

/// What is wrong, and since when nobody is served.
#[derive(Clone, Debug, Default)]
pub struct Health {
    problems: BTreeMap<Part, String>,
    unserving: Option<f64>,
    reported: Option<f64>,
}

impl Health {
    /// Takes what was found at `now`. Returns a line where that is news.
    pub fn find(&mut self, now: f64, part: Part, problem: Option<String>) -> Option<String> {
        let line = match (self.problems.get(&part), &problem) {
            (None, None) => return None,
            (Some(_), None) => Some(format!("{}: well again", part.name())),
            (Some(old), Some(new)) if old == new => None,
            (_, Some(new)) => Some(format!("{}: {new}", part.name())),
        };
        match problem {
            Some(problem) => self.problems.insert(part, problem),
            None => self.problems.remove(&part),
        };
        let serves = !self.problems.keys().any(|part| part.is_vital());
        self.unserving = if serves { None } else { self.unserving.or(Some(now)) };
        line
    }

    /// Whether people are served.
    pub const fn serves(&self) -> bool {
        self.unserving.is_none()
    }

    /// What is wrong with a part.
    pub fn problem(&self, part: Part) -> Option<&str> {
        self.problems.get(&part).map(String::as_str)
    }

    /// All that is wrong, in one line; empty where nothing is.
    pub fn say(&self) -> String {
        let each = self.problems.iter().map(|(part, what)| format!("{}: {what}", part.name()));
        each.collect::<Vec<_>>().join("; ")
    }

    /// Why the group is to be told at `now` that this host does not serve: it has not for `after`
    /// seconds. Not again before as much has passed.
    pub fn report(&mut self, now: f64, after: f64) -> Option<String> {
        let since = self.unserving?;
        let is_due =
            now - since >= after && self.reported.is_none_or(|then| now - then >= after.max(60.0));
        if !is_due {
            return None;
        }
        self.reported = Some(now);
        let vital = self.problems.iter().filter(|(part, _)| part.is_vital());
        let each = vital.map(|(part, what)| format!("{}: {what}", part.name()));
        Some(each.collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_vital_and_lasts_is_reported_and_not_again_at_once() {
        let mut health = Health::default();
        let bad = |what: &str| Some(what.to_owned());
        assert!(health.find(0.0, Part::Disk, bad("/ is full")).is_some());
        assert!(health.serves());
        assert_eq!(health.report(10_000.0, 300.0), None);
        let line = health.find(10.0, Part::Jenkins, bad("/login answers 503"));
        assert_eq!(line.unwrap(), "jenkins: /login answers 503");
        assert_eq!(health.find(20.0, Part::Jenkins, bad("/login answers 503")), None);
        assert_eq!(health.report(309.0, 300.0), None);
        assert_eq!(health.report(310.0, 300.0).unwrap(), "jenkins: /login answers 503");
        assert_eq!(health.report(320.0, 300.0), None);
        assert!(health.report(610.0, 300.0).is_some());
        assert_eq!(health.find(620.0, Part::Jenkins, None).unwrap(), "jenkins: well again");
        assert_eq!(health.report(9000.0, 300.0), None);
        assert_eq!(health.say(), "disk: / is full");
    }
}
