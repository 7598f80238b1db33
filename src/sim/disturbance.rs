//! What goes wrong with a service on purpose, and for whom.

use std::time::Duration;

use super::call::Caller;
use super::ebs;
use super::http::{Manner, Reply};
use super::service::Service;

/// Something that goes wrong until it is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disturbance {
    /// With which service; all if absent.
    pub service: Option<Service>,
    /// With which of its actions; all if absent.
    pub action: Option<String>,
    /// For which instance; for all if absent.
    pub caller: Option<String>,
    /// How.
    pub kind: Kind,
}

/// How something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Connections are closed without an answer.
    Closed,
    /// 503.
    Unavailable,
    /// The caller's role may not do it.
    Denied,
    /// The caller asks too often.
    Throttled,
    /// It happens, and the answer comes late.
    Slow(Duration),
    /// The answer tells how things were this long ago: instances in an earlier state, and none that
    /// was launched since.
    Stale(Duration),
}

impl Disturbance {
    /// For everybody and with all actions of a service.
    pub const fn of(service: Service, kind: Kind) -> Self {
        Self { service: Some(service), action: None, caller: None, kind }
    }

    /// Whether it concerns a request.
    pub fn concerns(&self, service: Service, action: &str, caller: &str) -> bool {
        let only = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|one| one == is);
        self.service.is_none_or(|one| one == service)
            && only(&self.action, action)
            && only(&self.caller, caller)
    }
}

impl Kind {
    /// What is answered instead, if the service does not get to see the request.
    pub fn instead(self, service: Service, action: &str, caller: &Caller) -> Option<Reply> {
        match self {
            Self::Closed => {
                Some(Reply { manner: Manner::Never, ..Reply::new(503, "text/plain", "") })
            }
            Self::Unavailable => Some(match service {
                Service::Ec2 => service.error(
                    503,
                    "Unavailable",
                    "The service is unavailable. Please try again shortly.",
                ),
                _ => service.error(503, "ServiceUnavailable", "Service is unavailable"),
            }),
            Self::Denied => Some(denied(service, action, caller)),
            Self::Throttled => Some(match service {
                Service::Ec2 => {
                    service.error(503, "RequestLimitExceeded", "Request limit exceeded.")
                }
                Service::AutoScaling | Service::Sts => {
                    service.error(400, "Throttling", "Rate exceeded")
                }
                Service::Ebs => ebs::throttled("ACCOUNT_THROTTLED"),
                Service::Efs => service.error(429, "ThrottlingException", "Rate exceeded"),
                Service::Ssm => service.error(400, "ThrottlingException", "Rate exceeded"),
            }),
            Self::Slow(_) | Self::Stale(_) => None,
        }
    }
}

fn denied(service: Service, action: &str, caller: &Caller) -> Reply {
    let what = format!("{}:{action}", service.prefix());
    let user = caller.arn();
    let refusal = format!(
        "User: {user} is not authorized to perform: {what} because no identity-based policy allows \
         the {what} action"
    );
    match service {
        Service::Ec2 => {
            let message = format!("You are not authorized to perform this operation. {refusal}");
            service.error(403, "UnauthorizedOperation", &message)
        }
        Service::AutoScaling | Service::Sts => service.error(403, "AccessDenied", &refusal),
        Service::Efs | Service::Ebs => service.error(403, "AccessDeniedException", &refusal),
        Service::Ssm => service.error(400, "AccessDeniedException", &refusal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_concerns_who_and_what_it_names() {
        let all = Disturbance::of(Service::Ec2, Kind::Closed);
        assert!(all.concerns(Service::Ec2, "DescribeInstances", "i-1"));
        assert!(!all.concerns(Service::Ssm, "GetParameters", "i-1"));
        let one = Disturbance {
            action: Some("DescribeInstances".into()),
            caller: Some("i-1".into()),
            ..all
        };
        assert!(one.concerns(Service::Ec2, "DescribeInstances", "i-1"));
        assert!(!one.concerns(Service::Ec2, "DescribeInstances", "i-2"));
        assert!(!one.concerns(Service::Ec2, "TerminateInstances", "i-1"));
    }

    #[test]
    fn ec2_refuses_in_its_own_words() {
        let caller = Caller::Instance("i-1".into());
        let body = |kind: Kind| {
            kind.instead(Service::Ec2, "DescribeInstances", &caller).expect("an answer").body
        };
        let denied = body(Kind::Denied);
        assert!(denied.contains("<Code>UnauthorizedOperation</Code>"), "{denied}");
        assert!(
            denied.contains("assumed-role/hostkit-vm/i-1 is not authorized to perform: ec2:Des")
        );
        assert!(body(Kind::Throttled).contains("<Code>RequestLimitExceeded</Code>"));
        assert!(body(Kind::Unavailable).contains("<Code>Unavailable</Code>"));
        let slow = Kind::Slow(Duration::from_secs(1));
        assert_eq!(slow.instead(Service::Ec2, "DescribeInstances", &caller), None);
    }
}
