//! The group of a host whose boot does not go well, and what the host does then.

use super::*;

const INACTIVE: (&str, &str) =
    ("ValidationError", "No active Lifecycle Action found with instance ID i-0bbbbbbbbbbbbbbbb");

impl World {
    /// A controller whose `keys` fail, with this policy.
    async fn failing(policy: &str) -> Self {
        let world = Self::new().await;
        {
            let mut cloud = world.cloud.lock().unwrap();
            cloud.parameters.clear();
            cloud.user_data = Some(format!("[asg]\non_failure = \"{policy}\"\n").into());
        }
        world
    }

    fn is(&self, state: &str) {
        self.cloud.lock().unwrap().lifecycle_state = Some(state.to_owned());
    }

    fn refuses(&self, action: &'static str, how: (&'static str, &'static str)) {
        self.cloud.lock().unwrap().balancer.refusals.insert(action, how);
    }

    fn beats(&self) -> u32 {
        self.cloud.lock().unwrap().balancer.beats
    }
}

#[tokio::test]
async fn a_hook_that_is_not_there_is_named() {
    let world = World::new().await;
    world.cloud.lock().unwrap().user_data = Some("[asg]\nhook = \"other\"\n".into());
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(error);
}

#[tokio::test]
async fn a_hook_that_went_while_the_host_booted_is_told() {
    let world = World::new().await;
    let gone = ("ValidationError", "No Lifecycle Hook found with name: launch");
    world.refuses("CompleteLifecycleAction", gone);
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(error);
}

#[tokio::test]
async fn a_hook_that_somebody_else_completed_is_no_trouble() {
    let world = World::new().await;
    world.refuses("CompleteLifecycleAction", INACTIVE);
    world.cloud.lock().unwrap().balancer.then = Some("InService");
    world.boot().await.unwrap();
    assert!(world.outcomes().contains("lifecycle unchanged"), "{}", world.outcomes());
}

#[tokio::test]
async fn a_hook_that_timed_out_is_told_by_the_state_of_the_host() {
    let world = World::new().await;
    world.refuses("CompleteLifecycleAction", INACTIVE);
    world.cloud.lock().unwrap().balancer.then = Some("Terminating:Wait");
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(error);
}

#[tokio::test]
async fn a_host_that_its_group_takes_away_stops_booting() {
    let world = World::new().await;
    // Another controller is alive: the boot would wait for hours.
    world.systemd.lock().unwrap().lease_leads_to = "activating";
    world.refuses("RecordLifecycleActionHeartbeat", INACTIVE);
    world.cloud.lock().unwrap().balancer.then = Some("Terminating:Wait");
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(error);
    assert!(world.was_run("systemctl stop --no-block hostkit-lease"), "the home is let go");
    assert_eq!(world.status().state, State::Failed);
    assert_eq!(world.verdicts(), [""; 0]);
}

#[tokio::test]
async fn a_host_that_is_going_already_does_not_serve() {
    let world = World::new().await;
    world.is("Terminating:Wait");
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("takes this host away while it boots"), "{error}");
    assert!(!world.has("run/hostkit/may-start"));
    assert_eq!(world.verdicts(), [""; 0]);
}

#[tokio::test]
async fn a_group_that_is_throttled_is_asked_again() {
    let world = World::new().await;
    world.cloud.lock().unwrap().balancer.throttled = [
        ("DescribeAutoScalingInstances", 2),
        ("CompleteLifecycleAction", 1),
        ("RecordLifecycleActionHeartbeat", 1),
    ]
    .into();
    world.boot().await.unwrap();
    assert_eq!(world.verdicts(), ["CONTINUE"]);
}

#[tokio::test]
async fn a_role_that_may_not_ask_for_its_group_reads_it_from_the_tags() {
    let world = World::new().await;
    let tag = ("aws:autoscaling:groupName".to_owned(), "ci".to_owned());
    world.cloud.lock().unwrap().tags.extend([tag]);
    world.cloud.lock().unwrap().denied = Some("DescribeAutoScalingInstances");
    world.boot().await.unwrap();
    assert_eq!(world.verdicts(), ["CONTINUE"]);
}

#[tokio::test]
async fn a_host_that_is_held_keeps_its_hook_waiting_until_it_is_let_go() {
    let world = World::failing("hold").await;
    let release = async {
        while world.has("run/hostkit/report.json") && world.status().state != State::Failed {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let before = world.beats();
        while world.beats() < before + 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        world.is("InService");
        world.refuses("RecordLifecycleActionHeartbeat", INACTIVE);
    };
    // The report is there before the first step begins.
    fs::create_dir_all(world.root.join("run/hostkit")).unwrap();
    let (end, ()) = tokio::join!(world.boot(), async {
        while !world.has("run/hostkit/report.json") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        release.await;
    });
    insta::with_settings!({ filters => vec![(r"at most [0-9.]+ h", "at most N h")] }, {
        insta::assert_snapshot!(end.unwrap_err());
    });
    assert_eq!(world.verdicts(), [""; 0]);
}

#[tokio::test]
async fn a_host_starts_again_twice_and_is_then_abandoned() {
    let world = World::failing("reboot").await;
    for count in [1, 2] {
        let error = world.boot().await.unwrap_err();
        assert!(error.contains(&format!("starts again ({count} of 2)")), "{error}");
        assert_eq!(world.count_of("systemctl reboot"), count);
        assert_eq!(world.verdicts(), [""; 0]);
    }
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(error);
    assert_eq!(world.count_of("systemctl reboot"), 2);
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn reboots_of_another_instance_and_before_a_good_boot_do_not_count() {
    let world = World::failing("reboot").await;
    let file = world.root.join("var/lib/hostkit/reboots.json");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "{\"instance_id\":\"i-0aaaaaaaaaaaaaaaa\",\"count\":2}").unwrap();
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("starts again (1 of 2)"), "{error}");
    world.cloud.lock().unwrap().parameters = Cloud::default().parameters;
    world.boot().await.unwrap();
    assert!(!file.exists());
}

#[tokio::test]
async fn who_is_in_service_and_does_not_boot_is_reported_twice_an_hour_at_most() {
    let world = World::failing("abandon").await;
    world.is("InService");
    for count in [1, 2] {
        let error = world.boot().await.unwrap_err();
        assert!(error.contains("its group was told that it is unhealthy"), "{error}");
        assert_eq!(world.cloud.lock().unwrap().balancer.reported, count);
    }
    let error = world.boot().await.unwrap_err();
    insta::with_settings!({ filters => vec![(r"[0-9]{2}:[0-9]{2} UTC", "HH:MM UTC")] }, {
        insta::assert_snapshot!(error);
    });
    assert_eq!(world.cloud.lock().unwrap().balancer.reported, 2);
    assert!(world.has("var/lib/jenkins/.hostkit/unhealthy.json"), "its successor counts on");
}

#[tokio::test]
async fn who_was_ready_before_is_not_reported() {
    let world = World::new().await;
    world.boot().await.unwrap();
    world.cloud.lock().unwrap().parameters.clear();
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("an earlier run made this host ready"), "{error}");
    assert_eq!(world.cloud.lock().unwrap().balancer.reported, 0);
}

#[tokio::test]
async fn a_report_can_be_switched_off() {
    let world = World::failing("abandon").await;
    world.is("InService");
    world.cloud.lock().unwrap().user_data = Some("[guard]\nreport_unhealthy = false\n".into());
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("`guard.report_unhealthy` keeps it there"), "{error}");
    assert_eq!(world.cloud.lock().unwrap().balancer.reported, 0);
}
