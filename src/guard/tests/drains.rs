//! Hosts that go: each reason, and each thing that can go wrong on the way.

use super::*;
use crate::guard::byhand;

#[tokio::test]
async fn a_host_that_its_group_terminates_lets_builds_end_and_the_hook_wait() {
    let world = World::controller();
    world.with(|cloud| (cloud.jenkins.builds, cloud.jenkins.pipelines) = (1, 1));
    world.until(|world| world.answers("serving")).await;
    world.terminate();
    world.until(|world| world.with(|cloud| cloud.beats >= 2)).await;
    assert!(world.with(|cloud| cloud.jenkins.quiet && cloud.verdicts.is_empty()));
    assert_eq!(world.unit("jenkins.service"), "active");
    // The guard that is killed here is carried on by the next.
    world.told.lock().unwrap().clear();
    world.with(|cloud| cloud.jenkins.builds = 0);
    world.until(World::is_drained).await;
    assert_eq!(world.with(|cloud| cloud.verdicts.clone()), [("CONTINUE".to_owned(), true)]);
    assert_eq!(world.unit("jenkins.service"), "inactive");
    let message = world.with(|cloud| cloud.jenkins.message.clone()).unwrap();
    assert!(message.contains("being replaced"), "{message}");
    insta::assert_snapshot!(world.story());
    world.until(|world| world.answers("drained")).await;
}

#[tokio::test]
async fn a_spot_instance_is_drained_in_its_two_minutes_though_builds_never_end() {
    let world = World::controller();
    world.with(|cloud| cloud.jenkins.builds = 2);
    world.systemd.lock().unwrap().stops = false;
    world.until(|world| world.answers("serving")).await;
    world.interrupt(120);
    let told = Instant::now();
    world.until(World::is_drained).await;
    let systemd = world.systemd.lock().unwrap();
    // Three times the slack of the product's own deadlines: the machine of a test may be busy.
    let after = |moment: Option<Instant>| {
        moment.unwrap().duration_since(told).as_secs_f64() / SECOND.as_secs_f64()
    };
    assert!(after(systemd.stopped) >= 50.0, "builds had their time");
    assert!(systemd.killed.is_some(), "it did not end by itself");
    assert!(after(world.cloud.lock().unwrap().released_at) < 330.0);
    drop(systemd);
    insta::assert_snapshot!(world.story());
    assert_eq!(world.with(|cloud| cloud.verdicts.len()), 0, "the group does not wait");
}

#[tokio::test]
async fn killed_at_any_moment_it_carries_on() {
    for step in 1_u32..12 {
        let world = World::controller();
        world.with(|cloud| cloud.jenkins.builds = u32::from(step % 2 == 0));
        world.terminate();
        for _ in 0..6 {
            world.for_a_while(Duration::from_millis(u64::from(step) * 23)).await;
        }
        world.with(|cloud| cloud.jenkins.builds = 0);
        world.until(|world| world.with(|cloud| !cloud.verdicts.is_empty())).await;
        assert_eq!(world.with(|cloud| cloud.verdicts.clone()), [("CONTINUE".to_owned(), true)]);
        assert_eq!(world.unit("hostkit-lease.service"), "inactive", "step {step}");
        let mounts = fs::read_to_string(world.root.join("proc/self/mountinfo")).unwrap();
        assert_eq!(mounts, ROOT_MOUNT, "step {step}");
    }
}

#[tokio::test]
async fn the_group_does_not_hear_go_while_the_home_is_held() {
    let world = World::controller();
    world.systemd.lock().unwrap().releases = false;
    world.terminate();
    // Its time for that is over, and it is told.
    world.until(|world| world.heard("the group is not told that this host may go")).await;
    assert!(world.with(|cloud| cloud.verdicts.is_empty()));
    let beats = world.with(|cloud| cloud.beats);
    world.systemd.lock().unwrap().releases = true;
    world.until(World::is_drained).await;
    assert_eq!(world.with(|cloud| cloud.verdicts.clone()), [("CONTINUE".to_owned(), true)]);
    assert!(world.with(|cloud| cloud.beats) <= beats + 2);
}

#[tokio::test]
async fn what_goes_wrong_is_told_and_the_rest_is_done() {
    let world = World::told(
        "role = \"controller\"\n[efs]\nid = \"fs-0123456789abcdef0\"\n[alb]\nmode = \"explicit\"\n\
         [drain]\npatience = 30\n",
    );
    world.with(|cloud| {
        cloud.denied = Some("RecordLifecycleActionHeartbeat");
        cloud.jenkins.builds = 3;
        cloud.inactive = 2;
    });
    world.systemd.lock().unwrap().unmounts = false;
    world.terminate();
    world.until(World::is_drained).await;
    assert_eq!(world.with(|cloud| cloud.verdicts.clone()), [("CONTINUE".to_owned(), true)]);
    assert_eq!(world.with(|cloud| cloud.left.clone()), [cloud::TARGET_GROUP]);
    let story = world.story();
    assert!(story.contains("builds: GIVEN UP: 3 builds are under way"), "{story}");
    assert!(story.contains("unmount: GIVEN UP: /var/lib/jenkins is mounted"), "{story}");
    assert!(story.contains("what was given up: builds, unmount"), "{story}");
    assert!(story.contains("allow `autoscaling:RecordLifecycleActionHeartbeat`"), "{story}");
}

#[tokio::test]
async fn a_last_word_that_comes_too_late_is_no_error() {
    let world = World::controller();
    world.with(|cloud| cloud.lost = true);
    world.terminate();
    world.until(World::is_drained).await;
    assert!(world.heard("hook: done: the group did not wait any more"), "{}", world.story());
}

#[tokio::test]
async fn a_dead_jenkins_is_not_waited_for() {
    let world = World::controller();
    world.with(|cloud| cloud.jenkins.up = false);
    world.systemd.lock().unwrap().units.insert("jenkins.service".to_owned(), "failed");
    world.terminate();
    world.until(World::is_drained).await;
    insta::assert_snapshot!(world.story());
}

#[tokio::test]
async fn an_agent_goes_when_nothing_is_built() {
    let world = World::told("role = \"agent\"\n");
    world.terminate();
    world.until(World::is_drained).await;
    assert_eq!(world.with(|cloud| cloud.verdicts.len()), 1);
    assert_eq!(world.with(|cloud| cloud.parameters.len()), 0, "only a controller answers");
    insta::assert_snapshot!(world.story());
}

/// An agent of a pool, whose controller is connected and builds what `programs` are.
fn agent(programs: &[&str]) -> World {
    let world = World::told("role = \"agent\"\n[agent]\npool = \"builds\"\n");
    for unit in ["ssh.service", "ssh.socket"] {
        world.systemd.lock().unwrap().units.insert(unit.to_owned(), "active");
    }
    session(&world, programs);
    world
}

/// What runs in the controller's session; nothing: it has hung up.
fn session(world: &World, programs: &[&str]) {
    let slice = world.root.join("sys/fs/cgroup/user.slice/user-650.slice");
    let _ = fs::remove_dir_all(&slice);
    if programs.is_empty() {
        return;
    }
    let scope = slice.join("session-4.scope");
    fs::create_dir_all(&scope).unwrap();
    let mut processes = String::new();
    for (index, program) in programs.iter().enumerate() {
        let process = world.root.join(format!("proc/90{index}"));
        fs::create_dir_all(&process).unwrap();
        fs::write(process.join("comm"), program).unwrap();
        processes.push_str(&format!("90{index}\n"));
    }
    fs::write(scope.join("cgroup.procs"), processes).unwrap();
}

const CONNECTED: &[&str] = &["sshd", "sshd", "bash", "java"];
const BUILDING: &[&str] = &["sshd", "sshd", "bash", "java", "sh", "sh", "make"];

#[tokio::test]
async fn an_agent_goes_when_its_builds_have_ended_and_its_controller_has_hung_up() {
    let world = agent(BUILDING);
    world.terminate();
    world.until(|world| world.with(|cloud| cloud.beats >= 2)).await;
    assert!(world.heard("a build is under way"), "{}", world.story());
    session(&world, CONNECTED);
    world.until(|world| world.heard("the controller lets an agent go")).await;
    world.for_a_while(SECOND * 10).await;
    // A build may begin as long as the controller has not hung up, and is waited for.
    session(&world, BUILDING);
    world.until(|world| world.with(|cloud| cloud.beats >= 4)).await;
    assert!(world.with(|cloud| cloud.verdicts.is_empty()));
    assert_eq!(world.unit("ssh.service"), "active", "the controller may have to connect again");
    world.told.lock().unwrap().clear();
    session(&world, &[]);
    world.until(World::is_drained).await;
    assert_eq!(world.with(|cloud| cloud.verdicts.len()), 1);
    assert_eq!((world.unit("ssh.service"), world.unit("ssh.socket")), ("inactive", "inactive"));
    insta::assert_snapshot!(world.story());
}

#[tokio::test]
async fn an_agent_whose_controller_was_cut_off_waits_for_the_step_that_goes_on() {
    let world = agent(&["sh", "java"]);
    world.terminate();
    world.until(|world| world.heard("a build is under way")).await;
    world.for_a_while(SECOND * 10).await;
    assert!(world.with(|cloud| cloud.verdicts.is_empty()));
    session(&world, &[]);
    world.until(World::is_drained).await;
}

#[tokio::test]
async fn an_agent_that_nobody_lets_go_goes_when_its_time_is_over() {
    let world = agent(CONNECTED);
    let path = world.root.join("run/hostkit/host.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}[drain]\npatience = 30\n")).unwrap();
    world.terminate();
    world.until(World::is_drained).await;
    assert!(world.heard("what was given up: sessions"), "{}", world.story());
    assert_eq!(world.unit("ssh.service"), "inactive");
}

#[tokio::test]
async fn an_agent_that_a_person_drains_lets_people_in() {
    let world = agent(&[]);
    let work = byhand::drain(&world.post, false, std::future::pending(), world.events());
    let end = tokio::time::timeout(LONG, work).await.unwrap().unwrap();
    assert_eq!(end, byhand::Ended::Drained(Vec::new()));
    assert_eq!(world.unit("ssh.service"), "active");
}

#[tokio::test]
async fn of_several_hooks_one_must_be_named() {
    let world = World::controller();
    world.with(|cloud| cloud.hooks = vec!["drain", "dns"]);
    world.terminate();
    world.until(|world| world.heard("name the one that waits")).await;
    // That of ECS is its own business.
    world.with(|cloud| cloud.hooks = vec!["drain", "ecs-managed-draining-termination-hook"]);
    world.until(World::is_drained).await;
    assert_eq!(world.with(|cloud| cloud.verdicts.len()), 1);
}

#[tokio::test]
async fn by_hand_it_is_the_same_and_refused_where_the_group_would_act_behind() {
    let world = World::controller();
    world.with(|cloud| cloud.checks = "ELB");
    let never = std::future::pending();
    let error = byhand::drain(&world.post, false, never, Events::silent()).await.unwrap_err();
    assert!(error.to_string().contains("the group ci would replace this host"), "{error}");
    assert_eq!(world.unit("jenkins.service"), "active");
    let work = byhand::drain(&world.post, true, std::future::pending(), world.events());
    let end = tokio::time::timeout(LONG, work).await.unwrap().unwrap();
    assert_eq!(end, byhand::Ended::Drained(Vec::new()));
    assert_eq!(world.unit("hostkit-lease.service"), "inactive");
    let error = byhand::cancel(&world.post).await.map(drop);
    assert!(error.is_ok(), "{error:?}");
    insta::assert_snapshot!(byhand::plan(&world.post).unwrap());
}

#[tokio::test]
async fn by_hand_it_is_taken_back_in_time_and_carried_on_by_the_guard_if_killed() {
    let world = World::controller();
    world.with(|cloud| cloud.jenkins.builds = 1);
    let is_quiet = async {
        while !world.with(|cloud| cloud.jenkins.quiet) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let work = byhand::drain(&world.post, false, is_quiet, Events::silent());
    let end = tokio::time::timeout(LONG, work).await.unwrap().unwrap();
    assert_eq!(end, byhand::Ended::TakenBack);
    assert!(!world.with(|cloud| cloud.jenkins.quiet));
    // Killed, it is the guard's.
    let work = byhand::drain(&world.post, false, std::future::pending(), Events::silent());
    let _ = tokio::time::timeout(Duration::from_secs(1), work).await;
    world.with(|cloud| cloud.jenkins.builds = 0);
    world.until(World::is_drained).await;
    assert_eq!(world.unit("hostkit-lease.service"), "inactive");
}
