//! The machine that ran an upgrade is gone for good: AWS takes its refresh back by itself.

use hostkit::fleet::rollout::Way;
use hostkit::sim::hosts::What;

use super::*;

/// AWS gives a refresh up after an hour: so much faster is that some seconds.
const FASTER: f64 = 600.0;

/// Until AWS has taken the refresh back, and a host is in service.
async fn until_aws_has_gone_back(stage: &Stage) {
    let config = Gate::new(&stage.cloud, None).config(&stage.cloud);
    for _ in 0..1200 {
        let refreshes = asg::refresh::refreshes(&config, "ci", 1).await.unwrap();
        let crew = asg::crew(&config, "ci").await.unwrap().unwrap();
        let back = refreshes.iter().any(|it| it.status == asg::refresh::Status::RollbackSuccessful);
        if back && crew.hosts.iter().any(asg::Host::is_in_service) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("AWS does not go back, or nobody serves");
}

/// A newer Jenkins came up, has served the home, and was never healthy. Nobody says that it goes back.
#[tokio::test]
async fn aws_alone_has_the_former_image_serve_again_and_resume_finds_it_so() {
    let stage = Stage::open_at(FASTER, Does::NeverHealthy).await;
    let gate = Gate::new(&stage.cloud, None);
    let (events, config) = (Events::silent(), gate.config(&stage.cloud));
    // It dies once its refresh is begun, and written down.
    let order = Order { patience: 86_400, ..stage.order() };
    let begun = async {
        loop {
            let found = journal::read(&config, "ci").await.unwrap();
            if found.is_some_and(|it| it.journal.forward.id.is_some()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let setting = setting(&config, &events);
    tokio::select! {
        ended = carry_out(&setting, order, pending()) => panic!("{ended:?}"),
        () = begun => {}
    }
    until_aws_has_gone_back(&stage).await;
    let put_back = |stage: &Stage| {
        with(&stage.cloud.account, |account| {
            let entries = account.hosts.homes.values().flat_map(|home| &home.log);
            entries.filter(|entry| entry.what == What::PutBack).count()
        })
    };
    let crew = asg::crew(&config, "ci").await.unwrap().unwrap();
    assert_eq!(crew.hosts.iter().map(|it| it.version).collect::<Vec<_>>(), [Some(1)], "{crew:?}");
    let left = journal::read(&config, "ci").await.unwrap().unwrap().journal;
    assert!(left.way == Way::Forward && !left.is_over(), "nobody has written anything");
    assert_eq!(put_back(&stage), 1);

    let ended = resume(&setting, "ci", Resume::default(), pending()).await;
    let ended = ended.unwrap();
    assert_eq!(ended.exit_code(), 5);
    let Ended::Back(summary) = &ended else { panic!("{ended:?}") };
    let cause = summary.cause.as_deref().unwrap();
    assert!(cause.contains("AWS rolls the refresh back by itself"), "{cause}");
    stage.check(&ended, "resumed after AWS had gone back").await;
    assert_eq!(put_back(&stage), 1, "once is enough");
}
