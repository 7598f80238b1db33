//! The last known good configuration: kept on the file system of the home once Jenkins serves with
//! it, and used where what the image says cannot be.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::STEP;
use super::set::{self, Chosen, Set};
use crate::boot::context::Context;
use crate::boot::home::{MOUNT_POINT, file_system};
use crate::boot::inside::{self, Answer, Request};
use crate::error::Fault;
use crate::jenkins::casc::{self, File};
use crate::sys::console;

/// The version of the JSON form.
const VERSION: u32 = 1;

/// What is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    version: u32,
    /// The image that it is from.
    image: String,
    files: Vec<File>,
}

/// The last known good configuration, because of `fault`. Without one that will do, the fault stands.
pub(super) async fn last_good(
    context: &Context,
    fault: Fault,
    names: &BTreeSet<String>,
) -> anyhow::Result<Chosen> {
    let kept = match read(context).await {
        Ok(Some(kept)) => kept,
        Ok(None) => return Err(alone(fault, "there is no last known good one: it never served")),
        Err(error) => {
            let why = format!("the last known good one cannot be read: {error:#}");
            return Err(alone(fault, &why));
        }
    };
    let image = kept.image.clone();
    match Set::kept(kept.files).checked(names) {
        Ok(chosen) => {
            let why = tell(context, &fault.to_string(), &image);
            Ok(Chosen { instead: Some(why), ..chosen })
        }
        Err(worse) => {
            Err(alone(fault, &format!("the last known good one does not fit here: {worse}")))
        }
    }
}

/// Puts the last known good configuration in the place of the present one, which Jenkins does not
/// take. What is told of that; none if there is no other one that will do.
pub(in crate::boot) async fn with_last_good(context: &Context, why: &str) -> Option<String> {
    if context.fell_back.load(Ordering::Relaxed) {
        return None;
    }
    match replace(context, why).await {
        Ok(told) => told,
        Err(error) => {
            context.events.log(STEP, format!("the last known good one is not used: {error:#}"));
            None
        }
    }
}

async fn replace(context: &Context, why: &str) -> anyhow::Result<Option<String>> {
    let Some(kept) = read(context).await? else { return Ok(None) };
    if kept.files == set::present(context)? {
        return Ok(None);
    }
    let names = set::names(context).await;
    let chosen = Set::kept(kept.files).checked(&names)?;
    set::write(context, &chosen.files)?;
    context.fell_back.store(true, Ordering::Relaxed);
    Ok(Some(tell(context, why, &kept.image)))
}

/// Says it where somebody may see it, and returns it.
fn tell(context: &Context, why: &str, image: &str) -> String {
    let why = format!("{why}; the last known good configuration, of {image}, is used");
    // A host that serves with an old configuration looks like one that is well.
    console::say(&context.machine.root, &format!("hostkit: {why}\n"));
    context.events.log(STEP, &why);
    why
}

fn alone(fault: Fault, why: &str) -> anyhow::Error {
    anyhow::anyhow!(why.to_owned()).context(fault)
}

async fn read(context: &Context) -> anyhow::Result<Option<Kept>> {
    let request = Request::Kept {
        mount_point: context.machine.path(MOUNT_POINT),
        file_system: file_system(context).to_owned(),
    };
    let text = match inside::ask(&context.machine.runner, &request).await? {
        Answer::Text(Some(text)) => text,
        Answer::Text(None) => return Ok(None),
        answer => anyhow::bail!("the child answered {answer:?}"),
    };
    let kept: Kept = serde_json::from_str(&text)?;
    anyhow::ensure!(kept.version == VERSION, "it has version {}", kept.version);
    Ok(Some(kept))
}

/// Keeps what Jenkins serves with now. Says what was not done, and why.
pub(in crate::boot) async fn keep(context: &Context) -> anyhow::Result<Option<String>> {
    let files = set::present(context)?;
    if casc::holds_plain_secret(&files) {
        return Ok(Some(
            "it seems to hold a secret in plain text, which must not get onto the \
                        file system"
                .to_owned(),
        ));
    }
    let image = context.must_know().identity.image_id.clone();
    let kept = Kept { version: VERSION, image, files };
    let request = Request::Keep {
        mount_point: context.machine.path(MOUNT_POINT),
        file_system: file_system(context).to_owned(),
        text: serde_json::to_string_pretty(&kept)? + "\n",
    };
    match inside::ask(&context.machine.runner, &request).await? {
        Answer::Done { .. } => Ok(None),
        answer => anyhow::bail!("the child answered {answer:?}"),
    }
}
