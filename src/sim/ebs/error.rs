//! How EBS's direct APIs say no.

use serde_json::json;

use crate::sim::http::Reply;

/// An error in the shape of this protocol: most have a reason beside their code.
pub fn error(status: u16, code: &str, message: &str, reason: Option<&str>) -> Reply {
    let mut body = json!({ "Message": message });
    if let Some(reason) = reason {
        body["Reason"] = reason.into();
    }
    Reply::new(status, "application/json", body.to_string()).header("x-amzn-errortype", code)
}

/// Too many requests: `ACCOUNT_THROTTLED` or `RESOURCE_LEVEL_THROTTLE`.
pub fn throttled(reason: &str) -> Reply {
    error(400, "RequestThrottledException", "Rate exceeded", Some(reason))
}

/// A request that cannot be right.
pub(super) fn invalid(reason: &str, message: &str) -> Reply {
    error(400, "ValidationException", message, Some(reason))
}

/// There is no such snapshot, or not for the caller.
pub(super) fn no_snapshot(id: &str) -> Reply {
    let message = format!("The snapshot '{id}' does not exist.");
    error(404, "ResourceNotFoundException", &message, Some("SNAPSHOT_NOT_FOUND"))
}

/// The simulation itself cannot go on.
pub(super) fn broken(error: &std::io::Error) -> Reply {
    tracing::warn!(%error, "the store of blocks");
    self::error(500, "InternalServerException", "An internal error has occurred.", None)
}
