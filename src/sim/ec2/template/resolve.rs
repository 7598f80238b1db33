//! `resolve:ssm:NAME`: the image that a parameter names.

use crate::sim::ec2::Call;
use crate::sim::ec2::id::Kind;
use crate::sim::ec2::refusal::{Answer, Refusal};

const ALIAS: &str = "resolve:ssm:";

/// The image itself, or the one that its alias means now.
pub fn image(call: &mut Call<'_>, image: &str) -> Answer {
    let Some(name) = image.strip_prefix(ALIAS) else { return Ok(image.to_owned()) };
    let value = call.account.parameter(&call.region, name);
    match value {
        Some(value) if Kind::Image.check(&value).is_ok() => Ok(value),
        _ => Err(Refusal::value(format!("Invalid value '{image}' for imageId"))),
    }
}
