//! How clients, answers and what mends them are told.

use serde_json::json;

use super::Access;
use super::evaluate::Answer;
use super::request::{Client, MOUNT, ROOT, WRITE};
use crate::doctor::efs::scene::Case;

/// The ARN of an access point, beside that of its file system.
pub(super) fn access_point(file_system: &str, id: &str) -> String {
    let before = file_system.rsplit_once(":file-system/").map_or(file_system, |it| it.0);
    format!("{before}:access-point/{id}")
}

/// A client, and how it comes.
pub(super) fn client(of: &Client) -> String {
    let who = of.arn().unwrap_or_else(|| "whoever does not prove who he is".to_owned());
    let tls = if of.tls { "with TLS" } else { "without TLS" };
    let by = of.access_point.as_deref().and_then(|it| it.rsplit('/').next());
    let by = by.map_or_else(String::new, |id| format!(" by {id}"));
    format!("{who}, {tls}{by},")
}

/// What it is kept from, or let do.
pub(super) fn verb(what: &str, answer: &Answer) -> String {
    match (what, answer) {
        ("mount", Answer::Denied(_)) => "mounting".to_owned(),
        ("write", Answer::Denied(_)) => "writing".to_owned(),
        (what, _) => what.to_owned(),
    }
}

/// What a client may do of the three things that there are.
pub(super) fn may(access: &Access) -> String {
    let all = [("mount", &access.mount), ("write", &access.write), ("be root", &access.root)];
    let one = |(what, answer): (&str, &Answer)| match answer {
        Answer::Allowed => what.to_owned(),
        Answer::Denied(by) => format!("not {what} ({by} denies it)"),
        Answer::Unmentioned => format!("not {what} (nothing allows it)"),
        Answer::ByRole => format!("{what} if its own policy says so"),
        Answer::Depends(_) => format!("perhaps {what}"),
    };
    all.map(one).join(", ")
}

/// The command that shows a policy, and keeps it in a file to be changed.
pub(super) fn show(case: &Case<'_>) -> String {
    format!(
        "aws efs describe-file-system-policy --file-system-id {} --region {} --query Policy \
         --output text > policy.json",
        case.asked.file_system, case.asked.region
    )
}

/// The command that puts it back.
pub(super) fn put(case: &Case<'_>) -> String {
    format!(
        "aws efs put-file-system-policy --file-system-id {} --region {} --policy file://policy.json",
        case.asked.file_system, case.asked.region
    )
}

/// What lets this client in.
pub(super) fn statement(of: &Client) -> String {
    let mut condition = json!({ "Bool": { "elasticfilesystem:AccessedViaMountTarget": "true" } });
    if of.tls {
        condition["Bool"]["aws:SecureTransport"] = json!("true");
    }
    if let Some(point) = &of.access_point {
        condition["StringEquals"] = json!({ "elasticfilesystem:AccessPointArn": point });
    }
    let statement = json!({
        "Sid": "Hostkit",
        "Effect": "Allow",
        "Principal": { "AWS": of.arn().unwrap_or_else(|| "*".to_owned()) },
        "Action": [MOUNT, WRITE, ROOT],
        "Resource": of.file_system,
        "Condition": condition,
    });
    format!("in policy.json, one more of `Statement`: {statement}")
}
