//! What would come of an upgrade: everything is read, everything that speaks against it is said at
//! once, and what would be done is told. Changes nothing.

use aws_config::SdkConfig;
use schemars::JsonSchema;
use serde::Serialize;

use super::ask::Ask;
use super::plan::Plan;
use super::preflight;
use super::survey::{Survey, survey};
use super::{Order, Side};
use crate::doctor::{Finding, Verdict, render, worst};
use crate::error::Fault;

/// The version of the JSON form.
pub const VERSION: u32 = 1;

/// See the module.
#[derive(Clone, Debug)]
pub struct Prospect {
    /// The group.
    pub group: String,
    /// What was looked at.
    pub findings: Vec<Finding>,
    /// What follows from it.
    pub outlook: Outlook,
}

/// What follows from what was found.
#[derive(Clone, Debug)]
pub enum Outlook {
    /// It must not be begun. The plan is there as far as it could be made, and anything was to be done.
    Refused(Option<Box<Plan>>),
    /// The image is in service already: nothing is to be done.
    InService(Side),
    /// It can be done.
    Change(Box<Plan>),
}

/// Reads everything, and says what would be done.
///
/// # Errors
/// There is no such group, or AWS says nothing at all. What it only refuses to tell is a finding.
pub async fn prepare(config: &SdkConfig, ask: &Ask) -> Result<Prospect, Fault> {
    let survey = Box::pin(survey(config, ask)).await?;
    Ok(Prospect::of(&survey, ask))
}

impl Prospect {
    /// What follows from what was read.
    pub fn of(survey: &Survey, ask: &Ask) -> Self {
        let findings = preflight::check(survey, ask);
        let plan = Plan::of(survey, ask).map(Box::new);
        let outlook = match plan {
            // Nothing is to be done, so that nothing speaks against it, unless a rollout has left it so
            // before it was proven.
            Some(plan) if plan.is_nothing(survey) => {
                if preflight::is_settled(&findings) {
                    Outlook::InService(plan.order.from)
                } else {
                    Outlook::Refused(None)
                }
            }
            Some(plan) if worst(&findings) < Verdict::Fail => Outlook::Change(plan),
            plan => Outlook::Refused(plan),
        };
        Self { group: ask.group.clone(), findings, outlook }
    }

    /// What is to be carried out; none where nothing is, or must be.
    pub fn order(&self) -> Option<&Order> {
        match &self.outlook {
            Outlook::Change(plan) => Some(&plan.order),
            Outlook::Refused(_) | Outlook::InService(_) => None,
        }
    }

    /// Why it must not be begun, as the error of the command; none where it may, or nothing is to be
    /// done. It does not repeat the findings: they are in [`Prospect::text`].
    pub fn refusal(&self) -> Option<Fault> {
        let Outlook::Refused(_) = self.outlook else { return None };
        let failed = || self.findings.iter().filter(|it| it.verdict == Verdict::Fail);
        let count = failed().count();
        let things = match count {
            0 => "it is not known to what".to_owned(),
            1 => "one thing speaks against it".to_owned(),
            many => format!("{many} things speak against it"),
        };
        let says = format!("the hosts of {} are not replaced: {things}", self.group);
        let only_aws = count > 0 && failed().all(|it| it.id.starts_with("aws."));
        let fault = if only_aws { Fault::aws(says) } else { Fault::step(says) };
        Some(match failed().find_map(|it| it.fix.first()) {
            Some(fix) if count == 1 => fault.hint(fix.clone()),
            _ => fault.hint("nothing was changed; each of them is listed with what mends it"),
        })
    }

    /// The exit code of `--plan`: 0 where nothing is to be done, 10 where something is. Of one that is
    /// refused the error decides.
    pub const fn plan_exit_code(&self) -> u8 {
        match self.outlook {
            Outlook::Change(_) => 10,
            Outlook::InService(_) | Outlook::Refused(_) => 0,
        }
    }

    /// For people: the plan, and what was found.
    pub fn text(&self) -> String {
        let mut findings = self.findings.clone();
        // What passed, or could not be told and harms nobody, is in the other form.
        findings.retain(|finding| finding.verdict != Verdict::Pass);
        let found = render(&findings);
        let plan = match &self.outlook {
            Outlook::InService(side) => return in_service(&self.group, side),
            Outlook::Change(plan) => plan.text(),
            Outlook::Refused(plan) => plan.as_ref().map(|plan| plan.text()).unwrap_or_default(),
        };
        let parts: Vec<_> = [plan, found].into_iter().filter(|it| !it.is_empty()).collect();
        parts.join("\n")
    }

    /// For programs: one object.
    pub fn line(&self) -> Line<'_> {
        let (outlook, plan, serves) = match &self.outlook {
            Outlook::Refused(plan) => (Word::Refused, plan.as_deref(), None),
            Outlook::InService(side) => (Word::InService, None, Some(side)),
            Outlook::Change(plan) => (Word::Change, Some(&**plan), None),
        };
        let (group, findings) = (self.group.as_str(), self.findings.as_slice());
        let verdict = worst(findings);
        Line { version: VERSION, group, outlook, verdict, findings, plan, serves }
    }
}

/// What would come of it, in a line of JSON.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line<'a> {
    /// See [`VERSION`].
    version: u32,
    /// The group.
    group: &'a str,
    /// What follows from what was found.
    outlook: Word,
    /// The worst of the findings.
    verdict: Verdict,
    /// What was looked at.
    findings: &'a [Finding],
    /// What would be done; absent where nothing would be, or it is not known to what.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a Plan>,
    /// What serves already.
    #[serde(skip_serializing_if = "Option::is_none")]
    serves: Option<&'a Side>,
}

/// [`Outlook`] in a word.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Word {
    /// It must not be begun.
    Refused,
    /// The image is in service already.
    InService,
    /// It can be done.
    Change,
}

fn in_service(group: &str, side: &Side) -> String {
    let version = side.version.map(|number| format!(", version {number} of {}", side.template));
    let image = if side.name.is_empty() {
        side.image.clone()
    } else {
        format!("{} ({})", side.image, side.name)
    };
    format!(
        "{group} serves {image} already{}: nothing is to be done\n",
        version.unwrap_or_default()
    )
}
