//! Keys and secrets: what can be wrong with them in Parameter Store, where they lie, and what becomes
//! of them while a host serves.

use super::cloud::LOGIN_KEY;
use super::sshd::{Sshd, pair};
use super::*;
use crate::boot::refresh::{News, refresh};
use crate::jenkins::Tokens;
use crate::keys::private::tests::PUBLIC;

const PRIVATE: &str = "/devops-tools/jenkins/id_rsa";
const LIST: &str = "/devops-tools/jenkins/id_rsa.pub";
const ADMIN: &str = "/devops-tools/jenkins/admin_password";
const LET_IN: &str = "etc/ssh/authorized_keys.d/jenkins";
const HOST_KEY: &str = "/hostkit/pools/linux/host_key";
const POOL: &str = "role = \"agent\"\n[agent]\npool = \"linux\"\n";

impl World {
    fn put(&self, name: &str, value: &str) {
        self.cloud.lock().unwrap().parameters.insert(name.to_owned(), value.to_owned());
    }

    fn refuse(&self, name: &'static str, code: &'static str, message: &'static str) {
        self.cloud.lock().unwrap().refused.insert(name, (code, message));
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn refresh(&self) -> Result<News, String> {
        let end = refresh(&self.machine, &Events::silent()).await;
        end.map_err(|error| error::render(&error))
    }

    /// The cause of a boot that fails at `keys`.
    async fn cause(&self) -> String {
        let error = self.boot().await.unwrap_err();
        assert!(error.contains("boot failed at `keys`"), "{error}");
        assert!(!self.has("run/hostkit/secrets/agent_key"), "a half of the secrets was written");
        error.lines().skip(1).collect::<Vec<_>>().join("\n")
    }
}

#[tokio::test]
async fn everything_that_can_be_wrong_with_a_parameter_has_words_of_its_own() {
    let mut told = Vec::new();
    let mut tell = async |what: &str, spoil: &dyn Fn(&World)| {
        let mut world = World::new().await;
        world.machine.step_limit = Duration::from_secs(2);
        spoil(&world);
        told.push(format!("{what}:\n{}", world.cause().await));
        assert_eq!(world.verdicts(), ["ABANDON"], "{what}");
    };
    tell("nothing is there", &|world| world.cloud.lock().unwrap().parameters.clear()).await;
    tell("one is missing", &|world| {
        world.cloud.lock().unwrap().parameters.remove(ADMIN);
    })
    .await;
    tell("empty", &|world| world.put(ADMIN, " \n")).await;
    tell("the halves are exchanged", &|world| world.put(PRIVATE, LOGIN_KEY)).await;
    tell("no key", &|world| world.put(PRIVATE, "hunter2")).await;
    tell("one line", &|world| world.put(PRIVATE, &PRIVATE_KEY.replace('\n', " "))).await;
    tell("cut off", &|world| world.put(PRIVATE, &PRIVATE_KEY[..200])).await;
    tell("a passphrase", &|world| {
        let text =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIE\n-----END ENCRYPTED PRIVATE KEY-----";
        world.put(PRIVATE, text);
    })
    .await;
    tell("not allowed", &|world| {
        let message = concat!(
            "User: arn:aws:sts::123456789012:assumed-role/ci/i-1 is not authorized to perform: ",
            "ssm:GetParameters on resource: ",
            "arn:aws:ssm:eu-west-1:123456789012:parameter/devops-tools/jenkins/admin_password"
        );
        world.refuse(ADMIN, "AccessDeniedException", message);
    })
    .await;
    tell("the key of KMS not allowed", &|world| {
        let message = "The ciphertext refers to a customer master key that does not exist, does not \
            exist in this region, or you are not allowed to access.";
        world.refuse(PRIVATE, "AccessDeniedException", message);
    })
    .await;
    tell("the key of KMS disabled", &|world| {
        let message = "arn:aws:kms:eu-west-1:123456789012:key/k is disabled. (Service: AWSKMS)";
        world.refuse(PRIVATE, "InvalidKeyId", message);
    })
    .await;
    tell("throttled for longer than it is borne", &|world| {
        world.refuse(LIST, "ThrottlingException", "Rate exceeded");
    })
    .await;
    assert!(!told.concat().contains("hunter2"), "a wrong value is never shown");
    insta::assert_snapshot!(told.join("\n\n"));
}

#[tokio::test]
async fn a_version_that_is_not_there_is_told_apart_from_a_parameter_that_is_not() {
    let config = format!("{CONTROLLER}[keys]\nprivate = \"{PRIVATE}:7\"\n");
    let world = World::told(&config).await;
    let cause = world.cause().await;
    assert!(
        cause.contains("`/devops-tools/jenkins/id_rsa` has no version or label `7`"),
        "{cause}"
    );
    world.put(&format!("{PRIVATE}:7"), PRIVATE_KEY);
    world.boot().await.unwrap();
}

#[tokio::test]
async fn a_store_that_throttles_for_a_while_is_lived_through() {
    for role in [CONTROLLER, "role = \"agent\"\n"] {
        let world = World::told(role).await;
        world.refuse(LIST, "ThrottlingException", "Rate exceeded");
        let cloud = Arc::clone(&world.cloud);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(1200)).await;
            cloud.lock().unwrap().refused.clear();
        });
        world.boot().await.unwrap();
        assert_eq!(world.verdicts(), ["CONTINUE"]);
    }
}

#[tokio::test]
async fn keys_that_end_their_lines_as_on_windows_are_mended() {
    let world = World::new().await;
    world.put(PRIVATE, &PRIVATE_KEY.replace('\n', "\r\n"));
    world.boot().await.unwrap();
    assert_eq!(world.text("run/hostkit/secrets/agent_key"), format!("{PRIVATE_KEY}\n"));
}

#[tokio::test]
async fn no_secret_is_written_to_a_disk() {
    let world = World::new().await;
    let table = ROOT_MOUNT.lines().next().unwrap().to_owned() + "\n";
    fs::write(world.root.join("proc/self/mountinfo"), table).unwrap();
    // What is mounted is written to the same table.
    world.systemd.lock().unwrap().mount_appears = false;
    let cause = world.cause().await;
    assert!(cause.contains("/run/hostkit/secrets would be on a disk (ext4)"), "{cause}");
    assert!(!world.has("run/hostkit/secrets"));
}

#[tokio::test]
async fn a_planted_link_is_not_followed() {
    let world = World::new().await;
    let elsewhere = world.root.join("elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    fs::create_dir_all(world.root.join("run/hostkit")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, world.root.join("run/hostkit/secrets")).unwrap();
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("is no folder of root's alone"), "{error}");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}

/// A tiny file system that goes with the value.
struct Tiny(Utf8PathBuf);

impl Tiny {
    fn mount(path: Utf8PathBuf) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: this test needs root");
            return None;
        }
        fs::create_dir_all(&path).unwrap();
        let options = Some("size=4k,mode=0700");
        let flags = nix::mount::MsFlags::empty();
        match nix::mount::mount(Some("tmpfs"), path.as_std_path(), Some("tmpfs"), flags, options) {
            Err(error) => {
                eprintln!("SKIPPED: nothing can be mounted here: {error}");
                None
            }
            Ok(()) => Some(Self(path)),
        }
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(self.0.as_std_path(), nix::mount::MntFlags::MNT_DETACH);
    }
}

#[tokio::test]
async fn a_full_run_is_told_and_leaves_no_half_of_a_secret() {
    let world = World::new().await;
    // There is room for one file, and two are to be written.
    let Some(tiny) = Tiny::mount(world.root.join("run/hostkit/secrets")) else { return };
    let error = world.boot().await.unwrap_err();
    let told = error.replace(world.root.as_str(), "");
    insta::assert_snapshot!(told);
    for entry in fs::read_dir(&tiny.0).unwrap().map(Result::unwrap) {
        let text = fs::read_to_string(entry.path()).unwrap();
        assert!(text == PASSWORD || text == format!("{PRIVATE_KEY}\n"), "{entry:?}");
    }
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn what_a_killed_run_has_half_written_is_swept_away() {
    let world = World::new().await;
    let secrets = world.root.join("run/hostkit/secrets");
    fs::create_dir_all(&secrets).unwrap();
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o700)).unwrap();
    // No process has this number.
    fs::write(secrets.join(".agent_key.4194999"), &PRIVATE_KEY[..99]).unwrap();
    world.boot().await.unwrap();
    assert!(!secrets.join(".agent_key.4194999").exists());
    assert!(secrets.join("agent_key").exists());
}

#[tokio::test]
async fn secrets_that_a_host_is_told_to_have_become_credentials_of_jenkins() {
    let config =
        format!("{CONTROLLER}[secrets]\nGITHUB_TOKEN = \"/ci/github\"\nNEXUS = \"/ci/nexus\"\n");
    let world = World::told(&config).await;
    world.put("/ci/github", "ghp_1");
    world.put("/ci/nexus", "n3xus\n");
    world.boot().await.unwrap();
    assert_eq!(world.text("run/hostkit/secrets/GITHUB_TOKEN"), "ghp_1");
    let unit = world.text("run/systemd/system/jenkins.service.d/50-hostkit-secrets.conf");
    insta::assert_snapshot!(unit);
    assert_eq!(
        world.cloud.lock().unwrap().asked.iter().filter(|it| *it == "GetParameters").count(),
        1
    );
}

#[tokio::test]
async fn a_secret_that_lies_in_the_store_in_the_clear_is_told_and_taken() {
    let world = World::new().await;
    world.cloud.lock().unwrap().plain = vec![LIST, PRIVATE];
    let (end, lines) = world.boot_and_hear().await;
    end.unwrap();
    let told: Vec<_> = lines.iter().filter(|line| line.contains("SecureString")).collect();
    insta::assert_snapshot!(told.iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n"));
    assert!(world.has("run/hostkit/secrets/agent_key"));
}

#[tokio::test]
async fn more_than_ten_parameters_take_two_calls() {
    let names = (0..12).map(|number| format!("S{number} = \"/ci/{number}\"\n")).collect::<String>();
    let world = World::told(&format!("{CONTROLLER}[secrets]\n{names}")).await;
    (0..12).for_each(|number| world.put(&format!("/ci/{number}"), "x"));
    world.boot().await.unwrap();
    let asked = world.cloud.lock().unwrap().asked.clone();
    assert_eq!(asked.iter().filter(|it| *it == "GetParameters").count(), 2);
    assert!(world.has("run/hostkit/secrets/S11"));
}

/// A controller that serves, as far as a refresh sees it.
async fn serving() -> World {
    let world = World::new().await;
    world.boot().await.unwrap();
    Tokens::keep(&world.root.join("run/hostkit/secrets")).unwrap();
    let (uid, gid) = (nix::unistd::Uid::current(), nix::unistd::Gid::current());
    fs::write(world.root.join("etc/passwd"), format!("jenkins:x:{uid}:{gid}::/:/bin/sh\n"))
        .unwrap();
    world
}

impl World {
    fn reloads(&self) -> usize {
        let asked = &self.web.lock().unwrap().asked;
        asked.iter().filter(|line| line.starts_with("POST /reload-configuration-as-code/")).count()
    }

    fn configuration(&self) -> String {
        self.text("run/hostkit/jenkins/casc/00-hostkit.yaml")
    }
}

#[tokio::test]
async fn jenkins_is_given_a_new_key_without_a_restart() {
    let world = serving().await;
    let before = world.reloads();
    assert_eq!(world.refresh().await.unwrap(), News::None);
    assert_eq!(world.reloads(), before);

    let (private, public) = pair(&world.root.join("made/next"));
    world.put(PRIVATE, &private);
    world.put(LIST, &format!("{PUBLIC}\n{public}"));
    assert_eq!(world.refresh().await.unwrap(), News::Taken);
    assert_eq!(world.reloads(), before + 1);
    assert!(!world.was_run("systemctl restart") && !world.was_run("systemctl stop"));
    assert_eq!(world.text("run/hostkit/secrets/agent_key"), private);
    let copy = "run/hostkit/jenkins/fresh/agent_key";
    assert_eq!(world.text(copy), private);
    let mode = fs::metadata(world.root.join(copy)).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o400);
    let there = "${readFile:/run/hostkit/jenkins/fresh/agent_key}";
    assert!(
        world.configuration().contains(there)
            && world.configuration().contains("${admin_password}")
    );

    assert_eq!(world.refresh().await.unwrap(), News::None);
    // A boot that is run again leaves Jenkins what it has.
    world.boot().await.unwrap();
    assert!(world.configuration().contains(there));
    assert_eq!(world.refresh().await.unwrap(), News::None);
}

#[tokio::test]
async fn a_jenkins_that_does_not_take_a_key_is_given_it_again() {
    let world = serving().await;
    let (private, _) = pair(&world.root.join("made/next"));
    world.put(PRIVATE, &private);
    world.web.lock().unwrap().reload = (500, "broken");
    let error = world.refresh().await.unwrap_err();
    assert!(error.contains("Jenkins did not take them"), "{error}");
    // The files are new, and so is the next attempt.
    let before = world.reloads();
    world.web.lock().unwrap().reload = (200, "");
    assert_eq!(world.refresh().await.unwrap(), News::Taken);
    assert_eq!(world.reloads(), before + 1);
    assert_eq!(world.refresh().await.unwrap(), News::None);
}

/// Whatever a run that is killed has done: the next one has the secrets right, and Jenkins told.
#[tokio::test]
async fn a_refresh_that_is_killed_at_any_moment_is_made_good_by_the_next() {
    let world = serving().await;
    // Between the note that something is pending and anything else.
    let before = world.reloads();
    fs::write(world.root.join("run/hostkit/keys-pending"), "admin_password\n").unwrap();
    assert_eq!(world.refresh().await.unwrap(), News::Taken);
    assert_eq!(world.reloads(), before + 1);

    let (mut killed, mut moment) = (0, 0);
    loop {
        let before = world.reloads();
        let secret = format!("horse number {moment}");
        world.put(ADMIN, &secret);
        let events = Events::silent();
        let mut work = Box::pin(refresh(&world.machine, &events));
        let mut ended = false;
        for _ in 0..moment {
            ended = futures::poll!(work.as_mut()).is_ready();
            if ended {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        drop(work);
        world.refresh().await.unwrap();
        assert_eq!(world.text("run/hostkit/secrets/admin_password"), secret, "at {moment}");
        assert!(world.reloads() > before, "Jenkins has an older one, at {moment}");
        assert_eq!(world.refresh().await.unwrap(), News::None, "at {moment}");
        if ended {
            break;
        }
        (killed, moment) = (killed + 1, moment + 1);
    }
    assert!(killed > 3, "it was killed {killed} times");
}

#[tokio::test]
async fn a_jenkins_that_is_down_reads_its_secrets_when_it_starts() {
    for (state, news) in [("inactive", News::Taken), ("activating", News::Later)] {
        let world = serving().await;
        let before = world.reloads();
        world.systemd.lock().unwrap().unit = state;
        world.put(ADMIN, "another horse");
        assert_eq!(world.refresh().await.unwrap(), news);
        assert_eq!(world.text("run/hostkit/secrets/admin_password"), "another horse");
        assert_eq!(world.reloads(), before);
        world.systemd.lock().unwrap().unit = "active";
        let later = world.refresh().await.unwrap();
        assert_eq!(later == News::Taken, state == "activating");
    }
}

#[tokio::test]
async fn a_controller_never_uses_a_private_key_of_the_past_for_want_of_another() {
    let mut world = World::new().await;
    world.boot().await.unwrap();
    world.machine.step_limit = Duration::from_secs(2);
    world.cloud.lock().unwrap().hiccups.insert("GetParameters", vec![500; 100]);
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("boot failed at `keys`"), "{error}");
    let error = world.refresh().await.unwrap_err();
    assert!(error.contains("ssm:GetParameters"), "{error}");
}

#[tokio::test]
async fn an_agent_takes_what_the_list_says_now_and_never_nothing() {
    let world = World::told("role = \"agent\"\n").await;
    let error = world.refresh().await.unwrap_err();
    assert!(error.contains("this host has not booted yet"), "{error}");
    world.boot().await.unwrap();
    let (_, next) = pair(&world.root.join("made/next"));
    world.put(LIST, &format!("{LOGIN_KEY}\n{next}"));
    assert_eq!(world.refresh().await.unwrap(), News::Taken);
    let both = format!("restrict {LOGIN_KEY}\nrestrict {next}\n");
    assert_eq!(world.text(LET_IN), both);
    assert_eq!(world.refresh().await.unwrap(), News::None);
    for nothing in ["# soon\n", "ssh-ed25519 AAAA", PRIVATE_KEY] {
        world.put(LIST, nothing);
        let error = world.refresh().await.unwrap_err();
        assert!(error.contains("holds no public key"), "{error}");
        assert_eq!(world.text(LET_IN), both);
    }
    let mut world = world;
    world.machine.step_limit = Duration::from_secs(1);
    world.cloud.lock().unwrap().hiccups.insert("GetParameters", vec![503; 100]);
    assert_eq!(world.refresh().await.unwrap(), News::Kept);
    assert_eq!(world.text(LET_IN), both);
}

#[tokio::test]
async fn keys_that_are_never_to_be_read_again_are_not() {
    let world = World::told("role = \"agent\"\n[keys]\nrefresh = 0\n").await;
    world.boot().await.unwrap();
    world.put(LIST, PUBLIC);
    assert_eq!(world.refresh().await.unwrap(), News::None);
    assert!(!world.has("run/systemd/system/hostkit-keys.timer.d"));
}

#[tokio::test]
async fn another_interval_is_told_to_systemd_once() {
    let world = World::told("role = \"agent\"\n[keys]\nrefresh = 3600\n").await;
    world.boot().await.unwrap();
    let timer = world.text("run/systemd/system/hostkit-keys.timer.d/50-hostkit.conf");
    assert!(timer.contains("OnUnitInactiveSec=3240s"), "{timer}");
    world.boot().await.unwrap();
    assert_eq!(world.count_of("systemctl daemon-reload"), 1);
    assert_eq!(world.count_of("systemctl restart --no-block hostkit-keys.timer"), 1);
}

/// An agent of the pool with a real SSH server, which has a host key of its own so far.
async fn agent_of_the_pool() -> Option<(World, Sshd)> {
    let mut world = World::told(POOL).await;
    world.put(HOST_KEY, PRIVATE_KEY);
    pair(&world.root.join("etc/ssh/ssh_host_ed25519_key"));
    let server = Sshd::start(&world.root).await?;
    world.machine.ssh = server.address;
    world.systemd.lock().unwrap().others.insert("ssh.service", "active");
    let reload = server.reloader();
    let (runner, script) = systemd_and(&world.root, &world.systemd, |script| {
        script.on("systemctl try-reload-or-restart ssh.service", move |_| {
            reload();
            Ok(String::new())
        })
    });
    (world.machine.runner, world.script) = (runner, script);
    Some((world, server))
}

#[tokio::test]
async fn two_agents_with_one_baked_host_name_have_names_of_their_own_and_the_host_key_of_the_pool()
{
    let Some((one, one_server)) = agent_of_the_pool().await else { return };
    let Some((other, other_server)) = agent_of_the_pool().await else { return };
    let login = one.root.join("made/login");
    let (_, public) = pair(&login);
    let known_hosts = one.root.join("known_hosts");
    fs::write(&known_hosts, format!("pool {}\n", PUBLIC.rsplit_once(' ').unwrap().0)).unwrap();
    assert!(!one_server.lets_in(&login, &known_hosts).await, "so far it shows a key of its own");
    for (world, server) in [(&one, &one_server), (&other, &other_server)] {
        assert_eq!(world.text("proc/sys/kernel/hostname"), "localhost\n");
        world.put(LIST, &public);
        world.boot().await.unwrap();
        assert!(world.outcomes().contains("host-key changed"), "{}", world.outcomes());
        assert_eq!(world.text("proc/sys/kernel/hostname"), "ip-10-0-2-15");
        assert!(server.lets_in(&login, &known_hosts).await, "{}", world.text("sshd.log"));
        let mode = fs::metadata(world.root.join("etc/ssh/ssh_host_ed25519_key")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o7777, 0o600);
        let asked = world.cloud.lock().unwrap().asked.clone();
        assert_eq!(asked.iter().filter(|it| *it == "GetParameters").count(), 1, "in one call");
        assert!(!world.cloud.lock().unwrap().read.contains(&PRIVATE.to_owned()));
    }
    one.boot().await.unwrap();
    assert!(one.outcomes().contains("host-key unchanged"), "{}", one.outcomes());
}

#[tokio::test]
async fn an_agent_that_does_not_show_the_host_key_of_its_pool_is_not_put_into_service() {
    let Some((mut world, _server)) = agent_of_the_pool().await else { return };
    // A server that does not take the new key: it has another file. (One that is told nothing takes
    // it, too, where it reads its keys for every connection.)
    let elsewhere = tempfile::tempdir().unwrap();
    let elsewhere = Utf8Path::from_path(elsewhere.path()).unwrap();
    pair(&elsewhere.join("etc/ssh/ssh_host_ed25519_key"));
    let Some(stubborn) = Sshd::start(elsewhere).await else { return };
    world.machine.ssh = stubborn.address;
    world.machine.step_limit = Duration::from_secs(6);
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("it shows the host key SHA256:"), "{error}");
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn a_pool_without_a_host_key_is_told_how_to_get_one() {
    let world = World::told(POOL).await;
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(error);
    world.put(HOST_KEY, PUBLIC);
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("`/hostkit/pools/linux/host_key` holds a public key"), "{error}");
}
