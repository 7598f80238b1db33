//! Where and as what a builder may be launched, in which order, and what a refusal means for the
//! rest of the list. Pure.

use std::collections::VecDeque;

use crate::aws::instances::Subnet;

/// One way to launch it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    /// `m7i.large`
    pub instance_type: String,
    /// Where.
    pub subnet: Subnet,
    /// Whether it may be taken away for a lower price.
    pub spot: bool,
}

/// What a refused launch says about the other ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// This type is not to be had here: perhaps elsewhere.
    ElsewherePerhaps,
    /// The account may have no more of this type, wherever.
    AnotherType,
    /// The account may have no more spot instances.
    OnDemand,
    /// Nothing else on the list would do better.
    GiveUp,
}

/// What a refused `RunInstances` means.
pub(super) fn verdict(code: &str, message: &str) -> Verdict {
    match code {
        // A region that has no such type, or an AMI that does not boot on it.
        "InvalidParameterValue" if message.contains("InstanceType") => Verdict::AnotherType,
        "InsufficientInstanceCapacity"
        | "InsufficientHostCapacity"
        | "InsufficientCapacity"
        | "InsufficientReservedInstanceCapacity"
        | "InsufficientFreeAddressesInSubnet"
        | "SpotMaxPriceTooLow"
        | "Unsupported"
        | "Server.InsufficientInstanceCapacity"
        | "Server.SpotInstanceTermination" => Verdict::ElsewherePerhaps,
        "VcpuLimitExceeded" | "InstanceLimitExceeded" | "InvalidInstanceType" => {
            Verdict::AnotherType
        }
        "MaxSpotInstanceCountExceeded" => Verdict::OnDemand,
        _ => Verdict::GiveUp,
    }
}

/// All ways: spot before on-demand, each type in every subnet before the next type.
pub(super) fn attempts(types: &[String], subnets: &[Subnet], spot: bool) -> VecDeque<Attempt> {
    let markets: &[bool] = if spot { &[true, false] } else { &[false] };
    let mut all = VecDeque::new();
    for spot in markets {
        for instance_type in types {
            all.extend(subnets.iter().map(|subnet| Attempt {
                instance_type: instance_type.clone(),
                subnet: subnet.clone(),
                spot: *spot,
            }));
        }
    }
    all
}

/// Leaves out what a refusal of `refused` rules out, too.
pub(super) fn narrow(rest: &mut VecDeque<Attempt>, refused: &Attempt, verdict: Verdict) {
    rest.retain(|attempt| match verdict {
        Verdict::ElsewherePerhaps => true,
        Verdict::AnotherType => {
            attempt.spot != refused.spot || attempt.instance_type != refused.instance_type
        }
        Verdict::OnDemand => !attempt.spot,
        Verdict::GiveUp => false,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(spot: bool) -> VecDeque<Attempt> {
        let subnet = |id: &str| Subnet {
            id: id.into(),
            vpc: "vpc-1".into(),
            zone: "z".into(),
            zone_id: "z1".into(),
            cidr: "10.0.0.0/24".into(),
        };
        attempts(&["a.large".into(), "b.large".into()], &[subnet("s1"), subnet("s2")], spot)
    }

    fn told(attempts: &VecDeque<Attempt>) -> Vec<String> {
        let one = |attempt: &Attempt| {
            let market = if attempt.spot { "spot " } else { "" };
            format!("{market}{} {}", attempt.instance_type, attempt.subnet.id)
        };
        attempts.iter().map(one).collect()
    }

    #[test]
    fn every_type_is_tried_everywhere_before_the_next_and_spot_first() {
        assert_eq!(told(&all(false)), ["a.large s1", "a.large s2", "b.large s1", "b.large s2"]);
        let spot = told(&all(true));
        assert_eq!(spot[..2], ["spot a.large s1", "spot a.large s2"]);
        assert_eq!(spot[4..], ["a.large s1", "a.large s2", "b.large s1", "b.large s2"]);
    }

    #[test]
    fn a_refusal_rules_out_what_would_be_refused_too() {
        let rest = |code: &str| {
            let mut rest = all(true);
            let first = rest.pop_front().unwrap();
            narrow(&mut rest, &first, verdict(code, "it is said why"));
            told(&rest)
        };
        assert_eq!(rest("InsufficientInstanceCapacity")[0], "spot a.large s2");
        assert_eq!(rest("SpotMaxPriceTooLow")[0], "spot a.large s2");
        assert_eq!(rest("VcpuLimitExceeded")[0], "spot b.large s1");
        assert!(rest("VcpuLimitExceeded").contains(&"a.large s1".to_owned()), "another quota");
        assert_eq!(rest("MaxSpotInstanceCountExceeded")[0], "a.large s1");
        assert!(rest("InvalidSubnetID.NotFound").is_empty());
        assert!(rest("InvalidParameterValue").is_empty());
        let unknown = "Invalid value 'a.large' for InstanceType.";
        assert_eq!(verdict("InvalidParameterValue", unknown), Verdict::AnotherType);
    }
}
