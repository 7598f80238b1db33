//! The way to a file system, looked at where it is really blocked: in a network of its own, with a
//! firewall, resolvers and routes of the test; and with nfs-ganesha at its end.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use camino::{Utf8Path, Utf8PathBuf};
use hostkit::doctor::efs::net::{names, nfs, port, route};
use hostkit::doctor::efs::scene::{Asked, Case, Here, Scene};
use hostkit::doctor::efs::table::Observed;
use hostkit::doctor::{Finding, Gap, Look, Verdict, render};
use hostkit::host::{Efs, Role};
use hostkit::lease::ground::Ground;
use hostkit::sim::nfs::server;
use hostkit::sys::Runner;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, Packet, QTYPE, RCODE, ResourceRecord, TYPE};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::support::{is_root, scratch};

const FS_ID: &str = "fs-0123456789abcdef0";
const NAME: &str = "fs-0123456789abcdef0.efs.eu-west-1.amazonaws.com";
const TARGET: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 100);
/// The resolver of every VPC.
const VPC: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 253);

/// A host that knows nothing but what host.toml says.
struct Host {
    asked: Asked,
    observed: Observed,
    root: Utf8PathBuf,
    aws: Look<SdkConfig>,
    _folder: Option<TempDir>,
}

impl Host {
    /// One whose mount target is here; its files are those of the machine.
    fn of(address: Ipv4Addr) -> Self {
        let addresses = BTreeMap::from([("euw1-az1".to_owned(), address)]);
        let efs = Efs { id: Some(FS_ID.to_owned()), addresses, ..Efs::default() };
        let here = Here {
            role: Role::Controller,
            mount_point: "/var/lib/jenkins".into(),
            efs,
            user: "jenkins".to_owned(),
            jenkins: None,
        };
        let asked = Asked {
            file_system: FS_ID.to_owned(),
            region: "eu-west-1".to_owned(),
            host: Some(here),
            benchmark: false,
        };
        let why = "no credentials".to_owned();
        let aws = Err(Gap { needs: String::new(), denied: false, why });
        Self { asked, observed: Observed::default(), root: "/".into(), aws, _folder: None }
    }

    fn scene(&self, nfs_port: u16) -> Scene<'_> {
        Scene {
            asked: &self.asked,
            observed: &self.observed,
            root: &self.root,
            runner: &Runner::Direct,
            aws: &self.aws,
            imds: None,
            nfs_port,
            resolver: SocketAddr::from((VPC, 53)),
            ground: Ground::Any,
        }
    }

    fn case(&self) -> Case<'_> {
        let now = "2026-11-27T03:00:00Z".parse().unwrap();
        Case { asked: &self.asked, observed: &self.observed, now }
    }
}

/// Runs `test` in a network and a mount namespace of one thread, which go with it.
fn in_own_network<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    if !is_root() {
        return;
    }
    let thread = std::thread::spawn(move || {
        let apart = CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET;
        unshare(apart).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        // So that it shows this network's devices.
        mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none).unwrap();
        run("ip", "link set lo up");
        run("ip", "link add eth0 type veth peer name router");
        run("ip", "address add 10.0.1.15/24 dev eth0");
        run("ip", "link set eth0 up");
        run("ip", "link set router up");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test());
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn run(program: &str, arguments: &str) {
    let output = Command::new(program).args(arguments.split_whitespace()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error} (.ci/setup --test)"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}: {said}");
}

/// A firewall on the way to the target: what it does with NFS.
fn firewall(does: &str) {
    run("nft", "add table inet filter");
    run("nft", "add chain inet filter out { type filter hook output priority 0 ; }");
    run("nft", "flush chain inet filter out");
    run("nft", &format!("add rule inet filter out ip daddr {TARGET} tcp dport 2049 {does}"));
}

/// Without how long it took, and where passed, with the words.
fn shown(finding: &Finding) -> String {
    match finding.verdict {
        Verdict::Pass => format!("pass  {}  {}\n", finding.id, finding.says),
        _ => render(std::slice::from_ref(finding)),
    }
}

#[test]
fn ports_that_are_dropped_refused_and_unreachable_are_told_apart() {
    in_own_network(|| async {
        run("ip", &format!("address add {TARGET}/32 dev lo"));
        let host = Host::of(TARGET);
        let listener = TcpListener::bind((TARGET, 2049)).await.unwrap();
        let open = port::look(&host.scene(2049)).await.unwrap();
        assert_eq!(port::judge(&open, &host.case()).verdict, Verdict::Pass, "{open:?}");
        let mut text = String::new();
        for does in [
            "drop",
            "reject with tcp reset",
            "reject with icmp type host-unreachable",
            "reject with icmp type admin-prohibited",
        ] {
            firewall(does);
            let seen = port::look(&host.scene(2049)).await.unwrap();
            text += &format!("# {does}\n{}", shown(&port::judge(&seen, &host.case())));
        }
        drop(listener);
        run("nft", "flush ruleset");
        let seen = port::look(&host.scene(2049)).await.unwrap();
        text += &format!("# nobody listens\n{}", shown(&port::judge(&seen, &host.case())));
        insta::assert_snapshot!(text);
    });
}

#[test]
fn the_way_is_the_kernels_own() {
    in_own_network(|| async {
        let near = Host::of(TARGET);
        let far = Host::of(Ipv4Addr::new(10, 9, 9, 9));
        let mut text = String::new();
        let mut look = async |host: &Host, what: &str| {
            let seen = route::look(&host.scene(2049)).await.unwrap();
            text += &format!("# {what}\n{}", shown(&route::judge(&seen, &host.case())));
        };
        look(&near, "in the same subnet").await;
        look(&far, "no default route").await;
        run("ip", "route add default via 10.0.1.1 dev eth0");
        look(&far, "by the default route").await;
        run("ip", "route add unreachable 10.9.0.0/16");
        look(&far, "an unreachable route").await;
        run("ip", "route del unreachable 10.9.0.0/16");
        run("ip", "link add docker0 type veth peer name inside");
        run("ip", "address add 10.9.0.1/16 dev docker0");
        run("ip", "link set docker0 up");
        run("ip", "link set inside up");
        look(&far, "a network of containers has the addresses").await;
        run("ip", "address add 10.9.9.9/32 dev lo");
        look(&far, "this host has the address").await;
        insta::assert_snapshot!(text);
    });
}

/// Answers every question for `name` with one address, and all others with NXDOMAIN.
async fn resolver(at: Ipv4Addr, name: &'static str, address: Option<Ipv4Addr>) {
    let socket = UdpSocket::bind((at, 53)).await.unwrap();
    tokio::spawn(async move {
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question).await {
            let asked = Packet::parse(&question[..length]).unwrap();
            let asked_name = asked.questions[0].qname.clone();
            let for_a = asked.questions[0].qtype == QTYPE::TYPE(TYPE::A);
            let mut packet = asked.clone().into_reply();
            match address.filter(|_| asked_name.to_string() == name) {
                Some(address) if for_a => {
                    let data = RData::A(A { address: address.into() });
                    packet.answers.push(ResourceRecord::new(asked_name, CLASS::IN, 60, data));
                }
                Some(_) => {}
                None => *packet.rcode_mut() = RCODE::NameError,
            }
            socket.send_to(&packet.build_bytes_vec().unwrap(), from).await.unwrap();
        }
    });
}

/// Has the system ask this server, in this test's mounts.
fn resolv_conf(folder: &Utf8Path, server: Ipv4Addr, search: &str) {
    let (conf, none) = (folder.join("resolv.conf"), None::<&str>);
    let text = format!("nameserver {server}\nsearch {search}\noptions timeout:1 attempts:1\n");
    fs::write(&conf, text).unwrap();
    let target = fs::canonicalize("/etc/resolv.conf").unwrap();
    mount(Some(conf.as_str()), &target, none, MsFlags::MS_BIND, none).unwrap();
}

#[test]
fn the_systems_resolver_and_the_vpcs_are_both_asked() {
    in_own_network(|| async {
        let folder = scratch();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let own = Ipv4Addr::new(127, 0, 0, 40);
        run("ip", &format!("address add {VPC}/32 dev lo"));
        let host = Host::of(TARGET);
        let look = async || names::look(&host.scene(2049)).await.unwrap();
        let mut text = String::new();
        let mut tell = |what: &str, seen: &names::Seen| {
            text += &format!("# {what}\n{}", shown(&names::judge(seen, &host.case())));
        };

        resolv_conf(folder, VPC, "compute.internal");
        tell("nobody at the resolver's address", &look().await);
        resolver(VPC, NAME, Some(TARGET)).await;
        let good = look().await;
        assert_eq!(good.address(), Some((&*format!("{NAME}."), IpAddr::from(TARGET))));
        tell("all is well", &good);
        resolver(own, NAME, Some(Ipv4Addr::new(10, 9, 9, 9))).await;
        resolv_conf(folder, own, "compute.internal");
        tell("a resolver of one's own says otherwise", &look().await);
        let lost = Ipv4Addr::new(127, 0, 0, 41);
        resolver(lost, NAME, None).await;
        resolv_conf(folder, lost, "compute.internal");
        tell("a resolver of one's own does not know", &look().await);
        insta::assert_snapshot!(text);
    });
}

/// A real server, which is greeted three times and has forgotten each.
#[tokio::test]
async fn nfs_ganesha_tells_who_it_is_and_forgets_who_asked() {
    if !is_root() {
        return;
    }
    let (run_dir, folder) = (scratch(), scratch());
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let path = |name: &str| run_dir.path().join(name);
    let text = server::configuration(port, folder.path(), run_dir.path());
    fs::write(path("ganesha.conf"), text).unwrap();
    fs::create_dir(path("v4recov")).unwrap();
    let mut ganesha = Command::new("ganesha.nfsd");
    ganesha.args(["-F", "-N", "EVENT", "-L"]).arg(path("log")).arg("-f").arg(path("ganesha.conf"));
    let mut ganesha = ganesha.arg("-p").arg(path("pid")).spawn().unwrap();
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        let log = fs::read_to_string(path("log")).unwrap_or_default();
        assert!(began.elapsed() < Duration::from_mins(1), "it does not start: {log}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let host = Host::of(Ipv4Addr::LOCALHOST);
    for _ in 0..3 {
        let seen = nfs::look(&host.scene(port)).await.unwrap();
        let finding = nfs::judge(&seen, &host.case());
        assert_eq!(finding.verdict, Verdict::Pass, "{seen:?}");
        assert!(finding.says.contains("speaks NFSv4.1"), "{}", finding.says);
        let nfs::End::Greeted(greeting) = &seen.end else { panic!("{seen:?}") };
        assert_eq!(greeting.left, None, "something stays on the server");
        assert!(greeting.exchange.as_ref().is_some_and(Result::is_ok));
    }
    ganesha.kill().unwrap();
    ganesha.wait().unwrap();
    let seen = nfs::look(&host.scene(port)).await.unwrap();
    assert!(matches!(seen.end, nfs::End::Unreached(_)), "{seen:?}");
}
