//! Prefix lists: blocks of addresses under one name. Whoever sets a stage makes them.

use crate::sim::ec2::Call;
use crate::sim::ec2::page::Page;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::shape::{set, some};
use crate::sim::xml::leaf;

/// `GetManagedPrefixListEntries`.
pub fn entries(call: &mut Call<'_>, mut query: Query) -> Answer {
    let id = query.required("PrefixListId")?;
    let page = Page::of(&mut query, &(1..=100), &call.fingerprint)?;
    let dry_run = query.finish()?;
    let Some(blocks) = call.here().prefix_lists.get(&id) else {
        let message = format!("The prefix list ID '{id}' does not exist");
        return Err(Refusal::new("InvalidPrefixListID.NotFound", message));
    };
    dry_run.end()?;
    let (part, next) = page.cut(blocks.iter().map(|block| (block.clone(), block.clone())));
    let items = part.into_iter().map(|block| leaf("cidr", &block));
    Ok(set("entrySet", items) + &some("nextToken", next.as_deref()))
}
