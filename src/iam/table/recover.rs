//! A home brought back from outside: backups, throughput, and the copy in another region; and what of
//! that a check looks at.

use crate::iam::grant::Role::{Controller, EfsCheck, EfsRecover};
use crate::iam::grant::{Grant, On, When};

pub(super) const GRANTS: &[Grant] = &[
    Grant {
        sid: "ExamineCare",
        roles: &[Controller, EfsCheck, EfsRecover],
        actions: &[
            "elasticfilesystem:DescribeBackupPolicy",
            "elasticfilesystem:DescribeReplicationConfigurations",
        ],
        on: &[On::FileSystems],
        when: When::Always,
        why: "whether a file system is backed up each day, and copied elsewhere, or is itself the \
              read-only copy",
    },
    Grant {
        sid: "ExamineKey",
        roles: &[Controller, EfsCheck],
        actions: &["kms:DescribeKey"],
        on: &[On::Keys],
        when: When::Always,
        why: "whether the key that encrypts a file system can be used",
    },
    Grant {
        sid: "ExamineUse",
        roles: &[Controller, EfsCheck, EfsRecover],
        actions: &["backup:ListRecoveryPointsByResource", "cloudwatch:GetMetricData"],
        on: &[On::Everything],
        when: When::Region,
        why: "credits, limits and clients of the last hour; how old the newest backup is",
    },
    Grant {
        sid: "FindHome",
        roles: &[EfsRecover],
        actions: &[
            "elasticfilesystem:DescribeFileSystems",
            "elasticfilesystem:DescribeMountTargets",
        ],
        on: &[On::FileSystems],
        when: When::Always,
        why: "the file system that is backed up, or becomes the home",
    },
    Grant {
        sid: "WatchBackups",
        roles: &[EfsRecover],
        actions: &[
            "backup:DescribeBackupJob",
            "backup:DescribeRestoreJob",
            "backup:ListBackupJobs",
            "backup:ListBackupVaults",
            "backup:ListRestoreJobs",
        ],
        on: &[On::Everything],
        when: When::Region,
        why: "how backups and restores stand",
    },
    Grant {
        sid: "MakeBackups",
        roles: &[EfsRecover],
        actions: &["backup:StartBackupJob"],
        on: &[On::Vaults],
        when: When::Always,
        why: "one more backup. It needs iam:PassRole for the role that AWS Backup takes, too",
    },
    Grant {
        sid: "RestoreBackups",
        roles: &[EfsRecover],
        actions: &["backup:GetRecoveryPointRestoreMetadata", "backup:StartRestoreJob"],
        on: &[On::RecoveryPoints],
        when: When::Always,
        why: "a backup put back beside what is there, with iam:PassRole for the same role",
    },
    Grant {
        sid: "ChangeHome",
        roles: &[EfsRecover],
        actions: &[
            "elasticfilesystem:CreateMountTarget",
            "elasticfilesystem:DeleteReplicationConfiguration",
            "elasticfilesystem:UpdateFileSystem",
        ],
        on: &[On::FileSystems],
        when: When::Always,
        why: "`recover throughput` and `recover failover` with --apply. A mount target needs \
              ec2:CreateNetworkInterface, ec2:DescribeNetworkInterfaces and ec2:DescribeSubnets, too",
    },
];
