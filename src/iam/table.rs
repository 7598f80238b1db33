//! What hostkit does on AWS, to what, under which condition, and why: the table behind the policies.

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
    /// The instance role of a Jenkins controller.
    Controller,
    /// The instance role of a build agent.
    Agent,
    /// The instance role of a container host, beside what the ECS agent needs.
    Ecs,
}

impl Role {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::Bake,
        Self::BakeInstance,
        Self::Publish,
        Self::Prune,
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
    /// The parameters in which AWS publishes images.
    PublicParameters,
    /// File systems.
    FileSystems,
    /// Auto Scaling Groups.
    Groups,
    /// The keys that disks are encrypted with.
    Key,
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

/// The table.
pub const GRANTS: &[Grant] = &[
    Grant {
        sid: "Look",
        roles: &[Role::Bake],
        actions: &["ec2:DescribeImages", "ec2:DescribeSnapshots", "ec2:GetEbsEncryptionByDefault"],
        on: &[On::Everything],
        when: When::Region,
        why: "the image may be there already; the last one's snapshot is the parent",
    },
    Grant {
        sid: "ReadParent",
        roles: &[Role::Bake],
        actions: &["ebs:GetSnapshotBlock", "ebs:ListSnapshotBlocks"],
        on: &[On::Snapshots],
        when: When::Ours,
        why: "the parent's table of blocks, so that only what differs is sent; what an upload that \
              broke off has sent",
    },
    Grant {
        sid: "BeginSnapshot",
        roles: &[Role::Bake],
        actions: &["ebs:StartSnapshot"],
        on: &[On::Snapshots],
        when: When::Marked,
        why: "the snapshot of the new image",
    },
    Grant {
        sid: "BeginOnParent",
        roles: &[Role::Bake],
        actions: &["ebs:StartSnapshot"],
        on: &[On::Snapshots],
        when: When::Ours,
        why: "the snapshot that the new one stands on",
    },
    Grant {
        sid: "WriteSnapshot",
        roles: &[Role::Bake],
        actions: &["ebs:CompleteSnapshot", "ebs:PutSnapshotBlock"],
        on: &[On::Snapshots],
        when: When::Ours,
        why: "the blocks that differ",
    },
    Grant {
        sid: "TagNewSnapshot",
        roles: &[Role::Bake],
        actions: &["ec2:CreateTags"],
        on: &[On::Snapshots],
        when: When::Marked,
        why: "EBS direct tags what it makes; AWS does not say that this has an ec2:CreateAction",
    },
    Grant {
        sid: "Register",
        roles: &[Role::Bake],
        actions: &["ec2:RegisterImage"],
        on: &[On::Images, On::Snapshots],
        when: When::Always,
        why: "the image; AWS takes both in one call and knows tags of neither of them there",
    },
    Grant {
        sid: "TagNew",
        roles: &[Role::Bake],
        actions: &["ec2:CreateTags"],
        on: &[On::Images],
        when: When::Creation(&["RegisterImage"]),
        why: "an image has its tags from the first moment",
    },
    Grant {
        sid: "TagOurs",
        roles: &[Role::Bake, Role::Publish, Role::Prune],
        actions: &["ec2:CreateTags"],
        on: &[On::Images, On::Snapshots],
        when: When::Ours,
        why: "whether something is kept or part of a build that is not done",
    },
    Grant {
        sid: "RemoveOurs",
        roles: &[Role::Bake, Role::Prune],
        actions: &["ec2:DeleteSnapshot", "ec2:DeregisterImage"],
        on: &[On::Images, On::Snapshots],
        when: When::Ours,
        why: "what a bake that failed has made; what nobody needs any more",
    },
];
