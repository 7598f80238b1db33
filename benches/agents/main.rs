//! How long it takes to tell Jenkins of a thousand build agents: to render them, to check them with
//! the rest of the configuration, to write the file, and to have the configuration read again.
//!
//! `make bench-agents` runs it. The Jenkins is the stand-in of the tests, which reads the nodes and
//! writes none of them to a home: a real one takes longer, and the table says so.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::disallowed_methods, reason = "programs are started as people start them")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use hostkit::host::{Pool, SecurityMode};
use hostkit::jenkins::casc::{self, FLEET, File, RENDERED};
use hostkit::jenkins::fleet::{Agent, Members, Place, fleet};
use hostkit::jenkins::{Client, Tokens, Values, configuration, groovy, page};

/// How often each is done; the median is shown.
const ROUNDS: usize = 11;

const PROGRAM: &str = "tests/fixtures/jenkins-package/root/usr/bin/jenkins";

/// Ends with the bench.
struct Jenkins(Child);

impl Drop for Jenkins {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The times of one round.
struct Round {
    render: Duration,
    check: Duration,
    reload: Duration,
}

impl Round {
    fn whole(&self) -> Duration {
        self.render + self.check + self.reload
    }
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let folder = Utf8Path::from_path(folder.path()).expect("its path is text").to_owned();
    let (rendered, tokens) = furnish(&folder);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let _jenkins = start(&folder, address.port(), &tokens);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("an event queue can be made");
    runtime.block_on(up(address));
    let client = Client::new(address, "hostkit", &tokens);
    println!("{:>8} {:>12} {:>12} {:>12} {:>12}", "agents", "render", "check", "reload", "whole");
    for count in [10, 100, 1000, 2000] {
        let rounds = (0..ROUNDS).map(|round| {
            let one = one(&folder, &rendered, &client, &runtime, count, round);
            assert_eq!(runtime.block_on(client.nodes()).expect("it answers").total, count);
            one
        });
        let mut rounds: Vec<_> = rounds.collect();
        rounds.sort_by_key(Round::whole);
        let Round { render, check, reload } = &rounds[ROUNDS / 2];
        let [render, check, reload, whole] =
            [*render, *check, *reload, rounds[ROUNDS / 2].whole()].map(milliseconds);
        println!("{count:>8} {render:>9.1} ms {check:>9.1} ms {reload:>9.1} ms {whole:>9.1} ms");
    }
    println!(
        "\nThe reload is that of the stand-in: it reads the file and knows the nodes. A real Jenkins \
         also writes a\nfile for each node to its home and connects to it."
    );
}

fn one(
    folder: &Utf8Path,
    rendered: &str,
    client: &Client,
    runtime: &tokio::runtime::Runtime,
    count: usize,
    round: usize,
) -> Round {
    let agents = agents(count, round);
    let began = Instant::now();
    let pool = Pool { labels: vec!["linux".to_owned()], executors: 2, ..Pool::default() };
    let host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0m9w0Vd6b0oQ0sYb1tq1m8m2Yx3o8xq5dQ0r3m";
    let members = Members { name: "builds", pool: &pool, host_key, agents: &agents };
    let address = Ipv4Addr::new(10, 0, 0, 1).into();
    let place = Place { region: "eu-west-1", account: "123456789012", address };
    let text = fleet(Some(&[members]), &BTreeMap::new(), &place);
    let render = began.elapsed();
    let began = Instant::now();
    let file = |name: &str, text: &str| File { name: name.to_owned(), text: text.to_owned() };
    let files = [file(RENDERED, rendered), file(FLEET, &text)];
    let names = ["agent_key", "admin_password", "hostkit_token"].map(str::to_owned);
    casc::check(&files, &BTreeSet::from(names)).expect("what is rendered is right");
    let check = began.elapsed();
    let began = Instant::now();
    fs::write(folder.join("casc").join(FLEET), &text).expect("the file can be written");
    runtime.block_on(client.reload()).expect("it is reloaded");
    Round { render, check, reload: began.elapsed() }
}

/// Others in every round, so that there is something to do.
fn agents(count: usize, round: usize) -> Vec<Agent> {
    let agent = |number: usize| {
        let [_, b, c, d] = u32::try_from(number).expect("there are few").to_be_bytes();
        Agent {
            id: format!("i-{:017x}", number * 16 + round),
            address: Ipv4Addr::new(10, b, c, d).into(),
            labels: vec!["arm64".to_owned()],
            is_leaving: false,
        }
    };
    (0..count).map(agent).collect()
}

/// What a boot leaves for Jenkins.
fn furnish(folder: &Utf8Path) -> (String, Tokens) {
    let make = |name: &str| -> Utf8PathBuf {
        let path = folder.join(name);
        fs::create_dir_all(&path).expect("a folder can be made");
        path
    };
    let secrets = make("secrets");
    let (tokens, _) = Tokens::keep(&secrets).expect("tokens can be made");
    for name in ["agent_key", "admin_password"] {
        fs::write(secrets.join(name), "x").expect("a secret can be written");
    }
    let script = make("home/init.groovy.d").join("hostkit.groovy");
    assert!(groovy::PATH.ends_with("hostkit.groovy"));
    fs::write(script, groovy::SCRIPT).expect("the script can be written");
    let java = folder.join("java");
    fs::write(&java, "#!/bin/sh\necho 'openjdk version \"21.0.1\"' >&2\n")
        .expect("it can be written");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&java, executable).expect("its mode can be set");
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
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/jenkins.yaml.tera");
    let template = fs::read_to_string(template).expect("the template is there");
    let rendered = configuration(&template, &values).expect("it renders");
    fs::write(make("casc").join(RENDERED), &rendered).expect("it can be written");
    (rendered, tokens)
}

fn start(folder: &Utf8Path, port: u16, tokens: &Tokens) -> Jenkins {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(PROGRAM);
    let child = Command::new("perl")
        .arg(program)
        .env("JENKINS_HOME", folder.join("home"))
        .env("JENKINS_PORT", port.to_string())
        .env("JENKINS_LISTEN_ADDRESS", "127.0.0.1")
        .env("JENKINS_JAVA_CMD", folder.join("java"))
        .env("JENKINS_FIXTURE_LOAD_SECONDS", "0.1")
        .env("JAVA_OPTS", "-Djenkins.install.runSetupWizard=false")
        .env("CASC_JENKINS_CONFIG", folder.join("casc"))
        .env("CASC_RELOAD_TOKEN", tokens.reload.as_str())
        .env("SECRETS", folder.join("secrets"))
        .env_remove("NOTIFY_SOCKET")
        .stdout(Stdio::null())
        .spawn();
    Jenkins(child.expect("every Debian has perl"))
}

async fn up(address: SocketAddr) {
    for _ in 0..200 {
        if page(address, "/login").await.is_ok_and(|page| page.status == 200) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the stand-in does not serve");
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    listener.local_addr().expect("it has an address").port()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
