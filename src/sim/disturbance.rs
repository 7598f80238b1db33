//! What goes wrong with a service on purpose, and for whom.

use std::time::Duration;

use super::call::Caller;
use super::http::{Manner, Reply};
use super::service::Service;
use super::{ebs, random};

/// Something that goes wrong until it is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disturbance {
    /// With which service; all if absent.
    pub service: Option<Service>,
    /// With which of its actions; all if absent.
    pub action: Option<String>,
    /// In which region; in all if absent.
    pub region: Option<String>,
    /// For which instance; for all if absent.
    pub caller: Option<String>,
    /// With which block of a snapshot; with all requests if absent.
    pub block: Option<u32>,
    /// With which of all these requests.
    pub when: When,
    /// How.
    pub kind: Kind,
    /// How many requests it concerned so far.
    pub seen: u64,
}

/// Which of the requests that a disturbance concerns it disturbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// All.
    Always,
    /// So many, from now on.
    Next(u64),
    /// All from the nth on; the first is 1.
    From(u64),
    /// By chance, the same way every time.
    Chance {
        /// How many of a million.
        per_million: u32,
        /// Another seed, other chances.
        seed: u64,
    },
}

impl When {
    /// Whether the nth is one of them; the first is 1.
    fn is(self, nth: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Next(count) => nth <= count,
            Self::From(first) => nth >= first,
            Self::Chance { per_million, seed } => {
                let digits = random::derived(&format!("{seed} {nth}"), 8);
                let drawn = u64::from_str_radix(&digits, 16).expect("it is hexadecimal digits");
                drawn * 1_000_000 < u64::from(per_million) << 32
            }
        }
    }
}

/// How something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Connections are closed without an answer.
    Closed,
    /// Connections are closed after so many bytes of the request's body, or, where it has fewer, of
    /// the answer's. Metadata services and accounts of machines know only the latter.
    ClosedAfter(u64),
    /// No answer comes, and the connection stays.
    Silent,
    /// It happens, and the connection is closed instead of the answer.
    AnswerLost,
    /// 503.
    Unavailable,
    /// 500.
    InternalError,
    /// The caller's role may not do it.
    Denied,
    /// The caller asks too often.
    Throttled,
    /// It happens, and the answer comes late.
    Slow(Duration),
    /// The answer tells how things were this long ago: instances in an earlier state, and none that
    /// was launched since.
    Stale(Duration),
    /// What is made by the request will end in error, or failed.
    Fails,
}

/// What a request is, as far as disturbances go.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The service.
    pub service: Service,
    /// The operation.
    pub action: &'a str,
    /// The region.
    pub region: &'a str,
    /// The instance, or the user.
    pub caller: &'a str,
    /// The block that it is about.
    pub block: Option<u32>,
}

impl Disturbance {
    /// For everybody, always, and with all actions of a service.
    pub const fn of(service: Service, kind: Kind) -> Self {
        Self {
            service: Some(service),
            action: None,
            region: None,
            caller: None,
            block: None,
            when: When::Always,
            kind,
            seen: 0,
        }
    }

    /// Whether it concerns a request.
    pub fn concerns(&self, scene: &Scene<'_>) -> bool {
        let only = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|one| one == is);
        self.service.is_none_or(|one| one == scene.service)
            && only(&self.action, scene.action)
            && only(&self.region, scene.region)
            && only(&self.caller, scene.caller)
            && self.block.is_none_or(|one| scene.block == Some(one))
    }

    /// Whether it disturbs a request, which counts.
    pub fn disturbs(&mut self, scene: &Scene<'_>) -> bool {
        if !self.concerns(scene) {
            return false;
        }
        self.seen += 1;
        self.when.is(self.seen)
    }
}

impl Kind {
    /// What is answered instead, if the service does not get to see the request.
    pub fn instead(self, service: Service, action: &str, caller: &Caller) -> Option<Reply> {
        match self {
            Self::Closed => Some(nothing(Manner::Never)),
            Self::Silent => Some(nothing(Manner::Silent)),
            Self::InternalError => Some(match service {
                Service::Ec2 => {
                    service.error(500, "InternalError", "An internal error has occurred")
                }
                Service::AutoScaling | Service::Elb | Service::Sts => {
                    service.error(500, "InternalFailure", "An internal error has occurred.")
                }
                Service::Ebs => {
                    service.error(500, "InternalServerException", "An internal error has occurred.")
                }
                Service::Ecs => service.error(500, "ServerException", "Service is unavailable."),
                Service::Backup => service.error(
                    500,
                    "ServiceUnavailableException",
                    "The request failed due to a temporary failure of the server.",
                ),
                Service::CloudWatch => {
                    service.error(500, "InternalServiceFault", "An internal error has occurred.")
                }
                Service::Kms => {
                    service.error(500, "KMSInternalException", "An internal error has occurred.")
                }
                Service::ServiceQuotas => {
                    service.error(500, "ServiceException", "Something went wrong.")
                }
                Service::Efs | Service::Ssm => {
                    service.error(500, "InternalServerError", "An internal error has occurred.")
                }
            }),
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
                Service::AutoScaling | Service::Elb | Service::Sts => {
                    service.error(400, "Throttling", "Rate exceeded")
                }
                Service::Ebs => ebs::throttled("ACCOUNT_THROTTLED"),
                Service::ServiceQuotas => {
                    service.error(400, "TooManyRequestsException", "Rate exceeded")
                }
                Service::Efs => service.error(429, "ThrottlingException", "Rate exceeded"),
                Service::Backup
                | Service::CloudWatch
                | Service::Ecs
                | Service::Kms
                | Service::Ssm => service.error(400, "ThrottlingException", "Rate exceeded"),
            }),
            Self::Slow(_)
            | Self::Stale(_)
            | Self::AnswerLost
            | Self::ClosedAfter(_)
            | Self::Fails => None,
        }
    }

    /// What becomes of an answer that is given after all.
    pub fn spoil(self, reply: &mut Reply) {
        match self {
            Self::Slow(time) => reply.manner = Manner::After(time),
            Self::AnswerLost => reply.manner = Manner::Never,
            Self::ClosedAfter(bytes) => reply.manner = Manner::Torn(bytes),
            _ => {}
        }
    }
}

fn nothing(manner: Manner) -> Reply {
    Reply { manner, ..Reply::new(503, "text/plain", "") }
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
        Service::AutoScaling | Service::Elb | Service::Sts => {
            service.error(403, "AccessDenied", &refusal)
        }
        Service::Backup | Service::CloudWatch | Service::Efs | Service::Ebs => {
            service.error(403, "AccessDeniedException", &refusal)
        }
        Service::Ecs | Service::Kms | Service::ServiceQuotas | Service::Ssm => {
            service.error(400, "AccessDeniedException", &refusal)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(action: &'static str, caller: &'static str) -> Scene<'static> {
        Scene { service: Service::Ec2, action, region: "eu-west-1", caller, block: Some(7) }
    }

    #[test]
    fn it_concerns_who_and_what_it_names() {
        let all = Disturbance::of(Service::Ec2, Kind::Closed);
        let other = Scene { service: Service::Ssm, ..scene("GetParameters", "i-1") };
        assert!(all.concerns(&scene("DescribeInstances", "i-1")));
        assert!(!all.concerns(&other));
        let elsewhere = Disturbance { region: Some("us-west-2".into()), ..all.clone() };
        assert!(!elsewhere.concerns(&scene("DescribeInstances", "i-1")));
        let block = |block: u32| Disturbance { block: Some(block), ..all.clone() };
        assert!(block(7).concerns(&scene("DescribeInstances", "i-1")));
        assert!(!block(8).concerns(&scene("DescribeInstances", "i-1")));
        let one = Disturbance {
            action: Some("DescribeInstances".into()),
            caller: Some("i-1".into()),
            ..all
        };
        assert!(one.concerns(&scene("DescribeInstances", "i-1")));
        assert!(!one.concerns(&scene("DescribeInstances", "i-2")));
        assert!(!one.concerns(&scene("TerminateInstances", "i-1")));
    }

    #[test]
    fn it_counts_what_it_concerns() {
        let disturbed = |when: When, requests: usize| {
            let mut one = Disturbance { when, ..Disturbance::of(Service::Ec2, Kind::Closed) };
            (0..requests).map(|_| one.disturbs(&scene("DescribeImages", "i-1"))).collect::<Vec<_>>()
        };
        assert_eq!(disturbed(When::Next(2), 4), [true, true, false, false]);
        assert_eq!(disturbed(When::From(3), 4), [false, false, true, true]);
        let chance = When::Chance { per_million: 250_000, seed: 1 };
        let hit = disturbed(chance, 1000).iter().filter(|hit| **hit).count();
        assert!((200..300).contains(&hit), "{hit}");
        assert_eq!(disturbed(chance, 1000), disturbed(chance, 1000));
        let other = When::Chance { per_million: 250_000, seed: 2 };
        assert_ne!(disturbed(chance, 1000), disturbed(other, 1000));
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
