//! hostkit's client of Jenkins, and what it renders, against the stand-in: over HTTP, with the tokens
//! of a boot.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use camino::Utf8Path;
use hostkit::host::{Pool, SecurityMode};
use hostkit::jenkins::casc::{FLEET, RENDERED};
use hostkit::jenkins::fleet::{Agent, Members, Place, fleet};
use hostkit::jenkins::{Client, Tokens, Trouble, Values, configuration, groovy, page};
use tokio::runtime::Runtime;

use crate::jenkins_package::{Jenkins, Setting};
use crate::support::repository;

/// A stand-in that was started as a boot starts Jenkins.
struct Served {
    setting: Setting,
    runtime: Runtime,
    tokens: Tokens,
    _jenkins: Jenkins,
}

/// Rights as the shipped template gives them, and where `java` is what is added to Java's options.
fn served(java: &str) -> Served {
    let setting = Setting::new("");
    let secrets = setting.path("secrets");
    fs::write(secrets.join("admin_password"), "correct horse").unwrap();
    let (tokens, _) = Tokens::keep(Utf8Path::from_path(&secrets).unwrap()).unwrap();
    let casc = setting.path("casc");
    fs::create_dir(&casc).unwrap();
    let values = Values {
        url: "https://ci.example.com/",
        security: SecurityMode::Local,
        admin_user: "admin",
        hostkit_user: "hostkit",
        agent_user: "jenkins",
        agent_port: None,
        memory: 4 << 30,
        heap: 50,
        java_options: &[],
    };
    let template = fs::read_to_string(repository("templates/jenkins.yaml.tera")).unwrap();
    fs::write(casc.join(RENDERED), configuration(&template, &values).unwrap()).unwrap();
    fs::write(casc.join(FLEET), nodes(&["i-0a", "i-0b"])).unwrap();
    let script = setting.home(groovy::PATH);
    fs::create_dir_all(script.parent().unwrap()).unwrap();
    fs::write(script, groovy::SCRIPT).unwrap();
    let jenkins = setting.start_with(|command| {
        command
            .env("CASC_JENKINS_CONFIG", &casc)
            .env("CASC_RELOAD_TOKEN", tokens.reload.as_str())
            .env("JAVA_OPTS", format!("-Djenkins.install.runSetupWizard=false {java}"));
    });
    setting.notified("READY=1");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    Served { setting, runtime, tokens, _jenkins: jenkins }
}

const MANAGE: &str = "-Djenkins.security.ManagePermission=true";

fn nodes(ids: &[&str]) -> String {
    let agent = |id: &&str| Agent {
        id: (*id).to_owned(),
        address: "10.0.1.1".parse().unwrap(),
        labels: Vec::new(),
        is_leaving: false,
    };
    let agents: Vec<_> = ids.iter().map(agent).collect();
    let (pool, host_key) = (Pool::default(), "ssh-ed25519 AAAA");
    let members = Members { name: "builds", pool: &pool, host_key, agents: &agents };
    let address = "10.0.0.1".parse().unwrap();
    let place = Place { region: "eu-west-1", account: "123456789012", address };
    fleet(Some(&[members]), &std::collections::BTreeMap::new(), &place)
}

impl Served {
    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.setting.port()))
    }

    fn client(&self) -> Client {
        Client::new(self.address(), "hostkit", &self.tokens)
    }
}

#[test]
fn it_is_quieted_and_let_go_again_by_hostkits_own_user() {
    let served = served(MANAGE);
    let client = served.client();
    served.runtime.block_on(async {
        assert!(!client.quiet().await.unwrap().is_quiet);
        client.quiet_down("back in a moment: 100 % & more").await.unwrap();
        let quiet = client.quiet().await.unwrap();
        assert_eq!(
            (quiet.is_quiet, quiet.reason.as_deref()),
            (true, Some("back in a moment: 100 % & more"))
        );
        client.cancel_quiet_down().await.unwrap();
        assert!(!client.quiet().await.unwrap().is_quiet);
        assert_eq!(client.version().await.unwrap(), "2.568.2");
    });
    let log = fs::read_to_string(served.setting.home("quiet-log")).unwrap();
    assert_eq!(log, "quiet: back in a moment: 100 % & more\ncancelled\n");
}

#[test]
fn builds_are_named_with_what_a_restart_would_lose() {
    let served = served(MANAGE);
    let builds = "i-0a freestyle http://x/job/a/1/\nBuilt-In+Node pipeline http://x/job/b/2/\n\
                  i-0b freestyle http://x/job/c/3/ 0\n";
    fs::write(served.setting.home("running-builds"), builds).unwrap();
    let client = served.client();
    let (builds, nodes) = served
        .runtime
        .block_on(async { (client.builds().await.unwrap(), client.nodes().await.unwrap()) });
    let told: Vec<_> = builds
        .iter()
        .map(|it| (it.node.as_str(), it.url.as_deref().unwrap(), it.is_resumable))
        .collect();
    assert_eq!(
        told,
        [("Built-In Node", "http://x/job/b/2/", true), ("i-0a", "http://x/job/a/1/", false)]
    );
    assert_eq!((nodes.total, nodes.offline.len()), (2, 0));
}

#[test]
fn nodes_are_those_of_the_last_reload() {
    let served = served(MANAGE);
    let client = served.client();
    let path = served.setting.path("casc").join(FLEET);
    served.runtime.block_on(async {
        fs::write(&path, nodes(&["i-0c"])).unwrap();
        client.reload().await.unwrap();
        assert_eq!(client.nodes().await.unwrap().total, 1);
        fs::write(&path, "jenkins:\n\tnodes: []\n").unwrap();
        let trouble = client.reload().await.unwrap_err();
        assert!(trouble.to_string().contains("a tab cannot indent"), "{trouble}");
        assert_eq!(client.nodes().await.unwrap().total, 1, "it goes on with what it had");
        let other = Tokens { api: served.tokens.api.clone(), reload: served.tokens.api.clone() };
        let trouble = Client::new(served.address(), "hostkit", &other).reload().await.unwrap_err();
        assert!(matches!(trouble, Trouble::Refused { status: 401, .. }), "{trouble}");
    });
}

#[test]
fn a_user_without_the_right_or_the_token_is_refused() {
    // Without the property of the JVM the right to manage does not count.
    let served = served("");
    let client = served.client();
    let other = Tokens { api: served.tokens.reload.clone(), reload: served.tokens.reload.clone() };
    let stranger = Client::new(served.address(), "hostkit", &other);
    served.runtime.block_on(async {
        let trouble = client.quiet_down("x").await.unwrap_err();
        assert!(matches!(trouble, Trouble::Refused { status: 403, .. }), "{trouble}");
        assert!(client.builds().await.is_ok(), "it may read");
        let trouble = stranger.quiet().await.unwrap_err();
        assert!(matches!(trouble, Trouble::Refused { status: 401, .. }), "{trouble}");
    });
    assert!(!served.setting.home("quiet-log").exists());
}

#[test]
fn a_stranger_sees_a_login_and_no_more() {
    let served = served(MANAGE);
    served.runtime.block_on(async {
        let login = page(served.address(), "/login").await.unwrap();
        assert_eq!((login.status, login.version.as_deref()), (200, Some("2.568.2")));
        for path in ["/", "/script", "/api/json", "/computer/api/json"] {
            assert_eq!(page(served.address(), path).await.unwrap().status, 403, "{path}");
        }
    });
}

#[test]
fn one_that_is_not_there_or_does_not_answer_is_given_up() {
    let setting = Setting::new("");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let address = SocketAddr::from(([127, 0, 0, 1], setting.port()));
        let trouble = page(address, "/login").await.unwrap_err();
        assert!(matches!(trouble, Trouble::Unreachable(_)) && trouble.may_pass(), "{trouble}");
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let asked = page(silent.local_addr().unwrap(), "/login");
        let end = tokio::time::timeout(Duration::from_secs(40), asked).await;
        assert!(matches!(end, Ok(Err(Trouble::Late(_)))), "{end:?}");
    });
}

#[test]
fn an_agent_is_taken_offline_let_go_and_given_back() {
    use hostkit::jenkins::offline::Deed;

    let served = served(MANAGE);
    let client = served.client();
    let builds = "i-0a freestyle http://x/job/a/1/\n";
    fs::write(served.setting.home("running-builds"), builds).unwrap();
    let name = || "i-0a".to_owned();
    served.runtime.block_on(async {
        let of = async || {
            let nodes = client.standings().await.unwrap();
            let node = nodes.into_iter().find(|node| node.name == "i-0a").unwrap();
            (node.is_offline, node.by_us, node.is_busy)
        };
        assert_eq!(of().await, (false, false, true));
        client.carry_out(&Deed::TakeOffline(name())).await.unwrap();
        client.carry_out(&Deed::TakeOffline(name())).await.unwrap();
        assert_eq!(of().await, (true, true, true), "what it builds it finishes");
        fs::write(served.setting.home("running-builds"), "").unwrap();
        client.carry_out(&Deed::LetGo(name())).await.unwrap();
        assert_eq!(of().await, (true, true, false));
        assert_eq!(client.nodes().await.unwrap().offline, ["i-0a"]);
        client.carry_out(&Deed::GiveBack(name())).await.unwrap();
        assert_eq!(of().await, (false, false, false));
        assert!(client.nodes().await.unwrap().offline.is_empty());
    });
    let log = fs::read_to_string(served.setting.home("node-log")).unwrap();
    let done: Vec<_> = log.lines().map(|line| line.trim_start_matches("i-0a ")).collect();
    let take = "changeOfflineCause";
    assert_eq!(done, [take, take, "doDisconnect", "toggleOffline", "launchSlaveAgent"]);
}
