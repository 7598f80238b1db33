//! How this service says no.

use crate::sim::aws_json::error;
use crate::sim::http::Reply;

pub(super) fn invalid(message: &str) -> Reply {
    error("InvalidParameterException", message)
}

pub(super) fn no_cluster() -> Reply {
    error("ClusterNotFoundException", "Cluster not found.")
}

/// What is refused for a reason that is nobody's parameter.
pub(super) fn client(message: &str) -> Reply {
    error("ClientException", message)
}
