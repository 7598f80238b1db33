//! Which Jenkins a home has seen, and whether that of the image may have it.
//!
//! Jenkins itself writes down its version once it is up, and hostkit before it starts one: the newer
//! of the two counts, because a start that failed may have changed files already. Jenkins knows that
//! it is older than its home and goes on all the same.

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Answer, aside};
use crate::jenkins::Version;
use crate::lease::ground::HOME;
use crate::sys::{Owner, Root};

/// What last ran on this home.
const RELEASE: &str = ".hostkit/release";

/// Where Jenkins writes its version, in its home.
const LAST: &str = "jenkins.install.InstallUtil.lastExecVersion";

/// What the home is served by: a version of Jenkins and a set of plugins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Software {
    /// The version of Jenkins, where it is known.
    pub jenkins: Option<Version>,
    /// What the image's plugins come to, where it brought any.
    pub plugins: Option<String>,
}

/// [`RELEASE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Release {
    version: u32,
    #[serde(flatten)]
    software: Software,
    image: String,
    at: Timestamp,
}

/// What the home was served by. `folder` is where it is.
pub(super) fn served_by(root: &Root, folder: &Utf8Path) -> anyhow::Result<Software> {
    let last = was_up(root, folder)?;
    let software = was_to_serve(root)?;
    let plugins = software.as_ref().and_then(|it| it.plugins.clone());
    let jenkins = last.max(software.and_then(|it| it.jenkins));
    Ok(Software { jenkins, plugins })
}

/// The last Jenkins that came up, by its own word. What is no version does not forbid anything.
fn was_up(root: &Root, folder: &Utf8Path) -> anyhow::Result<Option<Version>> {
    let last = root.read_text(folder.join(LAST)).with_context(|| format!("reading {LAST}"))?;
    Ok(last.and_then(|text| text.parse().ok()))
}

/// What hostkit last made the home ready for.
fn was_to_serve(root: &Root) -> anyhow::Result<Option<Software>> {
    Ok(release(root)?.map(|release| release.software))
}

/// What cannot be read forbids nothing.
fn release(root: &Root) -> anyhow::Result<Option<Release>> {
    let release = root.read(RELEASE).with_context(|| format!("reading {RELEASE}"))?;
    Ok(release.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Undoes the change to a newer Jenkins that never came up, for that of the image: what was kept aside
/// is put back. Says so where it was done. Whoever is interrupted does it again.
pub(super) fn take_back(root: &Root, image: Option<&Version>) -> anyhow::Result<Option<String>> {
    let started = was_to_serve(root)?.and_then(|software| software.jenkins);
    let up = was_up(root, HOME.into())?;
    let (Some(image), Some(started), Some(up)) = (image, started, up) else { return Ok(None) };
    if started <= *image || up > *image {
        return Ok(None);
    }
    let Some(set) = aside::made_for(root, &started, image)? else { return Ok(None) };
    let before = aside::put_back(root, &set).with_context(|| format!("putting {set} back"))?;
    // Last: until then it is all done again.
    match before {
        Some(release) => root.write(RELEASE, &release, 0o600, Owner::me()).map(drop),
        None => root.remove(RELEASE).map(drop),
    }
    .with_context(|| format!("writing {RELEASE}"))?;
    Ok(Some(format!(
        "Jenkins {started} was to serve this home and never came up: configuration and plugins are \
         put back from {set}"
    )))
}

/// What the Jenkins of this image had left of the home when another image's took it over.
#[derive(Debug)]
pub(super) struct Left {
    /// The id of the image that serves the home now.
    pub served: String,
    /// When it took the home over.
    pub since: Timestamp,
    /// What serves it now.
    now: Software,
    /// What had served it before.
    before: Software,
    /// Where it was kept aside.
    set: Utf8PathBuf,
}

/// What the Jenkins of this image has left, if it was kept aside for exactly what serves the home now,
/// and that is of another image.
pub(super) fn left(
    root: &Root,
    jenkins: Option<&Version>,
    image: &str,
) -> anyhow::Result<Option<Left>> {
    let (Some(jenkins), Some(release)) = (jenkins, release(root)?) else { return Ok(None) };
    if release.image == image {
        return Ok(None);
    }
    let now = served_by(root, HOME.into())?;
    let (served, since) = (release.image, release.at);
    let Some((set, before)) = aside::left_by(root, jenkins, &now, &served)? else {
        return Ok(None);
    };
    // Another image may have the same Jenkins, and come long after the set.
    let had_run = aside::release_of(root, &set)?;
    let had_run = had_run.and_then(|bytes| serde_json::from_slice::<Release>(&bytes).ok());
    let is_ours = had_run.is_some_and(|had_run| had_run.image == image);
    Ok(is_ours.then_some(Left { served, since, now, before, set }))
}

/// Puts it back for this image, and keeps aside what is there now. Says what was done. Whoever is interrupted does it
/// again.
pub(super) fn go_back(
    root: &Root,
    left: &Left,
    image: &str,
    rollout: &str,
) -> anyhow::Result<String> {
    let kept = aside::keep(root, &left.now, &left.before, image, Timestamp::now())
        .context("keeping aside what is there now")?;
    let set = &left.set;
    let release = aside::put_back(root, set).with_context(|| format!("putting {set} back"))?;
    // A Jenkins that never was up had not written its version down.
    if !root.exists(set.join(HOME).join(LAST)).context("looking for a version")? {
        let last = Utf8Path::new(HOME).join(LAST);
        root.remove(last).context("removing the version of the Jenkins that served").map(drop)?;
    }
    // Last: until then it is all done again.
    match release {
        Some(release) => root.write(RELEASE, &release, 0o600, Owner::me()).map(drop),
        None => root.remove(RELEASE).map(drop),
    }
    .with_context(|| format!("writing {RELEASE}"))?;
    let name = |software: &Software| {
        software.jenkins.as_ref().map_or_else(|| "an unknown one".to_owned(), Version::to_string)
    };
    let aside =
        kept.map_or_else(|| "is kept aside".to_owned(), |kept| format!("is kept aside in {kept}"));
    Ok(format!(
        "rollout {rollout} goes back from Jenkins {} to {}: configuration and plugins are put back \
         from {set}, and what was there {aside}",
        name(&left.now),
        name(&left.before),
    ))
}

/// Remembers what is about to serve the home.
pub(super) fn remember(root: &Root, software: Software, image: &str) -> anyhow::Result<bool> {
    let now = release(root)?;
    if now.is_some_and(|now| now.software == software && now.image == image) {
        return Ok(false);
    }
    let release = Release { version: 1, software, image: image.to_owned(), at: Timestamp::now() };
    let text = serde_json::to_vec_pretty(&release).context("a release is plain data")?;
    root.write(RELEASE, &text, 0o600, Owner::me()).with_context(|| format!("writing {RELEASE}"))
}

/// Why the Jenkins of the image may not have the home, if it may not. `stays` is why what it had left
/// stays aside.
pub(super) fn refuse(
    root: &Root,
    folder: &Utf8Path,
    image: Option<&Version>,
    allow_downgrade: bool,
    stays: Option<&str>,
) -> anyhow::Result<Option<Answer>> {
    let home = served_by(root, folder)?.jenkins;
    let (Some(home), Some(image)) = (home, image) else { return Ok(None) };
    if home <= *image || allow_downgrade {
        return Ok(None);
    }
    let way_back = match aside::newest_for(root, image)? {
        Some(set) => format!(
            "to go back for good, put `{set}` back first (docs/home.md, \"Going back\"); or"
        ),
        None => "nothing was kept aside that this version has written; to start it all the same,"
            .to_owned(),
    };
    let stays = stays.map_or_else(String::new, |why| {
        format!(
            "; what this version had left is put back where a rollout goes back to this image, and \
             {why}"
        )
    });
    Ok(Some(Answer::Refused {
        why: format!(
            "the home was last served by Jenkins {home}, and this image has {image}: an older \
             Jenkins may lose what a newer one has written"
        ),
        hint: format!(
            "boot an image with Jenkins {home} or newer; {way_back} set `jenkins.allow_downgrade = \
             true`{stays}"
        ),
    }))
}
