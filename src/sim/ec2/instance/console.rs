//! `GetConsoleOutput`: the end of what the machine wrote on its console.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::types::Type;
use crate::sim::ec2::Call;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::shape;
use crate::sim::xml::leaf;

/// So much of it is kept.
const LIMIT: usize = 64 << 10;

/// See the module.
pub fn output(call: &mut Call<'_>, mut query: Query) -> Answer {
    let id = query.required("InstanceId")?;
    let latest = query.flag("Latest")?.unwrap_or_default();
    let dry_run = query.finish()?;
    super::check(call, std::slice::from_ref(&id))?;
    let launch = call.account.instance(&id).and_then(|instance| instance.launch.as_ref());
    let nitro = launch
        .and_then(|launch| Type::of(&launch.instance_type))
        .is_some_and(|kind| kind.needs_ena());
    if latest && !nitro {
        let message = "This instance type does not support retrieving the latest console logs";
        return Err(Refusal::new("UnsupportedOperation", message));
    }
    dry_run.end()?;
    let text = launch.map_or("", |launch| launch.console.as_str());
    let bytes = text.as_bytes();
    let end = &bytes[bytes.len().saturating_sub(LIMIT)..];
    Ok(leaf("instanceId", &id)
        + &leaf("timestamp", &shape::time(call.account.world()))
        + &leaf("output", &STANDARD.encode(end)))
}
