//! Keys and secrets: what can be wrong with them in Parameter Store, where they lie, and what becomes
//! of them while a host serves.

use super::cloud::LOGIN_KEY;
use super::*;
use crate::boot::refresh::{News, refresh};

pub(super) const PRIVATE: &str = "/devops-tools/jenkins/id_rsa";
pub(super) const LIST: &str = "/devops-tools/jenkins/id_rsa.pub";
pub(super) const ADMIN: &str = "/devops-tools/jenkins/admin_password";
pub(super) const LET_IN: &str = "etc/ssh/authorized_keys.d/jenkins";
pub(super) const HOST_KEY: &str = "/hostkit/pools/linux/host_key";
pub(super) const POOL: &str = "role = \"agent\"\n[agent]\npool = \"linux\"\n";

impl World {
    pub(super) fn put(&self, name: &str, value: &str) {
        self.cloud.lock().unwrap().parameters.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn refuse(&self, name: &'static str, code: &'static str, message: &'static str) {
        self.cloud.lock().unwrap().refused.insert(name, (code, message));
    }

    pub(super) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(super) async fn refresh(&self) -> Result<News, String> {
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
            let refused = |cloud: &Cloud| {
                cloud.asked.iter().filter(|asked| *asked == "GetParameters").count()
            };
            while refused(&cloud.lock().unwrap()) < 3 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
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
