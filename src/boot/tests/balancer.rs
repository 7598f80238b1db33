//! What Auto Scaling and Elastic Load Balancing say beyond the launch hook.

use std::collections::BTreeMap;

use super::cloud::INSTANCE;

/// The target group of the tests.
pub(super) const ARN: &str =
    "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/ci/0123456789abcdef";

/// The group beyond its hook, and its load balancer; a test changes it before a boot.
#[derive(Debug, Default)]
pub(super) struct Balancer {
    /// The target groups of the group.
    pub(super) attached: bool,
    /// What `DescribeTargetHealth` says: state, reason, description. The last one stays.
    pub(super) health: Vec<[&'static str; 3]>,
    /// `instance` if empty.
    pub(super) target_type: &'static str,
    /// What was registered.
    pub(super) registered: Vec<String>,
    /// How often the group was told that this host is unhealthy.
    pub(super) reported: u32,
    /// How many heartbeats came.
    pub(super) beats: u32,
    /// Operations that are refused, with code and message.
    pub(super) refusals: BTreeMap<&'static str, (&'static str, &'static str)>,
    /// The state of the host once something was refused.
    pub(super) then: Option<&'static str>,
    /// How often an operation is throttled.
    pub(super) throttled: BTreeMap<&'static str, u32>,
}

impl Balancer {
    /// The answer to an operation that is of this, or to one that is to go wrong.
    pub(super) fn answer(
        &mut self,
        form: &BTreeMap<String, String>,
        state: &mut Option<String>,
    ) -> Option<(u16, String)> {
        let action = form["Action"].as_str();
        let error = |code: &str, message: &str| {
            let error = format!("<Code>{code}</Code><Message>{message}</Message>");
            Some((400, format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>")))
        };
        if let Some(left) = self.throttled.get_mut(action).filter(|left| **left > 0) {
            *left -= 1;
            return error("Throttling", "Rate exceeded");
        }
        if let Some((code, message)) = self.refusals.get(action) {
            if let Some(then) = self.then {
                *state = Some(then.to_owned());
            }
            return error(code, message);
        }
        let result = match action {
            "RecordLifecycleActionHeartbeat" => {
                self.beats += 1;
                String::new()
            }
            "SetInstanceHealth" => {
                assert_eq!(form["InstanceId"], INSTANCE);
                assert_eq!(form["HealthStatus"], "Unhealthy");
                assert_eq!(form["ShouldRespectGracePeriod"], "false");
                self.reported += 1;
                String::new()
            }
            // Other groups are those of build agents.
            "DescribeAutoScalingGroups" if form.values().any(|name| name == "ci") => {
                let arns = format!("<TargetGroupARNs><member>{ARN}</member></TargetGroupARNs>");
                let arns = if self.attached { arns } else { String::new() };
                format!(
                    "<AutoScalingGroups><member><AutoScalingGroupName>ci</AutoScalingGroupName>\
                     <HealthCheckType>EC2</HealthCheckType><MinSize>1</MinSize>\
                     <MaxSize>1</MaxSize><DesiredCapacity>1</DesiredCapacity>{arns}</member>\
                     </AutoScalingGroups>"
                )
            }
            "DescribeTargetGroups" => {
                assert_eq!(form["TargetGroupArns.member.1"], ARN);
                let kind = if self.target_type.is_empty() { "instance" } else { self.target_type };
                format!(
                    "<TargetGroups><member><TargetGroupArn>{ARN}</TargetGroupArn>\
                     <TargetGroupName>ci</TargetGroupName><Port>8080</Port>\
                     <HealthCheckProtocol>HTTP</HealthCheckProtocol>\
                     <HealthCheckPort>traffic-port</HealthCheckPort>\
                     <HealthCheckPath>/login</HealthCheckPath>\
                     <TargetType>{kind}</TargetType></member></TargetGroups>"
                )
            }
            "RegisterTargets" => {
                self.registered.push(form["Targets.member.1.Id"].clone());
                String::new()
            }
            "DescribeTargetHealth" => {
                let id = &form["Targets.member.1.Id"];
                let last = self.health.len() <= 1;
                let now =
                    if last { self.health.first().copied() } else { Some(self.health.remove(0)) };
                let [health, reason, description] = now.unwrap_or(["healthy", "", ""]);
                format!(
                    "<TargetHealthDescriptions><member><Target><Id>{id}</Id><Port>8080</Port>\
                     </Target><TargetHealth><State>{health}</State><Reason>{reason}</Reason>\
                     <Description>{description}</Description></TargetHealth></member>\
                     </TargetHealthDescriptions>"
                )
            }
            _ => return None,
        };
        Some((
            200,
            format!(
                "<{action}Response><{action}Result>{result}</{action}Result></{action}Response>"
            ),
        ))
    }
}
