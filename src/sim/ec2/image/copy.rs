//! `CopyImage`: an image of another region, or of this one, with snapshots of its own.

use std::collections::BTreeSet;

use super::lifecycle::unavailable;
use super::register::DESCRIPTION_LIMIT;
use super::{check_name, find};
use crate::sim::account::ACCOUNT_ID;
use crate::sim::conditions;
use crate::sim::ec2::Call;
use crate::sim::ec2::id::Kind;
use crate::sim::ec2::once::Once;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::snapshot::copy::{Lock, duplicate};
use crate::sim::ec2::tags::Specified;
use crate::sim::image::{Image, State};
use crate::sim::region::Tags;
use crate::sim::xml::leaf;

/// What is asked for.
struct Asked {
    name: String,
    description: Option<String>,
    region: String,
    source: String,
    lock: Lock,
    copy_tags: bool,
    tags: Specified,
    once: Once,
}

impl Asked {
    fn of(query: &mut Query, call: &Call<'_>) -> Answer<Self> {
        Ok(Self {
            name: query.required("Name")?,
            description: query.short("Description", DESCRIPTION_LIMIT)?,
            region: query.required("SourceRegion")?,
            source: query.required("SourceImageId")?,
            lock: Lock::of(query, &call.region)?,
            copy_tags: query.flag("CopyImageTags")?.unwrap_or_default(),
            tags: Specified::of(query, &[Kind::Image, Kind::Snapshot])?,
            once: Once::of(query, call)?,
        })
    }
}

/// See the module.
pub fn copy(call: &mut Call<'_>, mut query: Query) -> Answer {
    let asked = Asked::of(&mut query, call)?;
    let dry_run = query.finish()?;
    if let Some(id) = asked.once.made(call)? {
        return Ok(leaf("imageId", &id));
    }
    let source = source(call, &asked)?;
    check_name(call, &asked.name)?;
    dry_run.end()?;
    let id = Kind::Image.fresh();
    let mut mappings = source.mappings.clone();
    for mapping in &mut mappings {
        let Some(snapshot) = &mapping.snapshot else { continue };
        let from = (asked.region.as_str(), snapshot.as_str());
        let about = format!(
            "Copied for DestinationAmi {id} from SourceAmi {} for SourceSnapshot {snapshot}.",
            source.id
        );
        let tags = asked.tags.for_kind(Kind::Snapshot);
        let made = duplicate(call, from, &about, tags, &asked.lock)?;
        let snapshot = &call.here().snapshots[&made];
        mapping.encrypted = snapshot.kms_key.is_some();
        mapping.snapshot = Some(made);
    }
    let image = Image {
        id: id.clone(),
        name: asked.name,
        owner: ACCOUNT_ID.to_owned(),
        owner_alias: None,
        description: asked.description.unwrap_or_else(|| source.description.clone()),
        mappings,
        tags: tags(&source, asked.copy_tags, &asked.tags),
        created: call.account.world(),
        deprecated: None,
        protection: None,
        cooldown: None,
        shared_with: BTreeSet::new(),
        state: State::Pending(call.account.due(conditions::COPY)),
        fails: call.doom(),
        last_launched: None,
        public_parameter: None,
        source_instance: None,
        source_image: Some((asked.region, source.id.clone())),
        ..source
    };
    call.here().images.insert(id.clone(), image);
    asked.once.remember(call, &id);
    Ok(leaf("imageId", &id))
}

/// The image that is to be copied, whole and with snapshots that this account may read.
fn source(call: &mut Call<'_>, asked: &Asked) -> Answer<Image> {
    let now = call.account.now();
    let region = call.account.region(&asked.region);
    region.settle(now);
    let image = find(region, &asked.source)?.clone();
    if image.state != State::Available {
        return Err(unavailable(&image));
    }
    if let Some(snapshot) = image.snapshots().find(|one| !region.snapshots.contains_key(*one)) {
        let message = format!(
            "You do not have permission to access the storage of this ami: snapshot {snapshot}"
        );
        return Err(Refusal::new("InvalidRequest", message));
    }
    Ok(image)
}

/// Tags are copied from an own image only, where that is asked for; those that are said win.
fn tags(source: &Image, copy: bool, said: &Specified) -> Tags {
    let mut tags =
        if copy && source.owner == ACCOUNT_ID { source.tags.clone() } else { Tags::new() };
    tags.retain(|key, _| !key.starts_with("aws:"));
    tags.extend(said.for_kind(Kind::Image));
    tags
}
