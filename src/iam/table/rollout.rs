//! A new image in service, or the old one back.

use crate::iam::grant::Role::Upgrade;
use crate::iam::grant::{Grant, On, When};

pub(super) const GRANTS: &[Grant] = &[
    Grant {
        sid: "LookBeforeUpgrade",
        roles: &[Upgrade],
        actions: &[
            "autoscaling:DescribeAutoScalingGroups",
            "autoscaling:DescribeInstanceRefreshes",
            "autoscaling:DescribeLifecycleHooks",
            "autoscaling:DescribeScalingActivities",
            "ec2:DescribeImages",
            "ec2:DescribeInstanceTypes",
            "ec2:DescribeInstances",
            "ec2:DescribeLaunchTemplateVersions",
            "ec2:DescribeSubnets",
            "elasticloadbalancing:DescribeTargetGroups",
            "elasticloadbalancing:DescribeTargetHealth",
        ],
        on: &[On::Everything],
        when: When::Region,
        why: "the group, what it launches and what becomes of it; everything that speaks against a \
              replacement",
    },
    Grant {
        sid: "LookAtHome",
        roles: &[Upgrade],
        actions: &[
            "elasticfilesystem:DescribeBackupPolicy",
            "elasticfilesystem:DescribeFileSystems",
            "elasticfilesystem:DescribeMountTargets",
        ],
        on: &[On::FileSystems],
        when: When::Always,
        why: "whether the home can be mounted wherever the group launches, and is backed up",
    },
    Grant {
        sid: "ReadRecords",
        roles: &[Upgrade],
        actions: &["ssm:GetParameterHistory", "ssm:GetParameters"],
        on: &[On::Parameters("/hostkit/*")],
        when: When::Always,
        why: "the newest image, what serves and what served before, how the controller stands, the \
              lock and the journal",
    },
    Grant {
        sid: "WriteRecords",
        roles: &[Upgrade],
        actions: &["ssm:PutParameter"],
        on: &[On::Parameters("/hostkit/asg/*")],
        when: When::Always,
        why: "the lock, the journal, what serves and what served before",
    },
    Grant {
        sid: "GiveBackLock",
        roles: &[Upgrade],
        actions: &["ssm:DeleteParameter"],
        on: &[On::Parameters("/hostkit/asg/*/lock")],
        when: When::Always,
        why: "the lock, at the end",
    },
    Grant {
        sid: "NewVersion",
        roles: &[Upgrade],
        actions: &["ec2:CreateLaunchTemplateVersion", "ec2:ModifyLaunchTemplate"],
        on: &[On::Ec2("launch-template")],
        when: When::Always,
        why: "a version with the new image, which becomes the default once it has proven itself",
    },
    Grant {
        sid: "LaunchAsGroup",
        roles: &[Upgrade],
        actions: &["ec2:RunInstances"],
        on: &[
            On::Images,
            On::Snapshots,
            On::Ec2("instance"),
            On::Ec2("key-pair"),
            On::Ec2("launch-template"),
            On::Ec2("network-interface"),
            On::Ec2("security-group"),
            On::Ec2("subnet"),
            On::Ec2("volume"),
        ],
        when: When::Always,
        why: "hostkit only asks whether it may; AWS gives a group no version that whoever gives it \
              could not launch. It needs iam:PassRole for the instance profile, too",
    },
    Grant {
        sid: "Replace",
        roles: &[Upgrade],
        actions: &[
            "autoscaling:CancelInstanceRefresh",
            "autoscaling:ResumeProcesses",
            "autoscaling:RollbackInstanceRefresh",
            "autoscaling:StartInstanceRefresh",
            "autoscaling:SuspendProcesses",
        ],
        on: &[On::Groups],
        when: When::Always,
        why: "hosts are replaced, and put back",
    },
    Grant {
        sid: "QuietHost",
        roles: &[Upgrade],
        actions: &["ec2:CreateTags"],
        on: &[On::Ec2("instance")],
        when: When::Tagging("hostkit:drain"),
        why: "the controller begins no builds, or begins them again: this tag and no other",
    },
];
