//! The image in one region: it is there, or it is copied there.
//!
//! A copy has the name of what it is a copy of, and a region has one image of a name: so a copy that
//! was begun before, by whomever, is found and waited for. Its snapshots are AWS's doing: they carry
//! the build's tag, and the journal says that they are coming before it is known what they are called.

use std::time::Duration;

use aws_config::SdkConfig;

use super::distribute::Site;
use super::name::{BLOCKS_TAG, DIGEST_TAG, PARENT_TAG, Tags};
use super::register;
use crate::aws::image::{self, Copy, Image, State, Wait};
use crate::aws::operator::{self, region};
use crate::aws::{patience, remove, tag};
use crate::digest::sha256;
use crate::error::Fault;
use crate::teardown::{BUILD_TAG, BUILDING, Fate, KEPT, Kind, Number, STATE_TAG};

/// How long AWS may need until it has heard in another region of an image that is available.
const KNOWN: Duration = Duration::from_mins(2);

/// The longest name that AWS takes.
const NAME: usize = 128;

/// Whether all disks of an image are encrypted.
pub(super) fn is_encrypted(image: &Image) -> bool {
    !image.disks.is_empty() && image.disks.iter().all(|disk| disk.encrypted)
}

/// The image of this region, available and marked to stay.
pub(super) async fn in_place(
    site: &Site<'_>,
    source: &Image,
    done: &mut Vec<String>,
) -> anyhow::Result<Image> {
    let key = site.job.wanted.keys.of(&site.region);
    let image = if !site.is_home() {
        of_name(site, source, &source.name, key, done).await?
    } else if key.is_some() && !is_encrypted(source) {
        let image = of_name(site, source, &encrypted_name(&source.name), key, done).await?;
        if !site.job.subject.fresh {
            site.say(format!(
                "{} is not encrypted, and stays: something may still use it; `hostkit images \
                 prune` removes it when nothing does",
                source.id
            ));
        }
        image
    } else {
        source.clone()
    };
    keep(site, image, done).await
}

/// What an encrypted copy is called beside what it is a copy of.
fn encrypted_name(name: &str) -> String {
    const END: &str = "-encrypted";
    let kept: String = name.chars().take(NAME - END.len()).collect();
    kept + END
}

/// The copy of this name: the one that is there, or a new one.
async fn of_name(
    site: &Site<'_>,
    source: &Image,
    name: &str,
    key: Option<&str>,
    done: &mut Vec<String>,
) -> anyhow::Result<Image> {
    let there = image::by_name(&site.config, name).await.map_err(|it| operator::fault(&it))?;
    if let Some(there) = there {
        match there.state.clone() {
            State::Broken(_) if is_same(site, &there) => {
                site.say(format!("{} had failed: it is copied anew", there.id));
                clear(site, &there).await?;
            }
            _ => {
                let image = usable(site, there, key)?;
                return wait(site, &image.id).await;
            }
        }
    }
    let id = begin(site, source, name, key).await?;
    let image = wait(site, &id).await?;
    done.push("copied".to_owned());
    Ok(image)
}

fn is_same(site: &Site<'_>, image: &Image) -> bool {
    image.tag(DIGEST_TAG) == Some(site.job.subject.digest.as_str())
}

/// An image that has the name already, if it is what is wanted.
fn usable(site: &Site<'_>, there: Image, key: Option<&str>) -> Result<Image, Fault> {
    let (id, region) = (&there.id, &site.region);
    if !is_same(site, &there) {
        let theirs = there.tag(DIGEST_TAG).map_or("none".to_owned(), str::to_owned);
        let ours = &site.job.subject.digest;
        return Err(Fault::aws(format!(
            "the name {} belongs to {id} of digest {theirs} in {region}, and this image has digest \
             {ours}",
            there.name
        ))
        .hint(format!("deregister {id} if nobody needs it")));
    }
    if there.state == State::Disabled {
        return Err(Fault::aws(format!("the copy {id} in {region} is disabled")).hint(format!(
            "`aws ec2 enable-image --region {region} --image-id {id}` brings it back"
        )));
    }
    if there.state == State::Available && key.is_some() && !is_encrypted(&there) {
        return Err(Fault::aws(format!("the copy {id} in {region} is there, and not encrypted"))
            .hint(format!(
                "deregister {id} if nobody needs it, or leave out the key of {region}"
            )));
    }
    Ok(there)
}

/// Begins a copy, with its place in the journal.
async fn begin(
    site: &Site<'_>,
    source: &Image,
    name: &str,
    key: Option<&str>,
) -> anyhow::Result<String> {
    let journal = site.journal.expect("who copies has a journal");
    // The token of a copy that failed brings that one back: another attempt needs another token.
    let failed = journal
        .borrow()
        .resources()
        .filter(|(_, one, fate)| {
            one.kind == Kind::Image && one.region == site.region && *fate == Some(Fate::Gone)
        })
        .count();
    let build = journal.borrow().header().build.clone();
    let token = token(&source.id, &site.region, key, &format!("{build} {failed}"));
    // Undone from the last to the first: the image goes before its snapshots.
    intend(site, Kind::Snapshot, &token)?;
    let number = intend(site, Kind::Image, name)?;
    let home = region(site.job.config);
    let call = Copy {
        image: &source.id,
        region: home,
        name,
        description: &source.description,
        kms_key: key,
        token: &token,
        tags: &tags(site, source, &build),
    };
    site.say(format!("copying {} from {home}", source.id));
    let made = patience::while_unknown(KNOWN, image::UNKNOWN, async || {
        image::copy(&site.config, &call).await
    });
    let id = match made.await {
        Ok(id) => id,
        // Somebody was faster, or an answer was lost.
        Err(failure) if failure.code() == Some(image::NAME_TAKEN) => {
            let there = image::by_name(&site.config, name).await;
            let there = there.map_err(|it| operator::fault(&it))?;
            usable(site, there.ok_or_else(|| operator::fault(&failure))?, key)?.id
        }
        Err(failure) => {
            // AWS has said no: nothing has come to be.
            if failure.code().is_some() && !failure.is_passing() {
                settle(site, Fate::Gone)?;
            }
            return Err(operator::fault(&failure).into());
        }
    };
    journal.borrow_mut().made(number, &id)?;
    Ok(id)
}

/// The same copy has the same token. AWS takes 128 characters.
fn token(image: &str, region: &str, key: Option<&str>, attempt: &str) -> String {
    sha256(format!("{image} {region} {} {attempt}", key.unwrap_or_default()))
}

/// The tags of a copy: those of the image but for what is true of its own snapshot alone, what the user
/// says now, and that it is not done.
fn tags(site: &Site<'_>, source: &Image, build: &str) -> Tags {
    let mut tags = source.tags.clone();
    tags.retain(|key, _| !key.starts_with("aws:") && key != PARENT_TAG && key != BLOCKS_TAG);
    tags.extend(site.job.wanted.tags.clone());
    tags.insert(BUILD_TAG.to_owned(), build.to_owned());
    tags.insert(STATE_TAG.to_owned(), BUILDING.to_owned());
    tags
}

/// Says that something is coming; once, however often it is tried.
fn intend(site: &Site<'_>, kind: Kind, token: &str) -> anyhow::Result<Number> {
    let mut journal = site.journal.expect("who copies has a journal").borrow_mut();
    let open = journal
        .unsettled()
        .into_iter()
        .find(|(_, one)| one.kind == kind && one.region == site.region && one.token == token);
    open.map_or_else(|| journal.intend(kind, &site.region, token), |(number, _)| Ok(number))
}

/// All that the journal has open in this region has come to its end.
fn settle(site: &Site<'_>, fate: Fate) -> anyhow::Result<()> {
    let Some(journal) = site.journal else { return Ok(()) };
    let mut journal = journal.borrow_mut();
    for (number, resource) in journal.unsettled() {
        if resource.region == site.region {
            journal.settle(number, fate)?;
        }
    }
    Ok(())
}

/// Waits until an image is available. One that never will be is removed.
async fn wait(site: &Site<'_>, id: &str) -> anyhow::Result<Image> {
    let mut told = false;
    let end = image::wait(&site.config, id, site.job.patience, |image| {
        if !std::mem::replace(&mut told, true) {
            site.say(format!("{} is pending", image.id));
        }
    });
    let end = end.await.map_err(|it| operator::fault(&it))?;
    if let Wait::Broken(image) = &end
        && matches!(image.state, State::Broken(_))
        && is_same(site, image)
    {
        clear(site, image).await?;
    }
    Ok(register::arrived(id, end, site.job.patience)?)
}

/// Removes a copy that failed, with its snapshots.
async fn clear(site: &Site<'_>, image: &Image) -> anyhow::Result<()> {
    remove(&site.config, image).await?;
    settle(site, Fate::Gone)
}

/// Removes an image that nothing uses, with its snapshots. Those are marked as what they are then, so
/// that `hostkit gc` finds them if this breaks off.
pub(super) async fn remove(config: &SdkConfig, image: &Image) -> anyhow::Result<()> {
    let building = Tags::from([(STATE_TAG.to_owned(), BUILDING.to_owned())]);
    let marked = tag::set(config, &image.snapshots(), &building).await;
    marked.map_err(|failure| operator::fault(&failure))?;
    let gone = remove::deregister_image(config, &image.id).await;
    gone.map_err(|failure| operator::fault(&failure))?;
    for snapshot in image.snapshots() {
        let gone = remove::delete_snapshot(config, &snapshot).await;
        gone.map_err(|failure| operator::fault(&failure))?;
    }
    Ok(())
}

/// Marks an image and its snapshots to stay, and with the user's tags.
async fn keep(site: &Site<'_>, mut image: Image, done: &mut Vec<String>) -> anyhow::Result<Image> {
    let mut tags = site.job.wanted.tags.clone();
    let news = tags.iter().any(|(key, value)| image.tag(key) != Some(value));
    tags.insert(STATE_TAG.to_owned(), KEPT.to_owned());
    if news || image.tag(STATE_TAG) != Some(KEPT) {
        let mut ids = image.snapshots();
        ids.push(image.id.clone());
        tag::set(&site.config, &ids, &tags).await.map_err(|it| operator::fault(&it))?;
        image.tags.extend(tags);
    }
    if news {
        done.push("tagged".to_owned());
    }
    settle(site, Fate::Kept)?;
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_copy_has_the_same_token_and_another_attempt_another() {
        let one = token("ami-1", "us-east-1", None, "b 0");
        assert_eq!(one, token("ami-1", "us-east-1", None, "b 0"));
        assert!(one.len() <= 128);
        for other in [
            token("ami-2", "us-east-1", None, "b 0"),
            token("ami-1", "us-east-2", None, "b 0"),
            token("ami-1", "us-east-1", Some("alias/k"), "b 0"),
            token("ami-1", "us-east-1", None, "b 1"),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn an_encrypted_copy_has_a_name_that_aws_takes() {
        assert_eq!(encrypted_name("ci-amd64-1-01234567"), "ci-amd64-1-01234567-encrypted");
        assert_eq!(encrypted_name(&"n".repeat(128)).len(), 128);
    }
}
