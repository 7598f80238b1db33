//! Security Token Service, query protocol: who the caller is.

use super::account::ACCOUNT_ID;
use super::call::{Call, Caller};
use super::http::Reply;
use super::random;
use super::xml::{leaf, node};

/// The version of the protocol.
pub const VERSION: &str = "2011-06-15";
const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Answers one signed request.
pub fn answer(call: &Call<'_>) -> Reply {
    match call.action.as_str() {
        "GetCallerIdentity" => {
            let identity = leaf("Arn", &call.caller.arn())
                + &leaf("UserId", &user_id(&call.caller))
                + &leaf("Account", ACCOUNT_ID);
            reply(&call.action, &identity)
        }
        action => {
            let message = format!("Could not find operation {action} for version {VERSION}");
            error(400, "InvalidAction", &message)
        }
    }
}

/// An error in the shape of this protocol.
pub fn error(status: u16, code: &str, message: &str) -> Reply {
    let error = leaf("Type", "Sender") + &leaf("Code", code) + &leaf("Message", message);
    let body = format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\">{}{}</ErrorResponse>",
        node("Error", &error),
        leaf("RequestId", &random::hex(32))
    );
    Reply::new(status, "text/xml", body)
}

fn user_id(caller: &Caller) -> String {
    let unique =
        |prefix: &str, of: &str| format!("{prefix}{}", random::derived(of, 17).to_uppercase());
    match caller {
        Caller::Instance(id) => format!("{}:{id}", unique("AROA", "role")),
        Caller::Operator => unique("AIDA", "user"),
    }
}

fn reply(action: &str, result: &str) -> Reply {
    let body = format!(
        "<{action}Response xmlns=\"{NAMESPACE}\">{}{}</{action}Response>",
        node(&format!("{action}Result"), result),
        node("ResponseMetadata", &leaf("RequestId", &random::hex(32)))
    );
    Reply::new(200, "text/xml", body)
}
