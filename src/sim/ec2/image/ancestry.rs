//! `GetImageAncestry`: of which image an image is a copy, and that one, and so on.

use super::find;
use crate::sim::account::ACCOUNT_ID;
use crate::sim::ec2::Call;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::Answer;
use crate::sim::ec2::shape::{self, set, some};
use crate::sim::xml::leaf;

/// See the module. It ends where an image is not a copy, or is not there any more.
pub fn ancestry(call: &mut Call<'_>, mut query: Query) -> Answer {
    let id = query.required("ImageId")?;
    let dry_run = query.finish()?;
    find(call.here(), &id)?;
    dry_run.end()?;
    let mut next = Some((call.region.clone(), id));
    let mut entries = Vec::new();
    while let Some((region, id)) = next.take() {
        let Some(image) = call.account.region(&region).images.get(&id) else { break };
        let alias = image.owner_alias.as_deref();
        let source = image.source_image.as_ref();
        entries.push(
            leaf("imageId", &id)
                + &leaf("creationDate", &shape::time(image.created))
                + &some("imageOwnerAlias", alias.or((image.owner == ACCOUNT_ID).then_some("self")))
                + &some("sourceImageId", source.map(|(_, id)| id.as_str()))
                + &some("sourceImageRegion", source.map(|(region, _)| region.as_str())),
        );
        next.clone_from(&image.source_image);
    }
    Ok(set("imageAncestryEntrySet", entries))
}
