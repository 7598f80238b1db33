//! Why EC2 does not do what it is asked: a status, a code of AWS's own, and its words.

use crate::sim::http::Reply;
use crate::sim::random;
use crate::sim::xml::{leaf, node};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: u16,
    /// `InvalidAMIID.NotFound`, …
    pub code: &'static str,
    /// What a human reads.
    pub message: String,
}

/// What an operation gives, or why it does not.
pub type Answer<T = String> = Result<T, Refusal>;

impl Refusal {
    /// With the status 400, as nearly all have.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, code, message: message.into() }
    }

    /// A parameter that must be there is not.
    pub fn missing(name: &str) -> Self {
        let message = format!("The request must contain the parameter {name}");
        Self::new("MissingParameter", message)
    }

    /// A parameter has a value that it cannot have.
    pub fn value(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterValue", message)
    }

    /// Parameters that do not go together.
    pub fn combination(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterCombination", message)
    }

    /// Something is in a state in which this cannot be done with it.
    pub fn state(message: impl Into<String>) -> Self {
        Self::new("IncorrectState", message)
    }

    /// In the shape of the protocol.
    pub fn reply(&self) -> Reply {
        error(self.status, self.code, &self.message)
    }
}

/// An error in the shape of this protocol.
pub fn error(status: u16, code: &str, message: &str) -> Reply {
    let error = leaf("Code", code) + &leaf("Message", message);
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response>{}{}</Response>",
        node("Errors", &node("Error", &error)),
        leaf("RequestID", &random::hex(32))
    );
    Reply::new(status, "text/xml;charset=UTF-8", body)
}
