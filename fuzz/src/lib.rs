//! What is fuzzed: the reading of recipes, from bytes to everything that is wrong with them, and of
//! the records of the lease.
//!
//! The rooms are taken in by their paths, so that the AWS SDKs are not built for this.

#[path = "../../src/error.rs"]
pub mod error;
#[path = "../../src/host/mod.rs"]
pub mod host;
#[path = "../../src/lease/record.rs"]
pub mod record;
#[path = "../../src/recipe/mod.rs"]
pub mod recipe;
#[path = "../../src/secret.rs"]
pub mod secret;

use recipe::assets::Assets;
use recipe::{Given, read_text};

/// Reads `bytes` as a record of the lease. Whatever they are, a record that is found is worth
/// something: it is read again as it is written, and names its generation and its holder.
///
/// # Panics
/// If that does not hold.
pub fn read_record(bytes: &[u8]) {
    match record::read(&String::from_utf8_lossy(bytes)) {
        record::Reading::Record(found) => {
            assert!((1..=record::VERSION).contains(&found.version) && found.generation > 0);
            assert!(!found.holder.fs_id.is_empty() && !found.holder.boot_id.is_empty());
            assert_ne!(found.holder.name(), "nobody");
            assert_eq!(record::read(&record::text(&found)), record::Reading::Record(found));
        }
        record::Reading::Newer { version, .. } => assert!(version > record::VERSION),
        record::Reading::Garbage(why) => assert!(!why.is_empty()),
    }
}

/// Reads `bytes` as a recipe. Whatever they are, there is a recipe or an error, and every error can
/// be shown.
///
/// # Panics
/// If that does not hold.
pub fn read(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let given = Given { stand_in: true, ..Given::default() };
    let reading = read_text(&text, &Assets::new("/nonexistent"), &given);
    for problem in &reading.problems {
        assert!(!problem.message.is_empty());
        if let Some(place) = &problem.place {
            assert!(place.line >= 1 && place.column >= 1);
            if let Some(excerpt) = place.excerpt() {
                assert_eq!(excerpt.lines().count(), 3, "{excerpt}");
            }
        }
    }
    assert!(reading.recipe.is_some() || reading.errors() > 0, "neither a recipe nor an error");
}
