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
    /// `hostkit keys generate`, `status` and `rotate`.
    Keys,
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
    pub const ALL: [Self; 8] = [
        Self::Bake,
        Self::BakeInstance,
        Self::Publish,
        Self::Prune,
        Self::Keys,
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
    /// Auto Scaling Groups.
    Groups,
    /// Log groups, and the streams in them.
    LogStreams,
    /// Something of ECS: `cluster`, `container-instance`, …
    OfEcs(&'static str),
    /// Target groups of load balancers.
    TargetGroups,
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

use Role::{Agent, Bake, BakeInstance, Controller, Ecs, Keys, Prune, Publish};

/// The table.
pub const GRANTS: &[Grant] = &[
    // Baking by EBS direct.
    Grant {
        sid: "LookBeforeBake",
        roles: &[Bake],
        actions: &["ec2:DescribeImages", "ec2:DescribeSnapshots", "ec2:GetEbsEncryptionByDefault"],
        on: &[On::Everything],
        when: When::Region,
        why: "the image may be there already; the last one's snapshot is the parent; progress",
    },
    Grant {
        sid: "ReadSnapshots",
        roles: &[Bake],
        actions: &["ebs:GetSnapshotBlock", "ebs:ListChangedBlocks", "ebs:ListSnapshotBlocks"],
        on: &[On::Snapshots],
        when: When::Ours,
        why: "the parent's table of blocks, so that only what differs is sent; what has arrived",
    },
    Grant {
        sid: "BeginSnapshot",
        roles: &[Bake],
        actions: &["ebs:StartSnapshot"],
        on: &[On::Snapshots],
        when: When::Marked,
        why: "the snapshot of the new image",
    },
    Grant {
        sid: "WriteSnapshot",
        roles: &[Bake],
        actions: &["ebs:CompleteSnapshot", "ebs:PutSnapshotBlock"],
        on: &[On::Snapshots],
        when: When::Ours,
        why: "the blocks that differ",
    },
    Grant {
        sid: "TagNewSnapshot",
        roles: &[Bake],
        actions: &["ec2:CreateTags"],
        on: &[On::Snapshots],
        when: When::Marked,
        why: "EBS direct tags what it makes; AWS does not say that it names an ec2:CreateAction",
    },
    Grant {
        sid: "Register",
        roles: &[Bake],
        actions: &["ec2:RegisterImage"],
        on: &[On::Images, On::Snapshots],
        when: When::Always,
        why: "the image of that snapshot",
    },
    Grant {
        sid: "TagNewImage",
        roles: &[Bake],
        actions: &["ec2:CreateTags"],
        on: &[On::Images],
        when: When::Creation(&["RegisterImage"]),
        why: "an image has its tags from the first moment",
    },
    // Baking on an instance.
    Grant {
        sid: "LookBeforeLaunch",
        roles: &[BakeInstance],
        actions: &[
            "ec2:DescribeImages",
            "ec2:DescribeInstances",
            "ec2:DescribeKeyPairs",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSnapshots",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
        ],
        on: &[On::Everything],
        when: When::Region,
        why: "the base, where the builder goes, how far it is, and what an earlier one left",
    },
    Grant {
        sid: "ReadBase",
        roles: &[BakeInstance],
        actions: &["ssm:GetParameter"],
        on: &[On::PublicParameters, On::Parameters("/hostkit/*")],
        when: When::Always,
        why: "a base that is named by a parameter",
    },
    Grant {
        sid: "Doors",
        roles: &[BakeInstance],
        actions: &["ec2:CreateSecurityGroup", "ec2:ImportKeyPair"],
        on: &[On::Ec2("key-pair"), On::Ec2("security-group"), On::Ec2("vpc")],
        when: When::Always,
        why: "a key and a security group of the builder's own",
    },
    Grant {
        sid: "OpenDoor",
        roles: &[BakeInstance],
        actions: &["ec2:AuthorizeSecurityGroupIngress"],
        on: &[On::Ec2("security-group")],
        when: When::Ours,
        why: "SSH from the address that bakes, and from nowhere else",
    },
    Grant {
        sid: "Launch",
        roles: &[BakeInstance],
        actions: &["ec2:RunInstances"],
        on: &[
            On::Images,
            On::Snapshots,
            On::Ec2("instance"),
            On::Ec2("key-pair"),
            On::Ec2("network-interface"),
            On::Ec2("security-group"),
            On::Ec2("spot-instances-request"),
            On::Ec2("subnet"),
            On::Ec2("volume"),
        ],
        when: When::Always,
        why: "the builder. A builder with an instance profile needs iam:PassRole for it, too",
    },
    Grant {
        sid: "TagNewBuilder",
        roles: &[BakeInstance],
        actions: &["ec2:CreateTags"],
        on: &[On::Images, On::Snapshots, On::AnyEc2],
        when: When::Creation(&[
            "CreateImage",
            "CreateSecurityGroup",
            "ImportKeyPair",
            "RunInstances",
        ]),
        why: "all that is made has its tags from the first moment",
    },
    Grant {
        sid: "WatchBuilder",
        roles: &[BakeInstance],
        actions: &["ec2:GetConsoleOutput", "ec2:ModifyInstanceAttribute", "ec2:StopInstances"],
        on: &[On::Ec2("instance")],
        when: When::Ours,
        why: "its host key and its last words; it stops before its image is made",
    },
    Grant {
        sid: "ImageOfBuilder",
        roles: &[BakeInstance],
        actions: &["ec2:CreateImage"],
        on: &[On::Images, On::Snapshots, On::Ec2("instance")],
        when: When::Always,
        why: "the image of the builder's disk",
    },
    // Publishing.
    Grant {
        sid: "LookBeforePublish",
        roles: &[Publish],
        actions: &[
            "ec2:DescribeImageAttribute",
            "ec2:DescribeImages",
            "ec2:DescribeLaunchTemplateVersions",
            "ec2:DescribeSnapshotAttribute",
            "ec2:DescribeSnapshots",
            "ec2:GetEbsEncryptionByDefault",
        ],
        on: &[On::Everything],
        when: When::Always,
        why: "the image, in each region; what is done already",
    },
    Grant {
        sid: "Copy",
        roles: &[Publish],
        actions: &["ec2:CopyImage"],
        on: &[On::ImagesAnywhere, On::SnapshotsAnywhere],
        when: When::Always,
        why: "the same image in other regions, or with another key",
    },
    Grant {
        sid: "TagNewCopy",
        roles: &[Publish],
        actions: &["ec2:CreateTags"],
        on: &[On::ImagesAnywhere, On::SnapshotsAnywhere],
        when: When::Creation(&["CopyImage"]),
        why: "a copy has its tags from the first moment",
    },
    Grant {
        sid: "ShareAndProtect",
        roles: &[Publish],
        actions: &[
            "ec2:CreateTags",
            "ec2:DeleteSnapshot",
            "ec2:DeregisterImage",
            "ec2:EnableImageDeprecation",
            "ec2:EnableImageDeregistrationProtection",
            "ec2:ModifyImageAttribute",
            "ec2:ModifySnapshotAttribute",
        ],
        on: &[On::ImagesAnywhere, On::SnapshotsAnywhere],
        when: When::Ours,
        why: "who may launch it and for how long; copies that came to nothing are removed",
    },
    Grant {
        sid: "Point",
        roles: &[Publish],
        actions: &["ssm:GetParameters", "ssm:PutParameter"],
        on: &[On::ParametersAnywhere("/hostkit/*")],
        when: When::Always,
        why: "what points to the newest image",
    },
    Grant {
        sid: "LaunchTemplates",
        roles: &[Publish],
        actions: &["ec2:CreateLaunchTemplateVersion", "ec2:ModifyLaunchTemplate"],
        on: &[On::LaunchTemplatesAnywhere],
        when: When::Always,
        why: "only with --launch-template: a version with the new image",
    },
    // Looking after what is there.
    Grant {
        sid: "LookAround",
        roles: &[Prune],
        actions: &[
            "autoscaling:DescribeAutoScalingGroups",
            "autoscaling:DescribeLaunchConfigurations",
            "ec2:DescribeImageAttribute",
            "ec2:DescribeImageReferences",
            "ec2:DescribeImages",
            "ec2:DescribeInstances",
            "ec2:DescribeKeyPairs",
            "ec2:DescribeLaunchTemplateVersions",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSnapshots",
        ],
        on: &[On::Everything],
        when: When::Region,
        why: "what is there, and whatever refers to it",
    },
    Grant {
        sid: "ReadPointers",
        roles: &[Prune],
        actions: &["ssm:GetParameterHistory", "ssm:GetParametersByPath"],
        on: &[On::Parameters("/hostkit"), On::Parameters("/hostkit/*")],
        when: When::Always,
        why: "what points to images, what serves, and what has served",
    },
    Grant {
        sid: "ReadNamesOfImages",
        roles: &[Prune],
        actions: &["ssm:GetParameters"],
        on: &[On::Parameters("/*"), On::PublicParameters],
        when: When::Always,
        why: "only where a launch template names its image by a parameter",
    },
    Grant {
        sid: "CompareBlocks",
        roles: &[Prune],
        actions: &["ebs:GetSnapshotBlock", "ebs:ListChangedBlocks", "ebs:ListSnapshotBlocks"],
        on: &[On::Snapshots],
        when: When::Ours,
        why: "only for `images diff`: the blocks in which two images differ",
    },
    Grant {
        sid: "RemoveBuilders",
        roles: &[BakeInstance, Prune],
        actions: &["ec2:DeleteKeyPair", "ec2:DeleteSecurityGroup", "ec2:TerminateInstances"],
        on: &[On::Ec2("instance"), On::Ec2("key-pair"), On::Ec2("security-group")],
        when: When::Ours,
        why: "builders, and what belongs to them",
    },
    Grant {
        sid: "MarkAndRemove",
        roles: &[Bake, BakeInstance, Prune],
        actions: &["ec2:CreateTags", "ec2:DeleteSnapshot", "ec2:DeregisterImage"],
        on: &[On::Images, On::Snapshots],
        when: When::Ours,
        why: "a build is marked as done; one that failed, or that nobody needs, is removed",
    },
    // With a key of one's own.
    Grant {
        sid: "UseKey",
        roles: &[Bake, BakeInstance, Publish],
        actions: &[
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:Encrypt",
            "kms:GenerateDataKey",
            "kms:GenerateDataKeyWithoutPlaintext",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ],
        on: &[On::Key],
        when: When::Always,
        why: "disks that are encrypted with it",
    },
    Grant {
        sid: "LendKey",
        roles: &[Bake, BakeInstance, Publish],
        actions: &["kms:CreateGrant"],
        on: &[On::Key],
        when: When::ForAws,
        why: "EBS uses the key for as long as the disk is there",
    },
    // Keys.
    Grant {
        sid: "MakeKeys",
        roles: &[Keys],
        actions: &["ssm:GetParameters", "ssm:PutParameter"],
        on: &[On::Parameters("/devops-tools/jenkins/*"), On::Parameters("/hostkit/pools/*")],
        when: When::Always,
        why: "key pairs are made, compared and exchanged",
    },
    Grant {
        sid: "EndRotation",
        roles: &[Keys],
        actions: &["ssm:DeleteParameter"],
        on: &[On::Parameters("/devops-tools/jenkins/*.next")],
        when: When::Always,
        why: "the key that followed is in its place, and goes from where it waited",
    },
    Grant {
        sid: "LookForKeys",
        roles: &[Keys],
        actions: &["ec2:DescribeInstances", "ssm:DescribeParameters"],
        on: &[On::Everything],
        when: When::Region,
        why: "the agents of a pool; which key of KMS a parameter keeps",
    },
    Grant {
        sid: "SealKeys",
        roles: &[Keys],
        actions: &["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"],
        on: &[On::Key],
        when: When::Always,
        why: "private keys that are encrypted with a key of your own",
    },
    // On a host.
    Grant {
        sid: "ReadKeys",
        roles: &[Controller],
        actions: &["ssm:GetParameters"],
        on: &[On::Parameters("/devops-tools/jenkins/*")],
        when: When::Always,
        why: "the key pair of the build agents, the first administrator's password; what \
              [secrets] names lies elsewhere and needs a statement of your own",
    },
    Grant {
        sid: "ReadPublicKey",
        roles: &[Agent],
        actions: &["ssm:GetParameters"],
        on: &[On::Parameters("/devops-tools/jenkins/id_rsa.pub")],
        when: When::Always,
        why: "who may log in: never the private half, with which an agent could get into all others",
    },
    Grant {
        sid: "ReadPoolHostKey",
        roles: &[Agent],
        actions: &["ssm:GetParameters"],
        on: &[On::Parameters("/hostkit/pools/*/host_key")],
        when: When::Always,
        why: "the host key that all agents of a pool have; name the pool to keep pools apart",
    },
    Grant {
        sid: "DecryptKeys",
        roles: &[Controller, Agent],
        actions: &["kms:Decrypt"],
        on: &[On::Key],
        when: When::Always,
        why: "parameters that are encrypted with a key of your own",
    },
    Grant {
        sid: "FindFileSystems",
        roles: &[Controller, Agent, Ecs],
        actions: &[
            "elasticfilesystem:DescribeFileSystems",
            "elasticfilesystem:DescribeMountTargetSecurityGroups",
            "elasticfilesystem:DescribeMountTargets",
        ],
        on: &[On::FileSystems],
        when: When::Always,
        why: "the mount targets of the home and of [[mount]]; without it they are found by DNS, in \
              this zone only. Whether one is in one zone only; whose packets are dropped",
    },
    Grant {
        sid: "TellGroup",
        roles: &[Controller, Agent, Ecs],
        actions: &[
            "autoscaling:CompleteLifecycleAction",
            "autoscaling:RecordLifecycleActionHeartbeat",
        ],
        on: &[On::Groups],
        when: When::Always,
        why: "a launch hook waits for the boot",
    },
    Grant {
        sid: "ShipJournal",
        roles: &[Controller, Agent, Ecs],
        actions: &["logs:CreateLogStream", "logs:PutLogEvents"],
        on: &[On::LogStreams],
        when: When::Always,
        why: "only with `logs.group`: the journal, in a stream of the instance's own",
    },
    Grant {
        sid: "KnowGroup",
        roles: &[Controller, Agent, Ecs],
        actions: &[
            "autoscaling:DescribeAutoScalingGroups",
            "autoscaling:DescribeAutoScalingInstances",
            "autoscaling:DescribeLifecycleHooks",
        ],
        on: &[On::Everything],
        when: When::Region,
        why: "which group this host is in, whether a hook waits, and what the group does with it",
    },
    Grant {
        sid: "TellGroupUnhealthy",
        roles: &[Controller, Agent, Ecs],
        actions: &["autoscaling:SetInstanceHealth"],
        on: &[On::Groups],
        when: When::Always,
        why: "a host that does not serve any more is replaced; without it, only a load balancer notices",
    },
    Grant {
        sid: "KnowTargetGroups",
        roles: &[Controller],
        actions: &[
            "elasticloadbalancing:DescribeTargetGroups",
            "elasticloadbalancing:DescribeTargetHealth",
        ],
        on: &[On::Everything],
        when: When::Region,
        why: "whether the load balancer finds this host healthy, and why not",
    },
    Grant {
        sid: "BeTarget",
        roles: &[Controller],
        actions: &[
            "elasticloadbalancing:DeregisterTargets",
            "elasticloadbalancing:RegisterTargets",
        ],
        on: &[On::TargetGroups],
        when: When::Always,
        why: "only with `alb.mode = \"explicit\"`: the host is a target before its launch hook ends",
    },
    Grant {
        sid: "AnswerOperators",
        roles: &[Controller],
        actions: &["ssm:PutParameter"],
        on: &[On::Parameters("/hostkit/asg/*/host")],
        when: When::Always,
        why: "how the controller stands, for whoever has it drained by the tag `hostkit:drain`",
    },
    Grant {
        sid: "FindAgents",
        roles: &[Controller],
        actions: &["autoscaling:DescribeAutoScalingGroups", "ec2:DescribeInstances"],
        on: &[On::Everything],
        when: When::Region,
        why: "the build agents of the pools, by their groups or their tags",
    },
    Grant {
        sid: "ReadHostKeysOfPools",
        roles: &[Controller],
        actions: &["ssm:GetParameters"],
        on: &[On::Parameters("/hostkit/pools/*.pub")],
        when: When::Always,
        why: "the public host keys by which agents are recognised",
    },
    Grant {
        sid: "KnowHolder",
        roles: &[Controller],
        actions: &["ec2:DescribeInstances"],
        on: &[On::Everything],
        when: When::Region,
        why: "whether the last holder of the home is gone: else a crash is never got over",
    },
    Grant {
        sid: "KnowCluster",
        roles: &[Ecs],
        actions: &[
            "ecs:DescribeCapacityProviders",
            "ecs:DescribeClusters",
            "ecs:DescribeContainerInstances",
            "ecs:DescribeTasks",
            "ecs:ListContainerInstances",
            "ecs:ListTasks",
        ],
        on: &[
            On::OfEcs("capacity-provider"),
            On::OfEcs("cluster"),
            On::OfEcs("container-instance"),
            On::OfEcs("task"),
        ],
        when: When::Always,
        why: "whether ECS has this host, what runs there, and who drains it",
    },
    Grant {
        sid: "MoveTasks",
        roles: &[Ecs],
        actions: &["ecs:PutAttributes", "ecs:UpdateContainerInstancesState"],
        on: &[On::OfEcs("container-instance")],
        when: When::Always,
        why: "a drain; attributes that have changed since the host was registered",
    },
    Grant {
        sid: "LeaveCluster",
        roles: &[Ecs],
        actions: &["ecs:DeregisterContainerInstance"],
        on: &[On::OfEcs("cluster")],
        when: When::Always,
        why: "the end of a drain: ECS forgets a host by itself only while its agent runs",
    },
];
