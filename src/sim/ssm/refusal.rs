//! How this service says no.

use crate::sim::aws_json::error;
use crate::sim::http::Reply;

/// An input breaks a rule of its shape.
pub(super) fn validation(message: &str) -> Reply {
    error("ValidationException", &format!("1 validation error detected: {message}"))
}

/// An input is refused for a reason of this service.
pub(super) fn invalid(message: &str) -> Reply {
    error("ValidationException", message)
}

/// There is no such parameter.
pub(super) fn not_found() -> Reply {
    error("ParameterNotFound", "")
}

/// The parameter has no such version.
pub(super) fn no_version(name: &str, selector: &str) -> Reply {
    let what = if selector.parse::<u64>().is_ok() { "version" } else { "label" };
    let message = format!(
        "Systems Manager could not find {what} {selector} of {name}. Verify the {what} and try \
         again."
    );
    error("ParameterVersionNotFound", &message)
}
