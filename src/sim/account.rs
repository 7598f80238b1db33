//! The state of the rehearsal account: its instances, its parameters, its file systems, and what
//! goes wrong with its services.
//!
//! Handlers change it; nothing here speaks a protocol or touches the machine.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::call::Caller;
use super::conditions::Conditions;
use super::disturbance::{Disturbance, Kind, Scene};
pub use super::efs::{FileSystem, Replication};
use super::group::habits::Habits;
use super::group::hook::{Hook, Transition};
use super::hosts::Cast;
use super::instance::{Credentials, Instance, Lifecycle};
use super::notice::Notice;
use super::parameter_store::ParameterStore;
use super::parameters::Parameters;
use super::record::Record;
use super::region::{Due, Region};
use super::seed;
use super::shortage::Shortage;
use super::store::Store;
use super::timeline::{Milestone, Recorder};

/// The account's id, as in AWS's own examples.
pub const ACCOUNT_ID: &str = "123456789012";
/// The region.
pub const REGION: &str = "eu-west-1";
/// The availability zone.
pub const ZONE: &str = "eu-west-1a";
/// The availability zone's id.
pub const ZONE_ID: &str = "euw1-az1";
/// The instance role.
pub const ROLE: &str = "hostkit-vm";
/// The Auto Scaling Group.
pub const GROUP: &str = "hostkit-vm";
/// Its launch hook.
pub const HOOK: &str = "launch";
/// How long the hook waits for a heartbeat, unless [`Account::group`] says otherwise.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_mins(10);
/// The first network card's address. Each guest has a network of its own, so all have the same.
pub const PRIVATE_IP: &str = "10.0.2.15";
/// Where a guest finds its file system.
pub const MOUNT_TARGET_IP: &str = "10.0.2.100";
/// The subnet and the network of everything here.
pub const SUBNET: &str = "subnet-0f00d0000000000a1";
/// The network.
pub const VPC: &str = "vpc-0f00d000000000001";

/// Everything there is.
#[derive(Debug)]
pub struct Account {
    /// What is in the Parameter Store of each region at the beginning.
    pub parameters: Parameters,
    /// The file systems.
    pub file_systems: Vec<FileSystem>,
    /// Which of them are copied to which.
    pub replications: Vec<Replication>,
    /// What goes wrong with the services.
    pub disturbances: Vec<Disturbance>,
    /// The group that its guests are in. Those of others are in its regions.
    pub group: Habits,
    /// What it has in each region, by the region's name.
    pub regions: BTreeMap<String, Region>,
    /// The keys of whoever acts on it from outside, if anybody may.
    pub operator: Option<Credentials>,
    /// How fast it is, and how consistent.
    pub conditions: Conditions,
    /// How many requests may have changed it.
    pub changes: u64,
    /// What there is no capacity for.
    pub shortages: Vec<Shortage>,
    /// Whether somebody plays the machines of instances that are launched by `RunInstances` or by
    /// groups. If not, they come and go by time alone.
    pub machines: bool,
    /// Its hosts that have a script instead of a machine.
    pub hosts: Cast,
    /// Where its requests are recorded.
    pub record: Option<Arc<Record>>,
    store: Option<Arc<Store>>,
    instances: Vec<Instance>,
    ahead: Duration,
}

impl Account {
    /// A fresh account without instances and file systems.
    pub fn new(parameters: Parameters) -> Self {
        Self {
            parameters,
            file_systems: Vec::new(),
            replications: Vec::new(),
            disturbances: Vec::new(),
            group: Habits::of_the_guests(),
            regions: BTreeMap::new(),
            operator: None,
            conditions: Conditions::default(),
            changes: 0,
            shortages: Vec::new(),
            machines: false,
            hosts: Cast::default(),
            record: None,
            store: None,
            instances: Vec::new(),
            ahead: Duration::ZERO,
        }
    }

    /// The account's clock.
    pub fn now(&self) -> Instant {
        Instant::now() + self.ahead
    }

    /// The world's clock, as AWS has it.
    pub fn world(&self) -> Timestamp {
        Timestamp::now() + self.conditions.clock_ahead
    }

    /// When something is done that begins now and takes so long on AWS.
    pub fn due(&self, on_aws: Duration) -> Due {
        let since = self.now();
        let at = since.checked_add(self.conditions.takes(on_aws)).unwrap_or(since);
        Due { asked: self.world(), since, at }
    }

    /// Puts the account's clock forward: tests do not wait.
    #[cfg(test)]
    pub fn skip(&mut self, time: Duration) {
        self.ahead += time;
    }

    /// The contents of its snapshots' blocks. Without a folder of its own it gets a file that is
    /// gone with it.
    pub fn store(&mut self) -> io::Result<Arc<Store>> {
        if self.store.is_none() {
            self.store = Some(Arc::new(Store::temporary()?));
        }
        Ok(Arc::clone(self.store.as_ref().expect("it was just made")))
    }

    /// Keeps the contents of blocks in a folder: what is there of what its snapshots have.
    pub fn keep_blocks(&mut self, folder: &Path) -> io::Result<()> {
        let snapshots = self.regions.values().flat_map(|region| region.snapshots.values());
        let wanted = snapshots.flat_map(|one| one.blocks.values().copied()).collect();
        self.store = Some(Arc::new(Store::open(folder, &wanted)?));
        Ok(())
    }

    /// What it has in a region.
    pub fn region(&mut self, name: &str) -> &mut Region {
        self.regions.entry(name.to_owned()).or_insert_with(|| {
            let parameters = ParameterStore::of(&self.parameters);
            let mut region = Region { parameters, ..Region::fresh(name) };
            seed::furnish(&mut region, name);
            region
        })
    }

    /// Its group launches an instance: `pending`, held by the launch hook from now on.
    pub fn launch(&mut self, recorder: Recorder) -> &mut Instance {
        let hooks = self.group.hooks(Transition::Launching);
        let instance = Instance::launch(self.now(), &hooks, recorder);
        self.instances.push(instance);
        self.instances.last_mut().expect("there is the one just launched")
    }

    /// Somebody launches an instance.
    pub fn add(&mut self, instance: Instance) {
        self.instances.push(instance);
    }

    /// All instances there ever were, in the order of their launch.
    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// An instance, also a terminated one that EC2 has forgotten.
    pub fn instance(&self, id: &str) -> Option<&Instance> {
        self.instances.iter().find(|instance| instance.id == id)
    }

    /// An instance, to change it; and the time.
    pub fn instance_mut(&mut self, id: &str) -> Option<(&mut Instance, Instant)> {
        let now = self.now();
        self.instances.iter_mut().find(|instance| instance.id == id).map(|found| (found, now))
    }

    /// Where an instance's group has it.
    pub fn lifecycle(&mut self, id: &str) -> Option<Lifecycle> {
        self.instance_mut(id).map(|(instance, now)| instance.lifecycle(now))
    }

    /// The group lets an instance go: its terminate hooks wait. False where there is none such.
    pub fn let_go(&mut self, id: &str) -> bool {
        let hooks = self.hooks_of(id, Transition::Terminating);
        let found = self.instance_mut(id).filter(|(instance, _)| instance.is_in_a_group());
        found.map(|(instance, now)| instance.leave(now, &hooks)).is_some()
    }

    /// The hooks of an instance's group, and how long they wait here.
    pub fn hooks_of(&self, id: &str, transition: Transition) -> Vec<Hook> {
        let Some(instance) = self.instance(id) else { return Vec::new() };
        let Some(member) = &instance.member else {
            let guest = instance.launch.is_none();
            return if guest { self.group.hooks(transition) } else { Vec::new() };
        };
        let region = self.regions.get(instance.region());
        let group = region.and_then(|region| region.groups.get(&member.group));
        let mut hooks = group.map(|it| it.habits.hooks(transition)).unwrap_or_default();
        for hook in &mut hooks {
            hook.timeout = self.waits(hook.timeout);
        }
        hooks
    }

    /// How long somebody waits here for a host who waits so long on AWS. Hosts that are machines
    /// are no faster than there.
    pub fn waits(&self, on_aws: Duration) -> Duration {
        if self.machines { on_aws } else { self.conditions.takes(on_aws) }
    }

    /// Something is announced to an instance, or done to it.
    pub fn notice(&mut self, id: &str, notice: &Notice) {
        let world = self.world();
        if let Some((instance, now)) = self.instance_mut(id) {
            instance.notice(now, world, notice);
        }
        if *notice == Notice::Terminate {
            self.let_go(id);
        }
    }

    /// Writes something down in the story of an instance.
    pub fn mark(&self, id: &str, what: Milestone) {
        if let Some(instance) = self.instance(id) {
            instance.recorder.mark(what);
        }
    }

    /// Who has an access key, and all that belongs to it.
    pub fn whose(&self, key: &str) -> Option<(Caller, &Credentials)> {
        if let Some(operator) = self.operator.as_ref().filter(|one| one.access_key == key) {
            return Some((Caller::Operator, operator));
        }
        let instance = self.instances.iter().find(|one| one.credentials.access_key == key)?;
        Some((Caller::Instance(instance.id.clone()), &instance.credentials))
    }

    /// The value of a parameter in a region, for services that read it themselves.
    pub fn parameter(&mut self, region: &str, name: &str) -> Option<String> {
        let (name, selector) = match name.split_once(':') {
            Some((name, selector)) => (name, Some(selector)),
            None => (name, None),
        };
        let (_, stored) = self.region(region).parameters.get(name)?;
        let version = match selector {
            Some(selector) => stored.selected(selector),
            None => stored.latest(),
        };
        version.map(|version| version.value.clone())
    }

    /// What goes wrong with one request, the first that fits. A body of so many bytes has come.
    pub fn disturbance(&mut self, scene: &Scene<'_>, body: usize) -> Option<Kind> {
        for one in &mut self.disturbances {
            // Such a body did not get here, if it was to be cut.
            let cut = matches!(one.kind, Kind::ClosedAfter(bytes) if bytes < body as u64);
            if !cut && one.disturbs(scene) {
                return Some(one.kind);
            }
        }
        None
    }

    /// After how many bytes a body of `length` breaks off, if it does.
    pub fn cut(&mut self, scene: &Scene<'_>, length: u64) -> Option<u64> {
        for one in &mut self.disturbances {
            let Kind::ClosedAfter(bytes) = one.kind else { continue };
            if bytes < length && one.disturbs(scene) {
                return Some(bytes);
            }
        }
        None
    }

    /// An account with one instance that runs and one file system, for tests.
    #[cfg(test)]
    pub fn for_tests() -> Self {
        let mut account = Self::new(Parameters::default());
        account.file_systems.push(FileSystem::of_folder("/srv/home"));
        let now = account.now();
        account.launch(Recorder::silent()).switched_on(now);
        account
    }

    /// The first instance, for tests that have one.
    #[cfg(test)]
    pub fn first(&mut self) -> &mut Instance {
        self.instances.first_mut().expect("tests have one")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_folder_is_the_same_file_system() {
        let id = FileSystem::of_folder("/a").id;
        assert_eq!(FileSystem::of_folder("/a").id, id);
        assert_ne!(FileSystem::of_folder("/b").id, id);
        assert!(id.starts_with("fs-") && id.len() == 20, "{id}");
    }

    #[test]
    fn every_instance_is_somebody_else() {
        let mut account = Account::for_tests();
        let first = account.first().clone();
        let second = account.launch(Recorder::silent()).clone();
        assert_ne!(first.id, second.id);
        assert_ne!(first.mac, second.mac);
        assert_ne!(first.credentials.access_key, second.credentials.access_key);
        assert!(
            account.instance_mut(&first.id).is_some_and(|(one, now)| one.complete(now, HOOK, true))
        );
        assert_eq!(account.lifecycle(&first.id), Some(Lifecycle::InService));
        let second = account.lifecycle(&second.id);
        assert!(matches!(second, Some(Lifecycle::Waiting)), "{second:?}");
    }
}
