//! What one request comes to: who asks which service, in which region, to do what.

use super::account::{ACCOUNT_ID, ROLE};
use super::disturbance::{Kind, Scene};
use super::ebs;
use super::http::Request;
use super::service::Service;

/// The operator's name.
const OPERATOR: &str = "operator";

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// An instance, with the keys of its role: its id.
    Instance(String),
    /// A person or a program outside, with keys that were given for good.
    Operator,
}

impl Caller {
    /// The instance's id, or the user's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Instance(id) => id,
            Self::Operator => OPERATOR,
        }
    }

    /// As whom AWS knows it.
    pub fn arn(&self) -> String {
        match self {
            Self::Instance(id) => format!("arn:aws:sts::{ACCOUNT_ID}:assumed-role/{ROLE}/{id}"),
            Self::Operator => format!("arn:aws:iam::{ACCOUNT_ID}:user/{OPERATOR}"),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// The service.
    pub service: Service,
    /// The operation, by the name that a policy gives it.
    pub action: String,
    /// The region that it was signed for.
    pub region: String,
    /// Who asks.
    pub caller: Caller,
    /// What goes wrong on purpose with it, as far as the service has to do with that.
    pub disturbance: Option<Kind>,
    /// The request itself.
    pub request: &'a Request,
}

#[cfg(test)]
impl<'a> Call<'a> {
    /// The operator's, in the first region, with which nothing goes wrong.
    pub fn for_tests(service: Service, action: &str, request: &'a Request) -> Self {
        Self {
            service,
            action: action.to_owned(),
            region: super::account::REGION.to_owned(),
            caller: Caller::Operator,
            disturbance: None,
            request,
        }
    }
}

impl Call<'_> {
    /// What it is, as far as disturbances go.
    pub fn scene(&self) -> Scene<'_> {
        Scene {
            service: self.service,
            action: &self.action,
            region: &self.region,
            caller: self.caller.name(),
            block: ebs::block(self.request),
        }
    }

    /// Whether it cannot change anything: so AWS names its operations.
    pub fn only_looks(&self) -> bool {
        ["Describe", "Get", "List"].iter().any(|verb| self.action.starts_with(verb))
    }
}
