//! What a group of scripted hosts stands in: two images, a launch template, a load balancer, hooks.
//!
//! Tests and rehearsals of upgrades begin with it instead of a dozen requests. All of it could have
//! been made by requests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::sim::account::{ACCOUNT_ID, Account, REGION, VPC};
use crate::sim::ec2::id::Kind;
use crate::sim::ec2::specification::{Metadata, Specification};
use crate::sim::group::habits::Habits;
use crate::sim::group::hook::{Hook, Transition};
use crate::sim::group::source::Source;
use crate::sim::group::{Group, Maintenance};
use crate::sim::image::{Image, Mapping, State};
use crate::sim::launch_template::{LaunchTemplate, Version};
use crate::sim::random;
use crate::sim::region::Tags;
use crate::sim::snapshot::{self, Snapshot};
use crate::sim::target_group::{Check, LoadBalancer, TargetGroup};

/// The group's hooks.
pub const LAUNCH_HOOK: &str = "launch";
/// See [`LAUNCH_HOOK`].
pub const TERMINATE_HOOK: &str = "drain";
/// How long they wait for a heartbeat, on AWS.
const HEARTBEAT: Duration = Duration::from_mins(10);

/// What there is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The group's name.
    pub group: String,
    /// How many instances it wants, has at least, and has at most.
    pub size: u64,
    /// The recipe of its images.
    pub recipe: String,
    /// Whether a load balancer asks its hosts, at `/login` of port 8080, and its group heeds that.
    pub balanced: bool,
}

impl Plan {
    /// A group of one controller, behind a load balancer.
    pub fn controller(group: &str) -> Self {
        let recipe = "jenkins-controller".to_owned();
        Self { group: group.to_owned(), size: 1, recipe, balanced: true }
    }

    /// A group of agents or container hosts of a recipe.
    pub fn of(group: &str, size: u64, recipe: &str) -> Self {
        Self { group: group.to_owned(), size, recipe: recipe.to_owned(), balanced: false }
    }
}

/// What there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenery {
    /// The group's name.
    pub group: String,
    /// `lt-…`, whose only version has the old image.
    pub template: String,
    /// The old image: `ami-…`
    pub old: String,
    /// The new one.
    pub new: String,
    /// The ARN of the target group, if there is one.
    pub target_group: Option<String>,
}

impl Plan {
    /// Makes all that in the account's first region. The group launches at once.
    pub fn furnish(&self, account: &mut Account) -> Scenery {
        let (old, new) = (self.image(account, "1"), self.image(account, "2"));
        let template = self.template(account, &old);
        let target_group = self.balanced.then(|| self.balance(account));
        self.group(account, &template, target_group.as_ref());
        Scenery { group: self.group.clone(), template, old, new, target_group }
    }

    /// An image of the recipe, with hostkit's tags.
    fn image(&self, account: &mut Account, version: &str) -> String {
        let created = account.world();
        let what = format!("{} {} {version}", self.group, self.recipe);
        let (id, snapshot) = (Kind::Image.derived(&what), Kind::Snapshot.derived(&what));
        let digest = random::derived(&what, 64);
        let tag = |key: &str, value: &str| (format!("hostkit:{key}"), value.to_owned());
        let tags = Tags::from([
            tag("recipe", &self.recipe),
            tag("version", version),
            tag("digest", &digest),
            tag("build", &digest[..12]),
            tag("state", "kept"),
        ]);
        let region = account.region(REGION);
        region.snapshots.insert(snapshot.clone(), empty(&snapshot, created));
        let image = Image {
            id: id.clone(),
            name: format!("{}-x86_64-{version}-{}", self.recipe, &digest[..8]),
            owner: ACCOUNT_ID.to_owned(),
            owner_alias: None,
            description: String::new(),
            architecture: "x86_64".to_owned(),
            root_device: "/dev/xvda".to_owned(),
            virtualization: "hvm".to_owned(),
            mappings: vec![Mapping {
                device: "/dev/xvda".to_owned(),
                snapshot: Some(snapshot),
                volume_gib: 8,
                volume_type: "gp3".to_owned(),
                delete_on_termination: true,
                ..Mapping::default()
            }],
            boot_mode: Some("uefi-preferred".to_owned()),
            tpm_support: None,
            imds_support: Some("v2.0".to_owned()),
            uefi_data: None,
            ena: true,
            sriov: Some("simple".to_owned()),
            tags,
            created,
            deprecated: None,
            protection: None,
            shared_with: BTreeSet::new(),
            cooldown: None,
            state: State::Available,
            fails: None,
            last_launched: None,
            public_parameter: None,
            source_instance: None,
            source_image: None,
        };
        region.images.insert(id.clone(), image);
        id
    }

    fn template(&self, account: &mut Account, image: &str) -> String {
        let (created, by) = (account.world(), format!("arn:aws:iam::{ACCOUNT_ID}:user/operator"));
        let data = Specification {
            image: Some(image.to_owned()),
            instance_type: Some("m5.large".to_owned()),
            // Else no host hears what its tag says.
            metadata: Metadata { tags: Some("enabled".to_owned()), ..Metadata::default() },
            ..Specification::default()
        };
        let first = Version { description: None, created, by: by.clone(), data };
        let template = LaunchTemplate {
            id: Kind::LaunchTemplate.fresh(),
            name: self.group.clone(),
            created,
            by,
            versions: BTreeMap::from([(1, first)]),
            default: 1,
            newest: 1,
            tags: Tags::new(),
        };
        let id = template.id.clone();
        account.region(REGION).launch_templates.insert(id.clone(), template);
        id
    }

    fn balance(&self, account: &mut Account) -> String {
        let name = &self.group;
        let arn = |kind: &str, name: &str| {
            let digits = random::hex(16);
            format!("arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT_ID}:{kind}/{name}/{digits}")
        };
        let (group, balancer) = (arn("targetgroup", name), arn("loadbalancer/app", name));
        let check = Check {
            path: "/login".to_owned(),
            interval: 5,
            timeout: 4,
            healthy: 2,
            ..Check::default()
        };
        let region = account.region(REGION);
        let target_group = TargetGroup {
            arn: group.clone(),
            name: name.clone(),
            protocol: "HTTP".to_owned(),
            port: 8080,
            target_type: "instance".to_owned(),
            vpc: VPC.to_owned(),
            check,
            deregistration_delay: 15,
            load_balancers: vec![balancer.clone()],
            ..TargetGroup::default()
        };
        region.target_groups.insert(group.clone(), target_group);
        let load_balancer = LoadBalancer {
            arn: balancer.clone(),
            name: name.clone(),
            kind: "application".to_owned(),
            subnets: region.subnets.keys().cloned().collect(),
            listeners: vec![(arn("listener/app", name), "HTTP".to_owned(), 80, group.clone())],
        };
        region.load_balancers.insert(balancer, load_balancer);
        group
    }

    fn group(&self, account: &mut Account, template: &str, target_group: Option<&String>) {
        let created = account.world();
        let region = account.region(REGION);
        let subnet = region.subnets.values().min_by(|one, other| one.zone.cmp(&other.zone));
        let places = subnet.map(|subnet| (subnet.id.clone(), subnet.zone.clone()));
        let hook = |name: &str, transition| Hook::new(name, transition, HEARTBEAT);
        let habits = Habits {
            hooks: vec![
                hook(LAUNCH_HOOK, Transition::Launching),
                hook(TERMINATE_HOOK, Transition::Terminating),
            ],
            target_groups: target_group.cloned().into_iter().collect(),
            health_check_type: if self.balanced { "ELB" } else { "EC2" }.to_owned(),
            ..Habits::default()
        };
        let group = Group {
            name: self.group.clone(),
            id: random::uuid(),
            created,
            launches: Some(Source::of(template, "1")),
            min: self.size,
            max: self.size,
            desired: self.size,
            cooldown: 300,
            zones: places.iter().map(|(_, zone)| zone.clone()).collect(),
            subnets: places.iter().map(|(subnet, _)| subnet.clone()).collect(),
            grace: if self.balanced { 300 } else { 0 },
            warmup: Some(0),
            maintenance: self.balanced.then_some(Maintenance { least: 0, most: 100 }),
            termination: vec!["Default".to_owned()],
            habits,
            ..Group::default()
        };
        region.groups.insert(self.group.clone(), group);
    }
}

/// A snapshot without contents.
fn empty(id: &str, started: jiff::Timestamp) -> Snapshot {
    Snapshot {
        id: id.to_owned(),
        volume_gib: 8,
        state: snapshot::State::Completed,
        started,
        description: String::new(),
        tags: Tags::new(),
        kms_key: None,
        volume: None,
        parent: None,
        blocks: BTreeMap::new(),
        put: BTreeSet::new(),
        shared_with: BTreeSet::new(),
    }
}

impl Scenery {
    /// Adds a version of the template with this image: its number.
    pub fn version(&self, account: &mut Account, image: &str) -> u64 {
        let created = account.world();
        let all = &mut account.region(REGION).launch_templates;
        let Some(template) = all.get_mut(&self.template) else { return 0 };
        let data = template.versions.values().last().map(|last| last.data.clone());
        let data = Specification { image: Some(image.to_owned()), ..data.unwrap_or_default() };
        template.newest += 1;
        let (number, by) = (template.newest, template.by.clone());
        template.versions.insert(number, Version { description: None, created, by, data });
        number
    }
}
