//! JSON 1.1, in which ECS, KMS and Systems Manager are spoken to: what a header names is asked with a
//! body, and every refusal has the status 400.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::call::Call;
use super::http::{Reply, Request};

/// The header that names an operation, after what its service puts before all of them.
pub const TARGET: &str = "x-amz-target";

/// What an operation gives, or the refusal.
pub type Answer = Result<Value, Reply>;

/// The operation that a request names, of a service that puts `prefix` before it; empty where it names
/// none.
pub fn action(request: &Request, prefix: &str) -> String {
    let target = request.header(TARGET).and_then(|target| target.strip_prefix(prefix));
    target.unwrap_or_default().to_owned()
}

/// What is asked. Members that `T` does not know are passed over, as AWS does it.
///
/// # Errors
/// The refusal of what is no JSON, or not of this shape.
pub fn input<T: DeserializeOwned>(call: &Call<'_>) -> Result<T, Reply> {
    serde_json::from_slice(&call.request.body)
        .map_err(|error| self::error("SerializationException", &error.to_string()))
}

/// An answer as it is sent.
pub fn reply(answer: Answer) -> Reply {
    answer.map_or_else(|refusal| refusal, |output| written(200, &output))
}

/// An error in the shape of this protocol.
pub fn error(kind: &str, message: &str) -> Reply {
    let body = if message.is_empty() {
        json!({ "__type": kind })
    } else {
        json!({ "__type": kind, "message": message })
    };
    written(400, &body)
}

/// An operation that the service does not have.
pub fn unknown() -> Reply {
    error("UnknownOperationException", "")
}

/// A moment, as all that AWS sends in JSON has it.
pub fn seconds(time: Timestamp) -> f64 {
    time.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()
}

/// A body as it is sent.
pub fn written(status: u16, body: &Value) -> Reply {
    Reply::new(status, "application/x-amz-json-1.1", body.to_string())
}
