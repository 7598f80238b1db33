//! Which quota of EC2 limits instances of a type: by the family that its name begins with, and by how
//! they are paid. Pure.
//!
//! AWS has no call for it. The codes of on-demand instances are those of EC2's own documentation
//! ("Amazon EC2 instance type quotas"); those of spot instances are the ones that accounts list.

/// How instances are paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Market {
    /// By the hour, and kept.
    OnDemand,
    /// For a lower price, and taken away with two minutes' notice.
    Spot,
}

/// What is limited together.
struct Class {
    /// How the names of its types begin: the letters, and the generation where that matters.
    families: &'static [&'static str],
    on_demand: &'static str,
    /// None where no such quota is known.
    spot: Option<&'static str>,
}

const fn class(
    families: &'static [&'static str],
    on_demand: &'static str,
    spot: Option<&'static str>,
) -> Class {
    Class { families, on_demand, spot }
}

const STANDARD: &[&str] = &["a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"];
const P: &str = "L-417A185B";

const CLASSES: [Class; 12] = [
    class(STANDARD, "L-1216C47A", Some("L-34B43A08")),
    class(&["dl"], "L-6E869C2A", Some("L-85EED4F7")),
    class(&["f"], "L-74FC7D96", Some("L-88CF9481")),
    class(&["g", "gr", "vt"], "L-DB2E81BA", Some("L-3819A6DF")),
    class(&["hpc"], "L-F7808C92", None),
    class(&["u", "u-"], "L-43DA4232", None),
    class(&["inf"], "L-1945791B", Some("L-B5D1601B")),
    class(&["p2", "p3", "p4"], P, Some("L-7212CCBC")),
    class(&["p5"], P, Some("L-C4BD4855")),
    class(&["p"], P, None),
    class(&["trn"], "L-2C3B7624", Some("L-6B0D517C")),
    class(&["x"], "L-7295265B", Some("L-E3A00192")),
];

/// The code of the quota that limits the vCPUs of instances of a type (`m5.large`); none where none is
/// known.
pub fn code(instance_type: &str, market: Market) -> Option<&'static str> {
    let digit = instance_type.find(|it: char| it.is_ascii_digit())?;
    // With its generation first: a family may be limited apart from one generation on.
    let names = [instance_type.get(..=digit)?, &instance_type[..digit]];
    let of = |name: &str| CLASSES.iter().find(|class| class.families.contains(&name));
    let class = names.into_iter().find_map(of)?;
    match market {
        Market::OnDemand => Some(class.on_demand),
        Market::Spot => class.spot,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_type_is_limited_with_its_family() {
        let on_demand = |name: &str| code(name, Market::OnDemand);
        for name in
            ["m5.large", "t3a.nano", "c7gn.xlarge", "im4gn.large", "z1d.large", "m7i-flex.large"]
        {
            assert_eq!(on_demand(name), Some("L-1216C47A"), "{name}");
            assert_eq!(code(name, Market::Spot), Some("L-34B43A08"), "{name}");
        }
        assert_eq!(on_demand("inf2.xlarge"), Some("L-1945791B"));
        assert_eq!(on_demand("trn1.2xlarge"), Some("L-2C3B7624"));
        assert_eq!(on_demand("gr6.4xlarge"), on_demand("g6.xlarge"));
        assert_eq!(on_demand("u-6tb1.metal"), Some("L-43DA4232"));
        assert_eq!(on_demand("hpc7a.12xlarge"), Some("L-F7808C92"));
        assert_eq!(code("hpc7a.12xlarge", Market::Spot), None);
        assert_eq!(on_demand("p6-b200.48xlarge"), on_demand("p4d.24xlarge"));
        assert_ne!(code("p5.48xlarge", Market::Spot), code("p4d.24xlarge", Market::Spot));
        // Those are on dedicated hosts, which have quotas of their own.
        assert_eq!(on_demand("mac2.metal"), None);
        assert_eq!(on_demand(""), None);
    }

    proptest! {
        #[test]
        fn whatever_is_called_a_type_is_looked_up(name in "\\PC{0,12}") {
            let spot = code(&name, Market::Spot);
            prop_assert!(spot.is_none() || code(&name, Market::OnDemand).is_some());
        }
    }

    #[test]
    fn no_family_is_in_two_classes() {
        let mut all: Vec<_> = CLASSES.iter().flat_map(|class| class.families).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
