//! The first contact with a home, and the look at it in every boot after.

use std::os::unix::fs::MetadataExt as _;

use anyhow::Context as _;
use camino::Utf8Path;

use super::{Answer, Former, gate, moving};
use crate::jenkins::Version;
use crate::lease::ground::{self, Found, HOME, MARK};
use crate::lease::recovery;
use crate::sys::{Owner, Root};

/// For whom a home is prepared.
#[derive(Debug)]
pub(super) struct Tenant<'a> {
    /// The id of the file system.
    pub file_system: &'a str,
    /// The name of the home's owner.
    pub user: &'a str,
    /// The numbers of the home's owner.
    pub owner: Owner,
    /// The Jenkins of the image.
    pub jenkins: Option<&'a Version>,
    /// Whether a home that a newer one has used will do.
    pub allow_downgrade: bool,
    /// The id of the image.
    pub image: &'a str,
    /// What becomes of what this Jenkins had left.
    pub former: &'a Former,
}

/// Makes the home of an empty file system, takes over that of another Jenkins, or looks whether it
/// is the right one.
pub(super) fn prepare(root: &Root, tenant: &Tenant<'_>) -> anyhow::Result<Answer> {
    let barrier = recovery::barrier(root, tenant.file_system);
    if let Some((why, hint)) = barrier.context("looking for a recovery that is under way")? {
        return Ok(Answer::Barred { why, hint });
    }
    let mark = root.read_text(MARK).context("reading the mark of the file system")?;
    if let Some(mark) = mark {
        return check(root, mark.trim(), tenant);
    }
    match ground::look(root).context("listing the file system")? {
        Found::Nothing => {
            make(root, tenant)?;
            mark_as(root, tenant.file_system)?;
            Ok(Answer::done(true))
        }
        Found::Home => adopt(root, tenant, HOME.into()),
        Found::HomeAtTop => adopt(root, tenant, "".into()),
        Found::Other(found) => Ok(Answer::refused(
            format!(
                "the file system is not empty (it has `{found}`), it is not marked as a \
                 controller's, and no JENKINS_HOME is at its top or in its folder `{HOME}`"
            ),
            "use an empty file system; or move what else is there away, so that a JENKINS_HOME \
             is all that is at the top",
        )),
    }
}

fn make(root: &Root, tenant: &Tenant<'_>) -> anyhow::Result<()> {
    root.make_dir(".hostkit", 0o700, Owner::me()).context("making .hostkit")?;
    root.make_dir(HOME, 0o750, tenant.owner).context("making the home").map(drop)
}

/// The mark comes last: what is marked is whole.
fn mark_as(root: &Root, file_system: &str) -> anyhow::Result<()> {
    let mark = format!("{file_system}\n");
    root.write(MARK, mark.as_bytes(), 0o600, Owner::me())
        .context("marking the file system")
        .map(drop)
}

/// Takes over the home of a Jenkins that ran without hostkit.
fn adopt(root: &Root, tenant: &Tenant<'_>, folder: &Utf8Path) -> anyhow::Result<Answer> {
    // While it is being moved, the one or the other is there.
    let places = [folder.join("config.xml"), Utf8Path::new(HOME).join("config.xml")];
    for config in places {
        let meta = root.metadata(&config).with_context(|| format!("looking at {config}"))?;
        let Some(meta) = meta else { continue };
        if let Some(refused) = other_owner(&config, meta.uid(), tenant) {
            return Ok(refused);
        }
        let place = config.parent().unwrap_or(folder);
        let refused = gate::refuse(root, place, tenant.jenkins, tenant.allow_downgrade, None)?;
        if let Some(refused) = refused {
            return Ok(refused);
        }
    }
    make(root, tenant)?;
    let told = if folder.as_str().is_empty() {
        moving::into_place(root, tenant.file_system)?;
        format!("the JENKINS_HOME that was at the top of the file system is now in `{HOME}`")
    } else {
        format!("the JENKINS_HOME that was in `{HOME}` is this controller's now")
    };
    mark_as(root, tenant.file_system)?;
    moving::done(root)?;
    let warning = "it had no mark of hostkit's: whatever else still runs a Jenkins on it must be \
                   stopped, the lease cannot know of it";
    Ok(Answer::Done { changed: true, told: vec![told, warning.to_owned()] })
}

fn check(root: &Root, mark: &str, tenant: &Tenant<'_>) -> anyhow::Result<Answer> {
    if mark != tenant.file_system {
        return Ok(Answer::refused(
            format!("this file system is marked as {mark}, and not as {}", tenant.file_system),
            "it is a copy or a restored backup: make sure that the other one has no controller, \
             then write its own id into .hostkit/fs-id",
        ));
    }
    moving::done(root)?;
    let Some(meta) = root.metadata(HOME).context("looking at the home")? else {
        return Ok(Answer::refused(
            "this file system was a controller's, and its folder `home` is gone".to_owned(),
            "restore it from a backup; hostkit does not start an empty Jenkins in its place",
        ));
    };
    if !meta.is_dir() {
        return Ok(Answer::refused(
            "`home` on the file system is not a folder".to_owned(),
            "hostkit follows no symbolic link there: move the home itself to this place",
        ));
    }
    if let Some(refused) = other_owner(HOME.into(), meta.uid(), tenant) {
        return Ok(refused);
    }
    let mut told = gate::take_back(root, tenant.jenkins)?;
    let mut why = None;
    if let Some(left) = gate::left(root, tenant.jenkins, tenant.image)? {
        match tenant.former {
            Former::Tell => {
                return Ok(Answer::Former { served: left.served, since: left.since });
            }
            Former::PutBack(rollout) => {
                told = Some(gate::go_back(root, &left, tenant.image, rollout)?);
            }
            Former::Stay(said) => why = Some(said.as_str()),
        }
    }
    let gate = gate::refuse(root, HOME.into(), tenant.jenkins, tenant.allow_downgrade, why)?;
    Ok(gate.unwrap_or_else(|| Answer::Done {
        changed: told.is_some(),
        told: told.into_iter().collect(),
    }))
}

/// What stands for an owner who is not known here: a server that squashes, or names that were to be
/// translated. Of 16, 32 and 64 bits.
const NOBODY: [u32; 3] = [65_534, u32::MAX - 1, u32::MAX];

fn other_owner(what: &Utf8Path, uid: u32, tenant: &Tenant<'_>) -> Option<Answer> {
    let (user, own) = (tenant.user, tenant.owner.uid);
    if uid != own && NOBODY.contains(&uid) {
        return Some(Answer::refused(
            format!("`{what}` on the file system belongs to user {uid}, which is nobody's number"),
            "owners do not come through as numbers: /sys/module/nfs/parameters/\
             nfs4_disable_idmapping must say Y, and the server must not squash users; an access \
             point that has a user of its own shows that one (`--var jenkins_uid=N`). The home \
             itself is as it was",
        ));
    }
    (uid != own).then(|| {
        Answer::refused(
            format!(
                "`{what}` on the file system belongs to user {uid}, and `{user}` is user {own} here"
            ),
            &format!(
                "bake the image with `--var jenkins_uid={uid}`: a chown of a whole home takes \
                 hours, and every other image would refuse it then"
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Owner;

    #[test]
    fn an_owner_that_did_not_come_through_is_told_apart_from_another_one() {
        let owner = Owner { uid: 1000, gid: 1000 };
        let tenant = Tenant {
            file_system: "fs-1",
            user: "jenkins",
            owner,
            jenkins: None,
            allow_downgrade: false,
            image: "ami-1",
            former: &Former::Tell,
        };
        let told = [498, 65_534, 4_294_967_294].map(|uid| {
            match other_owner("home".into(), uid, &tenant) {
                Some(Answer::Refused { why, hint }) => format!("{why}\n  hint: {hint}"),
                other => panic!("{other:?}"),
            }
        });
        insta::assert_snapshot!(told.join("\n\n"));
        assert!(other_owner("home".into(), 1000, &tenant).is_none());
    }
}
