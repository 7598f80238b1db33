//! What is wrong with a file system: only looked at.

use crate::iam::grant::Role::{Controller, EfsCheck};
use crate::iam::grant::{Grant, On, When};

pub(super) const GRANTS: &[Grant] = &[
    Grant {
        sid: "ExamineFileSystem",
        roles: &[Controller, EfsCheck],
        actions: &[
            "elasticfilesystem:DescribeFileSystemPolicy",
            "elasticfilesystem:DescribeFileSystems",
            "elasticfilesystem:DescribeMountTargetSecurityGroups",
            "elasticfilesystem:DescribeMountTargets",
        ],
        on: &[On::FileSystems],
        when: When::Always,
        why: "what a file system is, where it can be mounted, and whom it lets in",
    },
    Grant {
        sid: "ExamineAccessPoint",
        roles: &[Controller, EfsCheck],
        actions: &["elasticfilesystem:DescribeAccessPoints"],
        on: &[On::FileSystems, On::AccessPoints],
        when: When::Always,
        why: "whose files are made by way of an access point, and below which folder",
    },
    Grant {
        sid: "ExamineRules",
        roles: &[Controller, EfsCheck],
        actions: &[
            "ec2:DescribeInstances",
            "ec2:DescribeSecurityGroups",
            "ec2:GetManagedPrefixListEntries",
        ],
        on: &[On::Everything],
        when: When::Region,
        why: "whether the security groups let a host reach a mount target",
    },
];
