//! A controller's boot, and a script that does what the lease and Jenkins do.

use std::collections::BTreeMap;

use super::*;
use crate::sim::nfs::change::What;
use crate::sim::nfs::names::Path;

#[test]
fn every_change_of_a_real_guest_has_its_path() {
    let record = play(&capture(), usize::MAX);
    assert!(!record.blind().is_blind(), "{:?}", record.blind());
    insta::assert_snapshot!(changes(&record).join("\n"));
}

#[test]
fn every_round_trip_of_a_real_guest_is_counted() {
    let mut kinds = BTreeMap::<String, usize>::new();
    let trips = play(&capture(), usize::MAX).trips(&Selection::default());
    for trip in &trips {
        assert!(trip.answered.is_some(), "{trip:?}");
        *kinds.entry(trip.kind.to_string()).or_default() += 1;
    }
    let lines: Vec<_> = kinds.iter().map(|(kind, count)| format!("{count:5} {kind}")).collect();
    insta::assert_snapshot!(format!("{}\n{:5} in all", lines.join("\n"), trips.len()));
}

#[test]
fn the_splitting_of_a_real_stream_changes_nothing() {
    let pieces = capture();
    let whole = play(&pieces, usize::MAX);
    for size in [1, 3, 7, 64, 1000] {
        let split = play(&pieces, size);
        assert_eq!(changes(&split), changes(&whole), "in parts of {size}");
        assert_eq!(split.blind(), whole.blind());
        let kinds = |record: &Record| {
            let trips = record.trips(&Selection::default()).into_iter();
            trips.map(|trip| (trip.kind, trip.path, trip.status)).collect::<Vec<_>>()
        };
        assert_eq!(kinds(&split), kinds(&whole));
    }
}

#[test]
fn a_claim_can_be_found_and_counted_by_its_folder() {
    let record = play(&capture(), usize::MAX);
    let lease = Selection { below: Some("sample/.hostkit/lease".into()), ..Selection::default() };
    let (changes, trips) = (record.changes(&lease), record.trips(&lease));
    assert!(trips.len() > changes.len() && changes.len() == 5, "{} {}", trips.len(), changes.len());
    let none = Selection { machine: Some("i-other".into()), ..lease };
    assert!(record.changes(&none).is_empty() && record.trips(&none).is_empty());
}

/// What was there in the exported folder at the end.
const TREE: &str = include_str!("../../../../tests/fixtures/nfs/controller.tree");

/// The file system began empty, so its changes tell what must be in it.
#[test]
fn the_changes_of_a_real_guest_make_the_tree_that_was_there() {
    let mut tree = std::collections::BTreeSet::new();
    for change in play(&capture(), usize::MAX).changes(&Selection::default()) {
        assert!(
            change.end.may_have_happened() && change.what.paths().all(Path::is_known),
            "{change}"
        );
        match change.what {
            What::Open { path, .. } | What::Create { path, .. } => {
                tree.insert(path.to_string());
            }
            What::Link { to, .. } => {
                tree.insert(to.to_string());
            }
            What::Remove { path } => assert!(tree.remove(path.as_str()), "{path}"),
            What::Rename { from, to } => {
                let moved: Vec<_> =
                    tree.extract_if(.., |path| Path::new(path).is_below(from.as_str())).collect();
                assert!(!moved.is_empty(), "{from}");
                tree.extend(moved.iter().map(|path| path.replacen(from.as_str(), to.as_str(), 1)));
            }
            What::Write { path, .. } | What::Commit { path } | What::SetAttributes { path, .. } => {
                assert!(tree.contains(path.as_str()), "{path}");
            }
        }
    }
    assert_eq!(tree.into_iter().collect::<Vec<_>>().join("\n"), TREE.trim_end());
}
