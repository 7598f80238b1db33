//! Ends that need a person: credentials that expire in the middle, and a way back that fails, too. Each
//! says how it goes on, and it does.

use hostkit::error;
use hostkit::fleet::rollout::{Phase, Way};

use super::*;

/// How it ended where nobody killed it: an end, or an error.
async fn carried(
    stage: &Stage,
    fate: Option<(usize, Fate)>,
    order: Order,
) -> anyhow::Result<Ended> {
    let gate = Gate::new(&stage.cloud, fate);
    let (events, config) = (Events::silent(), gate.config(&stage.cloud));
    Box::pin(carry_out(&setting(&config, &events), order, pending())).await
}

#[tokio::test]
async fn credentials_that_expire_in_the_middle_are_told_and_new_ones_carry_it_on() {
    let (_, effects) = Stage::open(Does::Healthy).await.upgrade(None, false).await;
    let started = effects.iter().position(|it| it == "StartInstanceRefresh").unwrap();
    // Before anything is changed, when the hosts are about to be replaced, and while they are.
    let runs = [3, started, started + 2].map(|step| async move {
        let stage = Stage::open(Does::Healthy).await;
        let told = format!("at {step}");
        let error = carried(&stage, Some((step, Fate::Expired)), stage.order()).await.unwrap_err();
        assert_eq!(error::blame(&error).exit_code(), 6, "{error:#}");
        let text = error::render(&error);
        assert!(text.contains("xpired"), "{text}");
        assert!(text.contains("`hostkit upgrade --asg ci --resume` carries it on"), "{text}");
        let config = Gate::new(&stage.cloud, None).config(&stage.cloud);
        let left = journal::read(&config, "ci").await.unwrap().unwrap().journal;
        assert!(!left.is_over() && left.way == Way::Forward && left.cause.is_none(), "{left:?}");
        let events = Events::silent();
        let ended = resume(&setting(&config, &events), "ci", Resume::default(), pending()).await;
        let ended = ended.unwrap();
        assert!(matches!(ended, Ended::Done(_)), "{told}: {ended:?}");
        stage.check(&ended, &told).await;
    });
    Box::pin(futures::stream::iter(runs).buffer_unordered(AT_ONCE).collect::<Vec<()>>()).await;
}

/// Ids and times are not the same twice.
fn masked(stage: &Stage, text: &str) -> String {
    let Scenery { old, new, template, .. } = &stage.scenery;
    let text = text.replace(old, "ami-OLD").replace(new, "ami-NEW").replace(template, "lt-1");
    let words = text.split_inclusive(char::is_whitespace).map(|word| {
        let bare = word.trim().trim_end_matches([',', '.', ':', ';', ')']);
        let is_id = bare.starts_with("i-0") || bare.len() == 36 && bare.matches('-').count() == 4;
        let is_rollout = bare.starts_with("20") && bare.matches('-').count() == 2;
        if is_id || is_rollout { word.replace(bare, "…") } else { word.to_owned() }
    });
    words.collect()
}

#[tokio::test]
async fn where_the_way_back_fails_too_all_that_a_person_needs_is_said_and_resume_tries_again() {
    let stage = Stage::open(Does::WrongVersion).await;
    // The former version does not serve any more either, for a while.
    let well = with(&stage.cloud.account, |account| {
        let script = &mut account.hosts.script;
        let well = script.clone();
        let old = script.host.last_mut().unwrap();
        (old.does, old.gives_up_after) = (Does::NeverReady, Some(300.0));
        well
    });
    let order = Order { patience: 6, ..stage.order() };
    let ended = carried(&stage, None, order).await.unwrap();
    assert_eq!(ended.exit_code(), 5);
    let Ended::Stuck(stuck) = &ended else { panic!("{ended:?}") };
    let told = [ended.text(), stuck.cause.clone()].join("\n");
    let told = masked(&stage, &told);
    for part in [
        "nobody knows for certain what serves",
        "The way back failed, too",
        "hostkit upgrade --asg ci --resume",
        "aws autoscaling start-instance-refresh --auto-scaling-group-name ci",
        "lock and journal are kept",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let config = Gate::new(&stage.cloud, None).config(&stage.cloud);
    assert!(lock::read(&config, "ci").await.unwrap().is_some());
    let left = journal::read(&config, "ci").await.unwrap().unwrap().journal;
    assert!(left.stuck.is_some() && left.phase < Phase::Recorded, "{left:?}");

    with(&stage.cloud.account, |account| account.hosts.script = well);
    let events = Events::silent();
    let ended = resume(&setting(&config, &events), "ci", Resume::default(), pending()).await;
    stage.check(&ended.unwrap(), "resumed after it was stuck").await;
}
