//! Whether the home is the right one, and one at all.

use std::time::Duration;

use crate::doctor::efs::inside::{self, Heard, Task, Whose};
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Look, Verdict};
use crate::lease::ground::HOME;

const PATIENCE: Duration = Duration::from_secs(4);

/// What was seen: what the child found, or in what it hangs.
pub type Seen = Heard<Whose>;

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let here = inside::controller(scene)?;
    inside::ask(scene, here, Task::Whose, None, PATIENCE).await
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    seen.judge(Id::Identity, case, |whose| match &whose.mark {
        Some(mark) if *mark == case.asked.file_system => marked(whose, case),
        Some(mark) => copied(mark, case),
        None => unmarked(whose, case),
    })
}

fn finding(verdict: Verdict, says: String) -> Finding {
    Finding::new(Id::Identity.name(), verdict, says)
}

/// It is marked as what it is: is there a home on it?
fn marked(whose: &Whose, case: &Case<'_>) -> Finding {
    let id = &case.asked.file_system;
    match &whose.place {
        None => restored(
            finding(
                Verdict::Fail,
                format!("it is marked as {id}, and the folder `{HOME}` is gone from it"),
            )
            .shown_by(beside(whose)),
        ),
        Some(place) if whose.entries == 0 => finding(
            Verdict::Warn,
            format!("it is marked as {id}, and the home is empty: no Jenkins has run on it, or all is lost"),
        )
        .shown_by(format!("`{}` has no entry", place.folder))
        .mended_by("if there was a Jenkins before: hostkit efs backup list"),
        Some(place) if !whose.missing.is_empty() => {
            let says = format!(
                "it is marked as {id}, and the home lacks {}: see home.intact",
                whose.missing.join(", ")
            );
            let signs = format!("what is there: {}", place.signs.join(", "));
            finding(Verdict::Warn, says).shown_by(signs)
        }
        Some(place) => {
            let says = format!(
                "it is marked as {id}; the home has {} entries, with {}",
                whose.entries,
                place.signs.join(", ")
            );
            finding(Verdict::Pass, says)
        }
    }
}

/// It is marked as another one.
fn copied(mark: &str, case: &Case<'_>) -> Finding {
    let (id, region) = (&case.asked.file_system, &case.asked.region);
    finding(
        Verdict::Fail,
        format!("this is marked as {mark}, and not as {id}: a copy, a restored backup, or the wrong one"),
    )
    .mended_by(format!("aws efs describe-file-systems --file-system-id {mark} --region {region}"))
    .mended_by(format!(
        "if {mark} is meant: set `efs.id` to it, and mount that. If this copy is to serve: make sure that \
         the other one has no controller any more, then"
    ))
    .mended_by(format!("hostkit lease status; echo {id} > {}", super::on_host(case, ".hostkit/fs-id")))
}

/// hostkit has not marked it.
fn unmarked(whose: &Whose, case: &Case<'_>) -> Finding {
    let id = &case.asked.file_system;
    let Some(place) = &whose.place else { return foreign(whose, case) };
    let at = if place.folder.is_empty() { "its top" } else { "its folder `home`" };
    let says = if whose.moving {
        format!("a home at {at} of {id} is being moved to its place: that was interrupted")
    } else {
        format!("{id} has a Jenkins' home at {at}, which hostkit has not taken over")
    };
    finding(Verdict::Warn, says)
        .shown_by(format!("what speaks for a home: {}", place.signs.join(", ")))
        .shown_by(format!("there is no {}", ".hostkit/fs-id"))
        .mended_by("stop whatever else runs a Jenkins on it; then the boot takes it over:")
        .mended_by("systemctl restart hostkit-boot")
}

/// No home, and no mark: it is empty, or another's.
fn foreign(whose: &Whose, case: &Case<'_>) -> Finding {
    let (id, region) = (&case.asked.file_system, &case.asked.region);
    let says = if whose.others.is_empty() {
        format!("{id} is empty here: no home, and no mark of hostkit")
    } else {
        format!("{id} is no controller's: no home, no mark, but {}", whose.others.join(", "))
    };
    let found = finding(Verdict::Fail, says);
    let point = case.here().and_then(|here| here.efs.access_point.as_deref());
    let found = match point {
        Some(point) => found
            .shown_by(format!("it is seen through {point}, which may show a folder of it only"))
            .mended_by(format!(
                "aws efs describe-access-points --access-point-id {point} --region {region}"
            )),
        None => found,
    };
    found
        .mended_by(
            "if another file system or access point is meant: set `efs.id` or `efs.access_point`",
        )
        .mended_by("a new one is made ready by the first boot: journalctl -u hostkit-boot")
}

fn beside(whose: &Whose) -> String {
    if whose.others.is_empty() {
        "nothing else is on it".to_owned()
    } else {
        format!("what is there: {}", whose.others.join(", "))
    }
}

fn restored(found: Finding) -> Finding {
    found.mended_by("hostkit efs backup list").mended_by("hostkit efs recover")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::doctor::efs::home::sample::Setting;
    use crate::doctor::efs::inside::sample::{Tree, home};

    async fn told(tree: Tree) -> String {
        let setting = Setting::on(tree);
        let seen = look(&setting.scene()).await.unwrap();
        setting.told(&judge(&seen, &setting.case()))
    }

    #[tokio::test]
    async fn the_right_home_passes() {
        assert_eq!(told(home()).await, "pass  home.identity\n");
    }

    #[tokio::test]
    async fn every_other_one_is_told_apart() {
        let mut all = Vec::new();
        let tree = home();
        tree.put(".hostkit/fs-id", "fs-0aaaaaaaaaaaaaaaa\n");
        all.push(told(tree).await);
        let tree = home();
        fs::remove_dir_all(tree.path("home")).unwrap();
        tree.put("aws-backup-restore_2026/config.xml", "");
        all.push(told(tree).await);
        let tree = Tree::empty();
        tree.put(".hostkit/fs-id", "fs-0123456789abcdef0\n");
        fs::create_dir(tree.path("home")).unwrap();
        all.push(told(tree).await);
        let tree = home();
        fs::remove_dir_all(tree.path("home/secrets")).unwrap();
        fs::remove_dir_all(tree.path("home/jobs")).unwrap();
        all.push(told(tree).await);
        let tree = home();
        fs::remove_dir_all(tree.path(".hostkit")).unwrap();
        all.push(told(tree).await);
        let tree = Tree::empty();
        tree.put("config.xml", "<hudson/>");
        tree.put("jobs/a/config.xml", "<project/>");
        tree.put(".hostkit/moving-in", "fs-0123456789abcdef0\n");
        all.push(told(tree).await);
        all.push(told(Tree::empty()).await);
        let tree = Tree::empty();
        tree.put("www/index.html", "");
        all.push(told(tree).await);
        let mut setting = Setting::on(Tree::empty());
        setting.here().efs.access_point = Some("fsap-0123456789abcdef0".to_owned());
        let seen = look(&setting.scene()).await.unwrap();
        all.push(setting.told(&judge(&seen, &setting.case())));
        insta::assert_snapshot!(all.join("\n"));
    }

    #[tokio::test]
    async fn only_a_controller_has_one() {
        let mut setting = Setting::on(home());
        setting.here().role = crate::host::Role::Ecs;
        assert_eq!(
            look(&setting.scene()).await.unwrap_err().why,
            "only a controller has a home on it"
        );
    }
}
