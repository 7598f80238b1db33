//! What it means that a name resolves, or does not.

use std::net::IpAddr;

use super::{Lookup, Seen, System};
use crate::aws::efs::Target;
use crate::doctor::efs::host::role;
use crate::doctor::efs::net::goal;
use crate::doctor::efs::scene::Case;
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Verdict};
use crate::efs::dns::Answer;

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let Some(main) = seen.names.first() else {
        return Finding::new(Id::Names.name(), Verdict::Skip, "there is no name to ask for");
    };
    let matter = Matter { seen, main, case, name: main.name.trim_end_matches('.') };
    let finding = match &main.vpc {
        Answer::Addresses(all) => matter.found(all),
        // Whoever runs servers of his own may have answered well by them.
        _ if matter.is_good(main.system.found()) && !matter.addresses().is_empty() => {
            matter.only_by_system()
        }
        Answer::NoName | Answer::NoAddress => matter.unknown(),
        Answer::Failed(code) => matter.failed(code),
        Answer::Silent(_) | Answer::Unreached(_) => matter.silent(),
        Answer::Garbage(why) => {
            let says = format!("what the resolver {} answers is no DNS: {why}", seen.resolver);
            finding(Verdict::Fail, says).mended_by("nft list ruleset   # who answers there?")
        }
    };
    matter.with_evidence(finding)
}

/// What is judged.
struct Matter<'a> {
    seen: &'a Seen,
    main: &'a Lookup,
    case: &'a Case<'a>,
    /// The name, without its last dot.
    name: &'a str,
}

impl Matter<'_> {
    fn targets(&self) -> &[Target] {
        self.case.observed.targets.seen().map_or(&[], |seen| &seen.targets)
    }

    /// The addresses of the mount targets; none where nobody could tell.
    fn addresses(&self) -> Vec<IpAddr> {
        let of = |target: &Target| {
            let four = target.address.map(IpAddr::from);
            four.into_iter().chain(target.address6.map(IpAddr::from)).collect::<Vec<_>>()
        };
        self.targets().iter().flat_map(of).collect()
    }

    /// Whether one of these is a mount target's, as far as anybody knows.
    fn is_good(&self, found: &[IpAddr]) -> bool {
        let known = self.addresses();
        !found.is_empty() && (known.is_empty() || found.iter().any(|it| known.contains(it)))
    }

    /// The resolver of the VPC knows the name.
    fn found(&self, all: &[IpAddr]) -> Finding {
        let (name, main) = (self.name, self.main);
        if !self.is_good(all) {
            let says = format!(
                "{name} is {}, and that is no mount target of {}",
                list(all),
                self.case.asked.file_system
            );
            return self.wrong(says);
        }
        match &main.system {
            System::Found(system) if !self.agrees(system, all) => {
                let says = format!(
                    "{name} is {} by the VPC's resolver, and {} by this host's",
                    list(all),
                    list(system)
                );
                self.own_way(says)
            }
            System::Failed(why) => self.own_way(format!(
                "the VPC's resolver knows {name}, and this host's does not: {why}"
            )),
            System::Silent(ms) => self.own_way(format!(
                "the VPC's resolver knows {name}, and this host's did not answer within {ms} ms"
            )),
            System::Found(_) => self.good(all),
        }
    }

    /// Whether what this host's resolver found will do.
    fn agrees(&self, system: &[IpAddr], vpc: &[IpAddr]) -> bool {
        let known = self.addresses();
        if known.is_empty() {
            system.iter().any(|it| vpc.contains(it))
        } else {
            self.is_good(system)
        }
    }

    fn good(&self, all: &[IpAddr]) -> Finding {
        let (name, main) = (self.name, self.main);
        if main.undotted != main.system {
            let says = format!("{name} resolves to something else if its last dot is left out");
            let suffixes = self.seen.local.search.join(" ");
            return finding(Verdict::Warn, says).mended_by(format!(
                "hostkit asks with the dot and is safe; for others, take the wildcard out of the \
                 zones of: search {suffixes}"
            ));
        }
        let targets = self.case.observed.targets.seen();
        let here = targets.and_then(|seen| seen.here()).and_then(|target| target.address);
        if here.is_some_and(|here| !all.contains(&here.into())) {
            let says = format!("{name} is {}, the mount target of another zone", list(all));
            return finding(Verdict::Warn, says)
                .mended_by("wait 90 s if this zone's is new")
                .mended_by(self.describe());
        }
        let says = format!("{name} is {}, by the VPC's resolver and by this host's", list(all));
        finding(Verdict::Pass, says)
    }

    fn describe(&self) -> String {
        goal::describe_targets(self.case.asked)
    }

    /// An address that is not a mount target's.
    fn wrong(&self, says: String) -> Finding {
        let region = &self.case.asked.region;
        let vpc = goal::vpc(self.case).unwrap_or("VPC-OF-THIS-HOST");
        finding(Verdict::Fail, says)
            .mended_by(self.describe())
            .mended_by("it was made anew less than 90 s ago, or a private zone has the name:")
            .mended_by(format!(
                "aws route53 list-hosted-zones-by-vpc --vpc-id {vpc} --vpc-region {region}"
            ))
    }

    /// This host asks somebody else than the VPC's resolver, or nobody.
    fn own_way(&self, says: String) -> Finding {
        let finding = finding(Verdict::Fail, says);
        if !self.seen.local.hosts.is_empty() {
            return finding.mended_by("take the line out of /etc/hosts");
        }
        let resolver = self.seen.resolver.ip();
        let (asked, vpc) = (self.case.asked, goal::vpc(self.case).unwrap_or("VPC-OF-THIS-HOST"));
        finding
            .mended_by(format!(
                "let the servers of /etc/resolv.conf forward {} to {resolver}, or use that one: \
                 DHCP options of the VPC",
                self.name
            ))
            .mended_by(format!(
                "aws ec2 describe-vpcs --vpc-ids {vpc} --query 'Vpcs[].DhcpOptionsId' --output \
                 text --region {}",
                asked.region
            ))
    }

    fn only_by_system(&self) -> Finding {
        let says = format!(
            "{} is {} by this host's resolver; the VPC's {}",
            self.name,
            list(self.main.system.found()),
            said(&self.main.vpc)
        );
        let finding = finding(Verdict::Warn, says);
        self.attributes(finding)
    }

    /// Neither resolver finds an address.
    fn unknown(&self) -> Finding {
        let (name, asked) = (self.name, self.case.asked);
        let host = role::identity(self.case.observed).and_then(|identity| identity.vpc.as_deref());
        let theirs = self.targets().iter().map(|target| target.vpc.as_str());
        let elsewhere =
            theirs.clone().find(|vpc| !vpc.is_empty() && host.is_some_and(|it| it != *vpc));
        let targets = self.case.observed.targets.seen();
        let fail = |why: String| finding(Verdict::Fail, format!("{name} {why}"));
        if let Some(vpc) = elsewhere {
            return fail(format!("is known in {vpc} only, and this host is in another network"))
                .mended_by(
                    "set `efs.addresses` in host.toml: only a network with a mount target \
                            knows the name",
                )
                .mended_by(self.describe());
        }
        match targets {
            Some(seen) if seen.targets.is_empty() => {
                fail("does not exist: the file system has no mount target".to_owned())
            }
            Some(seen) if seen.zone_id.is_some() && seen.here().is_none() => fail(
                "does not exist here: it resolves only in zones that have a mount target"
                    .to_owned(),
            ),
            Some(_) => {
                let why = "does not exist, though this zone has a mount target: the VPC does not \
                           give names";
                return self
                    .attributes(fail(why.to_owned()))
                    .mended_by("a name takes up to 90 s after its mount target is available");
            }
            None => {
                let why = format!(
                    "does not exist: no mount target in this zone, DNS host names of the VPC off, \
                     or not in {}",
                    asked.region
                );
                return self.attributes(fail(why)).mended_by(self.describe());
            }
        }
        .mended_by(self.create())
    }

    /// The line that makes a mount target in the subnet of this host.
    fn create(&self) -> String {
        let identity = role::identity(self.case.observed);
        let subnet = identity.and_then(|it| it.subnet.as_deref()).unwrap_or("SUBNET-OF-THIS-ZONE");
        let groups = self.targets().iter().find_map(|target| target.security_groups.as_ref());
        let group = groups.and_then(|groups| groups.first());
        let group = group.map_or("SECURITY-GROUP-FOR-NFS", String::as_str);
        format!(
            "aws efs create-mount-target --file-system-id {} --subnet-id {subnet} \
             --security-groups {group} --region {}",
            self.case.asked.file_system, self.case.asked.region
        )
    }

    fn failed(&self, code: &str) -> Finding {
        let says = format!("the VPC's resolver could not find out what {} is: {code}", self.name);
        finding(Verdict::Fail, says)
            .mended_by("a rule of Route 53 Resolver sends the name to servers that do not answer:")
            .mended_by(format!(
                "aws route53resolver list-resolver-rules --region {}",
                self.case.asked.region
            ))
            .mended_by(format!(
                "aws route53resolver list-resolver-rule-associations --region {}",
                self.case.asked.region
            ))
    }

    /// Security groups and network ACLs do not stop what goes to this resolver.
    fn silent(&self) -> Finding {
        let says = format!(
            "the VPC's resolver {}: DNS support of the VPC is off, or a firewall of this host is in \
             the way",
            said(&self.main.vpc)
        );
        // A host that EFS tells its mount target mounts it without a name.
        let found = if self.addresses().is_empty() {
            finding(Verdict::Fail, says)
        } else {
            finding(Verdict::Warn, says + "; EFS itself tells the mount target today")
        };
        self.attributes(found).mended_by("nft list ruleset   # if DNS support is on")
    }

    /// What a VPC needs for names to work.
    fn attributes(&self, finding: Finding) -> Finding {
        let vpc = goal::vpc(self.case).unwrap_or("VPC-OF-THIS-HOST");
        let line = |what: &str| {
            let region = &self.case.asked.region;
            format!(
                "aws ec2 modify-vpc-attribute --vpc-id {vpc} --enable-dns-{what} Value=true \
                 --region {region}"
            )
        };
        finding.mended_by(line("support")).mended_by(line("hostnames"))
    }

    fn with_evidence(&self, mut finding: Finding) -> Finding {
        let resolver = self.seen.resolver.ip();
        for lookup in &self.seen.names {
            finding = finding.shown_by(format!(
                "{}  by {resolver}: A {}, AAAA {}",
                lookup.name,
                said(&lookup.vpc),
                said(&lookup.vpc6)
            ));
            let (system, undotted) = (told(&lookup.system), told(&lookup.undotted));
            let same = if system == undotted { "" } else { "; without the last dot: " };
            let undotted = if same.is_empty() { "" } else { &undotted };
            finding = finding
                .shown_by(format!("{}  by this host: {system}{same}{undotted}", lookup.name));
        }
        let local = &self.seen.local;
        let conf = match &local.trouble {
            Some(trouble) => trouble.clone(),
            None => {
                format!("nameserver {}; search {}", or_none(&local.servers), or_none(&local.search))
            }
        };
        finding = finding.shown_by(format!("/etc/resolv.conf: {conf}"));
        for line in &local.hosts {
            finding = finding.shown_by(format!("/etc/hosts: {line}"));
        }
        let known = self.addresses();
        if known.is_empty() {
            finding
        } else {
            finding.shown_by(format!("mount targets: {}", list(&known)))
        }
    }
}

fn finding(verdict: Verdict, says: impl Into<String>) -> Finding {
    Finding::new(Id::Names.name(), verdict, says)
}

fn or_none(words: &[String]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(" ") }
}

fn list(addresses: &[IpAddr]) -> String {
    let all: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
    all.join(", ")
}

/// What a resolver that was asked by ourselves said.
fn said(answer: &Answer) -> String {
    match answer {
        Answer::Addresses(all) => list(all),
        Answer::NoName => "does not know the name (NXDOMAIN)".to_owned(),
        Answer::NoAddress => "none".to_owned(),
        Answer::Failed(code) => format!("failed ({code})"),
        Answer::Silent(ms) => format!("did not answer within {ms} ms"),
        Answer::Unreached(why) => format!("cannot be reached ({why})"),
        Answer::Garbage(_) => "answered something that is no DNS".to_owned(),
    }
}

fn told(system: &System) -> String {
    match system {
        System::Found(all) => list(all),
        System::Failed(why) => why.clone(),
        System::Silent(ms) => format!("nothing within {ms} ms"),
    }
}
