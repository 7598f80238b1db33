//! A controller on its file system on a good day: everything that the checks see, as they see it.
//! Bursting, bursting credits to spare; encrypted by a key of the account; plain NFS.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use jiff::{SignedDuration, Timestamp};

use super::home;
use crate::aws::backup::RecoveryPoint;
use crate::aws::cloudwatch::Point;
use crate::aws::kms::Key;
use crate::aws::rules::{Peer, Rule, SecurityGroup};
use crate::doctor::Gap;
use crate::doctor::efs::api::{
    access_point, backup, exists, key, policy, replication, sample, state, targets, throughput,
};
use crate::doctor::efs::host::{client, clock, config, hygiene, kernel, role};
use crate::doctor::efs::mount::{
    options, rpc, server_lease, stats, stuck, there, tunnel, watchdog,
};
use crate::doctor::efs::net::goal::{Goal, Known};
use crate::doctor::efs::net::{groups, names, nfs, port, route};
use crate::doctor::efs::observed::Cell;
use crate::doctor::efs::table::Observed;
use crate::efs::dns::Answer;
use crate::efs::greet::{self, Greeting};
use crate::efs::reach::Barrier;
use crate::efs::wire::Server;

/// What the key of the file system is called.
pub(super) const KEY: &str = "arn:aws:kms:eu-west-1:123456789012:key/0b1f";
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 9);
const THEIRS: &str = "sg-0aaaaaaaaaaaaaaaa";
const OURS: &str = "sg-0bbbbbbbbbbbbbbbb";
pub(super) const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

/// When it was looked: three in the morning.
pub(super) fn now() -> Timestamp {
    "2026-11-27T03:00:00Z".parse().unwrap()
}

/// All that is seen.
pub(super) fn observed() -> Observed {
    let mut observed = Observed::default();
    host(&mut observed);
    api(&mut observed);
    net(&mut observed);
    mount(&mut observed);
    home::home(&mut observed);
    observed
}

fn host(observed: &mut Observed) {
    observed.kernel = Cell::of(kernel::Seen {
        release: "6.12.48+deb13-cloud-amd64".to_owned(),
        loaded: true,
        modules: Some("/lib/modules/6.12.48+deb13-cloud-amd64/modules.dep".to_owned()),
        module: true,
        helper: Some("/usr/sbin/mount.nfs4".to_owned()),
        family: "debian".to_owned(),
    });
    observed.config = Cell::of(config::Seen {
        point: config::Point::Mounted,
        utils: None,
        file: Some("/run/hostkit/host.toml".to_owned()),
    });
    observed.role = Cell::of(role::Seen::Told(Box::new(role::Identity::sample())));
    observed.clock = Cell::of(clock::Seen {
        from: clock::Source::Aws,
        there: now(),
        here: now(),
        took: 20,
        amazon: Some("/etc/chrony/sources.d/aws.sources".to_owned()),
        synchronized: true,
    });
    observed.client = Cell::of(client::Seen {
        nodename: "ip-10-0-1-15".to_owned(),
        hostname: Some("ip-10-0-1-15".to_owned()),
        identifier: Some("i-0aaaaaaaaaaaaaaaa".to_owned()),
        unique_id: None,
        loaded: true,
    });
    observed.hygiene = Cell::of(hygiene::Seen {
        started: Some(ago(3)),
        first_start: Some(ago(3)),
        key: None,
        entries: Vec::new(),
        leftovers: Vec::new(),
    });
}

fn api(observed: &mut Observed) {
    let mut file_system = sample::file_system();
    file_system.throughput_mode = "bursting".to_owned();
    file_system.key = Some(KEY.to_owned());
    observed.exists = Cell::of(exists::Seen { file_system: Some(file_system), others: Vec::new() });
    observed.key = Cell::of(key::Seen {
        encrypted: true,
        named: Some(KEY.to_owned()),
        key: Some(Key {
            arn: KEY.to_owned(),
            state: "Enabled".to_owned(),
            by_aws: false,
            deleted_at: None,
        }),
    });
    observed.targets = Cell::of(targets::Seen {
        targets: vec![sample::target('a'), sample::target('b')],
        zone_id: Some("euw1-az1".to_owned()),
    });
    observed.state = Cell::of(state::Seen {});
    observed.policy = Cell::of(policy::Seen { policy: None });
    observed.access_point =
        Cell::of(access_point::Seen { wanted: None, access_point: None, others: Vec::new() });
    observed.throughput = Cell::of(load(500.0 * GIB, 1.0));
    observed.backup = Cell::of(backup::Seen {
        automatic: true,
        points: vec![RecoveryPoint {
            arn: "arn:aws:backup:eu-west-1:123456789012:recovery-point:0a".to_owned(),
            vault: "aws/efs/automatic-backup-vault".to_owned(),
            created: Some(ago(20)),
            state: "COMPLETED".to_owned(),
            message: None,
            bytes: Some(13_421_772_800),
        }],
        count: 35,
    });
    observed.replication =
        Cell::of(replication::Seen { replication: None, protection: Some("ENABLED".to_owned()) });
}

/// The throughput of the last hour, with this credit in bytes and so many clients.
pub(super) fn load(credits: f64, clients: f64) -> throughput::Seen {
    let always = |value: f64| -> Vec<Point> {
        (1..=60).rev().map(|minute| Point { at: minutes_ago(minute), value }).collect()
    };
    throughput::Seen {
        mode: "bursting".to_owned(),
        performance: "generalPurpose".to_owned(),
        size: 13_421_772_800,
        targets: Some(2),
        credits: always(credits),
        permitted: always(100.0 * 1024.0 * 1024.0),
        metered: always(60.0 * 1024.0 * 1024.0),
        limit: always(3.0),
        clients: always(clients),
    }
}

fn net(observed: &mut Observed) {
    observed.groups = Cell::of(passage(vec![rule("tcp", Peer::Group(OURS.to_owned()))]));
    let found = vec![IpAddr::from(ADDRESS)];
    observed.names =
        Cell::of(resolved(&Answer::Addresses(found.clone()), &names::System::Found(found)));
    observed.route = Cell::of(route::Seen {
        ways: vec![
            (goal('a', true), Ok(way(None))),
            (goal('b', false), Ok(way(Some([10, 0, 1, 1].into())))),
        ],
        outside: Some(way(Some([10, 0, 1, 1].into()))),
        blocks: vec!["10.0.0.0/16".to_owned()],
    });
    observed.port = Cell::of(connections(&Ok(1)));
    let why = "this host does not encrypt: `efs.tls` is not set".to_owned();
    observed.tls = Cell::untold(Gap { needs: String::new(), denied: false, why });
    let server = Server {
        client: 7,
        owner: "fs-0123456789abcdef0".to_owned(),
        scope: "scope".to_owned(),
        implementation: None,
    };
    observed.nfs = Cell::of(nfs::Seen {
        goal: goal('a', true),
        encrypted: false,
        end: nfs::End::Greeted(Greeting {
            null: Ok(1),
            exchange: Some(Ok(greet::Told { server, ms: 1 })),
            left: None,
        }),
    });
}

/// What both resolvers say of the name of the file system.
pub(super) fn resolved(vpc: &Answer, system: &names::System) -> names::Seen {
    let lookup = names::Lookup {
        name: "fs-0123456789abcdef0.efs.eu-west-1.amazonaws.com.".to_owned(),
        vpc: vpc.clone(),
        vpc6: match vpc {
            Answer::Addresses(_) => Answer::NoAddress,
            other => other.clone(),
        },
        system: system.clone(),
        undotted: system.clone(),
    };
    names::Seen {
        resolver: "169.254.169.253:53".parse().unwrap(),
        names: vec![lookup],
        local: names::Local {
            servers: vec!["10.0.0.2".to_owned()],
            search: vec!["eu-west-1.compute.internal".to_owned()],
            trouble: None,
            hosts: Vec::new(),
        },
    }
}

/// How the connection to the mount target of this host ended; the other one takes it.
pub(super) fn connections(end: &Result<u64, Barrier>) -> port::Seen {
    let attempt = |letter, ours, end| port::Attempt { goal: goal(letter, ours), end };
    let attempts = vec![attempt('a', true, end.clone()), attempt('b', false, Ok(2))];
    port::Seen { port: 2049, attempts }
}

/// The mount target of this zone.
fn goal(letter: char, ours: bool) -> Goal {
    let target = sample::target(letter);
    Goal {
        address: target.address.unwrap().into(),
        known: Known::Target(target.id, target.zone),
        ours,
    }
}

fn way(router: Option<IpAddr>) -> route::Way {
    route::Way {
        device: "ens5".to_owned(),
        is_virtual: false,
        source: Some([10, 0, 1, 15].into()),
        router,
        own: false,
    }
}

fn mount(observed: &mut Observed) {
    let top = mounted("hard");
    let below = there::Mounted {
        source: "/dev/nvme0n1p1".to_owned(),
        point: "/".to_owned(),
        kind: "ext4".to_owned(),
        options: vec!["rw".to_owned()],
        ..mounted("")
    };
    observed.there = Cell::of(there::Seen {
        stack: vec![top.clone()],
        below: Some(below),
        elsewhere: Vec::new(),
        noted: Some(sample::FILE_SYSTEM.to_owned()),
        tunnels: Vec::new(),
    });
    observed.tunnel = Cell::of(tunnel::Seen::Without(top.source.clone()));
    observed.watchdog = Cell::of(watchdog::Seen::Without(top.source.clone()));
    observed.options = Cell::of(options::Seen { mounted: top });
    observed.server_lease = Cell::of(lease(0));
    observed.rpc = Cell::of(calls(8, 0));
    observed.stuck = Cell::of(stuck::Seen { tasks: Vec::new(), more: 0, looked: 412, whole: true });
}

/// What is mounted, as a boot mounts it.
fn mounted(strength: &str) -> there::Mounted {
    let rest = "rw,relatime,vers=4.1,rsize=1048576,wsize=1048576,namlen=255,noresvport,proto=tcp,\
                timeo=600,retrans=2,sec=sys,clientaddr=10.0.1.15,local_lock=none,addr=10.0.1.9";
    there::Mounted {
        source: "10.0.1.9:/".to_owned(),
        point: "/var/lib/jenkins".to_owned(),
        kind: "nfs4".to_owned(),
        part: "/".to_owned(),
        options: rest.split(',').chain([strength]).map(str::to_owned).collect(),
    }
}

/// Nobody knows an address to go to.
pub(super) fn unreached(observed: &mut Observed) {
    let why = "no address of the file system is known".to_owned();
    let gap = || Gap { needs: String::new(), denied: false, why: why.clone() };
    observed.route = Cell::untold(gap());
    observed.port = Cell::untold(gap());
    observed.nfs = Cell::untold(gap());
}

/// Nothing is mounted at the place of the home.
pub(super) fn unmounted(observed: &mut Observed) {
    let seen = observed.there.seen().unwrap().clone();
    observed.there = Cell::of(there::Seen { stack: Vec::new(), noted: None, ..seen });
    let nothing = "nothing is mounted there".to_owned();
    observed.tunnel =
        Cell::untold(Gap { needs: String::new(), denied: false, why: nothing.clone() });
    observed.watchdog = Cell::untold(Gap { needs: String::new(), denied: false, why: nothing });
    observed.config = Cell::of(config::Seen {
        point: config::Point::Folder(Vec::new()),
        utils: None,
        file: Some("/run/hostkit/host.toml".to_owned()),
    });
}

/// The lease of the client with the server, which ran out so many seconds ago.
pub(super) fn lease(expired: u64) -> server_lease::Seen {
    server_lease::Seen {
        source: Some("10.0.1.9:/".to_owned()),
        age: Some(10_800),
        lease: Some(stats::Lease { time: 90, expired }),
    }
}

/// Calls that took so many milliseconds each, so many of which had no answer in time.
pub(super) fn calls(each: u64, timeouts: u64) -> rpc::Seen {
    let operation = |name: &str, calls: u64| stats::Operation {
        name: name.to_owned(),
        calls,
        sent: calls + timeouts,
        timeouts,
        queue: calls,
        answer: calls * each,
        errors: Some(0),
    };
    rpc::Seen {
        stats: Some(stats::Stats {
            source: "10.0.1.9:/".to_owned(),
            point: "/var/lib/jenkins".to_owned(),
            kind: "nfs4".to_owned(),
            options: Vec::new(),
            age: Some(10_800),
            lease: Some(stats::Lease { time: 90, expired: 0 }),
            transports: vec![stats::Transport {
                kind: "tcp".to_owned(),
                connects: 1,
                idle: 0,
                sent: 81_000,
                received: 81_000,
                unknown: 0,
                slots: Some(64),
            }],
            operations: vec![
                operation("GETATTR", 40_000),
                operation("LOOKUP", 30_000),
                operation("WRITE", 11_000),
            ],
        }),
    }
}

/// The security groups of both sides, where that of the mount target lets this in.
pub(super) fn passage(inward: Vec<Rule>) -> groups::Seen {
    let group = |id: &str, inward, outward| SecurityGroup {
        id: id.to_owned(),
        inward,
        outward,
        ..SecurityGroup::default()
    };
    let out = rule("-1", Peer::Block("0.0.0.0/0".to_owned()));
    groups::Seen {
        target: "fsmt-0a".to_owned(),
        target_address: Some([10, 0, 1, 9].into()),
        target_subnet: "subnet-0a".to_owned(),
        theirs: vec![THEIRS.to_owned()],
        ours: vec![OURS.to_owned()],
        address: Some([10, 0, 1, 15].into()),
        groups: vec![group(THEIRS, inward, Vec::new()), group(OURS, Vec::new(), vec![out])],
        lists: BTreeMap::new(),
    }
}

/// A rule for NFS, or for everything.
pub(super) fn rule(protocol: &str, peer: Peer) -> Rule {
    let ports = (protocol != "-1").then_some((2049, 2049));
    Rule { protocol: protocol.to_owned(), ports, peers: vec![peer] }
}

/// So many hours before it was looked.
pub(super) fn ago(hours: i64) -> Timestamp {
    now() - SignedDuration::from_hours(hours)
}

fn minutes_ago(minutes: i64) -> Timestamp {
    now() - SignedDuration::from_mins(minutes)
}
