//! The services that hostkit uses: which one a request is for, what it asks, and how each says no.

use serde::Deserialize;

use super::http::{Reply, Request};
use super::{
    autoscaling, aws_json, backup, cloudwatch, ebs, ec2, ecs, efs, elb, kms, quota, signature, ssm,
    sts,
};

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// EC2 Auto Scaling.
    AutoScaling,
    /// AWS Backup.
    Backup,
    /// CloudWatch's metrics.
    CloudWatch,
    /// EBS, read and written block by block.
    Ebs,
    /// EC2.
    Ec2,
    /// Elastic Container Service.
    Ecs,
    /// Elastic File System.
    Efs,
    /// Elastic Load Balancing, version 2.
    Elb,
    /// Key Management Service.
    Kms,
    /// Service Quotas.
    ServiceQuotas,
    /// Systems Manager.
    Ssm,
    /// Security Token Service.
    Sts,
}

impl Service {
    /// By the shape of the request, as it must be told where it is not signed; the name that it is
    /// signed for decides only where the shape leaves it open.
    pub fn of(request: &Request) -> Option<Self> {
        if request.path.starts_with(efs::PREFIX) {
            return Some(Self::Efs);
        }
        if request.path.starts_with(cloudwatch::PREFIX) {
            return Some(Self::CloudWatch);
        }
        if backup::is_path(&request.path) {
            return Some(Self::Backup);
        }
        if ebs::is_path(&request.path) {
            return Some(Self::Ebs);
        }
        if let Some(target) = request.header(aws_json::TARGET) {
            if target.starts_with(ecs::TARGET) {
                return Some(Self::Ecs);
            }
            if target.starts_with(cloudwatch::TARGET) {
                return Some(Self::CloudWatch);
            }
            if target.starts_with(kms::TARGET) {
                return Some(Self::Kms);
            }
            if target.starts_with(quota::TARGET) {
                return Some(Self::ServiceQuotas);
            }
            return target.starts_with(ssm::TARGET).then_some(Self::Ssm);
        }
        let asked = request.parameters();
        match asked.get("Version").map(String::as_str) {
            Some(autoscaling::VERSION) => Some(Self::AutoScaling),
            Some(ec2::VERSION) => Some(Self::Ec2),
            Some(elb::VERSION) => Some(Self::Elb),
            Some(sts::VERSION) => Some(Self::Sts),
            _ => match signature::service(request)? {
                "autoscaling" => Some(Self::AutoScaling),
                "backup" => Some(Self::Backup),
                "ebs" => Some(Self::Ebs),
                "ec2" => Some(Self::Ec2),
                "ecs" => Some(Self::Ecs),
                "elasticfilesystem" => Some(Self::Efs),
                "elasticloadbalancing" => Some(Self::Elb),
                "kms" => Some(Self::Kms),
                "monitoring" => Some(Self::CloudWatch),
                "servicequotas" => Some(Self::ServiceQuotas),
                "ssm" => Some(Self::Ssm),
                "sts" => Some(Self::Sts),
                _ => None,
            },
        }
    }

    /// What it asks this service to do, by the name that a policy gives it.
    pub fn action(self, request: &Request) -> String {
        match self {
            Self::AutoScaling | Self::Ec2 | Self::Elb | Self::Sts => {
                request.parameters().remove("Action").unwrap_or_default()
            }
            Self::Ecs => aws_json::action(request, ecs::TARGET),
            Self::Kms => aws_json::action(request, kms::TARGET),
            Self::ServiceQuotas => aws_json::action(request, quota::TARGET),
            Self::Ssm => aws_json::action(request, ssm::TARGET),
            Self::Backup => backup::action(request).to_owned(),
            Self::CloudWatch => cloudwatch::action(request),
            Self::Ebs => ebs::action(request).to_owned(),
            Self::Efs => efs::action(request).to_owned(),
        }
    }

    /// Its name in policies.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::AutoScaling => "autoscaling",
            Self::Backup => "backup",
            Self::CloudWatch => "cloudwatch",
            Self::Ebs => "ebs",
            Self::Ec2 => "ec2",
            Self::Ecs => "ecs",
            Self::Efs => "elasticfilesystem",
            Self::Elb => "elasticloadbalancing",
            Self::Kms => "kms",
            Self::ServiceQuotas => "servicequotas",
            Self::Ssm => "ssm",
            Self::Sts => "sts",
        }
    }

    /// An error in the shape of its protocol. That of ECS, KMS and SSM has no status of its own.
    pub fn error(self, status: u16, code: &str, message: &str) -> Reply {
        match self {
            Self::AutoScaling => autoscaling::error(status, code, message),
            Self::Backup => backup::error(status, code, message),
            Self::CloudWatch => cloudwatch::error(status, code, message),
            Self::Ebs => ebs::error(status, code, message, None),
            Self::Ec2 => ec2::error(status, code, message),
            Self::Ecs | Self::Kms | Self::Ssm => Reply { status, ..aws_json::error(code, message) },
            Self::Efs => efs::error(status, code, message),
            Self::Elb => elb::error(status, code, message),
            Self::ServiceQuotas => Reply { status, ..quota::error(code, message) },
            Self::Sts => sts::error(status, code, message),
        }
    }
}
