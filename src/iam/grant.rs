//! What a line of the table says: who may do what, to what, under which condition.

/// Who a policy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Role {
    /// `hostkit bake --target ami`.
    Bake,
    /// `hostkit bake --via instance`, beside what `bake` needs.
    BakeInstance,
    /// `hostkit publish`.
    Publish,
    /// `hostkit images` on AWS, and `hostkit gc`.
    Prune,
    /// `hostkit upgrade`, `rollback` and `asg check`.
    Upgrade,
    /// `hostkit keys generate`, `status` and `rotate`.
    Keys,
    /// `hostkit efs check` from outside.
    EfsCheck,
    /// `hostkit efs backup`, and `efs recover throughput` and `failover`.
    EfsRecover,
    /// The instance role of a Jenkins controller.
    Controller,
    /// The instance role of a build agent.
    Agent,
    /// The instance role of a container host, beside what the ECS agent needs.
    #[value(name = "ecs-node", alias = "ecs")]
    Ecs,
}

impl Role {
    /// All there are.
    pub const ALL: [Self; 11] = [
        Self::Bake,
        Self::BakeInstance,
        Self::Publish,
        Self::Prune,
        Self::Upgrade,
        Self::Keys,
        Self::EfsCheck,
        Self::EfsRecover,
        Self::Controller,
        Self::Agent,
        Self::Ecs,
    ];
}

/// What is acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// The action knows no narrower resource.
    Everything,
    /// Images.
    Images,
    /// Snapshots.
    Snapshots,
    /// Something else of the account's in EC2: `instance`, `subnet`, …
    Ec2(&'static str),
    /// The account's parameters below a path.
    Parameters(&'static str),
    /// The same in any region.
    ParametersAnywhere(&'static str),
    /// The parameters in which AWS publishes images.
    PublicParameters,
    /// Images in any region.
    ImagesAnywhere,
    /// Snapshots in any region.
    SnapshotsAnywhere,
    /// Launch templates in any region.
    LaunchTemplatesAnywhere,
    /// Everything of the account's in EC2.
    AnyEc2,
    /// File systems.
    FileSystems,
    /// Access points of file systems.
    AccessPoints,
    /// Auto Scaling Groups.
    Groups,
    /// Log groups, and the streams in them.
    LogStreams,
    /// Something of ECS: `cluster`, `container-instance`, …
    OfEcs(&'static str),
    /// Target groups of load balancers.
    TargetGroups,
    /// The roles that hosts have.
    HostRoles,
    /// The keys that disks are encrypted with.
    Key,
    /// The account's keys.
    Keys,
    /// Vaults of AWS Backup.
    Vaults,
    /// What lies in them.
    RecoveryPoints,
}

/// Under which condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Always.
    Always,
    /// What is acted on carries the tag of a build.
    Ours,
    /// The request gives what it makes the tag of a build.
    Marked,
    /// The tags are given by one of these actions, to what it makes.
    Creation(&'static [&'static str]),
    /// The request gives this tag and no other.
    Tagging(&'static str),
    /// A role is handed to this service and no other.
    PassedTo(&'static str),
    /// AWS acts for the caller: EBS with a key.
    ForAws,
    /// In the region that the policy is for.
    Region,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    /// Its name in the policy.
    pub sid: &'static str,
    /// Who needs it.
    pub roles: &'static [Role],
    /// As IAM spells them, sorted.
    pub actions: &'static [&'static str],
    /// To what.
    pub on: &'static [On],
    /// Under which condition.
    pub when: When,
    /// What it is needed for.
    pub why: &'static str,
}
