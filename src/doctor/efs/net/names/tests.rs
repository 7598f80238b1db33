//! Real resolvers of the test, and every way in which two of them can differ.

use std::net::Ipv4Addr;

use simple_dns::RCODE;

use super::look::resolv_conf;
use super::*;
use crate::aws::efs::Target;
use crate::doctor::Verdict;
use crate::doctor::efs::net::sample::{OTHER, OURS, Sample, shown};
use crate::efs::dns::tests::{Manner, resolver};

const CONF: &str = "# made by hand\nnameserver 10.0.0.2\nsearch eu-west-1.compute.internal\n";

fn found(address: Ipv4Addr) -> System {
    System::Found(vec![address.into()])
}

/// What is seen where both resolvers say so.
fn seen(vpc: Answer, system: System) -> Seen {
    let name = "fs-0123456789abcdef0.efs.eu-west-1.amazonaws.com.".to_owned();
    let vpc6 = match &vpc {
        Answer::Addresses(_) => Answer::NoAddress,
        other => other.clone(),
    };
    let lookup = Lookup { name, vpc, vpc6, undotted: system.clone(), system };
    Seen {
        resolver: "169.254.169.253:53".parse().unwrap(),
        names: vec![lookup],
        local: resolv_conf(CONF),
    }
}

fn at(address: Ipv4Addr) -> Answer {
    Answer::Addresses(vec![address.into()])
}

fn failed() -> System {
    System::Failed("Name or service not known".to_owned())
}

#[test]
fn names_that_are_as_they_should_be_pass() {
    let sample = Sample::default();
    let finding = judge(&seen(at(OURS), found(OURS)), &sample.case());
    assert_eq!(finding.verdict, Verdict::Pass);
    insta::assert_snapshot!(shown(&finding));
}

#[test]
fn every_way_in_which_a_name_does_not_resolve_is_told_apart() {
    let sample = Sample::default();
    let mut text = String::new();
    for vpc in [
        Answer::NoName,
        Answer::NoAddress,
        Answer::Failed("SERVFAIL".to_owned()),
        Answer::Silent(4500),
        Answer::Unreached("Connection refused (os error 111)".to_owned()),
        Answer::Garbage("it is no answer to the question".to_owned()),
    ] {
        text += &shown(&judge(&seen(vpc, failed()), &sample.case()));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_name_that_nobody_knows_has_a_cause_where_the_targets_are_known() {
    let none = Sample::default().with_targets(Vec::new());
    let zone = |id: &str, vpc: &str| Target {
        address: Some(OTHER),
        zone_id: id.to_owned(),
        vpc: vpc.to_owned(),
        state: "available".to_owned(),
        ..Target::default()
    };
    let vpc = "vpc-0aaaaaaaaaaaaaaaa";
    let other_zone = Sample::default().with_targets(vec![zone("euw1-az2", vpc)]);
    let other_vpc = Sample::default().with_targets(vec![zone("euw1-az1", "vpc-0eeeeeeeeeeeeeeee")]);
    let mut text = String::new();
    for sample in [&none, &other_zone, &other_vpc, &Sample::bare()] {
        text += &shown(&judge(&seen(Answer::NoName, failed()), &sample.case()));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn what_the_system_says_otherwise_is_told() {
    let sample = Sample::default();
    let stranger = Ipv4Addr::new(10, 9, 9, 9);
    let mut hosts = seen(at(OURS), found(stranger));
    hosts.local.hosts =
        vec![format!("{stranger} fs-0123456789abcdef0.efs.eu-west-1.amazonaws.com")];
    let mut suffix = seen(at(OURS), found(OURS));
    suffix.names[0].undotted = found(stranger);
    let mut text = String::new();
    for seen in [
        seen(at(OURS), found(stranger)),
        hosts,
        seen(at(OURS), failed()),
        seen(at(OURS), System::Silent(4500)),
        seen(at(stranger), found(stranger)),
        seen(at(OTHER), found(OTHER)),
        seen(Answer::Silent(4500), found(OURS)),
        suffix,
    ] {
        text += &shown(&judge(&seen, &sample.case()));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_file_system_of_one_zone_goes_by_the_name_of_its_zone() {
    let name = |sample: Sample| names(&sample.asked, &sample.observed);
    let regional = "fs-0123456789abcdef0.efs.eu-west-1.amazonaws.com.";
    assert_eq!(name(Sample::bare()), [regional]);
    assert_eq!(name(Sample::default()), [regional.to_owned(), format!("eu-west-1a.{regional}")]);
    let one = name(Sample::default().in_one_zone());
    assert_eq!(one, [format!("eu-west-1b.{regional}"), regional.to_owned()]);
}

#[test]
fn resolv_conf_is_read_as_the_c_library_reads_it() {
    let local =
        resolv_conf("domain a\nsearch b c\nnameserver\nnameserver 10.0.0.2 x\n;search d\n\u{7}");
    assert_eq!(local.servers, ["10.0.0.2"]);
    assert_eq!(local.search, ["b", "c"]);
    assert_eq!(resolv_conf(""), Local::default());
}

#[tokio::test]
async fn resolvers_are_asked_through_the_scene() {
    let text = "10.9.9.9 fs-0123456789abcdef0.efs.x\n# fs-0123456789abcdef0\n127.0.0.1 localhost\n";
    for (manner, verdict) in [
        (Manner::Address(OURS), None),
        (Manner::Truncated(OURS), None),
        (Manner::Code(RCODE::NameError), Some("does not exist, though")),
        (Manner::Code(RCODE::ServerFailure), Some("could not find out")),
        (Manner::Empty, Some("does not exist, though")),
        (Manner::Garbage, Some("is no DNS")),
        (Manner::Address(Ipv4Addr::new(10, 9, 9, 9)), Some("is no mount target")),
    ] {
        let mut sample = Sample::default().file("etc/resolv.conf", CONF).file("etc/hosts", text);
        sample.resolver = resolver(manner).await;
        let seen = look(&sample.scene(2049)).await.unwrap();
        assert_eq!((seen.local.servers.len(), seen.local.hosts.len()), (1, 1));
        match verdict {
            None => assert_eq!(seen.names[0].vpc, at(OURS)),
            Some(words) => {
                let finding = judge(&seen, &sample.case());
                assert_eq!(finding.verdict, Verdict::Fail);
                assert!(finding.says.contains(words), "{finding:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_host_without_files_is_looked_at_all_the_same() {
    let mut sample = Sample::bare();
    sample.resolver = resolver(Manner::Code(RCODE::NameError)).await;
    let seen = look(&sample.scene(2049)).await.unwrap();
    assert!(seen.local.trouble.is_some());
    assert_eq!(judge(&seen, &sample.case()).verdict, Verdict::Fail);
    let text = serde_json::to_string(&seen).unwrap();
    assert_eq!(serde_json::from_str::<Seen>(&text).unwrap(), seen);
}
