//! Whether the home belongs to the user that Jenkins runs as.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{account, on_host};
use crate::doctor::efs::inside::{self, Heard, Owned, Owners, Task, User};
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};

const PATIENCE: Duration = Duration::from_secs(4);

/// What stands for an owner who is not known here: a server that squashes, or names that were to be
/// translated. Of 16, 32 and 64 bits.
const NOBODY: [u32; 3] = [65_534, u32::MAX - 1, u32::MAX];

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The user that Jenkins runs as.
    pub user: User,
    /// What the child found, or in what it hangs.
    pub heard: Heard<Owners>,
}

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let here = inside::controller(scene)?;
    let user = account(scene, &here.user).ok_or_else(|| Gap {
        needs: String::new(),
        denied: false,
        why: format!("this machine has no user `{}`", here.user),
    })?;
    let heard = inside::ask(scene, here, Task::Owners(user.uid), None, PATIENCE).await?;
    Ok(Seen { user, heard })
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    seen.heard.judge(Id::Owner, case, |owners| {
        let Some(folder) = &owners.folder else {
            return finding(Verdict::Skip, "there is no home: see home.identity".to_owned());
        };
        // Where hostkit's own folder is beside the home, the top is root's.
        let own = |it: &&Owned| !it.path.is_empty() || folder.is_empty();
        let uid = seen.user.uid;
        let wrong = owners.telling.iter().filter(own).find(|it| it.uid != uid);
        let found = match wrong {
            Some(wrong) => another(wrong, owners, seen, case),
            None if !owners.others.is_empty() => some(owners, seen, case),
            None => modes(owners, folder, seen, case),
        };
        if found.verdict == Verdict::Pass {
            return found;
        }
        owners.telling.iter().fold(found, |found, it| found.shown_by(it.told()))
    })
}

fn finding(verdict: Verdict, says: String) -> Finding {
    Finding::new(Id::Owner.name(), verdict, says)
}

fn name<'a>(case: &'a Case<'_>) -> &'a str {
    case.here().map_or("jenkins", |here| here.user.as_str())
}

/// What tells belongs to another user: so does the home.
fn another(wrong: &Owned, owners: &Owners, seen: &Seen, case: &Case<'_>) -> Finding {
    let (user, own) = (name(case), seen.user.uid);
    let path = if wrong.path.is_empty() { "the home" } else { &wrong.path };
    if NOBODY.contains(&wrong.uid) {
        return finding(
            Verdict::Fail,
            format!("`{path}` belongs to user {}, which is nobody's number", wrong.uid),
        )
        .mended_by("owners do not come through as numbers; this must say Y:")
        .mended_by("cat /sys/module/nfs/parameters/nfs4_disable_idmapping")
        .mended_by("an access point with a user of its own shows that one: see efs.access-point");
    }
    let says = format!("`{path}` belongs to user {}, and `{user}` is user {own} here", wrong.uid);
    let found = finding(Verdict::Fail, says);
    // All alike: another image has made this home. One alone: somebody was at it.
    let alike = owners.telling.iter().filter(|it| it.uid == wrong.uid).count();
    if alike > 1 || owners.telling.len() < 3 {
        return found
            .mended_by(format!("hostkit bake … --var jenkins_uid={}", wrong.uid))
            .mended_by(
                "not chown -R: it takes hours on a home, and every other image refuses it then",
            );
    }
    found.mended_by(chown(seen, case, [wrong]))
}

/// The home is right, and some files in it belong to others.
fn some(owners: &Owners, seen: &Seen, case: &Case<'_>) -> Finding {
    let count = owners.others.len() as u64 + owners.more;
    let says = format!(
        "{count} of {} files that were looked at belong to others than `{}` ({})",
        owners.looked,
        name(case),
        seen.user.uid
    );
    let found = finding(Verdict::Fail, says);
    let found = owners.others.iter().fold(found, |found, it| found.shown_by(it.told()));
    let found = found.mended_by(chown(seen, case, &owners.others));
    if owners.more == 0 {
        return found;
    }
    let (home, uid) = (on_host(case, owners.folder.as_deref().unwrap_or_default()), seen.user.uid);
    found.mended_by(format!("the {} others: find {home} -xdev ! -uid {uid} -ls", owners.more))
}

/// All belongs to whom it must: may others read what they must not?
fn modes(owners: &Owners, folder: &str, seen: &Seen, case: &Case<'_>) -> Finding {
    let open = owners.telling.iter().find(|it| {
        let most = if it.path.ends_with("secrets") { 0o700 } else { 0o755 };
        let is_secret = it.path.ends_with("secrets") || it.path == folder;
        is_secret && it.mode & !most & 0o777 != 0
    });
    match open {
        Some(open) if open.path.ends_with("secrets") => {
            let says = format!("others can read `{}`: {:04o}, not 0700", open.path, open.mode);
            finding(Verdict::Warn, says)
                .mended_by(format!("chmod 0700 {}", on_host(case, &open.path)))
        }
        Some(open) => {
            let says = format!("others can write to the home: {:04o}", open.mode);
            finding(Verdict::Warn, says)
                .mended_by(format!("chmod go-w {}", on_host(case, &open.path)))
        }
        None => {
            let (user, User { uid, gid }) = (name(case), seen.user);
            let says = format!("{} files belong to `{user}` ({uid}:{gid})", owners.looked);
            finding(Verdict::Pass, says)
        }
    }
}

/// Exactly the files that were found, and nothing below them.
fn chown<'a>(seen: &Seen, case: &Case<'_>, files: impl IntoIterator<Item = &'a Owned>) -> String {
    let User { uid, gid } = seen.user;
    let paths: Vec<_> = files.into_iter().map(|file| on_host(case, &file.path)).collect();
    format!("chown --no-dereference {uid}:{gid} {}", paths.join(" "))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;
    use crate::doctor::efs::home::sample::{Setting, case};
    use crate::doctor::efs::inside::sample::{Tree, home};
    use crate::doctor::render;

    fn right() -> Tree {
        let tree = home();
        let mode = |path: &str, mode| {
            std::fs::set_permissions(tree.path(path), Permissions::from_mode(mode)).unwrap();
        };
        mode("home", 0o750);
        mode("home/secrets", 0o700);
        tree
    }

    async fn told(tree: Tree) -> String {
        let setting = Setting::on(tree);
        let seen = look(&setting.scene()).await.unwrap();
        setting.told(&judge(&seen, &setting.case()))
    }

    #[tokio::test]
    async fn a_home_of_the_right_user_passes() {
        assert_eq!(told(right()).await, "pass  home.owner\n");
    }

    #[tokio::test]
    async fn a_user_that_this_machine_does_not_have_is_named() {
        let mut setting = Setting::on(right());
        setting.here().user = "hudson".to_owned();
        let gap = look(&setting.scene()).await.unwrap_err();
        assert_eq!(gap.why, "this machine has no user `hudson`");
    }

    #[tokio::test]
    async fn what_belongs_to_others_is_named_file_by_file() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let mut all = Vec::new();
        let give = |tree: &Tree, path: &str| chown(tree.path(path), Some(498), Some(498)).unwrap();
        let tree = right();
        for path in ["home", "home/config.xml", "home/secrets", "home/secrets/master.key"] {
            give(&tree, path);
        }
        all.push(told(tree).await);
        let tree = right();
        give(&tree, "home/secrets/master.key");
        all.push(told(tree).await);
        let tree = right();
        give(&tree, "home/jobs/build/config.xml");
        give(&tree, "home/credentials.xml");
        symlink("/etc", tree.path("home/jobs/out of it")).unwrap();
        std::os::unix::fs::lchown(tree.path("home/jobs/out of it"), Some(7), Some(7)).unwrap();
        all.push(told(tree).await);
        let tree = right();
        std::fs::set_permissions(tree.path("home/secrets"), Permissions::from_mode(0o755)).unwrap();
        all.push(told(tree).await);
        let tree = right();
        std::fs::set_permissions(tree.path("home"), Permissions::from_mode(0o777)).unwrap();
        all.push(told(tree).await);
        let told = all.join("\n");
        insta::with_settings!({filters => vec![(r"(the top: \d+:\d+) \d+", "$1 MODE"), (r"home: 0:0 0\d+", "home: 0:0 MODE"), (r"(config.xml|master.key): (\d+:\d+) 0\d+", "$1: $2 MODE")]}, {
            insta::assert_snapshot!(told);
        });
    }

    #[test]
    fn a_server_that_squashes_is_told_apart() {
        let owned = |path: &str, uid| Owned {
            path: path.to_owned(),
            uid,
            gid: uid,
            mode: 0o750,
            folder: true,
        };
        let telling = vec![owned("", 0), owned("home", 65_534)];
        let folder = Some("home".to_owned());
        let owners = Owners { folder, telling, others: Vec::new(), more: 0, looked: 2 };
        let seen = Seen { user: User { uid: 1000, gid: 1000 }, heard: Heard::Said(owners) };
        insta::assert_snapshot!(render(&[case(|case| judge(&seen, case))]));
    }
}
