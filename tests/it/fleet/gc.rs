//! `hostkit gc`: what builds have left behind, and whose it is.

use super::*;

fn leave(stage: &Stage, build: &str, number: usize, hours: i64) {
    let started = ago(SignedDuration::from_hours(hours));
    let own = tags(&[("build", build), ("state", "building"), ("recipe", "ci")]);
    stage.image(number, "ci", 0);
    stage.change(&ami(number), |image| {
        image.created = started;
        image.tags = own.clone();
    });
    let mut account = stage.account();
    let region = account.region(REGION);
    let snapshots = [snap(number), snap(number + 1)];
    for id in snapshots {
        region.snapshots.insert(id.clone(), snapshot(&id, own.clone(), started));
    }
    let pending = region.snapshots.get_mut(&snap(number + 1)).unwrap();
    pending.state = snapshot::State::Pending(None);
    let key = KeyPair {
        id: format!("key-{number:017x}"),
        name: build.to_owned(),
        kind: "ed25519".to_owned(),
        public_key: String::new(),
        fingerprint: String::new(),
        created: started,
        tags: own.clone(),
    };
    region.key_pairs.insert(key.id.clone(), key);
    let group = SecurityGroup {
        id: format!("sg-{number:017x}"),
        name: build.to_owned(),
        tags: own,
        ..SecurityGroup::default_of("vpc-0f00d000000000001")
    };
    region.security_groups.insert(group.id.clone(), group);
}

#[test]
fn gc_finds_what_was_left_and_spares_all_else() {
    let stage = Stage::empty();
    stage.image(1, "ci", 50);
    leave(&stage, "dead", 100, 48);
    leave(&stage, "young", 200, 23);
    leave(&stage, "used", 300, 48);
    stage.template("lt-0000000000000000a", &[&ami(300)], 1);
    let before = stage.ids();

    let said = words(&stage.run("gc"));
    assert!(said.contains("8 things would be removed: --yes removes"), "{said}");
    assert!(
        said.contains("stays: used: launch template name-of-lt-0000000000000000a v1"),
        "{said}"
    );
    assert!(said.contains("stays: its build had news at"), "{said}");
    assert_eq!(stage.ids(), before, "nothing is removed that nobody agreed to");

    let removed = words(&stage.run("gc --yes"));
    assert!(removed.contains("removed 8 things"), "{removed}");
    let gone: BTreeSet<_> = before.difference(&stage.ids()).cloned().collect();
    let expected = [
        ami(100),
        snap(100),
        snap(101),
        format!("key-{:017x}", 100),
        format!("sg-{:017x}", 100),
        snap(301),
        format!("key-{:017x}", 300),
        format!("sg-{:017x}", 300),
    ];
    assert_eq!(gone, expected.into());

    stage.said("gc --build young --yes");
    let left = stage.ids();
    assert!(!left.iter().any(|id| id.ends_with("c8") || id.ends_with("c9")), "{left:?}");
    let other = stage.verdicts("gc", "");
    assert_eq!(other.len(), 2, "what is used: {other:?}");
}

#[test]
fn gc_judges_by_the_clock_of_aws() {
    // A snapshot of two minutes ago, by AWS's clock; by this machine's it is not even made.
    let stage = Stage::with("clock-ahead = '3m'\n", Parameters::default());
    leave(&stage, "b", 100, 0);
    let at = Timestamp::now().checked_add(SignedDuration::from_mins(1)).unwrap();
    {
        let mut account = stage.account();
        let region = account.region(REGION);
        region.snapshots.values_mut().for_each(|it| it.started = at);
        region.images.values_mut().for_each(|it| it.created = at);
        region.key_pairs.values_mut().for_each(|it| it.created = at);
    }
    let goes = |line: &str| {
        let verdicts = stage.verdicts(line, "");
        verdicts.iter().filter(|(_, verdict)| verdict == "\"remove\"").count()
    };
    assert_eq!(goes("gc --older-than 1m"), 5);
    assert_eq!(goes("gc --older-than 3m"), 0);
}

#[test]
fn a_build_that_somebody_works_on_is_left_alone_and_its_journal_goes_with_it() {
    let stage = Stage::empty();
    leave(&stage, "b-1", 100, 48);
    let journal = stage.journal("b-1");
    let said = words(&stage.run("gc --older-than 0h --yes"));
    assert!(said.contains("stays: a hostkit on this machine works on the build"), "{said}");
    assert!(stage.ids().contains(&ami(100)));

    drop(journal);
    let said = words(&stage.run("gc --yes"));
    assert!(said.contains("the journal of b-1 is removed: nothing is left of it"), "{said}");
    assert_eq!(std::fs::read_dir(stage.journals()).unwrap().count(), 0);
    assert!(!stage.ids().contains(&ami(100)));

    // A journal of which nothing was ever made.
    drop(stage.journal("b-2"));
    stage.said("gc --yes");
    assert_eq!(std::fs::read_dir(stage.journals()).unwrap().count(), 0);
}

#[test]
fn gc_goes_on_where_something_cannot_be_removed() {
    let faults = "[[fault]]\nservice = 'ec2'\naction = 'DeleteKeyPair'\ndoes = 'denied'\n";
    let stage = Stage::with(faults, Parameters::default());
    leave(&stage, "b-1", 100, 48);
    drop(stage.journal("b-1"));
    let output = stage.run("gc --yes");
    let said = words(&output);
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("error: 1 of 5 things could not be removed"), "{said}");
    assert_eq!(std::fs::read_dir(stage.journals()).unwrap().count(), 1, "something is left of it");
    let mut account = stage.account();
    let region = account.region(REGION);
    assert!(region.own_images().count() == 0 && region.snapshots.is_empty());
    assert_eq!(region.key_pairs.len(), 1);
}

#[test]
fn who_may_not_look_is_told_what_is_needed() {
    let faults = "[[fault]]\nservice = 'ec2'\naction = 'DescribeInstances'\ndoes = 'denied'\n";
    let stage = Stage::with(faults, Parameters::default());
    stage.image(1, "ci", 50);
    let output = stage.run("images prune ci --keep 0 --yes");
    let said = words(&output);
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("hint: allow `ec2:DescribeInstances`"), "{said}");
    assert!(said.contains("`hostkit iam prune` prints what is needed"), "{said}");
    assert!(stage.ids().contains(&ami(1)));

    let faults = "[[fault]]\naction = 'DescribeImageReferences'\ndoes = 'denied'\n";
    let stage = Stage::with(faults, Parameters::default());
    stage.image(1, "ci", 50);
    let said = words(&stage.run("images prune ci --keep 0 --yes"));
    assert!(said.contains("hostkit's own search for references counts alone"), "{said}");
    assert!(!stage.ids().contains(&ami(1)));

    let mut command = stage.command("gc");
    command.env_remove("AWS_ACCESS_KEY_ID").env("HOME", stage.path());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", words(&output));
}

/// Launches an instance as a build does, so many hours ago. Nobody plays its machine.
fn launch(stage: &Stage, build: &str, image: &str, group: &str, hours: i64) -> String {
    let keys = &stage.cloud.credentials;
    let keys = aws_credential_types::Credentials::new(
        &keys.access_key,
        &keys.secret_key,
        None,
        None,
        "test",
    );
    let config = aws_sdk_ec2::Config::builder()
        .behavior_version_latest()
        .region(aws_sdk_ec2::config::Region::new(REGION))
        .endpoint_url(&stage.cloud.url)
        .credentials_provider(keys)
        .build();
    let tag = |(key, value): (&str, &str)| {
        aws_sdk_ec2::types::Tag::builder().key(format!("hostkit:{key}")).value(value).build()
    };
    let tags = aws_sdk_ec2::types::TagSpecification::builder()
        .resource_type(aws_sdk_ec2::types::ResourceType::Instance)
        .tags(tag(("build", build)))
        .tags(tag(("state", "building")))
        .build();
    let call = aws_sdk_ec2::Client::from_conf(config)
        .run_instances()
        .image_id(image)
        .instance_type(aws_sdk_ec2::types::InstanceType::T3Micro)
        .min_count(1)
        .max_count(1)
        .security_group_ids(group)
        .tag_specifications(tags);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(call.send()).unwrap();
    let id = answer.instances()[0].instance_id().unwrap().to_owned();
    let mut account = stage.account();
    let (instance, _) = account.instance_mut(&id).unwrap();
    instance.launched = ago(SignedDuration::from_hours(hours));
    id
}

#[test]
fn gc_ends_builders_before_what_they_use() {
    let stage = Stage::empty();
    stage.image(1, "base", 1);
    leave(&stage, "dead", 100, 48);
    leave(&stage, "young", 200, 48);
    let groups = [100, 200].map(|number| format!("sg-{number:017x}"));
    let dead = launch(&stage, "dead", &ami(1), &groups[0], 48);
    let young = launch(&stage, "young", &ami(1), &groups[1], 1);
    let removed = words(&stage.run("gc --yes"));
    assert!(removed.contains("removed 6 things"), "{removed}");
    let state = |id: &str| stage.account().instance(id).unwrap().state().word();
    assert_eq!((state(&dead), state(&young)), ("terminated", "running"));
    let left = stage.ids();
    assert!(!left.contains(&groups[0]) && left.contains(&groups[1]), "{left:?}");
    let order = stage.actions();
    let at = |action: &str| order.iter().position(|it| it == action).unwrap();
    assert!(at("ec2:TerminateInstances") < at("ec2:DeregisterImage"));
    assert!(at("ec2:DeleteSnapshot") < at("ec2:DeleteSecurityGroup"));
}

#[test]
fn the_policy_of_who_looks_after_images_is_what_is_asked_of_aws() {
    let (stage, _) = crowded();
    leave(&stage, "dead", 100, 48);
    launch(&stage, "dead", &ami(1), "sg-00000000000000064", 48);
    let before = stage.actions().len();
    stage.said("images prune ci --yes");
    stage.said("gc --yes");
    stage.said(&format!("images diff {} {}", ami(1), ami(2)));
    stage.validate("ec2:DescribeImageReferences,ec2:DeregisterImage,ec2:DeleteSecurityGroup");
    let asked: BTreeSet<_> = stage.actions().split_off(before).into_iter().collect();
    let scope = hostkit::iam::Scope::default();
    let allowed = hostkit::iam::actions(&[hostkit::iam::Role::Prune], &scope);
    // Everybody may ask who they are.
    let missing = asked.iter().filter(|it| !allowed.contains(it.as_str()));
    assert_eq!(missing.collect::<Vec<_>>(), ["sts:GetCallerIdentity"]);
    // These snapshots hold no table of their blocks that could be read.
    let unused: Vec<_> = allowed.iter().filter(|it| !asked.contains(**it)).copied().collect();
    assert_eq!(unused, ["ebs:GetSnapshotBlock"]);
}
