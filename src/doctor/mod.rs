//! What is wrong, what shows it, and the line that mends it.
//!
//! A check is data: an id, what it looks at, and what it found, a [`Finding`]. Checks never change
//! anything and never touch a mounted file system in this process. What they are given was read
//! before, so that they decide without I/O.

pub mod efs;
pub mod group;
pub mod recover;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::aws::Failure;

/// Something that could not be looked at, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// What it takes: an action, as IAM spells it.
    pub needs: String,
    /// Whether it is a permission that is missing; else AWS did not answer, or not as it should.
    pub denied: bool,
    /// What was answered.
    pub why: String,
}

impl Gap {
    /// Whether nothing answered in time: others who ask the same would wait as long.
    pub fn is_silence(&self) -> bool {
        self.why.contains(" had no answer: ") || self.why.starts_with("it did not end within")
    }
}

impl From<Failure> for Gap {
    fn from(failure: Failure) -> Self {
        Self {
            needs: failure.wanted().to_owned(),
            denied: failure.is_denied(),
            why: failure.to_string(),
        }
    }
}

/// What was looked at, or why it could not be.
pub type Look<T> = Result<T, Gap>;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is as it must be.
    Pass,
    /// It could not be looked at; the finding says why.
    Skip,
    /// It works, and somebody should look.
    Warn,
    /// It is wrong.
    Fail,
}

impl Verdict {
    /// In four letters.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Skip => "skip",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// The check: lower case, dots between its parts, the same for ever.
    pub id: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What is so, in a line: for a check that passed what was looked at, else what is wrong.
    pub says: String,
    /// What shows it: numbers, addresses, ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// What mends it, to be copied: commands, or a sentence where no command does it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fix: Vec<String>,
}

impl Finding {
    /// Without evidence or fix.
    pub fn new(id: &'static str, verdict: Verdict, says: impl Into<String>) -> Self {
        Self { id, verdict, says: says.into(), evidence: Vec::new(), fix: Vec::new() }
    }

    /// That it could not be looked at.
    pub fn untold(id: &'static str, what: &str, gap: &Gap) -> Self {
        let says = if gap.denied {
            format!("{what} cannot be told: needs {}", gap.needs)
        } else {
            format!("{what} cannot be told: {} did not answer as it should", gap.needs)
        };
        Self::new(id, Verdict::Skip, says).shown_by(gap.why.clone())
    }

    /// Adds what shows it.
    #[must_use]
    pub fn shown_by(mut self, evidence: impl Into<String>) -> Self {
        self.evidence.push(evidence.into());
        self
    }

    /// Adds what mends it.
    #[must_use]
    pub fn mended_by(mut self, fix: impl Into<String>) -> Self {
        self.fix.push(fix.into());
        self
    }
}

/// Findings for people: the worst first, what passed in one line at the end.
pub fn render(findings: &[Finding]) -> String {
    let mut sorted: Vec<_> = findings.iter().collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.verdict));
    let (passed, others): (Vec<_>, Vec<_>) =
        sorted.into_iter().partition(|finding| finding.verdict == Verdict::Pass);
    let mut text = String::new();
    for finding in others {
        text += &format!("{}  {}  {}\n", finding.verdict.word(), finding.id, finding.says);
        for evidence in &finding.evidence {
            text += &format!("      {evidence}\n");
        }
        for fix in &finding.fix {
            text += &format!("      > {fix}\n");
        }
    }
    let ids: Vec<_> = passed.iter().map(|finding| finding.id).collect();
    if !ids.is_empty() {
        text += &format!("pass  {}\n", ids.join(" "));
    }
    text
}

/// The worst of some findings; nothing is wrong where there are none.
pub fn worst<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Verdict {
    findings.into_iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Pass)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_worse_than_all_else_and_a_skip_is_no_warning() {
        let found = |verdict| Finding::new("group.size", verdict, "is 1");
        let all = [found(Verdict::Warn), found(Verdict::Fail), found(Verdict::Skip)];
        assert_eq!(worst(&all), Verdict::Fail);
        assert_eq!(worst(&all[..1]), Verdict::Warn);
        assert_eq!(worst(&[]), Verdict::Pass);
        assert!(Verdict::Skip < Verdict::Warn);
    }
}
