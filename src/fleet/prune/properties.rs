//! What holds of every decision, whatever the account looks like.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::aws::inventory::{Image, Instance, Parameter, Snapshot, Tags, TemplateVersion};
use crate::fleet::images::{arch, is_ours, tag};
use crate::image::ami::name::{ARCH_TAG, RECIPE_TAG};
use crate::teardown::{BUILD_TAG, BUILDING, KEPT, STATE_TAG};

const DAY: i64 = 24 * 60 * 60;

fn id(number: usize) -> String {
    format!("ami-{number:017x}")
}

prop_compose! {
    fn an_image(number: usize)(
        recipe in prop_oneof![Just(None), Just(Some("ci")), Just(Some("agent"))],
        arm in any::<bool>(),
        state in prop_oneof![6 => Just("available"), 1 => Just("pending"), 1 => Just("failed"), 1 => Just("disabled")],
        building in prop::bool::weighted(0.1),
        day in 0_i64..100,
        snapshots in prop::collection::vec(0_usize..20, 1..3),
        public in prop::bool::weighted(0.1),
        protected in prop::bool::weighted(0.1),
    ) -> Image {
        let mut tags = Tags::new();
        if let Some(recipe) = recipe {
            tags.insert(RECIPE_TAG.into(), recipe.into());
            tags.insert(BUILD_TAG.into(), "b".into());
            tags.insert(ARCH_TAG.into(), if arm { "arm64" } else { "amd64" }.into());
            tags.insert(STATE_TAG.into(), if building { BUILDING } else { KEPT }.into());
        }
        Image {
            id: id(number),
            state: state.into(),
            created: Timestamp::from_second(day * DAY).ok(),
            snapshots: snapshots.iter().map(|it| format!("snap-{it}")).collect(),
            tags,
            public,
            protection: protected.then(|| "enabled".to_owned()),
            ..Image::default()
        }
    }
}

fn an_account() -> impl Strategy<Value = (Survey, BTreeMap<String, Sharing>)> {
    let images: Vec<_> = (0..25).map(an_image).collect();
    let ids = || prop::collection::vec(0_usize..25, 0..4);
    let parts = (images, ids(), ids(), ids(), ids(), prop::collection::vec(any::<bool>(), 20));
    parts.prop_map(|(images, launched, named, templated, shared, ours)| {
        let instance = |&it: &usize| Instance { image: Some(id(it)), ..Instance::default() };
        let parameter = |&it: &usize| Parameter { value: id(it), ..Parameter::default() };
        let template = |(number, &it): (usize, &usize)| TemplateVersion {
            template: format!("lt-{number}"),
            image: Some(id(it)),
            snapshots: vec![format!("snap-{it}")],
            ..TemplateVersion::default()
        };
        let snapshot = |number: usize| Snapshot {
            id: format!("snap-{number}"),
            gib: 8,
            ..Snapshot::default()
        };
        let survey = Survey {
            now: Timestamp::from_second(100 * DAY).unwrap(),
            images,
            instances: launched.iter().map(instance).collect(),
            parameters: named.iter().map(parameter).collect(),
            templates: templated.iter().enumerate().map(template).collect(),
            snapshots: (0..20).filter(|it| ours[*it]).map(snapshot).collect(),
            ..Survey::default()
        };
        let sharing = shared.iter().map(|&it| (id(it), vec!["111122223333".to_owned()]));
        (survey, sharing.collect())
    })
}

proptest! {
    #[test]
    fn what_is_needed_stays(
        (survey, sharing) in an_account(),
        keep in 0_usize..4,
        older_than in prop::option::of(0_i64..100),
        include_shared in any::<bool>(),
        one in any::<bool>(),
    ) {
        let rule = Rule {
            recipe: one.then(|| "ci".to_owned()),
            keep,
            older_than: older_than.map(|days| SignedDuration::from_hours(24 * days)),
            include_shared,
        };
        let references = References::of(&survey);
        let scene = Scene { sharing: &sharing, ..Scene::of(&survey, &references) };
        let decisions = decide(&scene, &rule);
        let image = |id: &str| survey.images.iter().find(|it| it.id == id).unwrap();
        let gone: BTreeSet<_> = removed(&decisions).into_iter().collect();

        for id in &gone {
            let it = image(id);
            prop_assert!(references.of_image(id).is_empty(), "{id} is used");
            prop_assert!(is_ours(it) && it.protection.is_none() && tag(it, STATE_TAG) == KEPT);
            prop_assert!(include_shared || (!it.public && !sharing.contains_key(id)));
            prop_assert!(!one || tag(it, RECIPE_TAG) == "ci");
            let age = survey.now.duration_since(it.created.unwrap());
            prop_assert!(rule.older_than.is_none_or(|limit| age >= limit));
        }
        // The newest of each recipe and processor that can be launched are still there.
        let mut lines: BTreeMap<(&str, &str), Vec<&Image>> = BTreeMap::new();
        let whole = |it: &&Image| is_ours(it) && it.state == "available" && tag(it, STATE_TAG) == KEPT;
        for it in survey.images.iter().filter(whole) {
            lines.entry((tag(it, RECIPE_TAG), arch(it))).or_default().push(it);
        }
        for mut line in lines.into_values() {
            line.sort_by_key(|it| std::cmp::Reverse((it.created, it.id.clone())));
            for it in line.iter().take(keep) {
                prop_assert!(!gone.contains(&it.id), "{} is one of the newest", it.id);
            }
        }
        // A snapshot goes once, and only where all that is made of it goes.
        let freed: Vec<_> = decisions.iter().flat_map(|it| match &it.verdict {
            Verdict::Remove { snapshots, .. } => snapshots.clone(),
            Verdict::Keep(_) => Vec::new(),
        }).collect();
        prop_assert_eq!(freed.iter().collect::<BTreeSet<_>>().len(), freed.len());
        for snapshot in &freed {
            prop_assert!(survey.snapshots.iter().any(|it| it.id == *snapshot), "not ours");
            prop_assert!(references.of_snapshot(snapshot).is_empty());
            let stays = survey.images.iter().filter(|it| !gone.contains(&it.id));
            prop_assert!(stays.flat_map(|it| &it.snapshots).all(|it| it != snapshot));
        }
        // What is found out later of who uses or shares an image saves it, and condemns no other.
        let first: BTreeSet<_> =
            removed(&decide(&Scene::of(&survey, &References::default()), &rule)).into_iter().collect();
        prop_assert!(gone.is_subset(&first));
    }
}
