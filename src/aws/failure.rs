//! Why a call did not succeed, without the SDK's type for each operation.

use aws_sdk_ssm::config::http::HttpResponse;
use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use thiserror::Error;

use crate::error::Fault;

/// In the codes of refusals which mean: later.
const THROTTLED: &[&str] = &["Throttl", "TooManyRequests", "RequestLimitExceeded", "SlowDown"];

/// What a call is refused with that was signed at another time than AWS's, among other reasons.
const UNSIGNED: &[&str] = &[
    "AuthFailure",
    "InvalidSignatureException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
];

/// A signature is good for five minutes.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(4);

/// What a clock has to do with a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Nothing that is known.
    Fine,
    /// It may be the cause.
    Suspect,
    /// AWS's clock is ahead of this machine's by so much, which is too much.
    Off(SignedDuration),
}

impl Clock {
    /// What to do about it, if it may be the cause.
    fn hint(self) -> Option<String> {
        match self {
            Self::Fine => None,
            Self::Suspect => Some(
                "the clock of this host may be wrong: `timedatectl` tells; 169.254.169.123 is EC2's \
                 time server"
                    .to_owned(),
            ),
            Self::Off(ahead) => {
                let side = if ahead.is_negative() { "ahead of" } else { "behind" };
                let minutes = ahead.abs().as_mins();
                Some(format!(
                    "the clock of this host is {minutes} minutes {side} that of AWS, which takes no \
                     signature of another time: `timedatectl` tells whether it is kept right; \
                     169.254.169.123 is EC2's time server"
                ))
            }
        }
    }
}

/// A call that did not succeed.
#[derive(Debug, Error)]
pub enum Failure {
    /// AWS answered, and said no.
    #[error("{call} was refused: {code}: {message}")]
    Refused {
        /// Service and operation, as IAM spells them.
        call: &'static str,
        /// The HTTP status.
        status: u16,
        /// The error's code.
        code: String,
        /// What AWS says of it.
        message: String,
        /// How far AWS's clock is ahead of this machine's, where the answer tells.
        ahead: Option<SignedDuration>,
    },
    /// There was an answer, and it cannot be understood. What it said is never repeated: it may
    /// be half a secret.
    #[error("{call} had an answer that cannot be read: {cause}")]
    Unreadable {
        /// Service and operation.
        call: &'static str,
        /// What is wrong with it.
        cause: String,
    },
    /// There was no answer.
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
    pub(super) fn new<E>(call: &'static str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let cause = causes(error);
        match error {
            SdkError::ServiceError(context) => Self::Refused {
                call,
                status: context.raw().status().as_u16(),
                code: context.err().code().unwrap_or("unknown error").to_owned(),
                message: context.err().message().unwrap_or("no message").to_owned(),
                ahead: ahead(context.raw()),
            },
            SdkError::ResponseError(_) => Self::Unreadable { call, cause },
            _ => Self::NoAnswer { call, cause },
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
            Self::Unreadable { cause, .. } | Self::NoAnswer { cause, .. } => cause,
        }
    }

    /// Whether the instance role lacks a permission.
    pub fn is_denied(&self) -> bool {
        self.code()
            .is_some_and(|code| code.contains("AccessDenied") || code.contains("Unauthorized"))
    }

    /// Whether this machine's clock may be the reason.
    pub fn clock(&self) -> Clock {
        let is_unsigned = |code: &str| UNSIGNED.contains(&code);
        match self {
            Self::Refused { code, ahead, .. } if is_unsigned(code) => match ahead {
                Some(ahead) if ahead.abs() > CLOCK_TOLERANCE => Clock::Off(*ahead),
                Some(_) if code != "RequestExpired" => Clock::Fine,
                _ => Clock::Suspect,
            },
            // A certificate is not valid yet, or not any more.
            Self::NoAnswer { cause, .. } if cause.to_lowercase().contains("certificate") => {
                Clock::Suspect
            }
            _ => Clock::Fine,
        }
    }

    /// Whether the same call may well succeed in a moment.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::NoAnswer { .. } | Self::Unreadable { .. } => true,
            Self::Refused { status, code, .. } => {
                *status >= 500 || *status == 429 || THROTTLED.iter().any(|it| code.contains(it))
            }
        }
    }

    /// Whether it was refused because there were too many.
    pub fn is_throttled(&self) -> bool {
        self.code().is_some_and(|code| THROTTLED.iter().any(|it| code.contains(it)))
    }

    /// The permission that a denial is about. A call may need more than its own:
    /// `ssm:GetParameters` needs a KMS key.
    pub fn wanted(&self) -> &str {
        action(self.message()).unwrap_or(self.call())
    }

    const fn call(&self) -> &'static str {
        match self {
            Self::Refused { call, .. }
            | Self::Unreadable { call, .. }
            | Self::NoAnswer { call, .. } => call,
        }
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        let hint = if let Some(clock) = failure.clock().hint() {
            clock
        } else if failure.is_denied() {
            format!("allow `{}` in the policy of the instance role", failure.wanted())
        } else if failure.code().is_some() {
            "the answer is from AWS itself; its code is in the documentation of that call"
                .to_owned()
        } else if matches!(failure, Failure::Unreadable { .. }) {
            "something in between changes what AWS says: check `aws.endpoint_url` and proxies"
                .to_owned()
        } else if failure.message().contains("credential") {
            "the instance needs an IAM instance profile".to_owned()
        } else {
            "check the route to AWS: NAT gateway or VPC endpoint, security groups, DNS".to_owned()
        };
        Self::aws(failure.to_string()).hint(hint)
    }
}

/// The action that a denial names: `… is not authorized to perform: kms:Decrypt on resource: …`.
fn action(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("not authorized to perform: ")?;
    let action = rest.split_whitespace().next()?;
    action.contains(':').then_some(action)
}

/// How far the clock of whoever sent this is ahead of ours.
fn ahead(response: &HttpResponse) -> Option<SignedDuration> {
    let theirs = rfc2822::DateTimeParser::new().parse_timestamp(response.headers().get("date")?);
    Some(theirs.ok()?.duration_since(Timestamp::now()))
}

/// The chain of causes in one line: what each says of itself, and never its `Debug`, which holds
/// the whole answer.
pub(super) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(|error| error.to_string().replace('\n', " ")).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_told_by_the_action_that_it_names() {
        let denied = |message: &str| Failure::Refused {
            call: "ssm:GetParameters",
            status: 400,
            code: "AccessDeniedException".to_owned(),
            message: message.to_owned(),
            ahead: None,
        };
        let key =
            "User: arn:x is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:k";
        for (message, wanted) in [(key, "`kms:Decrypt`"), ("no", "`ssm:GetParameters`")] {
            let fault = Fault::from(denied(message));
            assert!(fault.hint_text().unwrap().contains(wanted), "{fault}");
        }
    }
}
