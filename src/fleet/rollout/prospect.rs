//! What would come of an upgrade: everything is read, everything that speaks against it is said at
//! once, and what would be done is told. Changes nothing.

use aws_config::SdkConfig;
use serde_json::Value;

use super::ask::Ask;
use super::plan::Plan;
use super::{Order, Side};
use crate::doctor::Finding;
use crate::error::Fault;

/// See the module.
#[derive(Clone, Debug)]
pub struct Prospect {
    /// What was looked at, the worst first.
    pub findings: Vec<Finding>,
    /// What follows from it.
    pub outlook: Outlook,
}

/// What follows from what was found.
#[derive(Clone, Debug)]
pub enum Outlook {
    /// It must not be begun. The plan is there as far as it could be made.
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
    let _ = (config, ask);
    Err(Fault::step("nothing is read yet"))
}

impl Prospect {
    /// What is to be carried out; none where nothing is, or must be.
    pub fn order(&self) -> Option<&Order> {
        match &self.outlook {
            Outlook::Change(plan) => Some(&plan.order),
            Outlook::Refused(_) | Outlook::InService(_) => None,
        }
    }

    /// Why it must not be begun, as the error of the command; none where it may, or nothing is to be
    /// done.
    pub fn refusal(&self) -> Option<Fault> {
        None
    }

    /// For people: the plan, and what was found.
    pub fn text(&self) -> String {
        String::new()
    }

    /// For programs: one object.
    pub fn json(&self) -> Value {
        Value::Null
    }
}
