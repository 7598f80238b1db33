//! A controller on its file system on a good day: everything that the checks see, as they see it.
//! Bursting, bursting credits to spare; encrypted by a key of the account; plain NFS.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::aws::backup::RecoveryPoint;
use crate::aws::cloudwatch::Point;
use crate::aws::kms::Key;
use crate::aws::rules::{Peer, Rule, SecurityGroup};
use crate::doctor::efs::api::{
    access_point, backup, exists, key, policy, replication, sample, state, targets, throughput,
};
use crate::doctor::efs::host::{client, clock, config, hygiene, kernel, role};
use crate::doctor::efs::net::groups;
use crate::doctor::efs::observed::Cell;
use crate::doctor::efs::table::Observed;

/// What the key of the file system is called.
pub(super) const KEY: &str = "arn:aws:kms:eu-west-1:123456789012:key/0b1f";
const THEIRS: &str = "sg-0aaaaaaaaaaaaaaaa";
const OURS: &str = "sg-0bbbbbbbbbbbbbbbb";
const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

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
