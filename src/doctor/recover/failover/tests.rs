use super::*;
use crate::aws::efs_replication::Destination;

const COPY: &str = "fs-0fedcba9876543210";
const SOURCE: &str = "fs-0123456789abcdef0";

fn situation() -> Situation {
    let now: Timestamp = "2026-11-27T03:00:00Z".parse().unwrap();
    let destination = Destination {
        id: COPY.into(),
        region: "eu-central-1".into(),
        status: "ENABLED".into(),
        message: None,
        synced: Some(now - SignedDuration::from_mins(9)),
    };
    Situation {
        wish: Wish {
            copy: COPY.into(),
            subnets: vec!["subnet-0a".into(), "subnet-0b".into()],
            groups: vec!["sg-0a".into()],
        },
        region: "eu-central-1".into(),
        copy: FileSystem {
            id: COPY.into(),
            state: "available".into(),
            overwrite_protection: Some("REPLICATING".into()),
            ..FileSystem::default()
        },
        replication: Some(Replication {
            source: SOURCE.into(),
            source_region: "eu-west-1".into(),
            destinations: vec![destination],
        }),
        mounted: Vec::new(),
        old_clients: Ok(Some(0)),
        now,
    }
}

#[test]
fn the_steps_of_a_failover_name_everything() {
    insta::assert_snapshot!(situation().steps().text());
}

#[test]
fn what_is_done_is_not_among_the_steps() {
    let mut half = situation();
    half.replication = None;
    half.copy.overwrite_protection = Some("ENABLED".into());
    half.mounted = vec!["subnet-0a".into(), "subnet-0b".into()];
    half.old_clients = Ok(None);
    let steps = half.steps();
    assert!(!steps.can_be_applied(), "{}", steps.text());
    half.mounted.pop();
    let steps = half.steps();
    assert!(steps.can_be_applied());
    assert!(
        steps.text().contains("--subnet-id subnet-0b --security-groups sg-0a"),
        "{}",
        steps.text()
    );
    half.wish.subnets.clear();
    half.mounted.clear();
    assert!(half.steps().text().contains("give the subnets of the hosts with --subnet"));
}

#[tokio::test]
async fn an_old_home_that_is_in_use_stops_it() {
    let used = Situation { old_clients: Ok(Some(2)), ..situation() };
    let config = SdkConfig::builder().build();
    let refused = apply(&config, &used, false, &Events::silent()).await.unwrap_err();
    assert_eq!(refused.to_string(), "2 clients have the old home mounted, as its region says");
}
