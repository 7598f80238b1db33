//! The snapshot that a new one stands on: that of the last image of the same recipe.
//!
//! A snapshot with a parent has all of its parent's blocks, so that only those that differ are sent.
//! What each block of the parent is, the parent tells itself ([`crate::image::block_table`]): nothing
//! has to be kept on the machine that bakes. Whatever goes wrong here costs time and nothing else:
//! without a parent every block is sent.

use aws_config::SdkConfig;

use super::name::{ARCH_TAG, BLOCKS_TAG, Labels, RECIPE_TAG};
use crate::aws::ebs::Encryption;
use crate::aws::image::{self, Image};
use crate::aws::snapshot::{self, Snapshot};
use crate::aws::{Failure, account};
use crate::image::blocks::Table;
use crate::image::upload;
use crate::teardown::{KEPT, STATE_TAG};

/// See the module.
#[derive(Debug)]
pub struct Parent {
    /// The image that it is of.
    pub image: Option<String>,
    /// The snapshot.
    pub snapshot: String,
    /// The size of its volume, in GiB: that of the new one is no smaller.
    pub gib: u32,
    /// Its blocks.
    pub table: Table,
}

/// The parent of a new image, or why there is none.
pub async fn find(
    config: &SdkConfig,
    labels: &Labels,
    encryption: &Encryption,
) -> Result<Parent, String> {
    let mut images = image::by_tags(
        config,
        &[(RECIPE_TAG, &labels.recipe), (ARCH_TAG, &labels.arch), (STATE_TAG, KEPT)],
    )
    .await
    .map_err(|failure| failure.to_string())?;
    images.retain(|image| image.state == image::State::Available);
    images.sort_by_key(|image| std::cmp::Reverse(image.created));
    let Some(newest) = images.first() else {
        return Err("this is the first image of the recipe here".to_owned());
    };
    let mut reason = format!("{} has no snapshot of its own", newest.id);
    // The last one is the nearest; one before it is better than none.
    for image in images.iter().take(3) {
        match of_image(config, image, encryption).await {
            Ok(parent) => return Ok(parent),
            Err(why) => reason = format!("{}: {why}", image.id),
        }
    }
    Err(reason)
}

async fn of_image(
    config: &SdkConfig,
    image: &Image,
    encryption: &Encryption,
) -> Result<Parent, String> {
    let [id] = <[String; 1]>::try_from(image.snapshots())
        .map_err(|all| format!("it has {} disks", all.len()))?;
    let parent = of_snapshot(config, &id, encryption).await?;
    Ok(Parent { image: Some(image.id.clone()), ..parent })
}

/// A snapshot as a parent, or why it cannot be one.
pub async fn of_snapshot(
    config: &SdkConfig,
    id: &str,
    encryption: &Encryption,
) -> Result<Parent, String> {
    let said = |failure: Failure| failure.to_string();
    let found = snapshot::describe(config, id).await.map_err(said)?;
    let found = found.ok_or_else(|| format!("its snapshot {id} is gone"))?;
    if found.state != snapshot::State::Completed {
        return Err(format!("its snapshot {id} is not whole"));
    }
    suits(config, &found, encryption).await?;
    let digest = found.tags.get(BLOCKS_TAG);
    let digest = digest.ok_or_else(|| format!("its snapshot {id} has no tag {BLOCKS_TAG}"))?;
    let table = upload::parent::table(config, id).await.map_err(said)?;
    // The tag and the table were written in different ways: both say the same, or neither counts.
    let table = table.filter(|table| table.digest() == *digest);
    let table = table.ok_or_else(|| format!("its snapshot {id} does not tell its blocks"))?;
    Ok(Parent {
        image: None,
        snapshot: found.id,
        gib: u32::try_from(found.gib).unwrap_or(u32::MAX),
        table,
    })
}

/// Whether a snapshot is encrypted as it is wanted, or why not.
pub(super) async fn suits(
    config: &SdkConfig,
    snapshot: &Snapshot,
    encryption: &Encryption,
) -> Result<(), String> {
    let by_default = match encryption {
        // Without the right to ask, it is tried: AWS refuses what cannot be.
        Encryption::Inherited => {
            account::encrypts_by_default(config).await.unwrap_or(snapshot.encrypted)
        }
        Encryption::DefaultKey | Encryption::Key(_) => true,
    };
    fits(snapshot, encryption, by_default)
}

/// Whether what is made of a snapshot is encrypted as it is wanted: a child has its parent's key.
fn fits(parent: &Snapshot, wanted: &Encryption, by_default: bool) -> Result<(), String> {
    let key = parent.kms_key.as_deref().unwrap_or_default();
    let id = &parent.id;
    match wanted {
        Encryption::Key(wanted) if key == wanted || key.ends_with(&format!("/{wanted}")) => Ok(()),
        Encryption::Key(_) => {
            Err(format!("its snapshot {id} is encrypted with another key, or none"))
        }
        Encryption::DefaultKey if parent.encrypted => Ok(()),
        Encryption::DefaultKey => Err(format!("its snapshot {id} is not encrypted")),
        Encryption::Inherited if parent.encrypted == by_default => Ok(()),
        Encryption::Inherited if by_default => {
            Err(format!("its snapshot {id} is not encrypted, and this account encrypts by default"))
        }
        Encryption::Inherited => {
            Err(format!("its snapshot {id} is encrypted, and this image is not to be"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(key: Option<&str>) -> Snapshot {
        Snapshot {
            id: "snap-1".into(),
            state: snapshot::State::Completed,
            reason: None,
            percent: 100,
            gib: 2,
            encrypted: key.is_some(),
            kms_key: key.map(str::to_owned),
            started: None,
            description: String::new(),
            tags: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn a_child_is_never_encrypted_otherwise_than_was_asked() {
        let arn = "arn:aws:kms:eu-west-1:123456789012:key/abc";
        let (plain, locked) = (snapshot(None), snapshot(Some(arn)));
        let key = |text: &str| Encryption::Key(text.to_owned());
        assert_eq!(fits(&plain, &Encryption::Inherited, false), Ok(()));
        assert!(fits(&plain, &Encryption::Inherited, true).is_err());
        assert!(fits(&locked, &Encryption::Inherited, false).is_err());
        assert_eq!(fits(&locked, &Encryption::Inherited, true), Ok(()));
        assert!(fits(&plain, &Encryption::DefaultKey, false).is_err());
        assert_eq!(fits(&locked, &key(arn), true), Ok(()));
        assert_eq!(fits(&locked, &key("abc"), true), Ok(()));
        assert!(fits(&locked, &key("bc"), true).is_err());
        assert!(fits(&plain, &key("abc"), true).is_err());
    }
}
