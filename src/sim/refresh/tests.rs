use std::time::Duration;

use super::{Refresh, Status};
use crate::sim::account::{Account, REGION};
use crate::sim::autoscaling;
use crate::sim::hosts::scenery::{Plan, Scenery};
use crate::sim::hosts::{Does, Part, Script, step};
use crate::sim::http::{Reply, Request};
use crate::sim::instance::{Lifecycle, State};
use crate::sim::parameters::Parameters;

/// A group of one controller whose new image does something, in service.
struct Stage {
    account: Account,
    scenery: Scenery,
    first: String,
}

impl Stage {
    fn new(does: Does) -> Self {
        let mut account = Account::new(Parameters::default());
        account.conditions.speed = 1.0;
        let plan = Plan { balanced: false, ..Plan::controller("ci") };
        let scenery = plan.furnish(&mut account);
        account.hosts.script = Script::of([
            Part::controller("2.1").of_image(&scenery.new).that(does),
            Part { builds: vec![40.0], ..Part::controller("2.1") },
        ]);
        scenery.version(&mut account, &scenery.new);
        let mut stage = Self { account, scenery, first: String::new() };
        stage.pass(100);
        stage.first = stage.serving().expect("one serves").0;
        stage
    }

    fn ask(&mut self, form: &str) -> Reply {
        let kind = ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
        let body =
            format!("{form}&AutoScalingGroupName=ci").replace("{lt}", &self.scenery.template);
        let request = Request { headers: [kind].into(), body: body.into(), ..Request::default() };
        autoscaling::answer(&mut self.account, &request, REGION)
    }

    fn done(&mut self, form: &str) -> String {
        let reply = self.ask(form);
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.body.to_string()
    }

    fn refused(&mut self, form: &str, code: &str) -> String {
        let reply = self.ask(form);
        assert!(reply.body.contains(&format!("<Code>{code}</Code>")), "{form}: {}", reply.body);
        reply.body.to_string()
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.account.skip(Duration::from_secs(1));
            step(&mut self.account);
        }
    }

    /// Until the refresh is over, at most so many seconds.
    fn end(&mut self, seconds: u64) -> Refresh {
        for _ in 0..seconds {
            self.pass(1);
            if self.refresh().status.is_over() {
                break;
            }
        }
        self.refresh()
    }

    fn refresh(&mut self) -> Refresh {
        self.account.region(REGION).refreshes["ci"].last().cloned().unwrap()
    }

    /// The instance in service, and its image.
    fn serving(&mut self) -> Option<(String, String)> {
        let ids: Vec<_> = self.account.instances().iter().map(|one| one.id.clone()).collect();
        let serves = |account: &mut Account, id: &str| {
            account.lifecycle(id) == Some(Lifecycle::InService)
                && account.instance(id).is_some_and(|one| one.state() == State::Running)
        };
        let found = ids.into_iter().find(|id| serves(&mut self.account, id))?;
        let image = self.account.instance(&found)?.image.clone();
        Some((found, image))
    }

    fn launches(&mut self) -> String {
        let group = &self.account.region(REGION).groups["ci"];
        assert_eq!(group.steering, None, "nobody steers it any more");
        group.launches.clone().unwrap().version
    }
}

const START: &str = "Action=StartInstanceRefresh&Strategy=Rolling\
    &DesiredConfiguration.LaunchTemplate.LaunchTemplateId={lt}\
    &DesiredConfiguration.LaunchTemplate.Version=2\
    &Preferences.MinHealthyPercentage=0&Preferences.MaxHealthyPercentage=100\
    &Preferences.SkipMatching=true";

#[test]
fn a_controller_is_replaced_and_the_group_launches_the_new_version_then() {
    let mut stage = Stage::new(Does::Healthy);
    stage.done(&format!("{START}&Preferences.AutoRollback=true&Preferences.BakeTime=60"));
    let code = "InstanceRefreshInProgress";
    stage.refused(START, code);
    let update = "Action=UpdateAutoScalingGroup&LaunchTemplate.LaunchTemplateId={lt}\
                  &LaunchTemplate.Version=2";
    let message = stage.refused(update, "ValidationError");
    assert!(message.contains("An active instance refresh"), "{message}");
    stage.pass(5);
    let going = stage.refresh();
    assert_eq!((going.progress.percent, going.progress.to_update), (0, 1), "{going:?}");
    while stage.refresh().status == Status::InProgress {
        stage.pass(1);
    }
    let baking = stage.refresh();
    assert_eq!((baking.status, baking.progress.percent), (Status::Baking, 100), "{baking:?}");
    let ended = stage.end(120);
    assert_eq!(ended.status, Status::Successful);
    assert!(ended.ended.is_some());
    assert_eq!(stage.launches(), "2");
    let (second, image) = stage.serving().unwrap();
    assert_eq!(image, stage.scenery.new);
    let home = stage.account.hosts.homes.values().next().unwrap();
    assert_eq!(home.holders(), [stage.first.as_str(), second.as_str()]);
    assert_eq!(stage.account.hosts.violations(), Vec::<String>::new());
    let again = stage.done(START);
    assert!(again.contains("InstanceRefreshId"));
    assert_eq!(stage.end(10).status, Status::Successful, "all match");
    assert_eq!(stage.serving().unwrap().0, second);
}

#[test]
fn what_is_never_ready_is_rolled_back_after_an_hour() {
    let mut stage = Stage::new(Does::NeverReady);
    stage.done(&format!("{START}&Preferences.AutoRollback=true"));
    stage.pass(3500);
    assert_eq!(stage.refresh().status, Status::InProgress);
    let ended = stage.end(1200);
    assert_eq!(ended.status, Status::RollbackSuccessful, "{ended:?}");
    let rollback = ended.rollback.unwrap();
    assert!(rollback.reason.contains("automatic rollback"), "{rollback:?}");
    assert_eq!(stage.launches(), "1");
    assert_eq!(stage.serving().unwrap().1, stage.scenery.old);
    assert_eq!(stage.account.hosts.violations(), Vec::<String>::new());
}

#[test]
fn without_a_way_back_it_fails() {
    let mut stage = Stage::new(Does::HookAbandon);
    stage.done(START);
    let ended = stage.end(5000);
    assert_eq!(ended.status, Status::Failed);
    assert_eq!(stage.launches(), "1");
    stage.pass(1200);
    assert_eq!(stage.serving().unwrap().1, stage.scenery.old, "the group mends itself");
}

#[test]
fn it_is_cancelled_and_it_is_rolled_back_by_hand() {
    let mut stage = Stage::new(Does::Healthy);
    let cancel = "Action=CancelInstanceRefresh";
    let rollback = "Action=RollbackInstanceRefresh";
    stage.refused(cancel, "ActiveInstanceRefreshNotFound");
    stage.refused(rollback, "ActiveInstanceRefreshNotFound");
    stage.done(START);
    stage.pass(10);
    stage.done(cancel);
    assert_eq!(stage.refresh().status, Status::Cancelling, "the replacement is under way");
    assert_eq!(stage.end(300).status, Status::Cancelled);
    assert_eq!(stage.launches(), "1", "what was replaced stays so");
    assert_eq!(stage.serving().unwrap().1, stage.scenery.new);

    let back = START.replace("Version=2", "Version=1");
    stage.done(&back);
    stage.pass(10);
    stage.done(&format!("{cancel}&WaitForTransitioningInstances=false"));
    assert_eq!(stage.refresh().status, Status::Cancelled);
    stage.pass(300);
    stage.done("Action=StartInstanceRefresh");
    stage.refused(rollback, "IrreversibleInstanceRefresh");
    stage.end(400);

    stage.done(&format!("{START}&Preferences.BakeTime=600"));
    stage.pass(200);
    assert_eq!(stage.refresh().status, Status::Baking);
    stage.done(rollback);
    assert_eq!(stage.end(400).status, Status::RollbackSuccessful);
    assert_eq!(stage.serving().unwrap().1, stage.scenery.old);
    let described = stage.done("Action=DescribeInstanceRefreshes&MaxRecords=2");
    assert_eq!(described.matches("<InstanceRefreshId>").count(), 2);
    assert!(described.contains("<RollbackReason>"), "{described}");
    assert!(described.contains("NextToken"), "{described}");
}

#[test]
fn who_wants_all_to_be_well_all_the_time_gets_a_second_controller_that_waits() {
    let mut stage = Stage::new(Does::Healthy);
    let start = START.replace("MinHealthyPercentage=0", "MinHealthyPercentage=100");
    stage.done(&start);
    stage.pass(200);
    let first = stage.first.clone();
    assert_eq!(stage.serving().unwrap().0, first, "the first serves, and holds the home");
    let waits = stage
        .account
        .hosts
        .hosts
        .values()
        .any(|host| host.stage == crate::sim::hosts::Stage::Waiting);
    assert!(waits, "the second one waits for it");
    assert_eq!(stage.refresh().status, Status::InProgress);
}

#[test]
fn aws_refuses_what_could_not_be_undone_and_what_cannot_be() {
    let mut stage = Stage::new(Does::Healthy);
    let wrong = "ValidationError";
    let bare = "Action=StartInstanceRefresh&Preferences.AutoRollback=true";
    let message = stage.refused(bare, wrong);
    assert!(message.contains("when the DesiredConfiguration parameter is empty"), "{message}");
    let start = format!("{START}&Preferences.AutoRollback=true");
    let message = stage.refused(&start.replace("Version=2", "Version=$Latest"), wrong);
    assert!(message.contains("$Latest or $Default"), "{message}");
    let alias = "resolve:ssm:/hostkit/jenkins-controller/x86_64/latest";
    let scenery = stage.scenery.clone();
    scenery.version(&mut stage.account, alias);
    let message = stage.refused(&start.replace("Version=2", "Version=3"), wrong);
    assert!(message.contains("Systems Manager parameter"), "{message}");
    stage.refused(&START.replace("Version=2", "Version=9"), wrong);
    stage.refused(&START.replace("Rolling", "ReplaceRootVolume"), wrong);
    stage.refused(&START.replace("Percentage=100", "Percentage=250"), wrong);
    stage.refused("Action=StartInstanceRefresh&Preferences.MaxHealthyPercentage=100", wrong);
    stage.refused("Action=StartInstanceRefresh&Preferences.CheckpointDelay=1", wrong);
    let odd = "Action=StartInstanceRefresh&Preferences.CheckpointPercentages.member.1=50\
               &Preferences.CheckpointPercentages.member.2=50";
    stage.refused(odd, wrong);
    assert!(!stage.account.region(REGION).refreshes.contains_key("ci"));
}

#[test]
fn protected_and_standby_instances_are_waited_for_an_hour() {
    let mut stage = Stage::new(Does::Healthy);
    let id = stage.first.clone();
    let protect =
        format!("Action=SetInstanceProtection&InstanceIds.member.1={id}&ProtectedFromScaleIn=true");
    stage.done(&protect);
    stage.done(START);
    stage.pass(60);
    let reason = stage.refresh().reason.unwrap();
    assert!(reason.contains("protected from scale in") && reason.contains(&id), "{reason}");
    assert_eq!(stage.end(3700).status, Status::Failed);
    stage.done(&format!("{START}&Preferences.ScaleInProtectedInstances=Ignore"));
    assert_eq!(stage.end(5).status, Status::Successful, "there is nothing to do");
    assert_eq!(stage.serving().unwrap().0, id);
    stage.done(&format!("{START}&Preferences.ScaleInProtectedInstances=Refresh"));
    assert_eq!(stage.end(400).status, Status::Successful);
    assert_ne!(stage.serving().unwrap().0, id);
}

#[test]
fn an_instance_in_standby_is_waited_for_and_replaced_once_it_serves_again() {
    let mut stage = Stage::new(Does::Healthy);
    let id = stage.first.clone();
    let aside = format!("InstanceIds.member.1={id}&ShouldDecrementDesiredCapacity=true");
    stage.done("Action=UpdateAutoScalingGroup&MinSize=0");
    stage.done(&format!("Action=EnterStandby&{aside}"));
    stage.done(&format!("{START}&Preferences.StandbyInstances=Wait"));
    stage.pass(60);
    let reason = stage.refresh().reason.unwrap();
    assert!(reason.contains("Standby") && reason.contains(&id), "{reason}");
    // Once it serves again it is replaced as the others are.
    stage.done(&format!("Action=ExitStandby&InstanceIds.member.1={id}"));
    assert_eq!(stage.end(900).status, Status::Successful);
    let new = stage.scenery.new.clone();
    let (now, image) = stage.serving().unwrap();
    assert!(now != id && image == new, "{image}");
    assert_eq!(stage.account.hosts.violations(), Vec::<String>::new());
}

#[test]
fn instances_of_a_warm_pool_are_replaced_with_the_others() {
    let mut stage = Stage::new(Does::Healthy);
    stage.done("Action=PutWarmPool&MinSize=1&PoolState=Running");
    stage.pass(200);
    let warm = |stage: &mut Stage| {
        let told = stage.done("Action=DescribeWarmPool");
        let ids = told.split("<InstanceId>").skip(1);
        let ids = ids.map(|it| it.split('<').next().unwrap().to_owned());
        let ids: Vec<String> = ids.collect();
        let image = |id: &String| stage.account.instance(id).map(|it| it.image.clone()).unwrap();
        ids.iter().map(image).collect::<Vec<_>>()
    };
    let (old, new) = (stage.scenery.old.clone(), stage.scenery.new.clone());
    assert_eq!(warm(&mut stage), [old]);
    stage.done(START);
    assert_eq!(stage.end(1200).status, Status::Successful);
    stage.pass(200);
    assert_eq!(stage.serving().unwrap().1, new);
    assert_eq!(warm(&mut stage), [new]);
    let told = stage.done("Action=DescribeInstanceRefreshes");
    assert!(told.contains("<ProgressDetails>"), "{told}");
    assert_eq!(stage.account.hosts.violations(), Vec::<String>::new());
}
