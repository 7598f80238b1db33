//! Numbers for Prometheus, as the text file that its node exporter reads. Pure.

use std::fmt::Write as _;

use super::resources::{Memory, Room};
use crate::group::standing::State;

/// What is counted and measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Numbers {
    /// `controller`, `agent`, `ecs`.
    pub role: String,
    /// How long the boot took, in seconds.
    pub boot: Option<f64>,
    /// Whether people are served.
    pub ready: bool,
    /// How the host stands.
    pub state: Option<State>,
    /// Each part that was looked at, and whether it is well.
    pub parts: Vec<(&'static str, bool)>,
    /// The file systems that were asked, and how long each took in seconds; none: it did not answer.
    pub mounts: Vec<(String, Option<f64>)>,
    /// The generation of the lease that is held.
    pub generation: Option<u64>,
    /// Builds that run.
    pub builds: Option<u32>,
    /// How long Jenkins took to answer, in seconds.
    pub jenkins: Option<f64>,
    /// How often the metadata service did not answer.
    pub metadata_failures: u64,
    /// Room on local disks.
    pub rooms: Vec<Room>,
    /// Memory.
    pub memory: Memory,
    /// Certificates, and when each ends, in seconds since 1970.
    pub certificates: Vec<(String, i64)>,
}

impl Numbers {
    /// As text.
    pub fn text(&self) -> String {
        let mut page = Page(String::new());
        page.one("info", "This host.", &[("role", &self.role)], 1);
        page.maybe("boot_seconds", "How long the last boot took.", self.boot);
        page.one("ready", "Whether people are served.", &[], u8::from(self.ready));
        page.head("state", "How the host stands.");
        for state in [State::Serving, State::Quiet, State::Draining, State::Drained] {
            let name = format!("{state:?}").to_lowercase();
            page.line("state", &[("state", &name)], u8::from(self.state == Some(state)));
        }
        page.head("well", "Whether a part of the host is well.");
        for (part, well) in &self.parts {
            page.line("well", &[("part", part)], u8::from(*well));
        }
        page.head("mount_ok", "Whether a mounted file system answers.");
        for (path, took) in &self.mounts {
            page.line("mount_ok", &[("path", path)], u8::from(took.is_some()));
        }
        page.head("mount_seconds", "How long a mounted file system took to answer.");
        for (path, took) in &self.mounts {
            if let Some(took) = took {
                page.line("mount_seconds", &[("path", path)], took);
            }
        }
        page.maybe(
            "lease_generation",
            "The generation of the lease that is held.",
            self.generation,
        );
        page.maybe("builds", "Builds that run.", self.builds);
        page.maybe("jenkins_seconds", "How long Jenkins took to answer.", self.jenkins);
        let failures = self.metadata_failures;
        page.one(
            "metadata_failures_total",
            "Unanswered questions to the metadata service.",
            &[],
            failures,
        );
        page.head("disk_free_bytes", "Room on a local disk.");
        for room in &self.rooms {
            page.line("disk_free_bytes", &[("path", room.path)], room.free);
        }
        page.one("memory_available_bytes", "Memory that is left.", &[], self.memory.available);
        let pressure = self.memory.pressure;
        page.maybe(
            "memory_pressure_percent",
            "How much of a minute programs waited for memory.",
            pressure,
        );
        page.head("certificate_end_seconds", "When a certificate ends, in seconds since 1970.");
        for (path, end) in &self.certificates {
            page.line("certificate_end_seconds", &[("path", path)], end);
        }
        page.0
    }
}

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, help: &str) {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        let _ = write!(self.0, "# HELP hostkit_{name} {help}\n# TYPE hostkit_{name} {kind}\n");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let escape =
            |text: &str| text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
        let each = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value)));
        let labels = each.collect::<Vec<_>>().join(",");
        let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        let _ = writeln!(self.0, "hostkit_{name}{labels} {value}");
    }

    fn one(
        &mut self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        value: impl std::fmt::Display,
    ) {
        self.head(name, help);
        self.line(name, labels, value);
    }

    fn maybe(&mut self, name: &str, help: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.one(name, help, &[], value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_read_like_this() {
        let numbers = Numbers {
            role: "controller".to_owned(),
            boot: Some(6.25),
            ready: true,
            state: Some(State::Quiet),
            parts: vec![("jenkins", true), ("disk", false)],
            mounts: vec![
                ("/var/lib/jenkins".to_owned(), Some(0.0021)),
                ("/a \"b\"".to_owned(), None),
            ],
            generation: Some(7),
            builds: Some(2),
            jenkins: Some(0.012),
            metadata_failures: 3,
            rooms: vec![Room { path: "/", free: 1 << 30, total: 8 << 30 }],
            memory: Memory { available: 1 << 30, total: 4 << 30, pressure: Some(0.5) },
            certificates: vec![("/var/run/efs/x/certificate.pem".to_owned(), 1_800_000_000)],
        };
        insta::assert_snapshot!(numbers.text());
    }
}
