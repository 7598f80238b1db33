//! The one address of all simulated services: finds out which service a request is for, checks
//! who signed it, and hands it on; unless something goes wrong on purpose.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::account::{Account, REGION};
use super::call::{Call, Caller};
use super::disturbance::{Kind, Scene};
use super::ebs::Turn;
use super::http::{Gate, Handler, Reply, Request};
use super::record::{Record, Subject};
use super::service::Service;
use super::signature::{self, Refusal};
use super::{
    autoscaling, aws_json, backup, cloudwatch, ebs, ec2, ecs, efs, elb, imds, kms, quota, random,
    ssm, sts,
};

/// The account as its servers share it.
pub type Shared = Arc<Mutex<Account>>;

/// Runs `work` with the account.
pub fn with<T>(account: &Shared, work: impl FnOnce(&mut Account) -> T) -> T {
    work(&mut account.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Answers for all services.
pub fn services(account: &Shared) -> Handler {
    let account = Arc::clone(account);
    Arc::new(move |request| {
        let begun = with(&account, |account| begin(account, request));
        let mut reply = match begun.turn {
            Turn::Done(reply) => reply,
            Turn::Work(work) => work.run(&account, request),
        };
        if let Some(kind) = begun.disturbance {
            kind.spoil(&mut reply);
        }
        if let Some(date) = begun.date {
            reply = reply.header("date", date);
        }
        reply = reply.header("x-amzn-requestid", random::hex(32));
        if let Some(record) = begun.record {
            record.write(&begun.subject, request, &reply);
        }
        reply
    })
}

/// Has the account do something, as its operator would by a signed request with this form: for who
/// sets a stage in it. The answer is read as text.
///
/// # Errors
/// The account refuses it: what it says.
pub fn act(account: &Shared, service: Service, form: &[(&str, &str)]) -> anyhow::Result<String> {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(form);
    let kind = ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
    let request = Request {
        method: "POST".to_owned(),
        path: "/".to_owned(),
        headers: [kind].into(),
        body: body.finish().into(),
        ..Request::default()
    };
    let reply = with(account, |account| {
        let (action, region) = (service.action(&request), REGION.to_owned());
        let caller = Caller::Operator;
        let call = Call { service, action, region, caller, disturbance: None, request: &request };
        let as_of = account.now();
        account.changes += 1;
        match dispatch(account, &call, as_of) {
            Turn::Done(reply) => reply,
            Turn::Work(_) => unknown(),
        }
    });
    let said = String::from_utf8_lossy(&reply.body.0).into_owned();
    let what = form.iter().find(|(key, _)| *key == "Action").map_or("", |(_, value)| value);
    anyhow::ensure!(reply.status == 200, "the account refuses {what}: {said}");
    Ok(said)
}

/// Where requests are cut that are to be.
pub fn gate(account: &Shared) -> Gate {
    let account = Arc::clone(account);
    Arc::new(move |request| {
        with(&account, |account| {
            let service = Service::of(request)?;
            let length = request.header("content-length")?.parse().ok()?;
            let action = service.action(request);
            let region = signature::region(request).unwrap_or(REGION);
            let key = signature::access_key(request).ok()?;
            let caller = account.whose(key)?.0;
            let scene = Scene {
                service,
                action: &action,
                region,
                caller: caller.name(),
                block: ebs::block(request),
            };
            account.cut(&scene, length)
        })
    })
}

/// Answers for the metadata service of one instance.
pub fn metadata(account: &Shared, id: &str) -> Handler {
    let (account, id) = (Arc::clone(account), id.to_owned());
    Arc::new(move |request| {
        with(&account, |account| match account.instance_mut(&id) {
            Some((instance, now)) => imds::answer(instance, now, request),
            None => Reply::new(404, "text/plain", "there is no such instance"),
        })
    })
}

/// What is done with the account held.
struct Begun {
    turn: Turn,
    disturbance: Option<Kind>,
    subject: Subject,
    record: Option<Arc<Record>>,
    /// The time of AWS, where it is not this machine's.
    date: Option<String>,
}

fn begin(account: &mut Account, request: &Request) -> Begun {
    let mut begun = Begun {
        turn: Turn::Done(unknown()),
        disturbance: None,
        subject: Subject::default(),
        record: account.record.clone(),
        date: (!account.conditions.clock_ahead.is_zero())
            .then(|| account.world().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
    };
    let Some(service) = Service::of(request) else { return begun };
    let action = service.action(request);
    let region = signature::region(request).unwrap_or(REGION).to_owned();
    let subject = Subject { service: Some(service), action, region };
    begun.turn = match caller(account, request) {
        Ok(caller) => {
            let (action, region) = (subject.action.clone(), subject.region.clone());
            let mut call = Call { service, action, region, caller, disturbance: None, request };
            begun.disturbance = account.disturbance(&call.scene(), request.body.len());
            call.disturbance = begun.disturbance;
            answer(account, &call)
        }
        Err(refusal) => {
            tracing::debug!(?service, ?refusal, "a request is refused");
            Turn::Done(refuse(service, &refusal))
        }
    };
    begun.subject = subject;
    begun
}

/// What AWS's front door says to what no service understands.
fn unknown() -> Reply {
    aws_json::error("UnknownOperationException", "no service here has that operation")
}

fn answer(account: &mut Account, call: &Call<'_>) -> Turn {
    let disturbance = call.disturbance;
    let instead =
        disturbance.and_then(|kind| kind.instead(call.service, &call.action, &call.caller));
    if let Some(instead) = instead {
        tracing::debug!(?call.service, call.action, ?disturbance, "a request is disturbed");
        return Turn::Done(instead);
    }
    let mut as_of = account.now();
    if let Some(Kind::Stale(age)) = disturbance {
        as_of = as_of.checked_sub(age).unwrap_or(as_of);
    }
    account.changes += u64::from(!call.only_looks());
    dispatch(account, call, as_of)
}

fn dispatch(account: &mut Account, call: &Call<'_>, as_of: Instant) -> Turn {
    Turn::Done(match call.service {
        Service::AutoScaling => autoscaling::answer(account, call.request, &call.region),
        Service::Backup => backup::answer(account, call),
        Service::CloudWatch => cloudwatch::answer(account, call),
        Service::Ebs => return ebs::answer(account, call),
        Service::Ec2 => ec2::answer(account, call, as_of),
        Service::Ecs => ecs::answer(account, call),
        Service::Efs => efs::answer(account, call.caller.name(), &call.region, call.request),
        Service::Elb => elb::answer(account, call.request, &call.region),
        Service::Kms => kms::answer(account, call),
        Service::ServiceQuotas => quota::answer(account, call),
        Service::Ssm => ssm::answer(account, call),
        Service::Sts => sts::answer(call),
    })
}

/// Whose keys a request is signed with.
fn caller(account: &Account, request: &Request) -> Result<Caller, Refusal> {
    let key = signature::access_key(request)?;
    let (caller, credentials) = account.whose(key).ok_or(Refusal::UnknownKey)?;
    signature::check(request, credentials, account.world()).map(|()| caller)
}

/// Every protocol has its own words for the same refusal.
fn refuse(service: Service, refusal: &Refusal) -> Reply {
    let [json, query, ec2] = match refusal {
        Refusal::Unsigned => [
            "MissingAuthenticationTokenException",
            "MissingAuthenticationToken",
            "MissingParameter",
        ],
        Refusal::UnknownKey => {
            ["UnrecognizedClientException", "InvalidClientTokenId", "AuthFailure"]
        }
        Refusal::WrongSignature => {
            ["InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure"]
        }
        Refusal::Skewed(_) => {
            ["InvalidSignatureException", "SignatureDoesNotMatch", "RequestExpired"]
        }
    };
    let message = match refusal {
        Refusal::Unsigned => "Request is missing Authentication Token".to_owned(),
        Refusal::UnknownKey => "The security token included in the request is invalid.".to_owned(),
        Refusal::WrongSignature => {
            "The request signature we calculated does not match the signature you provided. Check \
             your AWS Secret Access Key and signing method. Consult the service documentation for \
             details."
                .to_owned()
        }
        Refusal::Skewed(why) => why.clone(),
    };
    match service {
        Service::Ecs | Service::Kms | Service::ServiceQuotas | Service::Ssm => {
            service.error(400, json, &message)
        }
        Service::Backup | Service::CloudWatch | Service::Ebs | Service::Efs => {
            service.error(403, json, &message)
        }
        Service::AutoScaling | Service::Elb | Service::Sts => service.error(403, query, &message),
        Service::Ec2 => {
            let (status, message) = match refusal {
                Refusal::Unsigned => (400, "The request must contain the parameter AWSAccessKeyId"),
                Refusal::UnknownKey | Refusal::WrongSignature => {
                    (401, "AWS was not able to validate the provided access credentials")
                }
                Refusal::Skewed(_) => (400, "Request has expired."),
            };
            service.error(status, ec2, message)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sim::disturbance::Disturbance;
    use crate::sim::http::Manner;
    use crate::sim::signature::tests::signed;
    use crate::sim::timeline::Recorder;

    /// The answer to a request that leaves no work.
    fn answer(account: &mut Account, request: &Request) -> Reply {
        let begun = begin(account, request);
        let Turn::Done(mut reply) = begun.turn else { panic!("there is work to do") };
        if let Some(kind) = begun.disturbance {
            kind.spoil(&mut reply);
        }
        reply
    }

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
        let stranger = Account::for_tests().first().credentials.clone();
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
        let keys = account.first().credentials.clone();
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

    #[test]
    fn a_service_that_is_down_is_down_for_whom_it_is_meant() {
        let mut account = Account::for_tests();
        let keys = account.first().credentials.clone();
        let other = account.launch(Recorder::silent()).clone();
        account.disturbances.push(Disturbance {
            caller: Some(other.id.clone()),
            ..Disturbance::of(Service::Ec2, Kind::Closed)
        });
        let ask = |account: &mut Account, keys| {
            let ec2 = form("Action=DescribeInstances&Version=2016-11-15");
            answer(account, &signed(ec2, "ec2", keys))
        };
        assert_eq!(ask(&mut account, &keys).status, 200);
        assert_eq!(ask(&mut account, &other.credentials).manner, Manner::Never);
        account.disturbances.clear();
        assert_eq!(ask(&mut account, &other.credentials).manner, Manner::AtOnce);
    }

    #[test]
    fn a_stale_answer_does_not_know_what_was_launched_since() {
        let mut account = Account::for_tests();
        let instance = account.first().clone();
        let stale = Kind::Stale(Duration::from_mins(5));
        account.disturbances.push(Disturbance::of(Service::Ec2, stale));
        let ec2 = form(&format!(
            "Action=DescribeInstances&Version=2016-11-15&InstanceId.1={}",
            instance.id
        ));
        let request = signed(ec2, "ec2", &instance.credentials);
        assert!(answer(&mut account, &request).body.contains("InvalidInstanceID.NotFound"));
        account.skip(Duration::from_mins(6));
        assert!(answer(&mut account, &request).body.contains("running"));
    }
}
