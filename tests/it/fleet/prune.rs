//! `hostkit images ls|show|diff|prune`: what is kept, what goes, and what is told of it.

use super::*;

#[test]
fn prune_keeps_what_anything_needs_and_frees_the_rest() {
    let (stage, gone) = crowded();
    let before = stage.ids();
    let text = stage.said("images prune ci");
    insta::with_settings!({ filters => vec![(r"20\d\d-\d\d-\d\d \d\d:\d\d", "[when]"), (r"\bi-[0-9a-f]{17}", "[instance]")] }, {
        insta::assert_snapshot!("prune", text);
    });
    let note = words(&stage.run("images prune ci"));
    let told = "11 images with 9 snapshots of up to 72 GiB would be removed: --yes removes";
    assert!(note.contains(told), "{note}");
    assert_eq!(stage.ids(), before, "nothing is removed that nobody agreed to");

    let removed = stage.run("images prune ci --yes");
    assert!(removed.status.success(), "{}", words(&removed));
    let after = stage.ids();
    let missing: BTreeSet<_> = before.difference(&after).cloned().collect();
    let spared = [29, 30].map(snap);
    let snapshots = gone.iter().map(|id| id.replace("ami-", "snap-"));
    let expected = gone.iter().cloned().chain(snapshots.filter(|id| !spared.contains(id)));
    assert_eq!(missing, expected.collect());
    assert!(stage.said("images prune ci").contains("nothing is to be removed"));
}

#[test]
fn prune_follows_its_rule() {
    let stage = Stage::empty();
    for number in 1..=6 {
        stage.image(number, "ci", i64::try_from(number).unwrap());
    }
    stage.image(9, "other", 50);
    let gone = |line: &str| -> Vec<String> {
        let verdicts = stage.verdicts(line, "ami-").into_iter();
        let gone = verdicts.filter(|(_, verdict)| verdict.contains("remove"));
        gone.map(|(id, _)| id).collect()
    };
    assert_eq!(gone("images prune ci"), [4, 5, 6].map(ami));
    assert_eq!(gone("images prune ci --keep 5"), [ami(6)]);
    assert_eq!(gone("images prune ci --keep 0 --older-than 4"), [4, 5, 6].map(ami));
    assert_eq!(gone("images prune ci --keep 0 --older-than 132h"), [ami(6)]);
    assert_eq!(gone("images prune --all --keep 0 --older-than 40d"), [ami(9)]);
    let everybody = ("group".to_owned(), "all".to_owned());
    stage.change(&ami(6), |it| it.shared_with = [everybody].into());
    assert_eq!(gone("images prune ci --keep 4"), [ami(5)]);
    assert_eq!(gone("images prune ci --keep 4 --include-shared"), [ami(5), ami(6)]);
    assert!(stage.said("images prune nobody").contains("no images of the recipe `nobody`"));
    let usage = stage.run("images prune");
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn ten_thousand_images_are_looked_after_in_few_requests() {
    const IMAGES: usize = 10_000;
    let stage = Stage::empty();
    {
        let mut account = stage.account();
        let region = account.region(REGION);
        for number in 0..IMAGES {
            let days = i64::try_from(number).unwrap();
            let (image, snapshot) = pair(number, ["ci", "agent"][number % 2], days);
            region.snapshots.insert(snapshot.id.clone(), snapshot);
            region.images.insert(image.id.clone(), image);
        }
    }
    let count = |before: usize| stage.actions().len() - before;
    // Who is asked: 2 times who, 10 pages of images, 10 of snapshots, and one each of instances,
    // launch templates, groups and parameters.
    let survey = 26;
    assert_eq!(stage.said("images ls --aws").lines().count(), IMAGES + 1);
    assert_eq!(count(0), survey);

    // And of those that would go: 10 a call of what uses them, one a call of who shares them.
    let (keep, going) = (IMAGES / 2 - 50, 100);
    let before = stage.actions().len();
    let line = format!("images prune --all --keep {keep}");
    let said = words(&stage.run(&line));
    assert!(said.contains("100 images with 100 snapshots of up to 800 GiB would be"), "{said}");
    assert_eq!(count(before), survey + going / 10 + going);

    // Removal: a call for each image and each snapshot, and one that marks all of them.
    let before = stage.actions().len();
    let output = stage.run(&format!("{line} --include-shared --yes"));
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(count(before), survey + going / 10 + 1 + 2 * going);
    assert_eq!(stage.account().region(REGION).own_images().count(), IMAGES - going);
}

#[test]
fn what_cannot_be_removed_is_told_and_the_rest_is_removed() {
    let faults =
        "[[fault]]\nservice = 'ec2'\naction = 'DeregisterImage'\nnext = 1\ndoes = 'denied'\n";
    let stage = Stage::with(faults, Parameters::default());
    for number in 1..=3 {
        stage.image(number, "ci", 50);
    }
    let output = stage.run("images prune ci --keep 0 --yes");
    let said = words(&output);
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("error: 1 of 5 things could not be removed"), "{said}");
    assert!(said.contains("is still there: ec2:DeregisterImage was refused"), "{said}");
    let mut account = stage.account();
    let region = account.region(REGION);
    assert_eq!((region.own_images().count(), region.snapshots.len()), (1, 1));
    let kept = region.snapshots.values().next().unwrap();
    assert_eq!(kept.tags["hostkit:state"], "kept", "its image stays");
}

#[test]
fn a_prune_that_breaks_off_leaves_nothing_that_gc_does_not_find() {
    let faults = "[[fault]]\nservice = 'ec2'\naction = 'DeleteSnapshot'\ndoes = 'denied'\n";
    let stage = Stage::with(faults, Parameters::default());
    stage.image(1, "ci", 50);
    let broken = stage.run("images prune ci --keep 0 --yes");
    assert_eq!(broken.status.code(), Some(6));
    stage.account().disturbances.clear();
    assert!(stage.said("gc").contains(&snap(1)));
    stage.said("gc --yes");
    assert!(stage.account().region(REGION).snapshots.is_empty());
}

#[test]
fn the_images_of_an_account_are_listed_with_who_uses_them() {
    let (stage, _) = crowded();
    let text = stage.said("images ls --aws");
    let line = |number: usize| {
        let id = ami(number);
        text.lines().find(|line| line.contains(&id)).unwrap_or_else(|| panic!("{id}: {text}"))
    };
    for (number, who) in [
        (10, "/hostkit/ci/amd64/latest"),
        (15, "launch template name-of-lt-0000000000000000a v4 ($Latest)"),
        (16, "v3 (group blue)"),
        (24, "public"),
        (25, "shared with 111122223333"),
        (26, "protected (enabled-without-cooldown)"),
        (27, "building"),
    ] {
        assert!(line(number).contains(who), "{}", line(number));
    }
    assert!(!text.contains(&ami(28)), "hostkit did not make it");
    let json = stage.said("images ls --region eu-west-1 --format json");
    let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((first["version"].as_u64(), first["recipe"].as_str()), (Some(1), Some("ci")));

    let elsewhere = stage.run("images ls --region us-east-1");
    assert!(words(&elsewhere).contains("nothing in us-east-1 carries hostkit's tags"));
    let both = stage.said("images ls --region us-east-1 --region eu-west-1");
    assert!(both.contains(&ami(10)));
}

#[test]
fn an_image_is_shown_and_two_are_compared() {
    let (stage, _) = crowded();
    let text = stage.said(&format!("images show {}", ami(10)));
    for part in [
        "ci 1.0 (00000000)",
        "snapshot  snap-0000000000000000a  completed",
        "used by   /hostkit/ci/amd64/latest",
        "hostkit:build = b-10",
        "packages are not known: nothing of this digest is in out",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = stage.said(&format!("images diff {} {}", ami(10), ami(11)));
    assert!(text.contains("tag       hostkit:build: b-10 -> b-11"), "{text}");
    assert!(text.contains("packages  not known of both images"), "{text}");
    let absent = stage.run("images show ami-0123456789abcdef0");
    assert_eq!(absent.status.code(), Some(2));
    assert!(words(&absent).contains("there is no image ami-0123456789abcdef0 in eu-west-1"));
}

/// Makes one of everything that a build can leave, so many hours ago.
