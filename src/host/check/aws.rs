//! `[aws]`, `[asg]` and `[alb]`.

use super::words::{is_arn, is_region, made_of};
use super::{Look, key};
use crate::host::HostConfig;

impl Look {
    pub(super) fn aws(&mut self, config: &HostConfig) {
        if let Some(region) = &config.aws.region {
            let hint = "wanted is the name of a region, as \"eu-west-1\"";
            self.require(is_region(region), key("aws.region"), region, hint);
        }
        if let Some(url) = &config.aws.endpoint_url {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:/[]".contains(c);
            let good = rest.is_some_and(|rest| made_of(rest, 255, plain));
            let hint = "wanted is http:// or https://, a host and a port, without a user, as \
                        \"http://127.0.0.1:5000\"";
            // It may hold a password.
            let shown = if url.contains('@') { "…@…" } else { url };
            self.require(good, key("aws.endpoint_url"), shown, hint);
        }
        if let Some(hook) = &config.asg.hook {
            let good = made_of(hook, 255, |c| c.is_ascii_alphanumeric() || "-_/".contains(c));
            let hint = "wanted is the name of a launch hook: `aws autoscaling \
                        describe-lifecycle-hooks` lists those of a group";
            self.require(good, key("asg.hook"), hook, hint);
        }
        if let Some(arn) = &config.alb.target_group {
            let good = is_arn(arn, "elasticloadbalancing", "targetgroup/");
            let hint = "wanted is the ARN of a target group: `aws elbv2 describe-target-groups` has \
                        it as TargetGroupArn";
            self.require(good, key("alb.target_group"), arn, hint);
        }
        let patience = config.alb.patience;
        let hint = "wanted are 10 to 840 seconds";
        self.require((10..=840).contains(&patience), key("alb.patience"), patience, hint);
    }
}
