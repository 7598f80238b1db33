//! Systems Manager's Parameter Store, JSON 1.1.

mod describe;
mod labels;
mod page;
mod read;
mod refusal;
mod tags;
#[cfg(test)]
mod tests;
mod write;

use std::time::Duration;

use self::refusal::validation;
use super::account::{ACCOUNT_ID, Account};
use super::aws_json;
use super::call::Call;
use super::http::Reply;
use super::image;
use super::parameter_store::ParameterStore;

/// How long AWS takes to find out whether a value is an image's id.
const VALIDATION: Duration = Duration::from_secs(5);
/// What a value can be: plain, or the id of an image that is there.
const TEXT: &str = "text";
const IMAGE: &str = "aws:ec2:image";

/// What the header of every request begins with.
pub const TARGET: &str = "AmazonSSM.";

/// Answers one signed request.
pub fn answer(account: &mut Account, call: &Call<'_>) -> Reply {
    let result = match call.action.as_str() {
        "GetParameter" => read::one(account, call),
        "GetParameters" => read::several(account, call),
        "GetParametersByPath" => read::below(account, call),
        "GetParameterHistory" => read::history(account, call),
        "PutParameter" => write::put(account, call),
        "DeleteParameter" => write::delete(account, call),
        "DeleteParameters" => write::delete_several(account, call),
        "LabelParameterVersion" => labels::add(account, call),
        "UnlabelParameterVersion" => labels::remove(account, call),
        "DescribeParameters" => describe::answer(account, call),
        "AddTagsToResource" => tags::add(account, call),
        "RemoveTagsFromResource" => tags::remove(account, call),
        "ListTagsForResource" => tags::list(account, call),
        _ => Err(aws_json::unknown()),
    };
    aws_json::reply(result)
}

/// A member that must be there.
fn needed<T>(member: Option<T>, name: &str) -> Result<T, Reply> {
    member.ok_or_else(|| {
        validation(&format!(
            "Value null at '{name}' failed to satisfy constraint: Member must not be null"
        ))
    })
}

/// The store of the region that is asked for, as time has left it.
fn store<'a>(account: &'a mut Account, call: &Call<'_>) -> &'a mut ParameterStore {
    let now = account.now();
    let region = account.region(&call.region);
    let images = &region.images;
    region.parameters.settle(now, |id| {
        let image = images.get(id);
        image.is_some_and(|image| !matches!(image.state, image::State::Failed(_)))
    });
    &mut region.parameters
}

/// The name without the ARN around it.
fn plain<'a>(call: &Call<'_>, name: &'a str) -> &'a str {
    let prefix = format!("arn:aws:ssm:{}:{ACCOUNT_ID}:parameter", call.region);
    name.strip_prefix(&prefix).unwrap_or(name)
}

fn arn(region: &str, name: &str) -> String {
    let slash = if name.starts_with('/') { "" } else { "/" };
    format!("arn:aws:ssm:{region}:{ACCOUNT_ID}:parameter{slash}{name}")
}
