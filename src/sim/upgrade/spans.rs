//! Where the time of a replacement went: from what was seen to spans, each of which is somebody's.
//! Pure.

use std::time::Duration;

use serde::Serialize;

use super::log::{Moment, NIGHT, Sight, first};

/// Whose time a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whose {
    /// hostkit's own.
    Hostkit,
    /// Builds that are waited for.
    Builds,
    /// AWS's: the group, EC2, the load balancer.
    Aws,
    /// The machine's, until something of hostkit runs on it.
    Machine,
    /// Jenkins' own.
    Jenkins,
    /// That of what the night broke: nobody could go on.
    Night,
}

/// A part of the time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Span {
    /// `quiet`, `drain`, `release`, `boot`, `claim`, `ready` and what is between them.
    pub name: &'static str,
    /// From what to what.
    pub about: &'static str,
    /// How long it was, in seconds.
    pub seconds: f64,
    /// Whose it is.
    pub whose: Whose,
}

/// Where the time went.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Times {
    /// The spans, in order, without gaps.
    pub spans: Vec<Span>,
    /// How long nobody served, in seconds, if both ends of that were seen.
    pub down: Option<f64>,
    /// hostkit's own time, in seconds.
    pub own: f64,
    /// All of it, in seconds.
    pub all: f64,
}

/// The ends of each span, in order: its name, what it is from and to, whose it is, and the moment that
/// ends it.
type Step = (&'static str, &'static str, Whose, Option<Duration>);

/// What became of the time between `began` and `ended`, when `old` made way for `new`. What was not
/// seen has no span of its own: its time is part of the next one.
pub(super) fn times(
    moments: &[Moment],
    (old, new): (&str, &str),
    (began, ended): (Duration, Duration),
) -> Times {
    let of_old =
        |from: Duration, wanted: &dyn Fn(&Sight) -> bool| first(moments, old, from, wanted);
    let of_new = |wanted: &dyn Fn(&Sight) -> bool| first(moments, new, began, wanted);
    let leaves = of_old(began, &|sight| is_leaving(sight));
    let tagged = of_old(began, &|sight| matches!(sight, Sight::Drain(Some(_))));
    let quiet = of_old(tagged.unwrap_or(began), &|sight| is_quiet(sight, |_| true));
    let idle = of_old(tagged.unwrap_or(began), &|sight| is_quiet(sight, |builds| builds == 0));
    let from = leaves.unwrap_or(began);
    let silent = of_old(from, &|sight| *sight == Sight::Silent);
    let released = of_old(from, &|sight| *sight == Sight::Released);
    let gone = of_old(from, &|sight| matches!(sight, Sight::State("shutting-down" | "terminated")));
    let serves = of_new(&|sight| matches!(sight, Sight::Serves(_)));
    let in_service = of_new(&|sight| *sight == Sight::Lifecycle("InService".to_owned()));
    let steps: [Step; 14] = [
        ("preflight", "from the command to the wish to be quiet", Whose::Hostkit, tagged),
        ("quiet", "until Jenkins is quiet", Whose::Hostkit, quiet),
        ("builds", "until no build runs", Whose::Builds, idle),
        ("refresh", "until the group lets the old host go", Whose::Aws, leaves),
        ("drain", "until its Jenkins is down", Whose::Hostkit, silent),
        ("release", "until the home is released", Whose::Hostkit, released),
        ("let-go", "until its hook lets it go", Whose::Hostkit, gone),
        (
            "replace",
            "until the new host is on",
            Whose::Aws,
            of_new(&|sight| *sight == Sight::State("running")),
        ),
        (
            "boot",
            "until the agent runs",
            Whose::Machine,
            of_new(&|sight| *sight == Sight::Metadata),
        ),
        (
            "claim",
            "until it holds the home",
            Whose::Hostkit,
            of_new(&|sight| *sight == Sight::Holds),
        ),
        ("ready", "until its Jenkins serves", Whose::Jenkins, serves),
        ("in-service", "until its hook is completed", Whose::Hostkit, in_service),
        (
            "traffic",
            "until the load balancer sends to it",
            Whose::Aws,
            of_new(&|sight| *sight == Sight::Target("healthy")),
        ),
        ("proof", "until the command has ended", Whose::Hostkit, Some(ended)),
    ];
    let broken = broken(moments, old, (began, ended));
    let mut spans = Vec::new();
    let mut last = began;
    for (name, about, whose, end) in steps {
        let Some(end) = end else { continue };
        let mut time = end.saturating_sub(last);
        if whose == Whose::Hostkit {
            let (from, to) = (broken.0.max(last), broken.1.min(end));
            let stands = to.saturating_sub(from);
            if !stands.is_zero() {
                let about = "while what the night broke was broken";
                let seconds = seconds(stands);
                spans.push(Span { name: "outage", about, seconds, whose: Whose::Night });
                time = time.saturating_sub(stands);
            }
        }
        spans.push(Span { name, about, seconds: seconds(time), whose });
        last = last.max(end);
    }
    let own = spans.iter().filter(|span| span.whose == Whose::Hostkit);
    let own = own.map(|span| span.seconds).sum::<f64>();
    let down = silent.zip(serves).map(|(from, to)| seconds(to.saturating_sub(from)));
    Times { spans, down, own: rounded(own), all: seconds(ended.saturating_sub(began)) }
}

/// From when to when something was broken; what is not mended is over when the old host is.
fn broken(
    moments: &[Moment],
    old: &str,
    (began, ended): (Duration, Duration),
) -> (Duration, Duration) {
    let Some(from) = first(moments, NIGHT, began, |sight| *sight == Sight::Breaks) else {
        return (ended, ended);
    };
    let mended = first(moments, NIGHT, from, |sight| *sight == Sight::Mends);
    let gone = || first(moments, old, from, |sight| *sight == Sight::State("terminated"));
    (from, mended.or_else(gone).unwrap_or(ended))
}

fn is_leaving(sight: &Sight) -> bool {
    match sight {
        Sight::Lifecycle(word) => word.starts_with("Terminating"),
        Sight::State(state) => *state == "shutting-down",
        _ => false,
    }
}

fn is_quiet(sight: &Sight, builds: impl Fn(u64) -> bool) -> bool {
    matches!(sight, Sight::Standing(state, number)
        if state == "quiet" && number.is_none_or(&builds))
}

fn seconds(time: Duration) -> f64 {
    rounded(time.as_secs_f64())
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn saw(at: u64, instance: &str, sight: Sight) -> Moment {
        Moment { at: Duration::from_secs(at), instance: instance.to_owned(), sight }
    }

    fn evening() -> Vec<Moment> {
        let word = |word: &str| Sight::Lifecycle(word.to_owned());
        vec![
            saw(1, "i-a", word("InService")),
            saw(2, "i-a", Sight::Serves("2.1".into())),
            saw(12, "i-a", Sight::Drain(Some("quiet".into()))),
            saw(14, "i-a", Sight::Standing("quiet".into(), Some(1))),
            saw(32, "i-a", Sight::Standing("quiet".into(), Some(0))),
            saw(35, "i-a", word("Terminating:Wait")),
            saw(37, "i-a", Sight::Silent),
            saw(38, "i-a", Sight::Released),
            saw(39, "i-a", Sight::State("shutting-down")),
            saw(45, "i-b", Sight::State("running")),
            saw(75, "i-b", Sight::Metadata),
            saw(80, "i-b", Sight::Holds),
            saw(90, "i-b", Sight::Serves("2.2".into())),
            saw(92, "i-b", word("InService")),
            saw(97, "i-b", Sight::Target("healthy")),
        ]
    }

    #[test]
    fn every_second_is_somebodys() {
        let (began, ended) = (Duration::from_secs(10), Duration::from_secs(98));
        let times = times(&evening(), ("i-a", "i-b"), (began, ended));
        let told: Vec<_> =
            times.spans.iter().map(|span| format!("{} {}", span.name, span.seconds)).collect();
        assert_eq!(
            told,
            [
                "preflight 2",
                "quiet 2",
                "builds 18",
                "refresh 3",
                "drain 2",
                "release 1",
                "let-go 1",
                "replace 6",
                "boot 30",
                "claim 5",
                "ready 10",
                "in-service 2",
                "traffic 5",
                "proof 1",
            ]
        );
        assert_eq!((times.down, times.all), (Some(53.0), 88.0));
        assert!((times.own - 16.0).abs() < 0.001, "{}", times.own);
    }

    #[test]
    fn what_the_night_broke_is_nobodys_slowness() {
        let (began, ended) = (Duration::from_secs(10), Duration::from_secs(98));
        let told = |more: &[Moment]| {
            let moments = [evening().as_slice(), more].concat();
            let times = times(&moments, ("i-a", "i-b"), (began, ended));
            let sum: f64 = times.spans.iter().map(|span| span.seconds).sum();
            assert!((sum - times.all).abs() < 0.01, "{times:?}");
            let parts = times.spans.iter().filter(|it| ["outage", "claim"].contains(&it.name));
            let parts: Vec<_> = parts.map(|it| (it.name, it.seconds)).collect();
            (times.own, parts)
        };
        // From within the boot, which is not hostkit's, into the claim.
        let mended = [saw(60, NIGHT, Sight::Breaks), saw(79, NIGHT, Sight::Mends)];
        assert_eq!(told(&mended), (12.0, vec![("outage", 4.0), ("claim", 1.0)]));
        // A host that stands still is what is broken until it is gone, or to the end.
        let gone = [saw(76, NIGHT, Sight::Breaks), saw(78, "i-a", Sight::State("terminated"))];
        assert_eq!(told(&gone), (14.0, vec![("outage", 2.0), ("claim", 3.0)]));
        let (own, _) = told(&[saw(76, NIGHT, Sight::Breaks)]);
        assert!((own - 9.0).abs() < 0.001, "{own}");
    }

    proptest! {
        /// Whatever was seen and whatever was not: the spans have no gaps, and no second twice.
        #[test]
        fn spans_add_up(left_out in prop::collection::vec(any::<bool>(), 15), ended in 98_u64..200) {
            let kept = evening().into_iter().zip(left_out).filter(|(_, out)| !out);
            let moments: Vec<_> = kept.map(|(moment, _)| moment).collect();
            let (began, ended) = (Duration::from_secs(10), Duration::from_secs(ended));
            let times = times(&moments, ("i-a", "i-b"), (began, ended));
            let sum: f64 = times.spans.iter().map(|span| span.seconds).sum();
            prop_assert!((sum - times.all).abs() < 0.01, "{sum} {times:?}");
            prop_assert!(times.own <= times.all);
        }
    }
}
