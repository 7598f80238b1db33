//! `ModifyLaunchTemplate`: another version is the default.

use super::{Named, known, outline, version};
use crate::sim::ec2::Call;
use crate::sim::ec2::once::Once;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::Answer;
use crate::sim::xml::node;

/// See the module.
pub fn modify(call: &mut Call<'_>, mut query: Query) -> Answer {
    let named = Named::of(&mut query)?;
    let word = query.text("SetDefaultVersion");
    let once = Once::of(&mut query, call)?;
    let dry_run = query.finish()?;
    let id = named.find(call.here())?;
    let made = once.made(call)?;
    let template = known(call, &id);
    let default = word.map(|word| version(template, &word)).transpose()?;
    dry_run.end()?;
    if made.is_none() {
        template.default = default.unwrap_or(template.default);
    }
    let answer = node("launchTemplate", &outline(template));
    once.remember(call, &id);
    Ok(answer)
}
