//! Why a call did not succeed, without the SDK's type for each operation.

use aws_sdk_ssm::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use thiserror::Error;

use crate::error::Fault;

/// A call that did not succeed.
#[derive(Debug, Error)]
pub enum Failure {
    /// AWS answered, and said no.
    #[error("{call} was refused: {code}: {message}")]
    Refused {
        /// Service and operation, as IAM spells them.
        call: &'static str,
        /// The error's code.
        code: String,
        /// What AWS says of it.
        message: String,
    },
    /// There was no answer that counts as one.
    #[error("{call} had no answer: {cause}")]
    NoAnswer {
        /// Service and operation.
        call: &'static str,
        /// What happened instead.
        cause: String,
    },
}

impl Failure {
    /// From what the SDK says. `call` is `service:Operation`.
    pub(super) fn new<E, R>(call: &'static str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        match error {
            SdkError::ServiceError(context) => Self::Refused {
                call,
                code: context.err().code().unwrap_or("unknown error").to_owned(),
                message: context.err().message().unwrap_or("no message").to_owned(),
            },
            _ => Self::NoAnswer { call, cause: causes(error) },
        }
    }

    /// The code of a refusal.
    pub fn code(&self) -> Option<&str> {
        if let Self::Refused { code, .. } = self { Some(code) } else { None }
    }

    /// What AWS said, if it answered.
    pub fn message(&self) -> &str {
        match self {
            Self::Refused { message, .. } => message,
            Self::NoAnswer { cause, .. } => cause,
        }
    }

    /// Whether the instance role lacks a permission.
    pub fn is_denied(&self) -> bool {
        self.code()
            .is_some_and(|code| code.contains("AccessDenied") || code.contains("Unauthorized"))
    }

    const fn call(&self) -> &'static str {
        match self {
            Self::Refused { call, .. } | Self::NoAnswer { call, .. } => call,
        }
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        let hint = if failure.is_denied() {
            format!("allow `{}` in the policy of the instance role", failure.call())
        } else if failure.code().is_some() {
            "the answer is from AWS itself; its code is in the documentation of that call"
                .to_owned()
        } else if failure.message().contains("redentials") {
            "the instance needs an IAM instance profile".to_owned()
        } else {
            "check the route to AWS: NAT gateway or VPC endpoint, security groups, DNS".to_owned()
        };
        Self::aws(failure.to_string()).hint(hint)
    }
}

/// The SDK's chain of causes in one line, without its `Debug` tail.
fn causes<E, R>(error: &SdkError<E, R>) -> String
where
    E: std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let text = DisplayErrorContext(error).to_string();
    let end = text.rfind(" (").unwrap_or(text.len());
    // `DisplayErrorContext` ends with ` (DebugOfEverything)`, which may itself hold ` (`.
    let end = text.find(" (DispatchFailure").or_else(|| text.find(" (TimeoutError")).unwrap_or(end);
    let end = text.find(" (ConstructionFailure").unwrap_or(end);
    text[..end].replace('\n', " ")
}
