//! The one address of all simulated services: finds out which service a request is for, checks
//! who signed it, and hands it on.

use std::sync::{Arc, Mutex, PoisonError};

use super::account::Account;
use super::http::{Handler, Reply, Request};
use super::signature::{self, Refusal};
use super::{autoscaling, ec2, efs, imds, ssm};

/// The account as its servers share it.
pub type Shared = Arc<Mutex<Account>>;

/// Runs `work` with the account.
pub fn with<T>(account: &Shared, work: impl FnOnce(&mut Account) -> T) -> T {
    work(&mut account.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Answers for all services.
pub fn services(account: &Shared) -> Handler {
    let account = Arc::clone(account);
    Arc::new(move |request| with(&account, |account| answer(account, request)))
}

/// Answers for the metadata service.
pub fn metadata(account: &Shared) -> Handler {
    let account = Arc::clone(account);
    Arc::new(move |request| with(&account, |account| imds::answer(account, request)))
}

/// The services that hostkit uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    AutoScaling,
    Ec2,
    Efs,
    Ssm,
}

const SSM_TARGET: &str = "AmazonSSM.";

fn answer(account: &mut Account, request: &Request) -> Reply {
    let Some(service) = find(request) else {
        return ssm::error("UnknownOperationException", "no service here has that operation");
    };
    if let Err(refusal) = signature::check(request, &account.credentials) {
        tracing::debug!(?service, ?refusal, "a request is refused");
        return refuse(service, refusal);
    }
    match service {
        Service::AutoScaling => autoscaling::answer(account, request),
        Service::Ec2 => ec2::answer(account, request),
        Service::Efs => efs::answer(account, request),
        Service::Ssm => {
            let target = request.header("x-amz-target").unwrap_or_default();
            let operation = target.strip_prefix(SSM_TARGET).unwrap_or_default();
            ssm::answer(account, request, operation)
        }
    }
}

/// By the shape of the request, as it must be told where it is not signed; the name that it is
/// signed for decides only where the shape leaves it open.
fn find(request: &Request) -> Option<Service> {
    if request.path.starts_with(efs::PREFIX) {
        return Some(Service::Efs);
    }
    if let Some(target) = request.header("x-amz-target") {
        return target.starts_with(SSM_TARGET).then_some(Service::Ssm);
    }
    let asked = request.parameters();
    match asked.get("Version").map(String::as_str) {
        Some(autoscaling::VERSION) => Some(Service::AutoScaling),
        Some(ec2::VERSION) => Some(Service::Ec2),
        _ => match signature::service(request)? {
            "autoscaling" => Some(Service::AutoScaling),
            "ec2" => Some(Service::Ec2),
            "elasticfilesystem" => Some(Service::Efs),
            "ssm" => Some(Service::Ssm),
            _ => None,
        },
    }
}

/// Every protocol has its own words for the same refusal.
fn refuse(service: Service, refusal: Refusal) -> Reply {
    let message = match refusal {
        Refusal::Unsigned => "Request is missing Authentication Token",
        Refusal::UnknownKey => "The security token included in the request is invalid.",
        Refusal::WrongSignature => {
            "The request signature we calculated does not match the signature you provided. Check \
             your AWS Secret Access Key and signing method. Consult the service documentation for \
             details."
        }
    };
    let json_code = match refusal {
        Refusal::Unsigned => "MissingAuthenticationTokenException",
        Refusal::UnknownKey => "UnrecognizedClientException",
        Refusal::WrongSignature => "InvalidSignatureException",
    };
    match service {
        Service::Ssm => ssm::error(json_code, message),
        Service::Efs => efs::error(403, json_code, message),
        Service::AutoScaling => {
            let code = match refusal {
                Refusal::Unsigned => "MissingAuthenticationToken",
                Refusal::UnknownKey => "InvalidClientTokenId",
                Refusal::WrongSignature => "SignatureDoesNotMatch",
            };
            autoscaling::error(403, code, message)
        }
        Service::Ec2 => match refusal {
            Refusal::Unsigned => {
                let message = "The request must contain the parameter AWSAccessKeyId";
                ec2::error(400, "MissingParameter", message)
            }
            Refusal::UnknownKey | Refusal::WrongSignature => {
                let message =
                    "AWS was not able to validate the provided access credentials".to_owned();
                ec2::error(401, "AuthFailure", &message)
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::signature::tests::signed;

    fn form(body: &str) -> Request {
        let kind = ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
        let body = body.to_owned().into();
        Request {
            method: "POST".into(),
            path: "/".into(),
            headers: [kind].into(),
            body,
            ..Request::default()
        }
    }

    fn json(target: &str) -> Request {
        let target = ("x-amz-target".to_owned(), target.to_owned());
        let body = "{\"Name\":\"/x\"}".into();
        Request {
            method: "POST".into(),
            path: "/".into(),
            headers: [target].into(),
            body,
            ..Request::default()
        }
    }

    fn efs() -> Request {
        let path = "/2015-02-01/file-systems".into();
        Request { method: "GET".into(), path, ..Request::default() }
    }

    #[test]
    fn an_unsigned_request_is_refused_in_the_services_own_words() {
        let mut account = Account::for_tests();
        let mut refused = |request: &Request, status: u16, code: &str| {
            let reply = answer(&mut account, request);
            assert_eq!(reply.status, status, "{reply:?}");
            assert!(reply.body.contains(code), "{reply:?}");
        };
        refused(&json("AmazonSSM.GetParameter"), 400, "MissingAuthenticationTokenException");
        refused(&efs(), 403, "MissingAuthenticationTokenException");
        let asg = "Action=DescribeAutoScalingInstances&Version=2011-01-01";
        refused(&form(asg), 403, "<Code>MissingAuthenticationToken</Code>");
        let ec2 = "Action=DescribeInstances&Version=2016-11-15";
        refused(&form(ec2), 400, "<Code>MissingParameter</Code>");
    }

    #[test]
    fn another_accounts_keys_are_refused() {
        let mut account = Account::for_tests();
        let stranger = Account::for_tests().credentials;
        let mut refused = |request: Request, service: &str, code: &str| {
            let reply = answer(&mut account, &signed(request, service, &stranger));
            assert!(reply.body.contains(code), "{reply:?}");
        };
        refused(json("AmazonSSM.GetParameter"), "ssm", "UnrecognizedClientException");
        refused(efs(), "elasticfilesystem", "UnrecognizedClientException");
        let asg = "Action=DescribeAutoScalingInstances&Version=2011-01-01";
        refused(form(asg), "autoscaling", "<Code>InvalidClientTokenId</Code>");
        let ec2 = "Action=DescribeInstances&Version=2016-11-15";
        refused(form(ec2), "ec2", "<Code>AuthFailure</Code>");
    }

    #[test]
    fn a_signed_request_reaches_its_service() {
        let mut account = Account::for_tests();
        let keys = account.credentials.clone();
        let mut reached = |request: Request, service: &str, sign: &str| {
            let reply = answer(&mut account, &signed(request, service, &keys));
            assert!(reply.body.contains(sign), "{reply:?}");
        };
        reached(json("AmazonSSM.GetParameter"), "ssm", "ParameterNotFound");
        reached(efs(), "elasticfilesystem", "generalPurpose");
        let asg = "Action=DescribeAutoScalingInstances&Version=2011-01-01";
        reached(form(asg), "autoscaling", "Pending:Wait");
        let ec2 = "Action=DescribeInstances&Version=2016-11-15";
        reached(form(ec2), "ec2", "<reservationSet>");
    }
}
