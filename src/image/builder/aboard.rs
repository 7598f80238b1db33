//! What the hostkit on a builder does last: it says what is installed; removes what no image may
//! hold, itself among it; and sees to it that nothing is written any more.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use super::remote::FOLDER;
use crate::error::Fault;
use crate::image::hygiene::{self, Terms};
use crate::image::sbom::Bom;
use crate::image::secrets;
use crate::plan::Plan;
use crate::secret::Secrets;
use crate::step::packages::installed_on;
use crate::sys::{Host, Root, freeze};

/// Something may write a file again while others are looked at.
const ATTEMPTS: usize = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// What is installed on a builder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// The versions of all packages, by name.
    pub packages: BTreeMap<String, String>,
    /// The bill of materials.
    pub bom: String,
}

/// Says what is installed here.
pub async fn inventory(plan: &Plan, epoch: i64) -> anyhow::Result<Inventory> {
    let live = Host::live(Root::open("/").context("opening the root")?);
    let packages = installed_on(&live).await?;
    let bom = Bom::of_tree(&live, plan, epoch).await?.to_json();
    Ok(Inventory { packages, bom })
}

/// Cleans the builder that this runs on, whose disks alone are to be seen at `root`. Says whether
/// nothing can be written any more.
///
/// # Errors
/// This is no builder; something is left that no image may hold.
pub async fn clean(plan: &Plan, values: &Secrets, root: &Utf8Path) -> anyhow::Result<bool> {
    refuse_elsewhere()?;
    let tree = Root::open(root).context("opening the tree")?;
    tree.remove_all(FOLDER).with_context(|| format!("removing {FOLDER}"))?;
    let terms = Terms::of(plan)?.mount_points(plan.immutable.clone());
    let mut cleaned = hygiene::clean(&tree, &terms);
    for _ in 1..ATTEMPTS {
        if cleaned.is_ok() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        cleaned = hygiene::clean(&tree, &terms);
    }
    cleaned?;
    secrets::refuse("the image", &secrets::search_tree(tree.path(), values)?)?;
    let frozen = freeze::freeze().await?;
    // Something may have been written between the cleaning and this.
    hygiene::prove(&tree, &terms)?;
    Ok(frozen)
}

/// Nothing but a builder may be cleaned: what it does cannot be undone.
fn refuse_elsewhere() -> Result<(), Fault> {
    let here = std::env::current_exe().unwrap_or_default();
    if here.parent().is_some_and(|folder| folder == FOLDER) {
        return Ok(());
    }
    Err(Fault::usage("this machine is no builder")
        .hint("only `hostkit bake --via instance` cleans one, and only its own"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_builder_is_cleaned() {
        assert_eq!(refuse_elsewhere().unwrap_err().to_string(), "this machine is no builder");
    }
}
