//! What an account has in one region: snapshots, images and what stands around instances.
//!
//! Plain state. The services change it (`ebs`, `ec2`), and time does: what takes time carries the
//! moment at which it will be done, and is settled by whoever looks.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::account::ACCOUNT_ID;
use super::alarm::Alarm;
use super::cluster::{CLUSTER, CapacityProvider, Cluster};
use super::ec2::id::Kind;
use super::encryption_key::EncryptionKey;
use super::group::Group;
use super::image::{self, Image};
use super::key_pair::KeyPair;
use super::launch_template::LaunchTemplate;
use super::metric::Metrics;
use super::network::{self, Subnet, Vpc};
use super::parameter_store::ParameterStore;
use super::refresh::Refresh;
use super::security_group::SecurityGroup;
use super::snapshot::{self, Snapshot, Writing};
use super::target_group::{LoadBalancer, TargetGroup};
use super::vault::Vaults;
use super::volume::Volume;

/// See the module.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Region {
    /// Snapshots by id: also those that are being written.
    pub snapshots: BTreeMap<String, Snapshot>,
    /// What is known only of those that are being written.
    #[serde(skip)]
    pub writing: BTreeMap<String, Writing>,
    /// Images by id.
    pub images: BTreeMap<String, Image>,
    /// Launch templates by id.
    pub launch_templates: BTreeMap<String, LaunchTemplate>,
    /// Key pairs by id.
    pub key_pairs: BTreeMap<String, KeyPair>,
    /// Networks by id.
    pub vpcs: BTreeMap<String, Vpc>,
    /// Subnets by id.
    pub subnets: BTreeMap<String, Subnet>,
    /// Security groups by id.
    pub security_groups: BTreeMap<String, SecurityGroup>,
    /// Prefix lists by id: their blocks of addresses.
    pub prefix_lists: BTreeMap<String, Vec<String>>,
    /// The disks of instances by id.
    pub volumes: BTreeMap<String, Volume>,
    /// Auto Scaling Groups by name.
    pub groups: BTreeMap<String, Group>,
    /// The instance refreshes of each group, the newest last.
    pub refreshes: BTreeMap<String, Vec<Refresh>>,
    /// Target groups by ARN.
    pub target_groups: BTreeMap<String, TargetGroup>,
    /// Load balancers by ARN.
    pub load_balancers: BTreeMap<String, LoadBalancer>,
    /// Launch configurations by name: the image of each.
    pub launch_configurations: BTreeMap<String, String>,
    /// Clusters of ECS by name.
    pub clusters: BTreeMap<String, Cluster>,
    /// Capacity providers of ECS by name.
    pub capacity_providers: BTreeMap<String, CapacityProvider>,
    /// Its Parameter Store.
    pub parameters: ParameterStore,
    /// What AWS Backup has.
    pub vaults: Vaults,
    /// What CloudWatch knows.
    pub metrics: Metrics,
    /// How many vCPUs may run, by the code of the quota, where that is not the usual number.
    pub quotas: BTreeMap<String, f64>,
    /// Its alarms by name.
    pub alarms: BTreeMap<String, Alarm>,
    /// Keys of KMS by id.
    pub keys: BTreeMap<String, EncryptionKey>,
    /// Whether what is made is encrypted unasked.
    pub encrypted_by_default: bool,
    /// What was made for a client token: `(action, token)` to the id and a digest of the request.
    #[serde(with = "pairs")]
    pub tokens: BTreeMap<(String, String), (String, String)>,
}

impl Region {
    /// What every region has before anybody does anything in it.
    pub fn fresh(name: &str) -> Self {
        let vpc = network::vpc(name);
        let group = SecurityGroup::default_of(&vpc.id);
        let subnets = network::subnets(name).into_iter();
        let key = EncryptionKey::of_efs(name, Timestamp::now());
        Self {
            security_groups: BTreeMap::from([(group.id.clone(), group)]),
            subnets: subnets.map(|subnet| (subnet.id.clone(), subnet)).collect(),
            vpcs: BTreeMap::from([(vpc.id.clone(), vpc)]),
            keys: BTreeMap::from([(key.id.clone(), key)]),
            clusters: ["default", CLUSTER].map(|it| (it.to_owned(), Cluster::new(it))).into(),
            ..Self::default()
        }
    }

    /// Lets happen what is due. An image is available once its snapshots are completed.
    pub fn settle(&mut self, now: Instant) {
        snapshot::settle(self, now);
        let snapshots = &self.snapshots;
        for image in self.images.values_mut() {
            if !matches!(image.state, image::State::Pending(_)) {
                continue;
            }
            let mut waits = false;
            for snapshot in image.mappings.iter().filter_map(|one| one.snapshot.as_ref()) {
                match snapshots.get(snapshot).map(|snapshot| &snapshot.state) {
                    Some(snapshot::State::Pending(_)) => waits = true,
                    Some(snapshot::State::Error(why)) => image.fails = Some(why.clone()),
                    Some(snapshot::State::Completed) | None => {}
                }
            }
            if !waits {
                image.settle(now);
            }
        }
    }

    /// The images of this account: not those that are everybody's.
    pub fn own_images(&self) -> impl Iterator<Item = &Image> {
        self.images.values().filter(|image| image.owner == ACCOUNT_ID)
    }

    /// The tags of what has this id.
    pub fn tags_mut(&mut self, id: &str) -> Option<&mut Tags> {
        match Kind::of(id)? {
            Kind::Image => self.images.get_mut(id).map(|one| &mut one.tags),
            Kind::KeyPair => self.key_pairs.get_mut(id).map(|one| &mut one.tags),
            Kind::LaunchTemplate => self.launch_templates.get_mut(id).map(|one| &mut one.tags),
            Kind::SecurityGroup => self.security_groups.get_mut(id).map(|one| &mut one.tags),
            Kind::Snapshot => self.snapshots.get_mut(id).map(|one| &mut one.tags),
            Kind::Subnet => self.subnets.get_mut(id).map(|one| &mut one.tags),
            Kind::Volume => self.volumes.get_mut(id).map(|one| &mut one.tags),
            Kind::Vpc => self.vpcs.get_mut(id).map(|one| &mut one.tags),
            // An instance is the account's; what else comes with one keeps no tags.
            Kind::Instance | Kind::NetworkInterface | Kind::SpotRequest => None,
        }
    }

    /// The tags of everything but instances, with the ids.
    pub fn all_tags(&self) -> impl Iterator<Item = (&str, &Tags)> {
        let images = self.images.values().map(|one| (one.id.as_str(), &one.tags));
        let keys = self.key_pairs.values().map(|one| (one.id.as_str(), &one.tags));
        let templates = self.launch_templates.values().map(|one| (one.id.as_str(), &one.tags));
        let groups = self.security_groups.values().map(|one| (one.id.as_str(), &one.tags));
        let snapshots = self.snapshots.values().map(|one| (one.id.as_str(), &one.tags));
        let subnets = self.subnets.values().map(|one| (one.id.as_str(), &one.tags));
        let volumes = self.volumes.values().map(|one| (one.id.as_str(), &one.tags));
        let vpcs = self.vpcs.values().map(|one| (one.id.as_str(), &one.tags));
        images
            .chain(keys)
            .chain(templates)
            .chain(groups)
            .chain(snapshots)
            .chain(subnets)
            .chain(volumes)
            .chain(vpcs)
    }
}

/// Tags, by key.
pub type Tags = BTreeMap<String, String>;

/// Something that will have happened at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// When it was asked for, by the clock of the world.
    pub asked: Timestamp,
    /// When that was, by the account's clock.
    pub since: Instant,
    /// When it is done, by the account's clock.
    pub at: Instant,
}

impl Due {
    /// How far it is, in percent.
    pub fn percent(&self, now: Instant) -> u32 {
        if now >= self.at {
            return 100;
        }
        let whole = (self.at - self.since).as_secs_f64();
        let part = now.saturating_duration_since(self.since).as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 99")]
        let percent = (part / whole * 100.0) as u32;
        percent.min(99)
    }
}

/// As text, moments of the account's clock are distances from now: another process has another
/// clock.
#[derive(Serialize, Deserialize)]
struct Apart {
    asked: Timestamp,
    seconds_since: f64,
    seconds_left: f64,
}

impl Serialize for Due {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let now = Instant::now();
        let apart = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64();
        let (asked, seconds_since) = (self.asked, apart(self.since, now));
        Apart { asked, seconds_since, seconds_left: apart(now, self.at) }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Due {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let apart = Apart::deserialize(deserializer)?;
        let now = Instant::now();
        let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let since = now.checked_sub(seconds(apart.seconds_since)).unwrap_or(now);
        Ok(Self { asked: apart.asked, since, at: now + seconds(apart.seconds_left) })
    }
}

/// A map whose keys are no text, as a list of pairs.
pub(super) mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::sim) fn serialize<S: Serializer, K: Serialize, V: Serialize>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(in crate::sim) fn deserialize<'de, D, K, V>(
        deserializer: D,
    ) -> Result<BTreeMap<K, V>, D::Error>
    where
        D: Deserializer<'de>,
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
    {
        Vec::<(K, V)>::deserialize(deserializer).map(|pairs| pairs.into_iter().collect())
    }
}
