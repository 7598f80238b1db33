//! First contact with a home, and homes that this image must not have.

use super::*;

const CONFIG: &str = "<?xml version='1.1'?>\n<hudson>\n  <version>2.500</version>\n</hudson>\n";
const LAST: &str = "jenkins.install.InstallUtil.lastExecVersion";

impl World {
    /// Puts a file on the file system.
    fn lay(&self, path: &str, text: &str) {
        let path = self.root.join("var/lib/jenkins").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Nobody writes into a file: another one takes its place.
        let _ = fs::remove_file(&path);
        fs::write(path, text).unwrap();
    }

    fn on_efs(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join("var/lib/jenkins").join(path)).ok()
    }

    /// Another image takes the place of this one.
    fn has_jenkins(&self, version: &'static str) {
        self.web.lock().unwrap().version = Some(version);
        let status =
            format!("Package: jenkins\nStatus: install ok installed\nVersion: {version}\n");
        fs::write(self.root.join("var/lib/dpkg/status"), status).unwrap();
    }

    /// The image brings this plugin.
    fn brings(&self, name: &str, text: &str) {
        let folder = self.root.join("usr/share/hostkit/jenkins/plugins");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), text).unwrap();
    }

    /// What was kept aside, by name.
    fn sets(&self) -> Vec<String> {
        let folder = self.root.join("var/lib/jenkins/.hostkit/before");
        let Ok(entries) = folder.read_dir_utf8() else { return Vec::new() };
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_owned()).collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn a_home_at_the_top_of_a_file_system_is_taken_over_and_that_is_told() {
    let world = World::new().await;
    world.lay("config.xml", CONFIG);
    world.lay("jobs/build/config.xml", "<project/>");
    world.boot().await.unwrap();
    assert_eq!(world.on_efs("home/config.xml").as_deref(), Some(CONFIG));
    assert_eq!(world.on_efs("home/jobs/build/config.xml").as_deref(), Some("<project/>"));
    assert_eq!(world.on_efs("config.xml"), None);
    assert_eq!(world.on_efs(".hostkit/fs-id").as_deref(), Some("fs-0123456789abcdef0\n"));
    assert!(world.said("the JENKINS_HOME that was at the top of the file system is now in `home`"));
    let console = fs::read_to_string(world.root.join("dev/ttyS0")).unwrap();
    assert!(console.contains("whatever else still runs a Jenkins on it"), "{console}");
    world.boot().await.unwrap();
    assert!(world.outcomes().contains("home unchanged"), "{}", world.outcomes());
}

#[tokio::test]
async fn a_home_in_its_place_without_a_mark_is_taken_over() {
    let world = World::new().await;
    world.lay("home/config.xml", CONFIG);
    world.boot().await.unwrap();
    assert!(world.said("is this controller's now"));
    assert_eq!(world.on_efs("home/config.xml").as_deref(), Some(CONFIG));
}

#[tokio::test]
async fn the_data_of_somebody_else_is_named_and_left_alone() {
    let world = World::new().await;
    world.lay("photos/one.jpg", "");
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(error);
    assert_eq!(world.on_efs(".hostkit/fs-id"), None);
    assert!(!world.has("var/lib/jenkins/home"));
}

#[tokio::test]
async fn a_mark_of_another_file_system_is_told_with_what_to_do() {
    let world = World::new().await;
    world.lay(".hostkit/fs-id", "fs-0aaaaaaaaaaaaaaaa\n");
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(error);
}

#[tokio::test]
async fn a_home_of_another_number_names_the_variable_that_changes_it() {
    let world = World::new().await;
    world.boot().await.unwrap();
    // Another image, in which `jenkins` has another number.
    world.systemd.lock().unwrap().user = Some("daemon");
    let error = world.boot().await.unwrap_err();
    let owner = nix::unistd::geteuid().as_raw().to_string();
    let error = error.replace(&format!("user {owner},"), "user OWNER,");
    insta::assert_snapshot!(error.replace(&format!("uid={owner}`"), "uid=OWNER`"));
    assert!(!world.was_run("chown"));
}

#[tokio::test]
async fn an_older_jenkins_does_not_get_the_home_of_a_newer_one_unless_told() {
    let world = World::new().await;
    world.boot().await.unwrap();
    world.lay(&format!("home/{LAST}"), "2.568.2");
    world.has_jenkins("2.541");
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(error);
    assert_eq!(world.verdicts().last().map(String::as_str), Some("CONTINUE"), "of the first boot");
    assert_eq!(world.sets(), [""; 0]);

    world.cloud.lock().unwrap().user_data = Some("[jenkins]\nallow_downgrade = true\n".into());
    world.boot().await.unwrap();
    assert!(world.said("from Jenkins 2.568.2 to Jenkins 2.541"));
    assert_eq!(world.sets().len(), 1);
}

#[tokio::test]
async fn an_upgrade_keeps_configuration_and_plugins_aside_and_a_way_back_names_them() {
    let world = World::new().await;
    world.brings("git.jpi", "git 1");
    world.boot().await.unwrap();
    assert_eq!(world.sets(), [""; 0], "nothing was there before");
    world.lay(&format!("home/{LAST}"), "2.541");
    world.lay("home/config.xml", "<hudson>old</hudson>");

    world.has_jenkins("2.568.2");
    world.brings("git.jpi", "git 2");
    world.boot().await.unwrap();
    assert!(world.said("from Jenkins 2.541 to Jenkins 2.568.2"));
    let [set] = world.sets().try_into().unwrap();
    assert!(set.starts_with("2.541-2"), "{set}");
    let kept = |path: &str| world.on_efs(&format!(".hostkit/before/{set}/{path}"));
    assert_eq!(kept("home/plugins/git.jpi").as_deref(), Some("git 1"));
    assert_eq!(kept("home/config.xml").as_deref(), Some("<hudson>old</hudson>"));
    assert!(kept("release").unwrap().contains("2.541"));
    assert_eq!(world.on_efs("home/plugins/git.jpi").as_deref(), Some("git 2"));
    world.boot().await.unwrap();
    assert_eq!(world.sets().len(), 1, "once is enough");

    world.lay(&format!("home/{LAST}"), "2.568.2");
    world.has_jenkins("2.541");
    let error = world.boot().await.unwrap_err();
    assert!(error.contains(&format!("put `.hostkit/before/{set}` back first")), "{error}");
}

#[tokio::test]
async fn a_newer_jenkins_that_never_came_up_makes_way_for_the_one_before() {
    let world = World::new().await;
    world.brings("git.jpi", "git 1");
    world.boot().await.unwrap();
    world.lay(&format!("home/{LAST}"), "2.541");
    world.lay("home/config.xml", "<hudson>old</hudson>");
    world.lay("home/jobs/app/config.xml", "<project>old</project>");

    world.has_jenkins("2.568.2");
    world.brings("git.jpi", "git 2");
    world.boot().await.unwrap();
    // It has changed some of it, and has not said that it is up.
    world.lay("home/config.xml", "<hudson>new</hudson>");
    world.lay("home/jobs/new/config.xml", "<project>new</project>");

    world.has_jenkins("2.541");
    world.brings("git.jpi", "git 1");
    world.boot().await.unwrap();
    assert!(world.said("Jenkins 2.568.2 was to serve this home and never came up"));
    let there = |path: &str| world.on_efs(path);
    assert_eq!(there("home/config.xml").as_deref(), Some("<hudson>old</hudson>"));
    assert_eq!(there("home/jobs/app/config.xml").as_deref(), Some("<project>old</project>"));
    assert_eq!(there("home/jobs/new/config.xml").as_deref(), Some("<project>new</project>"));
    assert_eq!(there("home/plugins/git.jpi").as_deref(), Some("git 1"));
    assert!(there("home/.hostkit-put-back").is_none());
    assert_eq!(world.sets(), [""; 0], "the next attempt is kept aside anew");
    // Once it was up, its files are not taken from it.
    world.has_jenkins("2.568.2");
    world.boot().await.unwrap();
    world.lay(&format!("home/{LAST}"), "2.568.2");
    world.has_jenkins("2.541");
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("last served by Jenkins 2.568.2"), "{error}");
}

impl World {
    /// An instance of another image takes the place of this one.
    fn is_of(&self, image: &'static str, jenkins: &'static str, plugin: &str) {
        self.cloud.lock().unwrap().image = image;
        self.has_jenkins(jenkins);
        self.brings("git.jpi", plugin);
    }

    /// What the journal of the group's rollout says.
    fn journal(&self, way: &str, phase: &str, from: &str, to: &str) {
        let text = serde_json::json!({
            "form": 1, "rollout": "r-1", "way": way, "phase": phase,
            "order": { "from": { "image": from }, "to": { "image": to } },
        });
        let mut cloud = self.cloud.lock().unwrap();
        cloud.parameters.insert("/hostkit/asg/ci/journal".to_owned(), text.to_string());
    }

    /// The former image has served, then the newer one came up and wrote what it liked.
    async fn with_a_newer_jenkins_that_came_up() -> Self {
        let world = Self::new().await;
        world.is_of("ami-a", "2.541", "git 1");
        world.boot().await.unwrap();
        world.lay(&format!("home/{LAST}"), "2.541");
        world.lay("home/config.xml", "<hudson>old</hudson>");
        world.lay("home/jobs/app/config.xml", "<project>old</project>");
        world.is_of("ami-b", "2.568.2", "git 2");
        world.boot().await.unwrap();
        world.lay(&format!("home/{LAST}"), "2.568.2");
        world.lay("home/config.xml", "<hudson>new</hudson>");
        world.lay("home/jobs/new/config.xml", "<project>new</project>");
        world
    }

    /// The file in the newest set that is of this version.
    fn kept(&self, version: &str, path: &str) -> Option<String> {
        let sets = self.sets();
        let set = sets.iter().rfind(|set| set.starts_with(&format!("{version}-")))?;
        self.on_efs(&format!(".hostkit/before/{set}/home/{path}"))
    }
}

#[tokio::test]
async fn a_rollout_that_goes_back_has_the_home_put_back_and_what_the_newer_one_wrote_kept_aside() {
    let world = World::with_a_newer_jenkins_that_came_up().await;
    world.is_of("ami-a", "2.541", "git 1");
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("nothing was ever rolled out to its group"), "{error}");

    world.journal("back", "refresh", "ami-a", "ami-b");
    world.boot().await.unwrap();
    assert!(world.said("rollout r-1 goes back from Jenkins 2.568.2 to 2.541"));
    let there = |path: &str| world.on_efs(&format!("home/{path}"));
    assert_eq!(there("config.xml").as_deref(), Some("<hudson>old</hudson>"));
    assert_eq!(there(LAST).as_deref(), Some("2.541"));
    assert_eq!(there("plugins/git.jpi").as_deref(), Some("git 1"));
    assert_eq!(there("jobs/new/config.xml").as_deref(), Some("<project>new</project>"));
    assert_eq!(world.kept("2.568.2", "config.xml").as_deref(), Some("<hudson>new</hudson>"));
    assert_eq!(world.kept("2.568.2", "plugins/git.jpi").as_deref(), Some("git 2"));
    assert_eq!(world.kept("2.541", "config.xml").as_deref(), Some("<hudson>old</hudson>"));
    // It serves from here as ever, whoever asks what.
    world.journal("back", "recorded", "ami-a", "ami-b");
    world.boot().await.unwrap();
    assert!(world.outcomes().contains("home unchanged"), "{}", world.outcomes());
    assert_eq!(world.sets().len(), 2);
}

#[tokio::test]
async fn a_way_back_from_the_way_back_has_what_the_newer_jenkins_had() {
    let world = World::with_a_newer_jenkins_that_came_up().await;
    world.is_of("ami-a", "2.541", "git 1");
    world.journal("back", "refresh", "ami-a", "ami-b");
    world.boot().await.unwrap();
    // Somebody had asked for it, and the older one does not prove itself either.
    world.is_of("ami-b", "2.568.2", "git 2");
    world.journal("back", "proof", "ami-b", "ami-a");
    world.boot().await.unwrap();
    assert!(world.said("goes back from Jenkins 2.541 to 2.568.2"));
    assert_eq!(world.on_efs("home/config.xml").as_deref(), Some("<hudson>new</hudson>"));
    assert_eq!(world.on_efs("home/plugins/git.jpi").as_deref(), Some("git 2"));
    assert_eq!(world.on_efs(&format!("home/{LAST}")).as_deref(), Some("2.568.2"));
}

/// Whatever does not name exactly this change leaves the home as it is, and says why.
#[tokio::test]
async fn no_other_rollout_has_the_home_put_back() {
    let world = World::with_a_newer_jenkins_that_came_up().await;
    world.is_of("ami-a", "2.541", "git 1");
    let mut told = Vec::new();
    for (way, phase, from, to) in [
        ("forward", "refresh", "ami-a", "ami-b"),
        ("back", "recorded", "ami-a", "ami-b"),
        ("back", "refresh", "ami-c", "ami-b"),
        ("back", "refresh", "ami-a", "ami-c"),
    ] {
        world.journal(way, phase, from, to);
        told.push(world.boot().await.unwrap_err());
    }
    world.journal("back", "refresh", "ami-a", "ami-b");
    let denied = ("AccessDeniedException", "not authorized to perform: ssm:GetParameters");
    world.cloud.lock().unwrap().refused.insert("/hostkit/asg/ci/journal", denied);
    told.push(world.boot().await.unwrap_err());
    let whole = told[0].replace(&world.sets()[0], "SET");
    let whole = &whole[whole.find("caused by").unwrap()..];
    let whys = told[1..].iter().map(|error| error.trim().rsplit("; ").next().unwrap());
    let whys: Vec<_> = whys.collect();
    insta::assert_snapshot!(format!("{whole}\n{}", whys.join("\n")));
    assert_eq!(world.on_efs("home/config.xml").as_deref(), Some("<hudson>new</hudson>"));
    assert_eq!(world.sets().len(), 1, "nothing was kept aside either");
}

impl World {
    /// The journal of a rollout whose process is gone, and what AWS says of the group's refreshes,
    /// the newest first. They began so long ago.
    fn left_alone(&self, ago: i64, refreshes: &[(&'static str, &'static str)]) {
        let text = serde_json::json!({
            "form": 1, "rollout": "r-1", "way": "forward", "phase": "refresh",
            "order": { "from": { "image": "ami-a" }, "to": { "image": "ami-b" } },
            "forward": { "id": "refresh-1", "marks": { "began": "2026-11-20T00:00:00Z" } },
        });
        let began = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(ago);
        let mut cloud = self.cloud.lock().unwrap();
        cloud.parameters.insert("/hostkit/asg/ci/journal".to_owned(), text.to_string());
        cloud.refreshes = refreshes.iter().map(|(id, status)| (*id, *status, began)).collect();
    }
}

/// The machine that ran `hostkit upgrade` is gone: nobody writes that the rollout goes back.
#[tokio::test]
async fn a_refresh_that_aws_takes_back_by_itself_has_the_home_put_back_as_well() {
    let world = World::with_a_newer_jenkins_that_came_up().await;
    world.is_of("ami-a", "2.541", "git 1");
    world.left_alone(3600, &[("refresh-1", "RollbackInProgress"), ("refresh-0", "Successful")]);
    world.cloud.lock().unwrap().balancer.throttled = [("DescribeInstanceRefreshes", 1)].into();
    world.boot().await.unwrap();
    assert!(world.said("rollout r-1 goes back from Jenkins 2.568.2 to 2.541"));
    assert_eq!(world.on_efs("home/config.xml").as_deref(), Some("<hudson>old</hudson>"));
    assert_eq!(world.on_efs("home/plugins/git.jpi").as_deref(), Some("git 1"));
    assert_eq!(world.kept("2.568.2", "config.xml").as_deref(), Some("<hudson>new</hudson>"));
    // Nobody asks twice: it serves from here as ever.
    world.left_alone(3600, &[]);
    world.boot().await.unwrap();
    assert!(world.outcomes().contains("home unchanged"), "{}", world.outcomes());
}

/// What is not exactly the refresh of that rollout, taken back, leaves the home as it is.
#[tokio::test]
async fn no_other_refresh_has_the_home_put_back() {
    let world = World::with_a_newer_jenkins_that_came_up().await;
    world.is_of("ami-a", "2.541", "git 1");
    let mut told = Vec::new();
    for (ago, refreshes) in [
        (3600, &[("refresh-1", "InProgress")][..]),
        (3600, &[("refresh-1", "Failed")]),
        (3600, &[("refresh-1", "Cancelled")]),
        (3600, &[("refresh-2", "RollbackInProgress"), ("refresh-1", "RollbackFailed")]),
        (3600, &[]),
        // The newer Jenkins had the home before that refresh began.
        (-3600, &[("refresh-1", "RollbackInProgress")]),
    ] {
        world.left_alone(ago, refreshes);
        told.push(world.boot().await.unwrap_err());
    }
    world.left_alone(3600, &[("refresh-1", "RollbackInProgress")]);
    world.cloud.lock().unwrap().denied = Some("DescribeInstanceRefreshes");
    told.push(world.boot().await.unwrap_err());
    let whys = told.iter().map(|error| error.trim().rsplit("to this image, and ").next().unwrap());
    let whys: Vec<_> = whys.collect();
    insta::with_settings!({ filters => vec![(r"20[0-9TZ:.-]+Z", "TIME")] }, {
        insta::assert_snapshot!(whys.join("\n"));
    });
    assert_eq!(world.on_efs("home/config.xml").as_deref(), Some("<hudson>new</hudson>"));
    assert_eq!(world.sets().len(), 1, "nothing was kept aside either");
}

/// The same Jenkins in another image, without a set between the two: an old one is not taken for it.
#[tokio::test]
async fn a_set_of_an_older_change_is_not_taken_for_that_of_a_rollout() {
    let world = World::new().await;
    world.is_of("ami-a", "2.541", "git 1");
    world.boot().await.unwrap();
    world.lay(&format!("home/{LAST}"), "2.541");
    world.lay("home/config.xml", "<hudson>old</hudson>");
    world.is_of("ami-b", "2.541", "git 2");
    world.boot().await.unwrap();
    world.lay("home/config.xml", "<hudson>new</hudson>");
    // Only its kernel is another one.
    world.is_of("ami-c", "2.541", "git 2");
    world.boot().await.unwrap();
    world.is_of("ami-b", "2.541", "git 2");
    world.journal("back", "refresh", "ami-b", "ami-c");
    world.boot().await.unwrap();
    assert_eq!(world.on_efs("home/config.xml").as_deref(), Some("<hudson>new</hudson>"));
    assert_eq!(world.on_efs("home/plugins/git.jpi").as_deref(), Some("git 2"));
    // Other plugins are a change as another Jenkins is.
    world.is_of("ami-d", "2.541", "git 3");
    world.boot().await.unwrap();
    world.lay("home/config.xml", "<hudson>newest</hudson>");
    world.is_of("ami-b", "2.541", "git 2");
    world.journal("back", "refresh", "ami-b", "ami-d");
    world.boot().await.unwrap();
    assert_eq!(world.on_efs("home/config.xml").as_deref(), Some("<hudson>new</hudson>"));
}

#[tokio::test]
async fn a_start_that_failed_counts_as_a_jenkins_that_has_seen_the_home() {
    let world = World::new().await;
    world.boot().await.unwrap();
    world.has_jenkins("2.568.2");
    world.boot().await.unwrap();
    world.has_jenkins("2.541");
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("last served by Jenkins 2.568.2"), "{error}");
}

#[tokio::test]
async fn an_image_that_does_not_say_its_version_is_told_and_not_refused() {
    let world = World::new().await;
    fs::remove_file(world.root.join("var/lib/dpkg/status")).unwrap();
    world.lay("home/config.xml", CONFIG);
    world.lay(&format!("home/{LAST}"), "2.999");
    world.boot().await.unwrap();
    assert!(world.said("the version of the image's Jenkins is not known"));
}
