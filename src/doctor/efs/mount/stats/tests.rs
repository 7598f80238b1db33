//! Blocks of several kernels, and whatever else may stand in their place.

use proptest::prelude::*;

use super::*;

const LINUX_5_10: &str = include_str!("../../../../../tests/fixtures/mountstats/linux-5.10.txt");
const LINUX_6_1: &str = include_str!("../../../../../tests/fixtures/mountstats/linux-6.1.txt");
const LINUX_6_12: &str = include_str!("../../../../../tests/fixtures/mountstats/linux-6.12.txt");

fn operation_of<'a>(stats: &'a Stats, name: &str) -> &'a Operation {
    stats.operations.iter().find(|it| it.name == name).unwrap()
}

#[test]
fn a_mount_is_read_whole() {
    let all = parse(LINUX_6_1);
    assert_eq!(all.len(), 1);
    let stats = at(&all, "/var/lib/jenkins").unwrap();
    assert_eq!((stats.source.as_str(), stats.kind.as_str()), ("10.0.1.9:/", "nfs4"));
    assert_eq!(stats.age, Some(86412));
    assert_eq!(stats.lease, Some(Lease { time: 60, expired: 0 }));
    assert!(stats.options.contains(&"noresvport".to_owned()));
    let [transport] = &stats.transports[..] else { panic!("one connection") };
    assert_eq!((transport.connects, transport.idle, transport.sent), (2, 3, 3_120_554));
    assert_eq!(transport.slots, Some(64));
    let write = operation_of(stats, "WRITE");
    assert_eq!((write.calls, write.again(), write.timeouts), (180_221, 2, 0));
    assert!((write.mean_answer() - 5.0).abs() < 0.01);
    assert_eq!(operation_of(stats, "LOOKUP").errors, Some(220_331));
    // It was never used.
    assert!(stats.operations.iter().all(|it| it.name != "COMMIT"));
}

#[test]
fn what_other_kernels_add_or_leave_out_is_no_error() {
    let all = parse(LINUX_5_10);
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].lease, Some(Lease { time: 60, expired: 312 }));
    assert_eq!((all[1].point.as_str(), all[1].lease), ("/srv/my data", None));
    assert_eq!((all[1].transports[0].kind.as_str(), all[1].transports[0].slots), ("rdma", None));
    assert_eq!(all[1].operations[0].errors, None);

    let all = parse(LINUX_6_12);
    assert_eq!((all.len(), all[0].transports.len()), (1, 2));
    assert_eq!(operation_of(&all[0], "GETATTR").calls, 4);
}

#[test]
fn what_is_mounted_on_top_counts() {
    let twice = format!("{LINUX_6_1}{}", LINUX_6_12.replace("age:\t3", "age:\t99"));
    assert_eq!(at(&parse(&twice), "/var/lib/jenkins").unwrap().age, Some(99));
}

#[test]
fn the_lines_of_another_file_system_are_nobodys() {
    let text = "device a mounted on /a with fstype nfs4 statvers=1.1\n\tage:\t1\n\
                device b mounted on /b with fstype nfsd\n\tage:\t2\n";
    let all = parse(text);
    assert_eq!((all.len(), all[0].age), (1, Some(1)));
}

proptest! {
    #[test]
    fn whatever_it_is_given_it_ends(text in "\\PC*") {
        parse(&text);
    }

    /// Cut off anywhere, with numbers that are none, it tells no more mounts than there are.
    #[test]
    fn a_file_that_is_cut_off_or_spoilt_has_no_mount_too_many(
        length in 0..LINUX_5_10.len(), at in 0..LINUX_5_10.len(), byte in "[ -~\\n\\t]",
    ) {
        let mut text = LINUX_5_10.to_owned();
        text.replace_range(at..=at, &byte);
        let all = parse(&text[..length.min(text.len())]);
        prop_assert!(all.len() <= 2);
        for operation in all.iter().flat_map(|stats| &stats.operations) {
            prop_assert!(operation.mean_answer().is_finite());
            prop_assert!(operation.calls > 0 || operation.sent > 0);
        }
    }

    /// What is written as the kernel writes it is read back.
    #[test]
    fn numbers_come_back(
        calls in 1..u64::MAX / 2, again in 0..1000_u64, timeouts: u64, queue: u64, answer: u64,
        errors: Option<u64>,
    ) {
        let sent = calls + again;
        let last = errors.map(|errors| format!(" {errors}")).unwrap_or_default();
        let text = format!(
            "device x:/ mounted on /x with fstype nfs4 statvers=1.1\n\tper-op statistics\n\
             \t        READ: {calls} {sent} {timeouts} 1 2 {queue} {answer} 3{last}\n"
        );
        let all = parse(&text);
        let read = operation_of(&all[0], "READ");
        let expected = Operation {
            name: "READ".to_owned(), calls, sent, timeouts, queue, answer, errors,
        };
        prop_assert_eq!(read, &expected);
        prop_assert_eq!(read.again(), again);
    }
}
