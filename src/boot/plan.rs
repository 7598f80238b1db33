//! What a boot of this host would do, with which values, and where each came from. It does nothing.

use std::fmt::Write as _;
use std::time::Duration;

use camino::Utf8Path;
use serde::Serialize;

use super::context::Machine;
use super::run;
use super::steps::{self, Step};
use super::texts::{Tags, Texts, of_image, texts};
use crate::aws::imds::{self, Imds};
use crate::error::Fault;
use crate::facts::{Facts, Identity};
use crate::host::{self, Role, Value};

/// The version of the JSON form.
pub const VERSION: u32 = 1;

/// A person waits: less than a boot does.
const BUDGET: Duration = Duration::from_secs(5);

/// What a boot would do.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// See [`VERSION`].
    pub version: u32,
    /// What the host is for, if something says so.
    pub role: Option<Role>,
    /// What was asked, and who says the role.
    pub decided: Vec<String>,
    /// The steps, each after those that it waits for.
    pub steps: Vec<Row>,
    /// What they work with.
    pub values: Vec<Value>,
    /// Why a boot would fail with that.
    pub problems: Vec<Problem>,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name.
    pub step: &'static str,
    /// What must have succeeded before.
    pub after: &'static [&'static str],
    /// How long it may take, in seconds.
    pub at_most: u64,
    /// Whether the boot fails with it.
    pub required: bool,
    /// What it does.
    pub title: &'static str,
}

/// Something that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl From<&Fault> for Problem {
    fn from(fault: &Fault) -> Self {
        Self { message: fault.to_string(), hint: fault.hint_text().map(str::to_owned) }
    }
}

/// What was asked, and what it said.
struct Asked {
    told: Vec<String>,
    texts: Texts,
}

impl Plan {
    /// The steps of a role, and nothing of this machine.
    pub fn of_role(role: Role) -> Self {
        Self {
            version: VERSION,
            role: Some(role),
            decided: vec!["the role was given, and nothing was asked".to_owned()],
            steps: rows(steps::table(Some(role))),
            values: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// What this machine would do. The metadata service is asked where there is one.
    pub async fn of(machine: &Machine, config: &Utf8Path) -> Self {
        let Asked { told: mut decided, texts } = ask(machine, config).await;
        let layers = texts.layers(config.as_str());
        let role = host::role(&layers);
        let mut problems: Vec<Problem> = texts.fault().map(Problem::from).into_iter().collect();
        let mut values = Vec::new();
        match host::told(&layers) {
            Ok(told) => {
                let missing = host::missing(&told.config).into_iter();
                problems.extend(missing.map(|it| Problem {
                    message: it.what.to_owned(),
                    hint: Some(format!("{}: in {config} or in user-data", it.hint)),
                }));
                values = host::values(&told, role);
            }
            Err(fault) => problems.push(Problem::from(&fault)),
        }
        decided.push(who_says(&values, role));
        let steps = rows(steps::table(role));
        Self { version: VERSION, role, decided, steps, values, problems }
    }

    /// For people.
    pub fn render(&self) -> String {
        let mut out: String = self.decided.iter().map(|line| format!("{line}\n")).collect();
        let _ = writeln!(out, "\n{:<10} {:<18} {:>7}  what", "step", "after", "at most");
        for row in &self.steps {
            let after = if row.after.is_empty() { "–".to_owned() } else { row.after.join(", ") };
            let required = if row.required { "" } else { " (may fail)" };
            let Row { step, at_most, title, .. } = row;
            let _ = writeln!(out, "{step:<10} {after:<18} {at_most:>5} s  {title}{required}");
        }
        if !self.values.is_empty() {
            let width = |of: fn(&Value) -> usize| self.values.iter().map(of).max().unwrap_or(0);
            let (keys, values) = (width(|it| it.key.len()), width(|it| it.value.len()).min(48));
            let _ = writeln!(out, "\n{:<keys$}  {:<values$}  from", "key", "value");
            for Value { key, value, origin } in &self.values {
                let origin = origin.as_deref().unwrap_or("default");
                let _ = writeln!(out, "{key:<keys$}  {value:<values$}  {origin}");
            }
        }
        for Problem { message, hint } in &self.problems {
            let _ = write!(out, "\nthis boot would fail: {message}\n");
            for line in hint.iter().flat_map(|hint| hint.lines()) {
                let _ = writeln!(out, "  hint: {line}");
            }
        }
        out.trim_end().to_owned()
    }
}

fn rows(table: &'static [Step]) -> Vec<Row> {
    let graph = run::graph(table);
    let row = |&index: &usize| {
        let &Step { name: step, title, after, timeout, required, .. } = &table[index];
        Row { step, after, at_most: timeout.as_secs(), required, title }
    };
    graph.order().iter().map(row).collect()
}

fn who_says(values: &[Value], role: Option<Role>) -> String {
    let said = values.iter().find(|value| value.key == "role");
    match (role, said.and_then(|value| value.origin.as_deref())) {
        (None, _) => "nothing names a role: these are the steps of a host without one".to_owned(),
        (Some(role), origin) => {
            format!(
                "the role is {}, as {} says",
                role.name(),
                origin.unwrap_or("one of the layers")
            )
        }
    }
}

async fn ask(machine: &Machine, config: &Utf8Path) -> Asked {
    let none = || Texts {
        image: of_image(config),
        user_data: Ok(String::new()),
        tags: Ok(Tags::default()),
    };
    let Some(why) = has_metadata(machine) else {
        let told = format!("this is no EC2 instance, so only {config} is read");
        return Asked { told: vec![told], texts: none() };
    };
    let asked = match Imds::new(machine.imds.as_deref(), machine.imds_budget.min(BUDGET)) {
        Ok(imds) => imds.document(|_| {}).await.map(|document| (imds, document)),
        Err(error) => Err(error),
    };
    match asked {
        Ok((imds, document)) => {
            let who = format!("{} in {}", document.instance_id, document.availability_zone);
            let texts = texts(&imds, config).await;
            let mut told =
                vec![format!("this is {who} ({why}): {config}, user-data and tags are read")];
            told.extend(texts.tags.iter().flat_map(Tags::told));
            Asked { told, texts }
        }
        Err(error) => {
            let told = format!("{error:#}; so only {config} is read");
            Asked { told: vec![told], texts: none() }
        }
    }
}

/// Why this machine should have a metadata service, if it should.
fn has_metadata(machine: &Machine) -> Option<&'static str> {
    let said = std::env::var_os(imds::VARIABLE).is_some_and(|value| !value.is_empty());
    if machine.imds.is_some() || said {
        return Some("its metadata service was named");
    }
    let boot_id = Facts::read(&machine.root).ok()?.boot_id;
    if Identity::kept(&machine.root, &boot_id).is_ok() {
        return Some("it has booted as one");
    }
    let begins = |path: &str, word: &str| {
        let text = std::fs::read_to_string(machine.path(path)).unwrap_or_default();
        text.to_ascii_lowercase().starts_with(word)
    };
    // Nitro, then Xen.
    let vendor = begins("sys/class/dmi/id/sys_vendor", "amazon ec2");
    (vendor || begins("sys/hypervisor/uuid", "ec2")).then_some("its firmware says so")
}
